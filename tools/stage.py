"""Put the native binary and the built web app into the Python package, where the wheel takes them from.

    python tools/stage.py [release|dev]

Only the standard library is used: this runs inside an isolated build.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "python" / "runlane"


class StageError(Exception):
    """Something that the wheel needs cannot be built."""


def stage(profile: str) -> None:
    """Build and copy what the wheel carries beside the extension.

    Args:
        profile: Cargo profile, `release` or `dev`.

    Raises:
        StageError: Cargo or npm failed, or is missing.
    """
    stage_binary(profile)
    stage_web()


def stage_binary(profile: str) -> None:
    """Build `runlane-core` and copy it, with a note of how it was built."""
    command = ["cargo", "build", "--locked", "-p", "runlane-cli", "--profile", profile]
    command.append("--message-format=json-render-diagnostics")
    try:
        result = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=False)
    except FileNotFoundError as error:
        raise StageError(
            "cannot build `runlane-core`: `cargo` is not on PATH; install Rust 1.95 or newer"
        ) from error
    if result.returncode != 0:
        raise StageError(f"cannot build `runlane-core`: cargo exited with {result.returncode}")
    executable = None
    for line in result.stdout.splitlines():
        message = json.loads(line)
        if message.get("reason") == "compiler-artifact" and message.get("executable"):
            executable = Path(message["executable"])
    if executable is None:
        raise StageError("cargo named no executable for `runlane-cli`")
    target = PACKAGE / "_bin"
    target.mkdir(exist_ok=True)
    binary = target / executable.name
    # A running daemon keeps its file open: a new file takes the name, the old one lives on with its process.
    fresh = binary.with_suffix(".new")
    shutil.copy2(executable, fresh)
    fresh.replace(binary)
    version = subprocess.run(
        [str(binary), "--version"], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.strip()
    info = {"profile": profile, "version": version}
    (target / "build-info.json").write_text(json.dumps(info) + "\n", encoding="utf-8")


def stage_web() -> None:
    """Copy the built web app, building it first if it is not there or older than its sources."""
    source = ROOT / "web"
    target = PACKAGE / "_web"
    if not (source / "package.json").is_file():
        if (target / "index.html").is_file():
            return  # A source distribution carries the built app.
        raise StageError("the web app is missing: neither `web/` nor `python/runlane/_web/` is here")
    built = source / "dist"
    if not is_fresh(built / "index.html", source):
        npm = shutil.which("npm")
        if npm is None:
            raise StageError("cannot build the web app: `npm` is not on PATH; install Node.js 20 or newer")
        if not is_fresh(source / "node_modules" / ".package-lock.json", source, only="package-lock.json"):
            run_npm(npm, source, "ci", "--no-audit", "--no-fund")
        run_npm(npm, source, "run", "build")
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(built, target)


def run_npm(npm: str, folder: Path, *words: str) -> None:
    """Run npm, its output going to stderr: stdout belongs to the build frontend."""
    result = subprocess.run([npm, *words], cwd=folder, stdout=sys.stderr, check=False)
    if result.returncode != 0:
        raise StageError(f"cannot build the web app: npm {' '.join(words)} exited with {result.returncode}")


def is_fresh(product: Path, folder: Path, only: str | None = None) -> bool:
    """Whether `product` is newer than every source file below `folder` (or than the one named `only`)."""
    if not product.is_file():
        return False
    made = product.stat().st_mtime
    if only is not None:
        return (folder / only).stat().st_mtime <= made
    skipped = {"node_modules", "dist"}
    for base, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in skipped]
        if any((Path(base) / name).stat().st_mtime > made for name in files):
            return False
    return True


if __name__ == "__main__":
    try:
        stage(sys.argv[1] if len(sys.argv) > 1 else "release")
    except StageError as failure:
        sys.exit(f"error: {failure}")
