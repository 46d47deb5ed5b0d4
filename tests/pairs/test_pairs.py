"""The same script, with wandb and with `import runlane as wandb`, leaves equal runs on the server."""

from __future__ import annotations

import fnmatch
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from stored import differences, stored_run
from world import PYTHON, REPOSITORY, Home, Server, make_home, start_server, stop_server

if sys.version_info >= (3, 11):
    import tomllib
else:
    import pip._vendor.tomli as tomllib

HERE = Path(__file__).parent
BODIES: list[dict[str, Any]] = tomllib.loads((HERE / "bodies.toml").read_text())["body"]
MEDIA: list[dict[str, Any]] = tomllib.loads((HERE / "media_bodies.toml").read_text(encoding="utf-8"))["body"]
SNIPPETS = tomllib.loads((REPOSITORY / "tests" / "snippets.toml").read_text())["snippet"]
# What differs in every run (docs/differences.md); a body names what differs in its own.
KNOWN_EVERYWHERE = ("files.runlane-code.json",)
SECS = 240


def _snippet_bodies() -> list[dict[str, Any]]:
    """The documents' snippets that end well with both clients."""
    bodies = []
    for index, snippet in enumerate(SNIPPETS):
        if "error" in snippet["expect"] or "differs" in snippet:
            continue
        code = snippet.get("setup", "") + "\n" + snippet["code"]
        words = {name: snippet[name] for name in ("files", "argv") if name in snippet}
        words["argv"] = snippet.get("args", [])
        bodies.append({"name": f"snippet-{index}", "source": snippet["source"], "code": code, **words})
    return bodies


class Side:
    """One of the two clients, with a home and a server of its own."""

    def __init__(self, root: Path, module: str, python: str) -> None:
        root.mkdir()
        self.home: Home = make_home(root)
        self.module, self.python = module, python
        self.server: Server = start_server(self.home, root / "data")

    def start(self, bodies: list[dict[str, Any]]) -> subprocess.Popen[bytes]:
        """Start the bodies; `results` after it has ended."""
        jobs = [
            {
                "name": body["name"],
                "code": body["code"],
                "directory": str(self.home.work / body["name"]),
                "files": body.get("files", {}),
                "argv": body.get("argv", []),
                "env": body.get("env", {}),
            }
            for body in bodies
        ]
        (self.home.work / "jobs.json").write_text(json.dumps(jobs), encoding="utf-8")
        command = [self.python, str(HERE / "run_bodies.py"), self.module, "jobs.json", "results.json"]
        log = (self.home.work / "runner.txt").open("wb")
        return subprocess.Popen(
            command, cwd=self.home.work, env={**self.home.env, **self.server.env}, stdout=log, stderr=log
        )

    def results(self) -> dict[str, Any]:
        path = self.home.work / "results.json"
        assert path.exists(), (self.home.work / "runner.txt").read_text()
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    def sync(self, directory: Path) -> list[str]:
        """Upload the offline runs of a body with this client's own `sync`; their paths."""
        runs = sorted((directory / "wandb").glob("offline-run-*"))
        words = ["-m", "wandb", "sync"] if self.module == "wandb" else ["-m", "runlane", "sync"]
        self.home.run([self.python, *words, *map(str, runs)], check=True, env=self.server.env, timeout=60)
        project = (directory / "runs.txt").read_text().split("/")[1]
        return [f"{self.server.entity}/{project}/{run.name.rpartition('-')[2]}" for run in runs]

    def close(self) -> None:
        stop_server(self.home, self.home.root / "data")
        self.home.stop_daemon()
        shutil.rmtree(self.home.env["RUNLANE_RUNTIME_DIR"], ignore_errors=True)


@pytest.fixture
def sides(tmp_path: Path, wandb_python: str) -> Iterator[tuple[Side, Side]]:
    """wandb's and ours."""
    made = (Side(tmp_path / "theirs", "wandb", wandb_python), Side(tmp_path / "ours", "runlane", PYTHON))
    yield made
    for side in made:
        side.close()


def check(sides: tuple[Side, Side], bodies: list[dict[str, Any]]) -> None:
    """Run all bodies with both clients, both at once, and compare what the servers hold."""
    processes = [side.start(bodies) for side in sides]
    for process in processes:
        process.wait(SECS)
    theirs, ours = (side.results() for side in sides)
    faults = []
    for body in bodies:
        name = body["name"]
        for side, results in zip(sides, (theirs, ours), strict=True):
            result = results[name]
            if result["status"] != body.get("status", 0):
                faults.append(f"{name} ({side.module}): exit {result['status']}\n{result['output'][-2000:]}")
            if body.get("env", {}).get("WANDB_MODE") == "offline":
                result["runs"] = side.sync(Path(result["directory"]))
            if body.get("env", {}).get("WANDB_MODE") == "disabled":
                result["runs"] = []
        pairs = list(zip(theirs[name]["runs"], ours[name]["runs"], strict=False))
        if len(theirs[name]["runs"]) != len(ours[name]["runs"]):
            faults.append(f"{name}: runs {theirs[name]['runs']} != {ours[name]['runs']}")
        # A body names what differs in its own runs.
        known = [*KNOWN_EVERYWHERE, *body.get("known", ())]
        for left, right in pairs:
            found = differences(stored_run(sides[0].server, left), stored_run(sides[1].server, right))
            unknown = [
                line
                for line in found
                if not any(fnmatch.fnmatchcase(line.partition(": ")[0], pattern) for pattern in known)
            ]
            if unknown:
                faults.append("\n    ".join([f"{name}, {left}: wandb's != ours", *unknown]))
    assert not faults, "\n" + "\n".join(faults)


@pytest.mark.parametrize("part", range(2))
def test_scripts_of_the_chapters_leave_equal_runs(sides: tuple[Side, Side], part: int) -> None:
    check(sides, BODIES[part::2])


@pytest.mark.parametrize("part", range(2))
def test_media_tables_and_artifacts_are_equal(sides: tuple[Side, Side], part: int) -> None:
    check(sides, MEDIA[part::2])


def test_snippets_of_the_documents_leave_equal_runs(sides: tuple[Side, Side]) -> None:
    check(sides, _snippet_bodies())
