#!/usr/bin/env bash
# A virtual environment with torch for the tests of `watch` and of its TensorBoard writer, and wandb to compare with.
#   tools/ensure-torch.sh VENV PYTHON WANDB_VERSION
# torch from PyPI has gigabytes; Debian's package (CPU only, with the numpy that it was built for) has 40 MB. Where it cannot be
# installed the tests that need it are skipped and say so. PYTHON is the environment whose runlane is used.
set -euo pipefail
venv=$1 python=$2 wandb=$3
debian=/usr/bin/python3

if ! "$debian" -c "import torch" >/dev/null 2>&1; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "note: no torch for the tests of watch; they are skipped" >&2
    echo "hint: install the package \`python3-torch\`, or run this as root on Debian" >&2
    exit 0
  fi
  export DEBIAN_FRONTEND=noninteractive
  if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-torch >/dev/null; }; then
    echo "note: \`python3-torch\` cannot be installed; the tests of watch are skipped" >&2
    exit 0
  fi
fi
content="$wandb tensorboard"
if [ ! -e "$venv/.done" ] || [ "$(cat "$venv/.done")" != "$content" ]; then
  rm -rf "$venv"
  "$debian" -m venv --without-pip --system-site-packages "$venv"
  "$python" -m pip --python "$venv/bin/python" install -q \
    "wandb==$wandb" click 'grpcio>=1.65' 'protobuf<8' psutil pynvml PyYAML rich tensorboard
  echo "$content" >"$venv/.done"
fi
# The package as it is installed, native part included (it is built for the stable ABI): nothing to keep up to date.
package=$("$python" -c "import runlane, os; print(os.path.dirname(runlane.__file__))")
ln -sfn "$package" "$("$venv/bin/python" -c "import sysconfig; print(sysconfig.get_path('purelib'))")/runlane"
