#!/usr/bin/env bash
# A virtual environment with the frameworks of tools/frameworks.txt, for `make test-frameworks`.
#   tools/ensure-frameworks.sh VENV PYTHON WANDB_VERSION
# It has neither wandb nor runlane: the frameworks find what `runlane exec` provides. The real wandb, to compare with, lies in VENV/peer,
# outside the module search path.
set -euo pipefail
venv=$1 python=$2 wandb=$3
requirements=$(dirname "$0")/frameworks.txt

content="$wandb $(sha256sum <"$requirements")"
if [ ! -e "$venv/.done" ] || [ "$(cat "$venv/.done")" != "$content" ]; then
  [ -e "$venv/bin/python" ] || "$python" -m venv "$venv"
  # Gigabytes of wheels: a copy of them in pip's cache is of no use to anybody.
  "$venv/bin/python" -m pip install -q --no-cache-dir -r "$requirements"
  "$venv/bin/python" -m pip install -q --no-cache-dir --upgrade --target "$venv/peer" "wandb==$wandb"
  echo "$content" >"$venv/.done"
fi
