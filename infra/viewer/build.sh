#!/bin/sh
# Builds the reading page's viewer from the packages that package-lock.json pins by hash. Needs node and npm.
set -eu
folder="${1:-serving/page/vendor}"
case "$folder" in /*) ;; *) folder="$PWD/$folder" ;; esac
cd "$(dirname "$0")"
npm ci --silent
node build.mjs "$folder"
