#!/bin/sh
# Moves an alias, once those who guard the environment have agreed.
#
#   ACTION=promote DECISION=FOLDER WHY="..." WHO=... .github/scripts/promote.sh
#   ACTION=rollback WHY="..." WHO=... .github/scripts/promote.sh
#
# Where log, second place, key and registry are stands in COVIDCTNET_PROMOTION_* and MLFLOW_TRACKING_URI.
set -eu
: "${WHY:?say why}" "${WHO:?say who}"
case ${ACTION:?promote or rollback} in
  promote) covidctnet model promote "${DECISION:?name the folder of the decision}" --why "$WHY" --who "$WHO" ;;
  rollback) covidctnet model rollback --why "$WHY" --who "$WHO" ;;
  *) echo "there is no action $ACTION; promote or rollback" >&2; exit 2 ;;
esac
covidctnet model history
