#!/bin/sh
# From Debian packages: PostgreSQL for the local stack, Chromium for the tests of the reading page, promtool for those of
# the alerts. The other services come from requirements/dev.lock. Does nothing where all are installed. Needs root.
set -eu
missing=""
if ! ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1; then
  # The package would start a cluster of its own on the usual port.
  mkdir -p /etc/postgresql-common
  echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.conf
  missing="postgresql"
fi
if ! command -v chromium >/dev/null && ! command -v google-chrome >/dev/null; then
  missing="$missing chromium fonts-dejavu-core"
fi
if ! command -v promtool >/dev/null; then
  # The package would start a server of its own on the usual port.
  mkdir -p /etc/systemd/system
  [ -e /etc/systemd/system/prometheus.service ] || ln -s /dev/null /etc/systemd/system/prometheus.service
  missing="$missing prometheus"
fi
if [ -n "$missing" ]; then
  apt-get update -qq
  # shellcheck disable=SC2086 - the names are words of their own
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi
