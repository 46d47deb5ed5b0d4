"""`server`: the server of runlane. The work is done by the native binary; places and defaults are decided here."""

from __future__ import annotations

import os

import click

from runlane import _servers

from ._core_process import replace_process

_DATABASE_VARIABLE = "RUNLANE_DATABASE_URL"
_PASS_THROUGH = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}


def default_data_dir() -> str:
    """Where a server keeps its data if nobody says otherwise."""
    return os.path.expanduser(os.path.join("~", ".local", "share", "runlane", "server"))


def server_arguments(action: str, given: list[str]) -> list[str]:
    """The binary's arguments for `runlane server ACTION GIVEN…`."""
    arguments = ["server", action, *given]
    if not any(argument == "--data-dir" or argument.startswith("--data-dir=") for argument in given):
        arguments += ["--data-dir", default_data_dir()]
    arguments = _without_database(arguments)
    announced = action == "start"
    if announced and not any(
        argument == "--registry" or argument.startswith("--registry=") for argument in given
    ):
        arguments += ["--registry", _servers.registry_path()]
    return arguments


def _without_database(arguments: list[str]) -> list[str]:
    """Arguments without the database's URL, which goes on in the environment: it may have a password in it."""
    kept: list[str] = []
    words = iter(arguments)
    for word in words:
        name, equals, value = word.partition("=")
        if name != "--database":
            kept.append(word)
            continue
        url = value if equals else next(words, None)
        if url is None:
            kept.append(word)
        else:
            os.environ[_DATABASE_VARIABLE] = url
    return kept


@click.group()
def server() -> None:
    """Run a server on this machine: start, stop, status, env, link."""


def _action(name: str, text: str) -> None:
    @server.command(name, help=text, context_settings=_PASS_THROUGH)
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def run(arguments: tuple[str, ...]) -> None:
        if any(argument in ("-h", "--help") for argument in arguments):
            replace_process(["server", name, "--help"])
        replace_process(server_arguments(name, list(arguments)))


_action("start", "Start the server (in the foreground unless --detach is given).")
_action("stop", "Stop the server.")
_action("status", "Show whether the server runs, and where.")
_action("env", "Print `export WANDB_BASE_URL=…` and `export WANDB_API_KEY=…` for a shell.")
_action("link", "Print a sign-in link for a browser, valid once, for ten minutes.")
