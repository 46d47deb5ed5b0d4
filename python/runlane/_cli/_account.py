"""`login`: keep an API key for a server."""

from __future__ import annotations

import click

from runlane import _credentials, _setup
from runlane import _settings_files as files
from runlane._login import login as log_in

from ._daemon import tell_key


@click.command()
@click.argument("key", required=False)
@click.option("--host", "--base-url", "host", default=None, help="The server; it becomes the default one.")
@click.option("--cloud", is_flag=True, hidden=True, help="Forget a server set by --host.")
@click.option("--relogin", is_flag=True, help="Ask for a key even if one is known.")
@click.option("--verify/--no-verify", default=True, help="Ask the server whether the key is good.")
@click.option("--anonymously", is_flag=True, hidden=True, help="Accepted without effect.")
def login(
    key: str | None, host: str | None, cloud: bool, relogin: bool, verify: bool, anonymously: bool
) -> None:
    """Store an API key in netrc.

    KEY is asked for if it is not given; on the command line other users of the machine may see it.
    """
    del anonymously
    if cloud:
        if host:
            raise click.ClickException("--cloud and --host exclude each other")
        state = _setup.process()
        for path in (files.global_path(), state.settings.settings_workspace):
            files.write(path, {"base_url": None})
        raise click.ClickException(
            "there is no hosted server; name one with --host URL, or run `runlane server start`"
        )
    if not log_in(key=key, host=host, relogin=relogin or key is not None, verify=verify):
        raise click.ClickException("no API key was given")
    for base_url, known in _credentials.remembered().items():
        tell_key(base_url, known)
