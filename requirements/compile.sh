#!/bin/sh
# One lock file a role, with hashes and without a registry's address. dev holds all roles; the others
# are constrained by it, so that a package has one version everywhere.
set -eu
uv=${1:-uv}
compile() {
  role=$1
  shift
  "$uv" pip compile pyproject.toml "$@" --python-version 3.11 --quiet --no-header --no-annotate \
    --no-strip-extras --generate-hashes --no-emit-index-url --output-file "requirements/$role.lock"
}
compile dev --all-extras
for role in train pipeline fetch serve; do
  compile "$role" --extra "$role" --constraint requirements/dev.lock
done
