#!/usr/bin/env bash
# runlane (a release wheel, in a virtual environment of its own) and wandb side by side.
#   tools/bench.sh PEER_PYTHON
set -euo pipefail
cd "$(dirname "$0")/.."

peer=$(realpath -s "$1")
venv=.venv-bench
if [ ! -x "$venv/bin/python" ]; then
  "${PYTHON:-python3}" -m venv "$venv"
  "$venv/bin/python" -m pip install -q 'pip>=25.1' 'maturin>=1.16,<2' numpy
fi
rm -rf "$venv/wheel"
export PATH="$PWD/$venv/bin:$PATH"
"$venv/bin/python" -m pip wheel -q --no-deps --no-build-isolation -w "$venv/wheel" .
"$venv/bin/python" -m pip install -q "$venv"/wheel/*.whl
"$venv/bin/python" -m pip install -q --no-deps --force-reinstall "$venv"/wheel/*.whl
version=$("$peer" -c 'import wandb; print(wandb.__version__)')
[ -x .venv-torch/bin/python ] || tools/ensure-torch.sh .venv-torch "$venv/bin/python" "$version"
exec "$venv/bin/python" benches/side_by_side.py "$peer"
