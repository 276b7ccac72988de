#!/bin/sh
# The digest of the images' base, from its registry, as infra/docker/Dockerfile wants it.
#
#   .github/scripts/base-digest.sh [IMAGE]
set -eu
docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "${1:-docker.io/library/python:3.11-slim}"
