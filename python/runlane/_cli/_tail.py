"""`tail`: the last rows of a run, and new ones as they are logged."""

from __future__ import annotations

import glob
import json
import os
import subprocess

import click

from runlane import _setup
from runlane.errors import Error
from runlane.terminal import printable

from ._core_process import binary, environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_VALUE_WIDTH = 200


class _NoSuchRunError(Error):
    """Neither the daemon nor the disk knows the run."""


@click.command()
@click.argument("run")
@click.option(
    "-n", "--lines", "last", default=10, show_default=True, type=click.IntRange(0), help="Rows from the end."
)
@click.option(
    "-f", "--follow/--no-follow", default=True, help="Go on with new rows while the run does (default)."
)
@click.option("--json", "as_json", is_flag=True, help="Each row as one JSON object.")
def tail(run: str, last: int, follow: bool, as_json: bool) -> None:
    """Show the last rows of RUN, and go on with new ones until it ends.

    RUN is a run's id, its path ENTITY/PROJECT/ID, its directory or its log file. Runs that are not open are read from
    their log.
    """
    try:
        for row in _rows(run, last, follow):
            click.echo(_line(row, as_json))
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _rows(run: str, last: int, follow: bool) -> Iterator[str]:
    """The rows as JSON texts, from the daemon if it has the run, else from the log.

    Raises:
        _NoSuchRunError: Neither has it.
    """
    log = _log_at(run)
    try:
        yield from _daemon_rows(os.path.abspath(log) if log else run, last, follow)
    except _NoSuchRunError as error:
        log = log or _log_of_id(run)
        if log is None:
            raise click.ClickException(printable_lines(str(error))) from error
        yield from _log_rows(log, last)


def printable_lines(text: str) -> str:
    """`text` with its lines kept and all other control characters escaped."""
    return "\n".join(map(printable, text.split("\n")))


def _daemon_rows(run: str, last: int, follow: bool) -> Iterator[str]:
    if not os.path.exists(os.path.join(_setup.runtime_dir(), "daemon-v1-control.sock")):
        raise _NoSuchRunError(_unknown(run, "no daemon is running"))
    import grpc  # type: ignore[import-untyped, import-not-found, unused-ignore]

    from runlane._control import Control, ControlError, NoDaemonError

    try:
        with Control() as control:
            for reply in control.tail(run, last, follow):
                for row in reply.row:
                    yield row.json
                if reply.ended:
                    code = reply.exit_code if reply.HasField("exit_code") else None
                    _say_end(code)
    except NoDaemonError as error:
        raise _NoSuchRunError(_unknown(run, str(error))) from error
    except ControlError as error:
        if error.code == grpc.StatusCode.NOT_FOUND:
            raise _NoSuchRunError(f"{error}\nhint: name its directory, if it is on this machine") from error
        raise


def _unknown(run: str, why: str) -> str:
    return f"no run `{run}`: {why}, and there is no log of it here\nhint: name its directory, if it is on this machine"


def _log_rows(log: str, last: int) -> Iterator[str]:
    """The last rows of a log that no daemon writes."""
    command = [binary(), "tail", "--last", str(last), "--", log]
    pipe = subprocess.PIPE
    process = subprocess.Popen(  # noqa: S603 - absolute path
        command, stdout=pipe, stderr=pipe, encoding="utf-8", env=environment()
    )
    assert process.stdout is not None
    assert process.stderr is not None
    ended = False
    try:
        for line in process.stdout:
            head, separator, row = line.rstrip("\n").partition(', "row": ')
            if separator and head.startswith('{"step": '):
                yield row[:-1]
            else:
                ended = True
                _say_end(json.loads(line)["exit_code"])
        problem = process.stderr.read()
    finally:
        process.stdout.close()
        process.stderr.close()
        if not ended:
            process.terminate()
        status = process.wait()
    if status != 0:
        raise click.ClickException(printable_lines(problem.strip().removeprefix("error: ")))


def _say_end(exit_code: int | None) -> None:
    end = (
        "the log has no end: its processes died, or log elsewhere"
        if exit_code is None
        else f"the run has ended with exit code {exit_code}"
    )
    click.echo(end, err=True)


def _log_at(run: str) -> str | None:
    """The log that a file or a run directory of this name holds."""
    if os.path.isfile(run) and run.endswith(".wandb"):
        return run
    if not os.path.isdir(run):
        return None
    found = sorted(glob.glob(os.path.join(glob.escape(run), "run-*.wandb")))
    return found[0] if len(found) == 1 else None


def _log_of_id(run: str) -> str | None:
    """The newest log below this directory's `wandb` whose run has this id."""
    run_id = run.rpartition("/")[2]
    if not run_id:
        return None
    root = glob.escape(_setup.process().settings.wandb_dir)
    found = glob.glob(os.path.join(root, f"*run-*-{glob.escape(run_id)}", f"run-{glob.escape(run_id)}.wandb"))
    return max(found, key=os.path.getmtime, default=None)


def _line(text: str, as_json: bool) -> str:
    """A row for the terminal: no character of it can act on it."""
    try:
        row = json.loads(text)
    except ValueError:
        return printable(text)
    if as_json:
        return json.dumps(row)
    step = row.pop("_step", None)
    who = row.pop("_label", None)
    row.pop("_rank", None)
    row.pop("_timestamp", None)
    runtime = row.pop("_runtime", None)
    words = [f"step {step}"] if step is not None else []
    if isinstance(runtime, (int, float)):
        words.append(f"{runtime:.1f}s")
    if who is not None:
        words.append(f"[{printable(str(who))}]")
    words += [f"{printable(key)}={_value(value)}" for key, value in row.items()]
    return "  ".join(words)


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return printable(text if len(text) <= _VALUE_WIDTH else f"{text[:_VALUE_WIDTH]}…")
