#!/bin/sh
# What the data version of this checkout has that the one of another revision had not, and whether it is worth a run.
#
#   .github/scripts/plan.sh REVISION [WORKSPACE]
#
# Needs data.dvc and versions/ of the workspace, and no images, no registry and no key.
set -eu
revision=${1:?say which revision to compare with, such as origin/main}
workspace=${2:-.}
since=$(git -C "$workspace" show "$revision:./data.dvc" 2>/dev/null | sed -n 's/^- md5: *//p' || true)
if [ -z "$since" ]; then
  echo "### Retraining plan"
  echo
  echo "Revision \`$revision\` has no data version: this one is the first, and will be trained on."
  exit 0
fi
exec covidctnet retrain --plan --workspace "$workspace" --since "$since" ${RETRAIN_POLICY:+--retrain-policy "$RETRAIN_POLICY"}
