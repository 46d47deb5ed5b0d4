"""The command line `runlane`. Commands are loaded when they are called, so that `runlane --version` stays quick."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from runlane import __version__
from runlane.errors import Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

# Command -> module and object.
_COMMANDS = {
    "artifact": "_artifact:artifact",
    "daemon": "_daemon:daemon",
    "disabled": "_modes:disabled",
    "enabled": "_modes:enabled",
    "exec": "_exec:execute",
    "init": "_workspace:init",
    "login": "_account:login",
    "off": "_modes:offline_alias",
    "offline": "_modes:offline",
    "on": "_modes:online_alias",
    "online": "_modes:online",
    "restore": "_restore:restore",
    "server": "_server_accounts:server",
    "status": "_workspace:status",
    "sync": "_sync:sync",
    "tail": "_tail:tail",
    "ui": "_ui:ui",
}
# Commands of wandb whose features come later: they are known, and say so.
_LATER = {
    "agent": "sweeps",
    "controller": "sweeps",
    "job": "launch jobs",
    "launch": "launch jobs",
    "launch-agent": "launch jobs",
    "sweep": "sweeps",
}


def _later(name: str) -> click.Command:
    @click.command(
        name,
        hidden=True,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
        add_help_option=False,
    )
    def later() -> None:
        from runlane._later import refuse

        refuse(f"runlane {name}", _LATER[name])

    return later


class _Commands(click.Group):
    """A group whose commands live in modules of their own."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        target = _COMMANDS.get(cmd_name)
        if target is None:
            return _later(cmd_name) if cmd_name in _LATER else None
        module, _, name = target.partition(":")
        command: click.Command = getattr(import_module(f".{module}", __name__), name)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="runlane", message="%(prog)s, version %(version)s")
def cli() -> None:
    """Track machine learning experiments on your own machines."""


def main(arguments: Sequence[str] | None = None) -> Any:
    """Run the command line; errors end the process with `Error: …` and status 1."""
    try:
        return cli.main(
            args=list(arguments) if arguments is not None else None, prog_name="runlane", standalone_mode=True
        )
    except Error as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        # The reader of a pipe has seen enough.
        sys.stderr.close()
        sys.exit(1)
