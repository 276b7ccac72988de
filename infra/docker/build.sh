#!/bin/sh
# Builds the images with docker or podman and shows their sizes.
#
#   infra/docker/build.sh [TARGET...]       all five where none is named
#
# BASE, BASE_DIGEST  base image and its digest; without one, that of the image which is here or is pulled
# ACCELERATOR        cpu or gpu (train, transformer)
# TAG                of the images, 0.1.0
# BUILD_OPTIONS      for the builder, for instance a mount of a site's certificate authority
set -eu
cd "$(dirname "$0")/../.."
engine=${ENGINE:-$(command -v podman || command -v docker)} || { echo "podman or docker is needed" >&2; exit 1; }
base=${BASE:-docker.io/library/python:3.11-slim}
accelerator=${ACCELERATOR:-cpu}
tag=${TAG:-0.1.0}
[ "$accelerator" = cpu ] || tag=$tag-$accelerator
[ $# -gt 0 ] || set -- pipeline train transformer predictor-embedded tracking

if [ -z "${BASE_DIGEST:-}" ]; then
  "$engine" image inspect "$base" >/dev/null 2>&1 || "$engine" pull --quiet "$base" >/dev/null
  BASE_DIGEST=$("$engine" image inspect --format '{{if .RepoDigests}}{{index .RepoDigests 0}}{{end}}' "$base")
  BASE_DIGEST=${BASE_DIGEST#*@}
fi
echo "base $base@$BASE_DIGEST"
for target in "$@"; do
  # shellcheck disable=SC2086 - options are words of their own
  BUILDAH_FORMAT=docker "$engine" build ${BUILD_OPTIONS:-} --quiet --file infra/docker/Dockerfile --target "$target" \
    --build-arg BASE="$base" --build-arg BASE_DIGEST="$BASE_DIGEST" --build-arg ACCELERATOR="$accelerator" \
    --build-arg REVISION="$(git rev-parse HEAD 2>/dev/null || echo unknown)" \
    --tag "covidctnet-$target:$tag" . >/dev/null
  "$engine" image inspect --format "covidctnet-$target:$tag {{.Size}}" "covidctnet-$target:$tag" |
    awk '{printf "%-40s %6.0f MB\n", $1, $2 / 1e6}'
done
