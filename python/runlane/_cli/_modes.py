"""`online`, `offline`, `enabled`, `disabled`: the key `mode` of the workspace settings."""

from __future__ import annotations

import click

from runlane import _settings_files as files
from runlane import _setup


def _write(mode: str | None) -> None:
    path = _setup.process().settings.settings_workspace
    try:
        files.write(path, {"mode": mode})
    except OSError as error:
        raise click.ClickException(f"cannot write {path}: {error.strerror}") from error


@click.command()
def online() -> None:
    """Upload runs of this directory to the configured server."""
    _write(None)
    click.echo("runlane online. Runs of scripts in this directory are uploaded to the configured server.")


@click.command()
def offline() -> None:
    """Keep runs of this directory on this machine."""
    _write("offline")
    click.echo(
        "runlane offline. Runs of scripts in this directory stay on this machine. Use `runlane disabled` to turn tracking off."
    )


@click.command()
@click.option("--service", hidden=True, is_flag=True, help="Accepted without effect.")
def enabled(service: bool) -> None:
    """Track runs of this directory."""
    del service
    _write("online")
    click.echo("runlane enabled.")


@click.command()
@click.option("--service", hidden=True, is_flag=True, help="Accepted without effect.")
def disabled(service: bool) -> None:
    """Do not track runs of this directory."""
    del service
    _write("disabled")
    click.echo("runlane disabled.")


online_alias = click.Command("on", callback=online.callback, hidden=True)
offline_alias = click.Command("off", callback=offline.callback, hidden=True)
