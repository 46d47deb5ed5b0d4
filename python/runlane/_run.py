"""`Run`: one stream of rows, config, summary and files to the daemon. `log` itself is native, in `_core.RunBase`."""

from __future__ import annotations

import os
import sys
import time
from _thread import RLock

from . import _console, _core, _exit_hooks, _telemetry, terminal
from ._config import Config
from ._convert import Converter
from ._run_artifacts import RunArtifacts
from ._run_later import RunLater
from ._run_properties import RunProperties
from ._run_training import RunTraining
from ._run_using import RunUsing
from ._summary import Summary
from .errors import CommError, Error, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Literal, TextIO

    from ._background import StartupWork
    from ._console_loggers import Captured
    from ._debug_log import DebugLog
    from ._durability import Durability
    from ._notebook import CellHooks
    from ._run_media import RunMedia
    from ._run_metrics import Definitions, Metric
    from ._settings import Settings
    from ._stop import StopWatch
    from ._watch.watcher import Watcher

_REQUEST_SECS = 30.0
#: What `durability` waits for the daemon; without an answer it tells what this process knows.
_DURABILITY_SECS = 2.0
#: A flush without a timeout asks again after this time.
_FLUSH_SECS = 3600.0


class Run(RunProperties, RunTraining, RunArtifacts, RunUsing, RunLater, _core.RunBase):
    """One execution of a training script (or whatever else is tracked).

    `init` makes it. Calls go into a buffer and return; the daemon logs and uploads them. All methods may be called from any
    thread. A run is finished by `finish`, by leaving a `with` block, or when the process ends.
    """

    def __init__(self, settings: Settings, config: Config | None = None) -> None:
        self._settings = settings
        self._answer: dict[str, Any] = {}
        self._lock = RLock()
        self._pid = os.getpid()
        self._finished = False
        self._features: list[int] = []
        self._definitions: Definitions | None = None
        self._writer_id = ""
        self._open_arguments: tuple[dict[str, Any], dict[str, Any]] | None = None
        self._startup: StartupWork | None = None
        self._stop_watch: StopWatch | None = None
        self._watcher: Watcher | None = None
        self._cell_hooks: CellHooks | None = None
        self._debug_log: DebugLog | None = None
        self._loggers: Captured | None = None
        self._redirects = False
        self._final_summary: dict[str, Any] | None = None
        self._final_step: int | None = None
        self._uploaded_seq = 0
        self._daemon_lost = 0
        self._config = config or Config()
        self._config.__dict__["_publish"] = self._send_config
        self._config.__dict__["_allow_change"] = bool(settings.allow_val_change or settings._jupyter)
        self._summary = Summary(self._read_summary, self._send_summary, self._summary_value)
        self._run_media: RunMedia | None = None
        self._set_hooks(
            Converter(bool(settings.strict), terminal.termwarn, self._media_value),
            self._on_misuse,
            terminal.at_severity,
        )

    # -- hooks of the native part ------------------------------------------------------------------------------------

    def _on_misuse(self, kind: str, detail: Any) -> None:
        """Raise what a refused `log` call means. `kind` is `finished` or `not_open`."""
        if kind == "finished" or self._finished:
            raise UsageError(self._finished_text("log"))
        if os.getpid() != self._pid:
            raise UsageError(
                f"Run ({self.id}) belongs to process {self._pid}, this is process {os.getpid()}\n"
                "hint: call `runlane.attach(run._attach_id)` here to log to the same run"
            )
        raise Error(f"Run ({self.id}) is not open" + (f": {detail}" if detail else ""))

    def _finished_text(self, method: str) -> str:
        return f"Run ({self.id}) is finished. The call to `{method}` will be ignored. Please make sure that you are using an active run."

    def _check_open(self, method: str) -> None:
        if self._finished:
            raise UsageError(self._finished_text(method))

    def _note(self, text: str, level: int = terminal.INFO) -> None:
        """Write a line to the run's debug log."""
        if self._debug_log is not None:
            self._debug_log.write(level, text)

    def _to_debug_log(self, level: int, text: str) -> None:
        self._note(text, level)

    def _log_text(self, text: str) -> None:
        """Write whole lines to the console log only."""
        self._publish(
            "output_logger", {"text": _console.loggable(text), "time_micros": time.time_ns() // 1000}
        )

    def _record_feature(self, number: int) -> None:
        if number not in self._features:
            self._features.append(number)
            self._publish("telemetry", {"feature": [number]})

    def _request(self, kind: str, payload: Any, timeout_secs: float) -> dict[str, Any]:
        if kind != "status":
            self._await_media()
        return super()._request(kind, payload, timeout_secs)

    def _finish(self, *arguments: Any, **named: Any) -> dict[str, Any]:
        self._await_media()
        return super()._finish(*arguments, **named)

    def _abandon(self) -> None:
        self._await_media()
        super()._abandon()

    @staticmethod
    def _await_media() -> None:
        """Have this process's images encoded that were left for later; nothing waits otherwise."""
        queue = sys.modules.get(f"{__package__}._media_queue")
        if queue is not None:
            queue.drain()

    def _ask(
        self, kind: str, payload: dict[str, Any] | None = None, timeout_secs: float = _REQUEST_SECS
    ) -> dict[str, Any]:
        try:
            return dict(self._request(kind, payload or {}, timeout_secs))
        except _core.DaemonError as error:
            raise CommError(
                f"the runlane daemon does not answer for run {self.id}: {error}", error
            ) from error

    # -- tables, charts and their like ------------------------------------------------------------------------------

    @property
    def _media(self) -> RunMedia:
        if self._run_media is None:
            from ._run_media import RunMedia

            self._run_media = RunMedia(self)
        return self._run_media

    def _media_value(self, key: str, value: Any, nested: bool) -> Any:
        return self._media.row_value(key, value, nested)

    def _summary_value(self, path: tuple[str, ...], value: Any) -> Any:
        return self._media.summary_value(path, value)

    def _convert_cell(self, key: str, value: Any) -> Any:
        return self._media.cell(key, value)

    # -- config and summary ------------------------------------------------------------------------------------------

    def _send_config(self, changes: list[tuple[str, str]]) -> None:
        self._check_open("config")
        self._record_feature(_telemetry.SET_CONFIG_ITEM)
        self._publish("config", {"update": changes, "remove": []})

    def _read_summary(self) -> dict[str, Any]:
        if self._finished:
            return self._final_summary or {}
        import json

        values = json.loads(self._ask("summary")["json"] or "{}")
        return values if isinstance(values, dict) else {}

    def _send_summary(
        self, changes: list[tuple[tuple[str, ...], str]], removed: list[tuple[str, ...]]
    ) -> None:
        self._check_open("summary")
        self._record_feature(_telemetry.SET_SUMMARY)

        def path(keys: tuple[str, ...]) -> str | tuple[str, ...]:
            return keys[0] if len(keys) == 1 else keys

        update = [(path(keys), text) for keys, text in changes]
        self._publish("summary", {"update": update, "remove": [path(keys) for keys in removed]})

    @property
    def config(self) -> Config:
        """The run's inputs; a dict with attribute access."""
        return self._config

    @property
    def config_static(self) -> dict[str, Any]:
        """A copy of the config as a plain dict."""
        return self._config.as_dict()

    @property
    def summary(self) -> Summary:
        """The run's outcome; a dict with attribute access."""
        return self._summary

    @property
    def step(self) -> int:
        """The step that the next row gets. Waits for the daemon.

        Raises:
            Error: In shared mode, where no process knows it.
        """
        if self._settings._shared:
            raise Error("Cannot read the W&B step in shared mode.")
        if self._finished:
            return self._final_step or 0
        return int(self._ask("step")["next"])

    # -- what a run can be told --------------------------------------------------------------------------------------

    def define_metric(
        self,
        name: str,
        step_metric: str | Metric | None = None,
        step_sync: bool | None = None,
        hidden: bool | None = None,
        summary: str | None = None,
        goal: str | None = None,
        overwrite: bool | None = None,
        objective: str | None = None,
    ) -> Metric:
        """Say how a metric is drawn and what the summary keeps of it.

        Args:
            name: The metric, with dots between nested keys, or a glob with `*` at its end.
            step_metric: The metric of the x axis.
            step_sync: Add the step metric's last value to rows that lack it. Default: true with `step_metric`.
            hidden: Leave the metric out of automatic charts.
            summary: Comma separated list of `min max mean last first none best`.
            goal: `minimize` or `maximize`, for `best`.
            overwrite: Replace an earlier definition instead of adding to it.
            objective: Another name of `goal`.

        Raises:
            MetricError: An argument is not allowed, the metric has another step metric, or there are too many definitions.
        """
        self._check_open("define_metric")
        from . import _run_metrics as metrics

        record = metrics.metric_record(
            name, step_metric, step_sync, hidden, summary, goal or objective, overwrite
        )
        self._definitions = self._definitions or metrics.Definitions()
        self._definitions.check(record)
        self._record_feature(_telemetry.METRIC)
        self._publish("metric", record)
        self._definitions.add(record)
        return metrics.Metric(record)

    def save(
        self, glob_str: Any, base_path: Any = None, policy: str = "live", glob: bool = True
    ) -> list[str]:
        """Upload files that match a path or pattern; it is expanded now.

        Args:
            glob_str: Path or pattern.
            base_path: Directory that names in the run are relative to.
            policy: `live` (again on each change), `now` or `end`.
            glob: Whether `glob_str` is a pattern.

        Returns:
            Absolute paths of the files in the run's directory.

        Raises:
            TypeError: `glob_str` is no path.
            ValueError: Unknown policy, or a pattern that leaves its base path.
        """
        self._check_open("save")
        from . import _run_files

        saved, published = _run_files.save(
            self._settings.files_dir, glob_str, base_path, policy, glob, bool(self._settings.symlink)
        )
        if published:
            self._record_feature(_telemetry.SAVE)
            self._publish("files", {"files": published})
        return saved

    def restore(
        self, name: str, run_path: str | None = None, replace: bool = False, root: str | None = None
    ) -> TextIO | None:
        """Download one file of this (or another) run and open it; an existing file is kept unless `replace`."""
        from ._run_files import restore_file

        return restore_file(name, run_path or self.path, replace, root or self.dir)

    def write_logs(self, text: str) -> None:
        """Add text to the run's log page without printing it."""
        if not self._finished:
            self._log_text(text if text.endswith("\n") else f"{text}\n")

    def status(self) -> RunStatus:
        """How far uploading is. Waits for the daemon."""
        self._check_open("status")
        answer = self._ask("status")
        return RunStatus(max(0, int(answer.get("rows", 0)) - int(answer.get("uploaded_rows", 0))), answer)

    def flush(self, level: str = "logged", timeout: float | None = None) -> bool:
        """Wait until everything that this process has logged to the run so far is safe.

        Args:
            level: What it is to survive: `logged` (the death of every process: it is in the run's log), `synced` or `durable` (a
                power cut: it is on stable storage), `uploaded` or `acknowledged` (the loss of this host: the server has stored it).
            timeout: Seconds to wait at most; 0 only looks. Default: as long as it takes.

        Returns:
            Whether the level was reached in time. An offline run never reaches `uploaded`, and does not wait for it. A row that is
            still open (`commit=False`, an explicit `step`) is logged and synced with the others; it is uploaded when it is closed.

        Raises:
            TypeError: `level` is no string, or `timeout` no number.
            ValueError: There is no such level, or `timeout` is negative.
            UsageError: The run is finished.
            CommError: The daemon does not take the run up again.
        """
        from ._durability import level_of, timeout_of

        wanted, seconds = level_of(level), timeout_of(timeout)
        self._check_open("flush")
        if wanted == "uploaded" and self.offline:
            return False
        if seconds == 0:
            known = self.durability()
            return known.at(wanted) >= known.returned
        payload = {"level": wanted}
        if seconds is not None:
            return bool(self._ask("flush", payload, seconds)["reached"])
        while not self._ask("flush", payload, _FLUSH_SECS)["reached"]:
            pass
        return True

    def durability(self) -> Durability:
        """How far everything is that this process has logged to the run. Waits up to 2 s for the daemon.

        Returns:
            Sequence numbers of the last entry on each rung, what was lost, and the bytes that wait in memory.

        Raises:
            UsageError: The run is finished.
        """
        self._check_open("durability")
        from ._durability import Durability

        try:
            status = self._request("status", {}, _DURABILITY_SECS)
        except _core.DaemonError as error:
            self._note(f"the daemon does not say how far the run is: {error}")
        else:
            self._uploaded_seq = max(self._uploaded_seq, int(status.get("uploaded_seq", 0)))
            self._daemon_lost = max(self._daemon_lost, int(status.get("lost", 0)))
        returned, handed_over, logged, synced = self._reached
        return Durability(
            returned,
            handed_over,
            logged,
            synced,
            min(self._uploaded_seq, logged),
            max(self._lost_rows, self._daemon_lost),
            self._queued_bytes,
        )

    def _label(
        self, code: str | None = None, repo: str | None = None, code_version: str | None = None, **kwargs: str
    ) -> None:
        """Accept the labels that frameworks set."""
        self._note(f"label: code={code} repo={repo} version={code_version} {kwargs or ''}")

    # -- the end -----------------------------------------------------------------------------------------------------

    def finish(self, exit_code: int | None = None, quiet: bool | None = None) -> None:
        """Send everything, mark the run as ended and wait for the upload. A second call does nothing.

        Args:
            exit_code: 0 for success; another number marks the run as failed. Default: the process's exit code so far.
            quiet: Deprecated; use the setting `quiet`.

        Raises:
            TypeError: `exit_code` is no integer.
            TimeoutError: With `finish_timeout_raises`, when `finish_timeout` ran out.
        """
        del quiet
        if exit_code is not None and (isinstance(exit_code, bool) or not isinstance(exit_code, int)):
            raise TypeError(f"`exit_code` must be an integer, got {type(exit_code).__name__}")
        from ._finish import finish_run

        with self._lock:
            if self._finished:
                return
            code = exit_code or _exit_hooks.exit_code() or 0
            # The exit record has 32 bits; what lies beyond was a failure in any case.
            finish_run(self, code if -(2**31) <= code < 2**31 else 1)

    join = finish

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        if error is not None and kind is not None:
            import traceback as printing

            printing.print_exception(kind, error, traceback)
        self.finish(0 if kind is None else 1)
        return False

    def __reduce__(self) -> Any:
        from ._attaching import pickled

        return pickled(self)

    def __repr__(self) -> str:
        return f"<runlane.Run {self.path}{' (finished)' if self._finished else ''}>"


class RunStatus:
    """How far uploading is."""

    def __init__(self, sync_items_pending: int, details: dict[str, Any]) -> None:
        self.sync_items_total = int(details.get("rows", 0))
        self.sync_items_pending = sync_items_pending
        self.problem = str(details.get("problem") or "")

    def __repr__(self) -> str:
        return f"RunStatus(sync_items_total={self.sync_items_total}, sync_items_pending={self.sync_items_pending}, problem={self.problem!r})"
