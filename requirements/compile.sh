#!/bin/sh
# One lock file a role, with hashes and without a registry's address. dev holds all roles; the others
# are constrained by it, so that a package has one version everywhere.
set -eu
uv=${1:-uv}
compile() {
  role=$1
  shift
  "$uv" pip compile "$@" --python-version 3.11 --quiet --no-header --no-annotate \
    --no-strip-extras --generate-hashes --no-emit-index-url --output-file "requirements/$role.lock"
}
compile dev pyproject.toml --all-extras
for role in train pipeline fetch serve; do
  compile "$role" pyproject.toml --extra "$role" --constraint requirements/dev.lock
done
# The transformer's image: serving's without TensorFlow, of which it needs the messages alone (infra/docker/Dockerfile).
compile transformer pyproject.toml --extra transformer --constraint requirements/dev.lock \
  --override requirements/no-tensorflow.txt
for role in predictor tracking; do
  compile "$role" --group "pyproject.toml:$role" --constraint requirements/dev.lock
done
for role in train serve; do
  compile "$role-gpu" pyproject.toml --extra "$role" --group gpu --constraint requirements/dev.lock
done
# checkov's pins contradict the product's: an environment of its own, for `make policy` and `make sbom`.
printf 'checkov\ncyclonedx-bom\n' | "$uv" pip compile - --python-version 3.11 --quiet --no-header --no-annotate --generate-hashes \
  --no-emit-index-url --output-file requirements/policy.lock
