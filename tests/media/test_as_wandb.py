"""Rows, files and artifacts' forms of every media type are those of wandb 0.31.0, which runs beside us."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from logs import log_of, rows
from PIL import Image as Pillow
from world import FIXTURES, PYTHON, Home, make_home

_CASES = Path(__file__).with_name("cases.py")
_HASHED = re.compile(r"_([0-9a-f]{20})(\.[\w.]+)$")


class Logged:
    """What one client left."""

    def __init__(self, directory: Path) -> None:
        (self.run_dir,) = (path for path in (directory / "wandb").glob("offline-run-*") if path.is_dir())
        self.rows = rows(log_of(self.run_dir))
        self.files = self.run_dir / "files"
        self.artifact = json.loads((directory / "artifacts.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, wandb_python: str) -> Any:
    root = tmp_path_factory.mktemp("media")
    home = make_home(root)

    def logged(module: str, python: str) -> Logged:
        directory = root / module
        directory.mkdir()
        env = {**os.environ, "HOME": str(root)} if module == "wandb" else home.env
        done = subprocess.run(
            [python, str(_CASES), module, str(directory)],
            env=env,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return Logged(directory)

    with ThreadPoolExecutor() as pool:
        theirs = pool.submit(logged, "wandb", wandb_python)
        ours = pool.submit(logged, "runlane", str(PYTHON))
        yield theirs.result(), ours.result()
    home.stop_daemon()


def _shape(key: str, value: Any) -> Any:
    """A value without what depends on how a PNG or a GIF was compressed."""
    if isinstance(value, list):
        return [_shape(key, part) for part in value]
    if isinstance(value, dict):
        return {name: _shape(name, part) for name, part in value.items()}
    if key.rpartition(".")[2] in ("sha256", "size"):
        return None
    return _HASHED.sub(r"_#\2", value) if isinstance(value, str) else value


def _named(row: dict[str, Any]) -> dict[str, Any]:
    return {key: _shape(key, value) for key, value in row.items() if not key.startswith("_")}


def test_rows_are_those_of_wandb(both: tuple[Logged, Logged]) -> None:
    theirs, ours = both
    assert ours.artifact["errors"] == theirs.artifact["errors"]
    assert len(ours.rows) == len(theirs.rows)
    for mine, reference in zip(ours.rows, theirs.rows, strict=True):
        assert _named(mine) == _named(reference)


def _paths(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value] if value.startswith("media/") else []
    # In an order of their own: wandb's service writes members in any.
    members = [value[key] for key in sorted(value)] if isinstance(value, dict) else value
    parts = members if isinstance(members, list) else ()
    return [path for part in parts for path in _paths(part)]


def _content(path: Path) -> Any:
    if path.suffix in (".png", ".gif"):
        with Pillow.open(path) as image:
            frames = getattr(image, "n_frames", 1)
            pixels = []
            for number in range(frames):
                image.seek(number)
                pixels.append(image.convert("RGBA").tobytes())
            return image.size, pixels, image.info.get("duration"), image.mode
    if path.suffix == ".json":
        return json.loads(path.read_text(encoding="utf-8"))
    return path.read_bytes()


def test_files_hold_what_those_of_wandb_hold(both: tuple[Logged, Logged]) -> None:
    theirs, ours = both
    compared = 0
    for mine, reference in zip(ours.rows, theirs.rows, strict=True):
        pairs = list(
            zip(_paths(mine), _paths({key: reference[key] for key in mine if key in reference}), strict=True)
        )
        for my_path, their_path in pairs:
            my_file = ours.files / my_path
            assert _approximately(_content(my_file), _content(theirs.files / their_path)), my_path
            digest = hashlib.sha256(my_file.read_bytes()).hexdigest()
            assert _HASHED.search(my_path).group(1) == digest[:20]
            compared += 1
        digests = {key: value for key, value in mine.items() if key.endswith(".sha256")}
        for key, digest in digests.items():
            content = (ours.files / mine[key.replace(".sha256", ".path")]).read_bytes()
            assert (digest, mine[key.replace(".sha256", ".size")]) == (
                hashlib.sha256(content).hexdigest(),
                len(content),
            )
    assert compared > 300
    assert not list(ours.files.rglob("*.part"))


def _approximately(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_approximately(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_approximately, one, other))
    return bool(one == pytest.approx(other, abs=1e-12)) if isinstance(one, float) else one == other


def test_the_script_of_a_fixture_logs_what_the_fixture_holds(tmp_path: Path, home: Home) -> None:
    fixture = FIXTURES / "b-media"
    (log,) = fixture.glob("offline-run-*/run-*.wandb")
    script = (
        (fixture / "script.py")
        .read_text(encoding="utf-8")
        .replace("import wandb\n", "import runlane as wandb\n")
    )
    home.python(script, env={"WANDB_MODE": "offline"})
    home.stop_daemon()
    (run_dir,) = home.run_dirs()

    def plain(row: dict[str, Any]) -> dict[str, Any]:
        named = {key: value for key, value in _named(row).items() if not key.endswith("_path")}
        return {key: value for key, value in named.items() if not key.endswith("increments_paths")}

    mine, reference = rows(log_of(run_dir)), rows(log)
    assert [plain(row) for row in mine] == [plain(row) for row in reference]
    assert [sorted(row) for row in mine] == [sorted(row) for row in reference]


def test_forms_in_artifacts_are_those_of_wandb(both: tuple[Logged, Logged]) -> None:
    theirs, ours = both
    assert ours.artifact["added"] == theirs.artifact["added"]

    def forms(logged: Logged) -> dict[str, Any]:
        # Names of temporary files are digests of their bytes.
        def plain(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: plain(part) for key, part in value.items() if key not in ("sha256", "digest")}
            if isinstance(value, list):
                return [plain(part) for part in value]
            return re.sub(r"(media/(?:images|videos)(?:/mask)?)/[0-9a-f]{20}(\.\w+)", r"\1/#\2", str(value))

        return {
            path: plain(form) for path, form in logged.artifact["forms"].items() if isinstance(form, dict)
        }

    assert forms(ours) == forms(theirs)
    kinds = [
        sorted(re.sub(r"[0-9a-f]{20,32}", "#", path) for path in logged.artifact["forms"]) for logged in both
    ]
    assert kinds[0] == kinds[1]
