"""A training process that is told line by line what to do, and a server that comes and goes."""

from __future__ import annotations

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from runlane._setup import core_binary
from world import Home, Server, exported, make_home, stop_server

# Executes the lines that come in, one by one, and says how each went.
DRIVEN = """
import sys
import {module} as wandb
for line in sys.stdin:
    try:
        exec(line)
    except BaseException as error:
        print("RAISED " + type(error).__name__ + ": " + str(error).replace("\\n", " "), flush=True)
    else:
        print("DONE", flush=True)
"""


class TrainerError(AssertionError):
    """A line of a trainer raised."""


class Trainer:
    """A training process that is told line by line what to do."""

    def __init__(
        self, home: Home, env: dict[str, str], python: str = sys.executable, module: str = "runlane"
    ):
        script = home.root / f"driven-{module}.py"
        script.write_text(DRIVEN.format(module=module))
        self.errors = home.root / f"stderr-{time.monotonic_ns()}"
        self._stderr = self.errors.open("w")
        self.process = subprocess.Popen(
            [python, str(script)],
            cwd=home.work,
            env={**home.env, **env},
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put("RAISED EOFError: the process has ended")

    def do(self, line: str, timeout: float = 60) -> list[str]:
        """Execute a line; what it printed."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        printed: list[str] = []
        deadline = time.monotonic() + timeout
        while True:
            try:
                answer = self._lines.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                pytest.fail(f"`{line}` took longer than {timeout} s\n{self.said()}")
            if answer == "DONE":
                return printed
            if answer.startswith("RAISED "):
                raise TrainerError(answer.removeprefix("RAISED "))
            printed.append(answer)

    def log(self, steps: range) -> None:
        """Log one row for each number."""
        self.do(f"[run.log({{'x': i}}) for i in range({steps.start}, {steps.stop})]")

    def flush(self) -> None:
        """Return when everything logged is with the daemon."""
        (line,) = self.do("print(run._request('flush', {'level': 'logged'}, 20)['reached'])")
        assert line == "True"

    def said(self) -> str:
        """What the process wrote to standard error so far."""
        return self.errors.read_text()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def end(self) -> None:
        """Let the process end by itself; it must do so well."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(60) == 0, self.said()

    def close(self) -> None:
        if self.process.poll() is None:
            self.kill()
        self._stderr.close()


class OwnServer:
    """A server on a port of its own, which comes and goes."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        self.owner = make_home(root)
        self.data = root / "data"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.running = False
        self.words: tuple[str, ...] = ()
        """More options of `server start`."""

    def start(self) -> Server:
        self.owner.runlane(
            "server", "start", "--detach", "--port", str(self.port), "--data-dir", str(self.data), *self.words
        )
        self.running = True
        env = exported(self.owner.runlane("server", "env", "--data-dir", str(self.data)).stdout)
        return Server(env["WANDB_BASE_URL"], env["WANDB_API_KEY"], self.data, env)

    def stop(self) -> None:
        if self.running:
            stop_server(self.owner, self.data)
            self.running = False

    def kill(self) -> None:
        """Kill the server, as the kernel would for want of memory."""
        pid = int((self.data / "server.pid").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)
        # It lets go of its files and its port only when it is gone.
        while Path(f"/proc/{pid}").exists():
            time.sleep(0.001)
        self.running = False

    def start_again(self) -> None:
        """Start the server that was killed, without the detour over the command line in Python."""
        command = [
            core_binary(),
            "server",
            "start",
            "--detach",
            "--port",
            str(self.port),
            "--data-dir",
            str(self.data),
        ]
        subprocess.run(command, env=self.owner.env, check=True, capture_output=True, timeout=60)
        self.running = True
