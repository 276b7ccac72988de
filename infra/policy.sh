#!/bin/sh
# Renders every overlay and has checkov look at them and at the Dockerfile. Its environment is its own: its pins
# contradict those of the product.
#
#   infra/policy.sh KUBECTL CHECKOV
set -eu
cd "$(dirname "$0")/.."
rendered=$(mktemp -d)
trap 'rm -rf "$rendered"' EXIT
for overlay in infra/overlays/* infra/serving/overlays/*; do
  "$1" kustomize "$overlay" > "$rendered/$(echo "$overlay" | tr / -).yaml"
done
"$2" --config-file infra/checkov.yaml --framework kubernetes --directory "$rendered"
"$2" --config-file infra/checkov.yaml --framework dockerfile --file infra/docker/Dockerfile
