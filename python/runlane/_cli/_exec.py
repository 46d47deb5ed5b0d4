"""`exec`: run a program in which `import wandb` means runlane, in its child processes as well."""

from __future__ import annotations

import os
import re
import shutil
import sys

import click

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_PYTHON = re.compile(r"(python|pypy)[0-9.]*t?")
#: Options of Python with a value, which ends a cluster of letters; `-c` and `-m` end the options.
_WITH_VALUE = "cmWXQ"


def _in_front(entry: str, known: str | None) -> str:
    # An empty entry between others stays: it means the working directory.
    rest = [part for part in known.split(os.pathsep) if part != entry] if known else []
    return os.pathsep.join([entry, *rest])


def alias_environment(environment: dict[str, str]) -> dict[str, str]:
    """`environment` with the packages and commands `wandb` of runlane in front of all others."""
    from runlane import __file__ as package_file

    package = os.path.dirname(os.path.abspath(package_file))
    return {
        **environment,
        "PYTHONPATH": _in_front(os.path.join(package, "_alias"), environment.get("PYTHONPATH")),
        "PATH": _in_front(os.path.join(package, "_alias_bin"), environment.get("PATH", os.defpath)),
        "RUNLANE_EXEC_PYTHON": sys.executable,
    }


def _ignored_paths(options: Sequence[str]) -> str | None:
    """The option of Python (`-I`, `-E`) that keeps it from looking at PYTHONPATH, or None."""
    words = iter(options)
    for word in words:
        if not word.startswith("-") or word.startswith("--") or word == "-":
            return None
        for place, letter in enumerate(word[1:], 1):
            if letter in "IE":
                return f"-{letter}"
            if letter in "cm":
                return None
            if letter in _WITH_VALUE:
                if place == len(word) - 1:
                    next(words, None)
                break
    return None


def _interpreter_words(program: str, command: Sequence[str]) -> list[str]:
    """The command line as far as it is known, from the interpreter on: of a script, what its first line names."""
    if _PYTHON.fullmatch(os.path.basename(program)):
        return list(command)
    try:
        with open(program, "rb") as file:
            first = file.readline(512)
    except OSError:
        return []
    words = first[2:].decode("utf-8", "replace").split() if first.startswith(b"#!") else []
    while words and not _PYTHON.fullmatch(os.path.basename(words[0])):
        # `#!/usr/bin/env -S python3 -I`
        words.pop(0)
    return words


@click.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def execute(command: tuple[str, ...]) -> None:
    """Run COMMAND with `import wandb` resolved to runlane: runlane exec -- python train.py.

    Its child processes get runlane, too, whatever starts them. So does the command `wandb`. Programs for Python are found in any
    environment: runlane need not be installed in theirs.
    """
    environment = alias_environment(dict(os.environ))
    program = shutil.which(command[0], path=environment["PATH"])
    if program is None:
        raise click.ClickException(f"command not found: {command[0]}")
    option = _ignored_paths(_interpreter_words(program, command)[1:])
    if option is not None:
        raise click.ClickException(
            f"`{option}` keeps Python from looking at PYTHONPATH: `import wandb` would not be runlane, and data might go elsewhere\n"
            f"hint: leave `{option}` out, or write `import runlane as wandb` in the program"
        )
    os.execve(program, list(command), environment)  # noqa: S606 - the user's own command
