#!/usr/bin/env python3
"""A PostgreSQL cluster for tests, thrown away afterwards.

As a program it runs a command beside a cluster: `tests/postgres.py cargo test …` sets `RUNLANE_TEST_POSTGRES` to the cluster's URL.
The tests of pytest get theirs from the fixture `postgres`. It needs PostgreSQL's programs, nothing of Python's beyond the standard
library.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

OWNER = "runlane"
START_SECS = 60
STOP_SECS = 30
VARIABLE = "RUNLANE_TEST_POSTGRES"
# What makes a cluster fast and unsafe; tests of durability leave it out.
UNSAFE = ("fsync=off", "full_page_writes=off", "synchronous_commit=off")
DEATH_SIGNAL = 1


def programs() -> Path:
    """The directory of `initdb` and `postgres`: Debian keeps them out of the search path.

    Raises:
        FileNotFoundError: PostgreSQL is not installed.
    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    for place in [*map(str, reversed(found)), shutil.which("initdb")]:
        if place:
            return Path(place).resolve().parent
    raise FileNotFoundError("PostgreSQL is not installed; hint: `tools/ensure-postgres.sh`")


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class Cluster:
    """One server process with its data directory, on a loopback port and a Unix socket, without passwords."""

    def __init__(self, *, durable: bool = False, settings: tuple[str, ...] = ()) -> None:
        self.bin = programs()
        self.root = Path(tempfile.mkdtemp(prefix="runlane-pg-"))
        self.data = self.root / "data"
        self.settings = (*(() if durable else UNSAFE), *settings)
        # The server refuses to run as root.
        self.user = _unprivileged() if os.geteuid() == 0 else None
        if self.user is not None:
            os.chown(self.root, self.user.pw_uid, self.user.pw_gid)
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        try:
            self._create()
            self.start()
        except BaseException:
            self.remove()
            raise

    @property
    def url(self) -> str:
        """The URL of the database that every cluster has."""
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        """The URL of a database of the cluster."""
        return f"postgres://{OWNER}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start the server, on its old port if it had one; returns when it takes connections.

        Raises:
            RuntimeError: It did not start; the end of its log is in the message.
        """
        for _attempt in range(5):
            self.port = self.port or free_port()
            if self._try_start():
                return
            # Somebody else took the port.
            self.port = 0
        raise RuntimeError(f"PostgreSQL did not start: {self._log_end()}")

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Run a statement; what it prints, columns apart by `|`."""
        done = subprocess.run(
            [
                self.bin / "psql",
                "-X",
                "-q",
                "-A",
                "-t",
                "-v",
                "ON_ERROR_STOP=1",
                "-c",
                statement,
                self.url_of(database),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        return done.stdout.strip()

    def create_database(self) -> str:
        """A new, empty database; its URL."""
        self._databases += 1
        name = f"test_{os.getpid()}_{self._databases}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE template0")
        return self.url_of(name)

    def drop_database(self, url: str) -> None:
        """Remove a database, whoever is connected to it."""
        self.sql(f"DROP DATABASE IF EXISTS {url.rpartition('/')[2]} WITH (FORCE)")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server: SIGINT ends connections in good order, SIGQUIT as after a crash."""
        if self.process is not None:
            self.process.send_signal(how)
            try:
                self.process.wait(STOP_SECS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def remove(self) -> None:
        """Stop the server and remove its files."""
        # Nothing has to be written any more.
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.root, ignore_errors=True)

    def _create(self) -> None:
        words = [
            "-D",
            str(self.data),
            "-U",
            OWNER,
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-sync",
            "--no-instructions",
        ]
        version = subprocess.run(
            [self.bin / "postgres", "-V"], capture_output=True, text=True, check=True
        ).stdout
        # An order of text that is not that of the bytes: nothing may depend on the cluster's.
        is_icu = int(version.split()[2].partition(".")[0]) >= 15
        locale = [
            "--locale",
            "C.UTF-8",
            *(["--locale-provider", "icu", "--icu-locale", "en-US"] if is_icu else []),
        ]
        done = subprocess.run(
            [self.bin / "initdb", *words, *locale],
            capture_output=True,
            text=True,
            check=False,
            **self._as_user(),
        )
        if done.returncode != 0:
            raise RuntimeError(f"initdb failed: {done.stderr}")

    def _try_start(self) -> bool:
        settings = ("listen_addresses=127.0.0.1", f"port={self.port}", f"unix_socket_directories={self.root}")
        words = [
            word for setting in (*settings, "max_connections=200", *self.settings) for word in ("-c", setting)
        ]
        with (self.root / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.bin / "postgres", "-D", str(self.data), *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent,
                **self._as_user(),
            )
        end = time.monotonic() + START_SECS
        while time.monotonic() < end:
            if self.process.poll() is not None:
                return False
            ready = subprocess.run(
                [self.bin / "pg_isready", "-q", "-h", str(self.root), "-p", str(self.port)], check=False
            )
            if ready.returncode == 0:
                return True
            time.sleep(0.05)
        self.stop(signal.SIGQUIT)
        return False

    def _as_user(self) -> dict[str, Any]:
        common: dict[str, Any] = {"cwd": self.root}
        if self.user is None:
            return common
        return {**common, "user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}

    def _log_end(self) -> str:
        log = self.root / "log"
        return log.read_text(errors="replace")[-2000:] if log.exists() else "it wrote no log"


def _unprivileged() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("PostgreSQL does not run as root, and there is no user `postgres` or `nobody`")


def _die_with_parent() -> None:
    # A test process that is killed must not leave a server behind.
    ctypes.CDLL(None).prctl(DEATH_SIGNAL, signal.SIGINT)


def main(command: list[str]) -> int:
    """Run a command beside a cluster; its exit code."""
    if not command:
        print("usage: postgres.py COMMAND [WORD …]", file=sys.stderr)
        return 2
    cluster = Cluster()
    try:
        return subprocess.run(command, env={**os.environ, VARIABLE: cluster.url}, check=False).returncode
    finally:
        cluster.remove()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
