"""`exec`: run a program in which `import wandb` means runlane."""

from __future__ import annotations

import os
import shutil

import click


def alias_environment(environment: dict[str, str]) -> dict[str, str]:
    """`environment` with the alias package in front of the module search path."""
    from runlane import __file__ as package_file

    package = os.path.dirname(os.path.abspath(package_file))
    parts = [os.path.join(package, "_alias"), os.path.dirname(package)]
    known = environment.get("PYTHONPATH")
    return {**environment, "PYTHONPATH": os.pathsep.join([*parts, *([known] if known else [])])}


@click.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def execute(command: tuple[str, ...]) -> None:
    """Run COMMAND with `import wandb` resolved to runlane: runlane exec -- python train.py."""
    program = shutil.which(command[0])
    if program is None:
        raise click.ClickException(f"command not found: {command[0]}")
    os.execve(program, list(command), alias_environment(dict(os.environ)))  # noqa: S606 - the user's own command
