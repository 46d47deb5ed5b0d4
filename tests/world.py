"""What every test shares: a home of its own, so that no test meets the user's settings, keys, servers or daemon."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PYTHON = sys.executable
REPOSITORY = Path(__file__).resolve().parent.parent
FIXTURES = REPOSITORY / "tests" / "fixtures" / "wandb-offline"
DEADLINE_SECS = 60


@dataclass
class Home:
    """A user's world: home, working and runtime directories, and the environment that points to them."""

    root: Path
    env: dict[str, str]
    work: Path = field(init=False)

    def __post_init__(self) -> None:
        self.work = self.root / "work"
        self.work.mkdir(parents=True)

    @property
    def wandb_dir(self) -> Path:
        return self.work / "wandb"

    def python(
        self,
        code: str,
        *,
        check: bool = True,
        env: dict[str, str] | None = None,
        python: str = PYTHON,
        timeout: float = DEADLINE_SECS,
    ) -> subprocess.CompletedProcess[str]:
        """Run a script in this home; with `check`, a failing one fails the test with what it printed."""
        script = self.root / "script.py"
        script.write_text(code, encoding="utf-8")
        return self.run([python, str(script)], check=check, env=env, timeout=timeout)

    def runlane(
        self,
        *words: str,
        check: bool = True,
        env: dict[str, str] | None = None,
        timeout: float = DEADLINE_SECS,
    ) -> subprocess.CompletedProcess[str]:
        """Run the `runlane` command in this home."""
        return self.run([PYTHON, "-m", "runlane", *words], check=check, env=env, timeout=timeout)

    def run(
        self,
        command: list[str],
        *,
        check: bool,
        env: dict[str, str] | None = None,
        timeout: float = DEADLINE_SECS,
    ) -> subprocess.CompletedProcess[str]:
        result = subprocess.run(
            command,
            cwd=self.work,
            env={**self.env, **(env or {})},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if check and result.returncode != 0:
            pytest.fail(f"{command} exited with {result.returncode}\n{result.stdout}\n{result.stderr}")
        return result

    def start(
        self, code: str, *, env: dict[str, str] | None = None, until: str = "logged"
    ) -> subprocess.Popen[str]:
        """Start a script that goes on until it gets a line on standard input; returns once it printed `until`."""
        script = self.root / "background.py"
        script.write_text(code, encoding="utf-8")
        process = subprocess.Popen(
            [PYTHON, str(script)],
            cwd=self.work,
            env={**self.env, **(env or {})},
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert process.stdout is not None
        while process.stdout.readline().strip() != until:
            if process.poll() is not None:
                pytest.fail(f"the script ended with {process.returncode} before it printed `{until}`")
        return process

    def run_dirs(self) -> list[Path]:
        """The run directories, oldest first; runs of one second are in the order of their ids."""
        found = [path for path in self.wandb_dir.glob("*run-*") if path.is_dir() and not path.is_symlink()]
        return sorted(found)

    def stop_daemon(self) -> None:
        """Stop this home's daemon, if one runs."""
        runtime = self.env["RUNLANE_RUNTIME_DIR"]
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (process / "cmdline").read_bytes().split(b"\0")
                if runtime.encode() in words and b"daemon" in words:
                    os.kill(int(process.name), signal.SIGTERM)


def make_home(root: Path) -> Home:
    """A home below `root`; its socket lives in a short path of its own."""
    runtime = tempfile.mkdtemp(prefix="rl-")
    env = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "RUNLANE_"))}
    keep = {name: value for name, value in os.environ.items() if name == "RUNLANE_CORE_BINARY"}
    home = root / "home"
    home.mkdir()
    env |= keep | {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "XDG_DATA_HOME": str(home / ".local" / "share"),
        "NETRC": str(home / ".netrc"),
        "RUNLANE_RUNTIME_DIR": runtime,
        "WANDB_ERROR_REPORTING": "false",
        "PYTHONUNBUFFERED": "1",
    }
    return Home(root, env)


def let_end(process: subprocess.Popen[str], timeout: float = DEADLINE_SECS) -> None:
    """Give a script of `Home.start` its line, and wait until it has ended well."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.wait(timeout) == 0


@dataclass
class Server:
    """A server of ours on loopback."""

    base_url: str
    api_key: str
    data_dir: Path
    env: dict[str, str]
    """What a client needs to reach it."""

    @property
    def entity(self) -> str:
        from runlane import Api

        return Api(overrides={"base_url": self.base_url}, api_key=self.api_key).default_entity


def exported(text: str) -> dict[str, str]:
    """The variables that `runlane server env` prints."""
    pairs = (
        line.removeprefix("export ").partition("=")
        for line in text.splitlines()
        if line.startswith("export ")
    )
    return {name: value.strip("'\"") for name, _, value in pairs}


def start_server(home: Home, data_dir: Path, *words: str) -> Server:
    """Start a server in the background; `stop_server` ends it."""
    home.runlane("server", "start", "--detach", "--port", "0", "--data-dir", str(data_dir), *words)
    env = exported(home.runlane("server", "env", "--data-dir", str(data_dir)).stdout)
    return Server(env["WANDB_BASE_URL"], env["WANDB_API_KEY"], data_dir, env)


def stop_server(home: Home, data_dir: Path) -> None:
    """Stop the server of a data directory."""
    home.runlane("server", "stop", "--data-dir", str(data_dir))
