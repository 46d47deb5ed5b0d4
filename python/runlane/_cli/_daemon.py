"""`daemon`: the process that writes and uploads this user's runs: status, health, stop."""

from __future__ import annotations

import json
import os
import select
import shlex
import time

import click

from runlane.terminal import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

#: Exit status of `status` where no daemon runs, as of `runlane server status`.
_NOT_RUNNING = 3
#: A daemon writes its runs out within 10 s.
_END_SECS = 20.0


@click.group()
def daemon() -> None:
    """Look after the process that writes and uploads this user's runs."""


def run_name(run: Any) -> str:
    """`entity/project/id` of a run, as far as it is known."""
    return "/".join(part for part in (run.entity, run.project, run.run_id) if part)


def _bytes(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def _age(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _writer_name(writer: Any) -> str:
    name = writer.label or (f"pid {writer.pid}" if writer.pid else "a process")
    if writer.HasField("rank") and not writer.label:
        name = f"rank {writer.rank} ({name})"
    return name if writer.connected else f"{name} (gone)"


def _facts_of(run: Any) -> dict[str, Any]:
    """A run as plain data, for `--json`."""
    from runlane._control import enum_name

    plain = {
        field.name: getattr(run, field.name) for field in run.DESCRIPTOR.fields if field.name != "writer"
    }
    writers = [
        {
            "label": writer.label,
            "pid": writer.pid or None,
            "rank": writer.rank if writer.HasField("rank") else None,
            "connected": writer.connected,
            "logged_seq": writer.logged_seq,
            "synced_seq": writer.synced_seq,
        }
        for writer in run.writer
    ]
    return {**plain, "state": enum_name(run, "state"), "writers": writers}


def _print_runs(runs: Iterable[Any]) -> None:
    from runlane._control import enum_name

    for run in runs:
        uploaded = "offline" if run.offline else f"{run.uploaded_rows:,} uploaded"
        words = [enum_name(run, "state"), f"{run.rows:,} rows, {uploaded}"]
        if run.lost:
            words.append(f"{run.lost:,} LOST")
        if len(run.writer) > 1:
            words.append(f"{len(run.writer)} writers")
        click.echo(f"  {printable(run_name(run))}: {', '.join(words)}")
        click.echo(f"    {printable(run.directory)}")
        if len(run.writer) > 1:
            click.echo(f"    writers: {printable(', '.join(map(_writer_name, run.writer)))}")
        if run.problem:
            click.echo(f"    problem: {printable(run.problem)}")


@daemon.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def status(as_json: bool) -> None:
    """Show the daemon and its runs; exits with 3 where none runs."""
    from runlane._control import Control, NoDaemonError

    try:
        with Control() as control:
            found, runs = control.status(), control.runs()
    except NoDaemonError as error:
        click.echo("null" if as_json else str(error))
        raise SystemExit(_NOT_RUNNING) from error
    if as_json:
        plain = {
            field.name: getattr(found, field.name)
            for field in found.DESCRIPTOR.fields
            if field.name not in ("runs", "sampler")
        }
        samplers = [
            {field.name: getattr(sampler, field.name) for field in sampler.DESCRIPTOR.fields}
            for sampler in found.sampler
        ]
        click.echo(json.dumps({**plain, "runs": [_facts_of(run) for run in runs], "samplers": samplers}))
        return
    click.echo(
        f"runlane daemon {found.version}: pid {found.pid}, up {_age(found.uptime_secs)},"
        f" {_bytes(found.resident_bytes)} of memory, {found.connections} connection(s),"
        f" {_bytes(found.queued_bytes)} queued"
    )
    click.echo(f"{len(runs)} run(s)" + (":" if runs else ""))
    _print_runs(runs)
    for sampler in found.sampler:
        if sampler.failures:
            problem = f": {printable(sampler.problem)}" if sampler.problem else ", works again"
            click.echo(
                f"  system metrics of {printable(sampler.name)} failed {sampler.failures:,} times{problem}"
            )


@daemon.command()
@click.option("--timeout", default=1.0, show_default=True, help="Seconds to wait for the answer.")
def health(timeout: float) -> None:
    """Exit with 0 if the daemon serves, else with 1: for supervisors."""
    from runlane._control import Control, ControlError, NoDaemonError

    try:
        with Control() as control:
            serving = control.is_serving(timeout=timeout)
    except (NoDaemonError, ControlError) as error:
        click.echo(str(error))
        raise SystemExit(1) from error
    click.echo("serving" if serving else "not serving")
    raise SystemExit(0 if serving else 1)


def _wait_for_end(pid: int, timeout: float) -> bool:
    """Wait until a process that is not our child has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    except (AttributeError, OSError):
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return True
            time.sleep(0.05)
        return False
    try:
        return bool(select.select([descriptor], [], [], timeout)[0])
    finally:
        os.close(descriptor)


@daemon.command()
@click.option(
    "--timeout",
    default=10.0,
    show_default=True,
    help="Seconds that uploads of ended runs may go on before the daemon ends.",
)
def stop(timeout: float) -> None:
    """Let uploads go on for a moment, write every run out, and end the daemon."""
    from runlane._control import Control, NoDaemonError

    try:
        with Control() as control:
            _drain(control, timeout)
            last = control.shut_down()
    except NoDaemonError as error:
        click.echo(str(error))
        return
    if not _wait_for_end(last.pid, _END_SECS):
        raise click.ClickException(f"the daemon (pid {last.pid}) has not ended after {_END_SECS:.0f} s")
    click.echo("the daemon has ended")
    _say_what_remains(list(last.unfinished))


def _drain(control: Any, timeout: float) -> None:
    """Wait for uploads that need nobody else: of runs that have ended and are not held up."""
    from runlane._control import enum_name

    uploading = [run for run in control.runs() if enum_name(run, "state") == "uploading"]
    if not uploading or timeout <= 0:
        return
    click.echo(f"waiting for the upload of {len(uploading)} run(s), at most {timeout:.0f} s", err=True)
    deadline = time.monotonic() + timeout
    for progress in control.upload_progress(interval=0.2):
        if time.monotonic() >= deadline or not any(
            enum_name(run, "state") == "uploading" for run in progress.run
        ):
            return


def _say_what_remains(unfinished: list[Any]) -> None:
    live = [run for run in unfinished if not run.ended]
    if live:
        click.echo(f"{len(live)} run(s) go on; the next call of their processes starts a daemon again:")
        _print_runs(live)
    waiting = [run for run in unfinished if run.ended and not run.offline and not run.complete]
    if waiting:
        rows = sum(max(0, run.rows - run.uploaded_rows) for run in waiting)
        click.echo(f"{len(waiting)} run(s) are not uploaded whole ({rows:,} rows left). To upload them:")
        places = " ".join(shlex.quote(run.directory) for run in waiting)
        click.echo(f"  runlane sync {printable(places)}")


def tell_key(base_url: str, key: str) -> None:
    """Give a daemon that runs the new key of a server; nothing happens where none does."""
    from runlane import _setup

    if not os.path.exists(os.path.join(_setup.runtime_dir(), "daemon-v1-control.sock")):
        return
    from runlane._control import Control, ControlError, NoDaemonError

    try:
        with Control() as control:
            resumed = control.set_credentials(base_url, key)
    except NoDaemonError:
        return
    except ControlError as error:
        click.echo(f"the running daemon did not take the key: {error}", err=True)
        return
    if resumed:
        click.echo(f"{resumed} run(s) that waited for a key go on uploading", err=True)
