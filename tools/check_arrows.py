"""Prove the crate arrows of docs/design.md with `cargo tree`: who may know whom.

python tools/check_arrows.py
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# crate: what it may never reach, directly or through others.
FORBIDDEN = {
    "runlane-proto": ["runlane-model", "tokio", "pyo3"],
    "runlane-model": ["runlane-translog", "tokio", "reqwest", "sqlx", "pyo3", "arrow-array"],
    "runlane-translog": ["runlane-daemon", "runlane-server", "tokio", "sqlx", "pyo3"],
    "runlane-history": ["runlane-daemon", "runlane-server", "runlane-translog", "tokio", "sqlx", "pyo3"],
    "runlane-metrics": ["runlane-proto", "runlane-model", "tokio", "reqwest", "sqlx", "pyo3"],
    "runlane-client": [
        "runlane-daemon",
        "runlane-server",
        "tokio",
        "hyper",
        "rustls",
        "sqlx",
        "arrow-array",
        "parquet",
    ],
    "runlane-daemon": ["runlane-server", "runlane-history", "sqlx", "axum", "pyo3"],
    "runlane-server": ["runlane-daemon", "runlane-translog", "pyo3"],
}


def dependencies(crate: str) -> set[str]:
    """Names of every crate that `crate` is built with, tests and build scripts left out."""
    command = [
        "cargo",
        "tree",
        "--locked",
        "-p",
        crate,
        "-e",
        "normal",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]
    output = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    return {line.split()[0] for line in output.splitlines() if line.strip()} - {crate}


def main() -> int:
    """Print each arrow that points the wrong way; 1 if there is one."""
    wrong = 0
    for crate, forbidden in FORBIDDEN.items():
        found = dependencies(crate)
        for name in sorted(found & set(forbidden)):
            print(f"error: {crate} reaches {name}; docs/design.md forbids it")
            wrong += 1
    print(f"arrows: {len(FORBIDDEN)} crates checked, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
