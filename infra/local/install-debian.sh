#!/bin/sh
# PostgreSQL for the local stack, from Debian packages; the other services come from requirements/dev.lock.
# Does nothing where it is installed. Needs root.
set -eu
if ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1; then
  exit 0
fi
# The package would start a cluster of its own on the usual port.
mkdir -p /etc/postgresql-common
echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.conf
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql >/dev/null
