"""The end of a run, step by step: stop capturing, read the results, send everything, print the closing block."""

from __future__ import annotations

import sys
import time

from . import _closing, _console, _core, _preinit, _resume, _setup, _telemetry, terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._run import Run

#: For reading what the closing block shows; a slow answer costs the block, not the run.
_READ_SECS = 10.0
#: A progress line is printed after this time, and then this often where the line cannot be rewritten.
_FIRST_PROGRESS_SECS = 2.0
_PROGRESS_EVERY_SECS = 10.0


class _Progress:
    """Tells the user how an upload goes that takes a while."""

    def __init__(self) -> None:
        self._started = self._printed = time.monotonic()
        self._problem = ""

    def __call__(self, state: dict[str, Any]) -> None:
        problem = str(state.get("problem") or "")
        if problem and problem != self._problem:
            self._problem = problem
            terminal.termwarn(problem)
        now = time.monotonic()
        wait = _FIRST_PROGRESS_SECS if self._printed == self._started else _PROGRESS_EVERY_SECS
        if state.get("done") or now - self._printed < wait or terminal.is_quiet():
            return
        self._printed = now
        terminal.termlog(_closing.progress_line(state))


class _Results:
    """What a run leaves: sampled history, summary, the step behind the last row."""

    def __init__(self) -> None:
        self.history: list[Any] = []
        self.summary: dict[str, Any] = {}
        self.step = 0
        self.lost = 0

    def read(self, run: Run, timeout_secs: float) -> None:
        """Take over how the run stands now; where the daemon does not answer, what was read before stays."""
        import json

        try:
            items = run._request("sampled_history", {"samples": _closing.WIDTH}, timeout_secs)["items"]
            summary = json.loads(run._request("summary", {}, timeout_secs)["json"] or "{}")
            step = int(run._request("step", {}, timeout_secs)["next"])
            self.lost = int(run._request("status", {}, timeout_secs).get("lost", 0))
        except (_core.DaemonError, KeyError, ValueError, TypeError) as error:
            run._note(f"no results from the daemon: {error}", terminal.WARNING)
            return
        self._take(items, summary, step)

    def take_final(self, progress: dict[str, Any]) -> None:
        """Take over what the closed run holds: the row that was open counts only now. Without it, keep what was read."""
        import json

        if "summary" in progress:
            self._take(
                progress["sampled"], json.loads(progress["summary"] or "{}"), int(progress["next_step"])
            )

    def _take(self, items: list[Any], summary: object, step: int) -> None:
        self.summary = summary if isinstance(summary, dict) else {}
        # Sizes of tables and their like are no metrics.
        self.history = [item for item in items if not _in_object(self.summary, item[0])]
        self.step = step


def _in_object(summary: dict[str, Any], path: Any) -> bool:
    """Whether the value at `path` is a member of an object such as a table."""
    node: Any = summary
    for key in path[:-1]:
        node = node.get(key) if isinstance(node, dict) else None
    return isinstance(node, dict) and len(path) > 1 and "_type" in node


def _flush(run: Run) -> bool:
    """Have the daemon take in everything logged so far, so that what is read next has it; whether it did."""
    limit = run._settings.finish_timeout or _READ_SECS
    try:
        return bool(run._request("flush", {"level": "logged"}, min(limit, _READ_SECS))["reached"])
    except _core.DaemonError as error:
        run._note(f"flush before the end failed: {error}", terminal.WARNING)
        return False


def finish_run(run: Run, exit_code: int) -> None:
    """Finish `run`. The caller holds the run's lock.

    Raises:
        KeyboardInterrupt: The user did not want to wait for the upload; the daemon goes on with it.
        TimeoutError: With `finish_timeout_raises`, when `finish_timeout` ran out.
    """
    settings = run._settings
    run._note(f"finishing run {run.path} with exit code {exit_code}")
    if run._startup is not None:
        run._startup.wait()
    if run._stop_watch is not None:
        run._stop_watch.end()
    run.unwatch()
    tensorboard = sys.modules.get("runlane._tensorboard")
    if tensorboard is not None:
        tensorboard.run_ends(run)
    if run._cell_hooks is not None:
        run._cell_hooks.end()
    _console.stop(run)
    if run._artifacts is not None:
        run._artifacts.wait(settings.finish_timeout or None)
    run._record_feature(_telemetry.FINISH)
    results = _Results()
    if _flush(run):
        results.read(run, _READ_SECS)
    else:
        run._note("the daemon does not take in what was logged", terminal.WARNING)
    run._finished = True
    progress: dict[str, Any] = {}
    timed_out = False
    try:
        progress = run._finish(
            exit_code, settings.finish_timeout, not settings.x_update_finish_state, _Progress()
        )
        timed_out = settings.finish_timeout > 0 and not progress.get("complete", True)
    except _core.DaemonError as error:
        terminal.termerror(
            f"run {run.id} could not be closed by the daemon: {error}\nits data is in {settings.sync_dir};"
            f" upload it with: runlane sync {settings.sync_dir}"
        )
    except KeyboardInterrupt:
        terminal.termerror("Control-C detected -- Run data was not synced")
        raise
    finally:
        run._mark_finished()
        _forget(run)
        if exit_code == 0:
            _resume.forget(settings)
        results.take_final(progress)
        run._final_summary, run._final_step = results.summary, results.step
        try:
            _print_block(run, results, progress)
        finally:
            terminal.remove_sink(run._to_debug_log)
            if run._debug_log is not None:
                run._debug_log.close()
    if timed_out and settings.finish_timeout_raises:
        raise TimeoutError(f"run {run.id} was not uploaded within {settings.finish_timeout} seconds")


def _forget(run: Run) -> None:
    state = _setup.process()
    if run in state.runs:
        state.runs.remove(run)
    _preinit.unbind(run)


def _print_block(run: Run, results: _Results, progress: dict[str, Any]) -> None:
    settings = run._settings
    lost = _closing.lost_line(run._lost_rows, results.lost)
    if lost is not None:
        terminal.termerror(lost)
    if terminal.is_silent():
        return
    if not terminal.is_quiet():
        history = _closing.history_lines(results.history, settings.max_end_of_run_history_metrics)
        values = _closing.summary_lines(results.summary, settings.max_end_of_run_summary_metrics)
        for line in _closing.metric_blocks(history, values):
            terminal.termlog(line)
    if run.offline:
        terminal.termlog("You can look at this run with: " + terminal.styled("runlane ui", "1"))
        terminal.termlog("You can sync this run to a server by running:")
        terminal.termlog(terminal.styled(f"runlane sync {settings.sync_dir}", "1"))
    else:
        _print_links(run, progress)
    terminal.termlog(f"Find logs at: {terminal.styled(_closing.shown_path(settings.log_dir), '1;35')}")


def _print_links(run: Run, progress: dict[str, Any]) -> None:
    url, project_url = run.url, run.project_url
    if url:
        name = terminal.styled(terminal.printable(run.name or run.id), "33")
        terminal.termlog(f"{terminal.emoji('🚀')}View run {name} at: {terminal.styled(url, '4;34')}")
    if project_url:
        terminal.termlog(f"{terminal.emoji('⭐️')}View project at: {terminal.styled(project_url, '4;34')}")
    if progress:
        terminal.termlog(_closing.counts_line(progress))
    unfinished = _closing.unfinished_line(progress, run.sync_dir)
    if unfinished is not None:
        terminal.termwarn(unfinished)
