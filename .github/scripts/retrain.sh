#!/bin/sh
# Retrains on the data version of a workspace, and says in $GITHUB_OUTPUT what came of it:
# state (challenger, refused, submitted, nothing) and decision (the folder that `covidctnet model promote` takes).
#
#   .github/scripts/retrain.sh WORKSPACE [OPTION OF covidctnet retrain...]
#
# A refusal ends well here: it is an answer, and is told by notices and in the summary.
set -eu
workspace=${1:?say which workspace}
shift
outcome=$(mktemp)
trap 'rm -f "$outcome"' EXIT
code=0
covidctnet retrain --workspace "$workspace" --json "$@" > "$outcome" || code=$?
# Without an outcome the command itself was refused: a key is missing, a policy is wrong.
if [ "$code" -ne 0 ] && { [ "$code" -ne 3 ] || [ ! -s "$outcome" ]; }; then
  exit "$code"
fi
python - "$outcome" >> "${GITHUB_OUTPUT:-/dev/stdout}" <<'P'
import json
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    record = json.load(file).get("record") or {}
print(f"state={record.get('state', 'nothing')}")
print(f"decision={record.get('decision', '')}")
P
exit 0
