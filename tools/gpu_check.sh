#!/bin/bash
# Checks the NVIDIA sampler on a machine that has a GPU, Python with torch, pytest, pynvml and psutil, and nothing of ours.
#
#   tools/gpu_check.sh pack   here: puts the built package into .gpu/ (run `make setup`, or have .venv up to date)
#   tools/gpu_check.sh run    there, in a copy of this repository that .gpu/ was carried to; about a minute
#
# The packed binary is stripped: ~40 MB in all. Results are printed; samples lie in $OUT if that is set.
set -eu
cd "$(dirname "$0")/.."
case "${1:-}" in
pack)
    site=$(.venv/bin/python -c 'import pathlib, runlane; print(pathlib.Path(runlane.__file__).parent)')
    rm -rf .gpu
    mkdir -p .gpu/runlane
    (cd "$site" && find . -name '*.py' -o -name 'py.typed' -o -name '*.so' -o -name '*.binpb') |
        (cd "$site" && tar -cf - -T -) | tar -xf - -C .gpu/runlane
    mkdir -p .gpu/runlane/_bin
    strip -o .gpu/runlane/_bin/runlane-core "$site/_bin/runlane-core"
    strip --strip-unneeded .gpu/runlane/_core*.so
    du -sh .gpu
    ;;
run)
    [ -d .gpu/runlane ] || { echo "no .gpu/: run \`$0 pack\` first, and carry it" >&2; exit 2; }
    export PYTHONPATH="$PWD/.gpu" PYTHONDONTWRITEBYTECODE=1
    nvidia-smi -L
    .gpu/runlane/_bin/runlane-core --version
    # Neither our options nor our fixtures: they need more than is there.
    timeout 150 python3 -m pytest -c /dev/null --rootdir "$PWD" --noconftest -p no:cacheprovider \
        -W ignore -rs -v tests/metrics/test_nvidia.py
    ;;
*)
    sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
