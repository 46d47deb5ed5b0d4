"""What belongs to the process: composed settings, the connection to the daemon, the runs that are open."""

from __future__ import annotations

import os
from _thread import RLock

from . import _exit_hooks, terminal
from . import _settings_files as files
from ._environment import settings_from_environment
from ._settings import Settings
from .errors import CoreNotAvailableError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TextIO

    from . import _core
    from ._run import Run

#: How long a call waits for a daemon that has to be started.
_DAEMON_START_SECS = 15.0
#: Size of the path in a Unix socket's address, its closing NUL included.
_SOCKET_PATH_BYTES = 108


class Process:
    """The library's state in one process. A forked child starts with a new one."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.lock = RLock()
        self.settings_files: list[str] = []
        self.file_api_key: str | None = None
        self.runs: list[Run] = []
        self._connection: _core.Connection | None = None
        self._given: dict[str, Any] = {}
        self._environment = settings_from_environment()
        self.settings = self._compose()
        terminal.termsetup(self.settings)

    def _compose(self) -> Settings:
        settings = Settings()
        environment = self._environment
        self.settings_files.clear()
        self.file_api_key = None
        # Where the workspace file is depends on the environment; everything else of it lies above the files.
        place = Settings()
        place.layer(
            {
                name: environment[name]
                for name in ("root_dir", "use_dot_wandb", "silent", "quiet")
                if name in environment
            },
            from_text=True,
        )
        terminal.termsetup(place)
        for path in (files.global_path(), place.settings_workspace):
            values = files.read(path)
            if values:
                self.settings_files.append(path)
                settings.layer(values, from_text=True)
                self.file_api_key = values.get("api_key", self.file_api_key)
        settings.layer(environment, from_text=True)
        settings.layer(self._given)
        return settings

    def put(self, values: Mapping[str, Any]) -> None:
        """Set settings of the whole process, above environment and files."""
        self.settings.layer(values)
        self._given.update({name: value for name, value in values.items() if value is not None})
        terminal.termsetup(self.settings)

    def refresh(self) -> None:
        """Take in variables that the program changed since the settings were composed."""
        environment = settings_from_environment()
        if environment != self._environment:
            self._environment = environment
            self.settings = self._compose()

    def connection(self) -> _core.Connection:
        """The connection to the daemon, which is started if none answers.

        Raises:
            CoreNotAvailableError: The daemon could not be started or reached.
        """
        from . import _core

        with self.lock:
            if self._connection is None:
                try:
                    self._connection = _core.Connection.open(runtime_dir(), core_binary(), _DAEMON_START_SECS)
                except _core.DaemonError as error:
                    raise CoreNotAvailableError(
                        f"cannot reach the runlane daemon: {error}\nits runtime directory: `{runtime_dir()}`"
                    ) from error
            return self._connection

    def forget_connection(self) -> None:
        """Open a new connection at the next call."""
        self._connection = None


_process: Process | None = None


def process() -> Process:
    """The library's state in this process, composed at the first call (and again in a forked child)."""
    global _process  # noqa: PLW0603, RUF100 - the one place that owns it
    if _process is None or _process.pid != os.getpid():
        _process = Process()
    return _process


def runtime_dir() -> str:
    """The directory of the daemon's socket; `XDG_RUNTIME_DIR` is passed over where the socket's path would be too long.

    Raises:
        UsageError: `RUNLANE_RUNTIME_DIR` is too long for a socket's path.
    """
    named = os.environ.get("RUNLANE_RUNTIME_DIR")
    if named:
        place = os.path.abspath(named)
        if not _fits_socket(place):
            raise UsageError(
                f"`RUNLANE_RUNTIME_DIR` is too long: the path of a socket in it has less than {_SOCKET_PATH_BYTES} bytes:"
                f" `{place}`\nhint: set `RUNLANE_RUNTIME_DIR` to a shorter path"
            )
        return place
    xdg = os.environ.get("XDG_RUNTIME_DIR")
    if xdg and _fits_socket(os.path.join(xdg, "runlane")):
        return os.path.join(xdg, "runlane")
    return f"/tmp/runlane-{os.getuid()}"  # noqa: S108 - mode and owner are checked


def _fits_socket(directory: str) -> bool:
    return len(os.fsencode(os.path.join(directory, "daemon-v1.sock"))) < _SOCKET_PATH_BYTES


def core_binary() -> str:
    """Absolute path of the native binary."""
    named = os.environ.get("RUNLANE_CORE_BINARY")
    return os.path.abspath(
        named or os.path.join(os.path.dirname(os.path.abspath(__file__)), "_bin", "runlane-core")
    )


def setup(settings: Settings | dict[str, Any] | None = None) -> Process:
    """Prepare the library in this process, before the first `init`.

    Args:
        settings: Settings of all runs of this process.

    Returns:
        The process's state; its `settings` are the composed ones.
    """
    state = process()
    if settings is not None:
        given = settings if isinstance(settings, Settings) else Settings(**dict(settings))
        state.put(given.given())
    return state


def finish(exit_code: int | None = None, quiet: bool | None = None) -> None:
    """Finish the active run; does nothing if there is none.

    Args:
        exit_code: 0 for success; another number marks the run as failed.
        quiet: Deprecated; use the setting `quiet`.
    """
    from . import run

    del quiet
    if run is not None:
        run.finish(exit_code)


def finish_all(exit_code: int | None = None) -> None:
    """Finish every open run of this process, newest first."""
    if _process is None or _process.pid != os.getpid():
        return
    for open_run in reversed(list(_process.runs)):
        open_run.finish(exit_code)


def teardown(exit_code: int | None = None) -> None:
    """Finish every run and let the library's state go; the next call sets it up again."""
    global _process  # noqa: PLW0603, RUF100 - the one place that owns it
    finish_all(exit_code)
    _process = None


def require(requirement: str | list[str] | None = None, experiment: Any = None) -> None:
    """Ask for an experimental feature of wandb. What exists is always on, so that nothing is left to do."""
    del experiment
    names = [requirement] if isinstance(requirement, str) else list(requirement or [])
    known = {"service", "core", "legacy-service", "attach", "require", "report-editing", "beta-metrics"}
    for name in names:
        if name.partition(":")[0] not in known:
            terminal.termwarn(f"require() names an unknown feature: {name}", repeat=False)


def restore(
    name: str, run_path: str | None = None, replace: bool = False, root: str | None = None
) -> TextIO | None:
    """Download one file of a run; see `Run.restore`.

    Raises:
        UsageError: Neither a path nor an active run says which run is meant.
    """
    from . import run
    from ._run_files import restore_file

    if run_path is None:
        if run is None:
            raise UsageError("`run_path` is required when there is no active run")
        return run.restore(name, run_path, replace, root)
    target = root or (run.dir if run is not None else os.getcwd())
    return restore_file(name, run_path, replace, target)


_exit_hooks.on_exit(finish_all)
