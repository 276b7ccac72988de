#!/bin/sh
# Writes the templates that `covidctnet deploy` ships: what kustomize makes of the overlays. A test compares them.
set -eu
here=$(dirname "$0")
for overlay in cpu gpu; do
  "${KUBECTL:-kubectl}" kustomize "$here/overlays/$overlay" > "$here/../../integrations/rollout/templates/$overlay.yaml"
done
