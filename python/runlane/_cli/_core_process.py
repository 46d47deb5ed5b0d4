"""Starting the native binary: always by its absolute path, never through PATH."""

from __future__ import annotations

import json
import os
import subprocess

import click

from runlane import _setup
from runlane._environment import PREFIXES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn


def binary() -> str:
    """The binary's path.

    Raises:
        ClickException: It is not there.
    """
    path = _setup.core_binary()
    if not os.access(path, os.X_OK):
        raise click.ClickException(
            f"the native binary is missing: {path}\nhint: install runlane from a wheel, or set `RUNLANE_CORE_BINARY`"
        )
    return path


def environment() -> dict[str, str]:
    """This process's environment without keys: the binary gets them on standard input, if at all."""
    secret = ("API_KEY", "IDENTITY_TOKEN_FILE")
    names = {f"{prefix}{name}" for prefix in PREFIXES for name in secret}
    return {name: value for name, value in os.environ.items() if name not in names}


def replace_process(arguments: list[str]) -> NoReturn:
    """Become the binary."""
    path = binary()
    os.execve(path, [path, *arguments], environment())  # noqa: S606 - no shell, absolute path


class SyncProcess:
    """One `runlane-core sync`: the request goes to its standard input, progress comes as JSON lines.

    The key travels on standard input, where no other user can see it.
    """

    def __init__(self, request: dict[str, Any]) -> None:
        command = [binary(), "sync"]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(  # noqa: S603 - absolute path
            command, stdin=pipe, stdout=pipe, encoding="utf-8", env=environment()
        )
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(request))
            self.process.stdin.close()
        except BrokenPipeError:
            # It ended at once; its exit status and standard error say why.
            return

    def watch(self, progress: Callable[[dict[str, Any]], None]) -> int:
        """Pass on every line until the process ends; its exit status."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            try:
                event = json.loads(line)
            except ValueError:
                click.echo(line.rstrip(), err=True)
                continue
            if isinstance(event, dict):
                progress(event)
        return self.process.wait()

    def stop(self) -> None:
        """End the process; what it uploaded stays, the rest goes on the next time."""
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait()
