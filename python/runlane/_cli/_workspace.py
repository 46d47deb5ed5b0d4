"""`status` and `init`: what this directory's settings are, and writing them."""

from __future__ import annotations

import json
import os

import click

from runlane import _settings_files as files
from runlane import _setup
from runlane._settings_fields import MODES

_SHOWN = ("base_url", "entity", "git_remote", "ignore_globs", "organization", "project", "root_dir")


@click.command()
@click.option("--settings/--no-settings", "show", default=True, help="Show the settings in effect.")
def status(show: bool) -> None:
    """Show the settings in effect here. The API key is not shown."""
    if not show:
        return
    settings = _setup.process().settings
    values = {name: getattr(settings, name) for name in _SHOWN}
    click.echo("Current Settings")
    click.echo(json.dumps(values, indent=2, sort_keys=True, default=list))


def _write_gitignore(directory: str) -> None:
    path = os.path.join(directory, ".gitignore")
    if not os.path.exists(path):
        with open(path, "w", encoding="utf-8") as file:
            file.write("*\n!settings\n")


@click.command()
@click.option("-p", "--project", default=None, help="Project of runs that start here.")
@click.option("-e", "--entity", default=None, help="Entity of runs that start here.")
@click.option(
    "-m",
    "--mode",
    default=None,
    type=click.Choice([mode for mode in MODES if mode not in ("dryrun", "run")]),
    help="Mode of runs.",
)
@click.option("--reset", is_flag=True, help="Remove entity, project and mode first.")
def init(project: str | None, entity: str | None, mode: str | None, reset: bool) -> None:
    """Set entity, project and mode of runs that start in this directory."""
    settings = _setup.process().settings
    path = settings.settings_workspace
    if not (project or entity or mode or reset):
        if os.path.exists(path) and not click.confirm(
            "This directory has been configured previously. Configure it again?"
        ):
            raise click.Abort
        entity = click.prompt("Entity (empty for your default)", default="", show_default=False) or None
        project = click.prompt("Project", default=settings.project or "uncategorized")
    changes: dict[str, str | None] = dict.fromkeys(("entity", "project", "mode")) if reset else {}
    given = {"entity": entity, "project": project, "mode": mode}
    # Checked by the same rules as everywhere else, before anything is written.
    settings.copy().layer(given)
    changes.update({name: value for name, value in given.items() if value})
    try:
        os.makedirs(settings.wandb_dir, exist_ok=True)
        files.write(path, changes)
        _write_gitignore(settings.wandb_dir)
    except OSError as error:
        raise click.ClickException(f"cannot write {path}: {error.strerror}") from error
    click.echo("This directory is configured. Start a run from it with `runlane.init()`.")
