#!/bin/sh
# Installs a role's lock file into /opt/covidctnet, in the stages of the Dockerfile that have pip. Every package is
# checked against its hash; what must be built has no network of its own to fetch a builder from.
set -eu
lock=$(realpath "$1")
into() { pip --python /opt/covidctnet install --quiet --no-deps --require-hashes --root-user-action=ignore "$@"; }
python -m venv --without-pip /opt/covidctnet
# Its builder first: sources that have no wheel are built with the setuptools of the lock.
sed -n '/^setuptools==/,/[^\\]$/p' "$lock" > /tmp/builder.txt
into -r /tmp/builder.txt
into --no-build-isolation --use-pep517 -r "$lock"
cd /opt/covidctnet/lib/python3.11/site-packages
echo /opt/app > covidctnet.pth
# What no image runs: tests, headers, sources of extensions and libclang; MLflow's pages, but in its own server.
find . -type d -name tests -prune -exec rm -rf {} +
rm -rf tensorflow/include pyarrow/include pyarrow/src clang numpy/_core/include
[ "$(basename "$lock")" = tracking.lock ] || rm -rf mlflow/server/js
find . -type f \( -name '*.a' -o -name '*.h' -o -name '*.hpp' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pyi' \) -delete
