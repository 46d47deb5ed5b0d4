"""What a run's console came to: lines at the server, files of the run, and what a terminal makes of the same text."""

from __future__ import annotations

import base64
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pyte
from world import DEADLINE_SECS, Home, Server

#: Colours in stored lines.
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def pages(server: Server, run: str, **query: Any) -> dict[str, Any]:
    """One answer of the server's log page; `run` is `project/id`."""
    words = urllib.parse.urlencode(query)
    request = urllib.request.Request(
        f"{server.base_url}/api/runs/{server.entity}/{run}/logs?{words}",
        headers={"Authorization": "Basic " + base64.b64encode(f"api:{server.api_key}".encode()).decode()},
    )
    with urllib.request.urlopen(request, timeout=DEADLINE_SECS) as answer:
        page: dict[str, Any] = json.load(answer)
    return page


def lines(server: Server, run: str) -> list[tuple[bool, str]]:
    """All lines of a run: whether each is of standard error, and its text."""
    found = pages(server, run, **{"from": 0, "limit": 10_000})["lines"]
    return [(line["level"] == "error", line["text"]) for line in found]


def texts(server: Server, run: str) -> list[str]:
    """The texts of all lines of a run, without colours."""
    return [COLOURS.sub("", text) for _, text in lines(server, run)]


def until(condition: Any, *, secs: float = DEADLINE_SECS) -> Any:
    """Wait until `condition()` is true; its value."""
    deadline = time.monotonic() + secs
    while True:
        value = condition()
        if value or time.monotonic() > deadline:
            assert value, "it did not come about"
            return value
        time.sleep(0.05)


def shown(text: str, *, columns: int = 500, rows: int = 200) -> list[str]:
    """The lines that a terminal shows of `text`, without blanks at the ends."""
    screen = pyte.Screen(columns, rows)
    # A terminal's driver makes a carriage return and a line feed of each line feed.
    pyte.Stream(screen).feed(re.sub(r"(?<!\r)\n", "\r\n", text))
    found = [line.rstrip() for line in screen.display]
    while found and not found[-1]:
        found.pop()
    return found


class Terminal:
    """A process in a terminal of its own."""

    def __init__(self, home: Home, code: str, env: dict[str, str], *, columns: int = 100) -> None:
        script = home.root / "terminal.py"
        script.write_text(code, encoding="utf-8")
        # What pytest's workers have of them would hide the terminal's own size.
        env = {key: value for key, value in {**home.env, **env}.items() if key not in ("COLUMNS", "LINES")}
        self.output = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(home.work)
            os.execve(sys.executable, [sys.executable, str(script)], {**env, "TERM": "xterm"})
        import fcntl
        import termios

        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))

    def end(self, secs: float = DEADLINE_SECS) -> int:
        """Read to the end; the exit status."""
        deadline = time.monotonic() + secs
        while time.monotonic() < deadline:
            ready, _, _ = select.select([self.fd], [], [], 0.2)
            if not ready:
                continue
            try:
                piece = os.read(self.fd, 1 << 16)
            except OSError:
                break
            if not piece:
                break
            self.output += piece
        else:
            os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


def rss_mib(pid: int) -> float:
    """Memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024


def daemon_pid(home: Home) -> int:
    """The process id of this home's daemon."""
    runtime = home.env["RUNLANE_RUNTIME_DIR"].encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if runtime in words and b"daemon" in words:
            return int(process.name)
    raise AssertionError("no daemon runs")


def output_log(home: Home) -> str:
    """`output.log` of the last run."""
    return (home.run_dirs()[-1] / "files" / "output.log").read_text(encoding="utf-8")


def run_piped(home: Home, code: str, env: dict[str, str], **words: Any) -> subprocess.CompletedProcess[bytes]:
    """Run a script with both streams in pipes, as bytes."""
    script = home.root / "piped.py"
    script.write_text(code, encoding="utf-8")
    return subprocess.run(
        [sys.executable, str(script)],
        cwd=home.work,
        env={**home.env, **env},
        capture_output=True,
        timeout=DEADLINE_SECS,
        stdin=subprocess.DEVNULL,
        check=False,
        **words,
    )
