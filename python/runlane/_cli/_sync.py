"""`sync`: upload local runs."""

from __future__ import annotations

import os

import click

from runlane import _setup

from ._core_process import SyncProcess
from ._destination import resolve, sync_request
from ._event_files import log_directories, make_run
from ._local_runs import collect, find, is_online, is_synced
from ._progress import SyncDisplay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_LISTED = 20
_REMOVED = {
    "--sync-all": "use `runlane sync` without arguments",
    "--clean": "delete run directories yourself",
    "--clean-old-hours": "delete run directories yourself",
    "--clean-force": "delete run directories yourself",
    "--include-globs": "name the runs",
    "--exclude-globs": "name the runs",
    "--include-offline": "offline runs are always included",
    "--mark-synced": "it does not exist any more",
    "--skip-console": "it does not exist any more",
    "--legacy": "it does not exist any more",
}


def _removed_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Hidden options of older versions that only say what to do instead."""

    def refuse(_context: click.Context, parameter: click.Parameter, value: bool) -> None:
        if value:
            name = parameter.opts[0]
            raise click.UsageError(f"{name} was removed: {_REMOVED[name]}")

    for name in _REMOVED:
        command = click.option(name, is_flag=True, hidden=True, expose_value=False, callback=refuse)(command)
    return command


def parse_replace_tags(text: str | None) -> dict[str, str]:
    """`old1=new1,old2=new2` as a dict.

    Raises:
        ClickException: A pair without `=`.
    """
    pairs: dict[str, str] = {}
    for pair in (text or "").split(","):
        if not pair.strip():
            continue
        old, separator, new = pair.partition("=")
        if not separator or not old.strip() or not new.strip():
            raise click.ClickException(f"--replace-tags needs pairs old=new, got {pair!r}")
        pairs[old.strip()] = new.strip()
    return pairs


def _print_list(heading: str, logs: list[str], verbose: bool) -> None:
    click.echo(f"{heading} {len(logs)} run(s):")
    shown = logs if verbose else logs[:_LISTED]
    for log in shown:
        click.echo(f"  {os.path.relpath(log)}")
    if len(logs) > len(shown):
        click.echo(f"  +{len(logs) - len(shown)} more (pass --verbose to see all)")


def _selected(paths: tuple[str, ...], include_online: bool, include_synced: bool) -> list[str]:
    """The logs to upload; says how many are left out and how to take them in."""
    logs, named = collect(paths)
    kept, synced, online = [], 0, 0
    for log in logs:
        if not include_synced and is_synced(log):
            synced += 1
        elif not include_online and is_online(log) and log not in named:
            online += 1
        else:
            kept.append(log)
    if synced:
        click.echo(f"Skipped {synced} synced run(s). Include with --no-skip-synced.")
    if online:
        click.echo(f"Skipped {online} online run(s). Include with --no-skip-online.")
    return kept


def _event_paths(paths: tuple[str, ...], wish: bool | None) -> list[str]:
    """The paths whose event files are to become runs."""
    if wish is not None:
        return list(paths) if wish else []
    return [path for path in paths if os.path.isdir(path) and not find(path)[0] and log_directories(path)]


@click.command()
@click.argument("paths", nargs=-1, type=click.Path())
@click.option("-v", "--verbose", is_flag=True, help="More output.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--id", "run_id", default=None, help="Upload into this run.")
@click.option("-p", "--project", default=None, help="Project for all runs.")
@click.option("-e", "--entity", default=None, help="Entity for all runs.")
@click.option("--job-type", default=None, help="Job type for all runs.")
@click.option(
    "--include-online/--no-include-online",
    " /--skip-online",
    default=False,
    help="Also runs that were uploaded as they went on.",
)
@click.option(
    "--include-synced/--no-include-synced",
    " /--skip-synced",
    default=False,
    help="Also runs that are synced already.",
)
@click.option("--no-skip-online", "include_online", flag_value=True, type=bool, hidden=True)
@click.option("--no-skip-synced", "include_synced", flag_value=True, type=bool, hidden=True)
@click.option("--replace-tags", default=None, help="Rename tags: old1=new1,old2=new2.")
@click.option("--dry-run", is_flag=True, help="Only list what would be uploaded.")
@click.option(
    "-n", "parallel", default=5, show_default=True, type=click.IntRange(1, 64), help="Runs at the same time."
)
@click.option(
    "--follow", "--live", "follow", is_flag=True, help="Keep uploading runs that still go on, until they end."
)
@click.option(
    "--retry-quarantined",
    is_flag=True,
    help="Send again what the server refused; takes in runs that are synced already.",
)
@click.option(
    "--sync-tensorboard/--no-sync-tensorboard",
    "sync_tensorboard",
    default=None,
    help="Whether PATHS are directories of TensorBoard event files. Default: those that hold event files and no runs are.",
)
@_removed_options
def sync(
    paths: tuple[str, ...],
    verbose: bool,
    yes: bool,
    run_id: str | None,
    project: str | None,
    entity: str | None,
    job_type: str | None,
    include_online: bool,
    include_synced: bool,
    replace_tags: str | None,
    dry_run: bool,
    parallel: int,
    follow: bool,
    retry_quarantined: bool,
    sync_tensorboard: bool | None,
) -> None:
    """Upload local runs: `.wandb` files, run directories, or directories of them.

    A directory of TensorBoard event files is made a run first.

    Without PATHS: the `wandb` directory of the current settings. Uploading again is harmless, an interrupted upload goes on
    where it stopped. Ends with status 1 if a run failed.
    """
    tags = parse_replace_tags(replace_tags)
    # Checked by the same rules as everywhere else.
    _setup.process().settings.copy().layer(
        {"run_id": run_id, "project": project, "entity": entity, "run_job_type": job_type}
    )
    missing = [path for path in paths if not os.path.exists(path)]
    if missing:
        raise click.ClickException(f"no such file or directory: {missing[0]}")
    if not paths:
        directory = _setup.process().settings.wandb_dir
        paths = (directory,)
    else:
        yes = True
    event_paths = _event_paths(paths, sync_tensorboard)
    paths = tuple(path for path in paths if path not in event_paths)
    logs = _selected(paths, include_online or retry_quarantined, include_synced or retry_quarantined)
    if retry_quarantined:
        logs = [log for log in logs if os.path.exists(log + ".runlane-dead")]
    if dry_run:
        _print_list("Would sync", logs + event_paths, verbose)
        return
    for path in event_paths:
        given = {"project": project, "entity": entity, "id": run_id, "job_type": job_type}
        logs.append(make_run(path, **{name: value for name, value in given.items() if value}))
    if not logs:
        click.echo("No runs to sync.")
        return
    _print_list("Syncing", logs, verbose)
    if not yes and not click.confirm("Upload these runs?"):
        raise click.Abort
    settings, key = resolve()
    request = sync_request(
        settings,
        key,
        logs,
        entity=entity,
        project=project,
        run_id=run_id,
        job_type=job_type,
        replace_tags=tags,
        parallel=parallel,
        follow=follow,
        retry_quarantined=retry_quarantined,
    )
    raise SystemExit(run_sync(request))


def run_sync(request: dict[str, Any]) -> int:
    """Run the sync engine with a progress display; the exit status."""
    process = SyncProcess(request)
    with SyncDisplay(len(request["logs"])) as display:
        try:
            return process.watch(display.show)
        except KeyboardInterrupt:
            process.stop()
            click.echo("Interrupted. What was uploaded stays; run the command again to go on.", err=True)
            return 130
