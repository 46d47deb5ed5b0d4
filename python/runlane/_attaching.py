"""Logging to one run from several processes: `attach`, unpickled runs, and runs inherited by a fork."""

from __future__ import annotations

import os
import sys

from . import _core, _exit_hooks, _preinit, _ranks, _setup, _telemetry
from ._run import Run
from ._settings import Settings
from ._stop import StopWatch
from .errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ATTACH_SECS = 30.0
#: What a process that ends waits for its last rows.
_FLUSH_SECS = 5.0
#: Arguments of `_open` of the runs that this process opened or inherited, by attach id.
_known: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
# Fields of `_open` that stay in the process: the daemon knows the run's credentials already.
_PRIVATE = ("api_key", "extra_http_headers", "http_proxy", "https_proxy")

#: Methods of the active run that the module offers.
BOUND = (
    "alert define_metric link_model log log_artifact log_model mark_preempting pin_config_keys save unwatch use_artifact use_model watch"
).split()


def bind(run: Run) -> None:
    """Make `run` what `runlane.run`, `runlane.log`, … mean."""
    _preinit.bind(run, {name: getattr(run, name) for name in BOUND})


def remember(run: Run, settings: dict[str, Any], record: dict[str, Any]) -> None:
    """Keep how `run` was opened, so that other processes can join it."""
    _hook_worker()
    run._open_arguments = (settings, record)
    if run._attach_id is not None:
        _known[run._attach_id] = (settings, record)


def _join(run: Run, settings: dict[str, Any], record: dict[str, Any]) -> None:
    """Attach `run` to its stream in this process.

    Raises:
        UsageError: The daemon does not know the run.
    """
    try:
        # The label that the run was given is that of the process that opened it.
        settings = {**settings, "writer": _ranks.writer(None)}
        answer = run._open(_setup.process().connection(), settings, record, [], True, _ATTACH_SECS)
    except _core.DaemonError as error:
        raise UsageError(f"Unable to attach to run {record['run_id']}: {error}") from error
    if answer.get("error"):
        raise UsageError(f"Unable to attach to run {record['run_id']}: {answer['error'].get('message')}")
    _hook_worker()
    run._answer = answer
    run._pid = os.getpid()
    run._record_feature(_telemetry.ATTACH)


def attach(attach_id: str | None = None, run_id: str | None = None) -> Run:
    """Log to a run that another process of this user and host opened; it becomes the active run here.

    Args:
        attach_id: `run._attach_id` of the run.
        run_id: Instead: the id of a run that this process opened or inherited.

    Raises:
        UsageError: No such run is open.
    """
    if attach_id is None and run_id is None:
        raise UsageError("Either `attach_id` or `run_id` must be specified")
    for open_run in _setup.process().runs:
        if open_run._attach_id == attach_id or (attach_id is None and open_run.id == run_id):
            return open_run
    if attach_id is None:
        attach_id = next((known for known in _known if known.partition(":")[0] == run_id), f"{run_id}:")
    name, _, sync_dir = attach_id.partition(":")
    if attach_id in _known:
        settings, record = _known[attach_id]
    elif sync_dir and os.path.isdir(sync_dir):
        settings = {"run_id": name, "sync_dir": sync_dir, "files_dir": os.path.join(sync_dir, "files")}
        record = {"run_id": name}
    else:
        raise UsageError(f"Unable to attach to run {attach_id}")
    run = _make(settings, record, {})
    bind(run)
    return run


def _make(settings: dict[str, Any], record: dict[str, Any], config: dict[str, Any]) -> Run:
    own = Settings(mode="offline" if settings.get("offline", True) else "online", run_id=record["run_id"])
    run_dir = os.path.basename(settings["sync_dir"])
    own._set("root_dir", os.path.dirname(os.path.dirname(settings["sync_dir"])))
    own._values.update(
        {
            name: value
            for name, value in (("project", record.get("project")), ("entity", record.get("entity")))
            if value
        }
    )
    run = _AttachedRun(own, settings["sync_dir"], settings["files_dir"])
    run._config.load(config)
    _join(run, settings, record)
    run._note(f"attached to {run_dir}")
    run._stop_watch = StopWatch(run, joined=True)
    _setup.process().runs.append(run)
    return run


class _AttachedRun(Run):
    """A run that another process opened and will finish."""

    def __init__(self, settings: Settings, sync_dir: str, files_dir: str) -> None:
        super().__init__(settings)
        self._sync_dir, self._files_dir = sync_dir, files_dir

    @property
    def sync_dir(self) -> str:
        """The run directory."""
        return self._sync_dir

    @property
    def dir(self) -> str:
        """The directory of the run's files."""
        return self._files_dir

    def finish(self, exit_code: int | None = None, quiet: bool | None = None) -> None:
        """Send what this process logged and let go; the process that opened the run finishes it."""
        del exit_code, quiet
        with self._lock:
            if self._finished:
                return
            self.unwatch()
            if self._stop_watch is not None:
                self._stop_watch.end()
            self._finished = True
            try:
                self._request("flush", {"level": "logged"}, _ATTACH_SECS)
            except _core.DaemonError as error:
                self._note(f"flush failed: {error}")
            self._abandon()
            state = _setup.process()
            if self in state.runs:
                state.runs.remove(self)
            _preinit.unbind(self)


def _unpickle(
    attach_id: str, settings: dict[str, Any], record: dict[str, Any], config: dict[str, Any]
) -> Run:
    for open_run in _setup.process().runs:
        if open_run._attach_id == attach_id:
            return open_run
    _known.setdefault(attach_id, (settings, record))
    return _make(*_known[attach_id], config)


def pickled(run: Run) -> tuple[Any, tuple[Any, ...]]:
    """How a run is pickled: as what is needed to join it; credentials stay here.

    Raises:
        UsageError: The run is disabled or finished.
    """
    if run._open_arguments is None or run._attach_id is None or run._finished:
        raise UsageError(f"Run ({run.id}) cannot be pickled: it is not an open run")
    settings, record = run._open_arguments
    public = {name: value for name, value in settings.items() if name not in _PRIVATE}
    return _unpickle, (run._attach_id, public, record, run._config.as_dict())


def _release_inherited(runs: list[Run]) -> None:
    """In a forked child: calls on an inherited run go on (the native part joins it anew), but the parent finishes it."""
    for run in runs:
        if not run._finished and not run.disabled:
            run._startup = None
            run.__dict__["finish"] = _finish_in_child


def _finish_in_child(*_args: Any, **_kwargs: Any) -> None:
    """Send what this process logged; the run goes on in the parent."""
    _exit_hooks.flush_process(_FLUSH_SECS)


def _flush_when_worker_ends(_module: Any) -> None:
    """Workers of `multiprocessing` end without atexit; their own list of last calls gets ours. They have names, too."""
    if _ranks.worker_name():
        _core.name_process(_ranks.worker_name())
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.Finalize(None, _exit_hooks.flush_process, args=(_FLUSH_SECS,), exitpriority=10)


def _hook_worker() -> None:
    """In a worker that got its run otherwise than by a fork (spawn, forkserver): flush when it ends."""
    global _worker
    _before_fork()
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None and _worker != os.getpid():
        _worker = os.getpid()
        _flush_when_worker_ends(None)


#: The worker process whose end is hooked.
_worker: int | None = None
_hooked_workers = False


def _before_fork() -> None:
    """Have workers flush at their end.

    A worker that is still being set up (its arguments are unpickled) counts too: `multiprocessing` forgets what was to be
    done at its end, and then calls what was to be done after a fork.
    """
    global _hooked_workers
    util = sys.modules.get("multiprocessing.util")
    if util is not None and not _hooked_workers:
        _hooked_workers = True
        util.register_after_fork(_flush_when_worker_ends, _flush_when_worker_ends)


def _after_fork_in_child() -> None:
    inherited = _setup._process
    if inherited is not None:
        _release_inherited(inherited.runs)


os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)
