"""`login`: have an API key for a server, and keep it."""

from __future__ import annotations

from . import _credentials, _servers, _setup, terminal
from . import _settings_files as files
from ._validation import base_url as checked_url
from .errors import AuthenticationError, CommError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_UNSET = object()


def _base_url(host: str | None) -> str:
    """The server that the login is for.

    Raises:
        UsageError: No server is configured or running.
    """
    if host:
        return checked_url(host)
    settings = _setup.process().settings
    if settings.is_set("base_url"):
        return str(settings.base_url)
    server = _servers.running_server()
    if server is not None:
        return server.base_url
    raise UsageError(
        "no server is configured\nhint: run `runlane server start`, or name one: `runlane login --host URL` or `WANDB_BASE_URL`"
    )


def _prompt(base_url: str, timeout: float | None) -> str | None:
    """Ask for a key on the terminal; None where nobody can be asked or nothing was entered."""
    if not terminal.is_interactive():
        return None
    import getpass
    import select
    import sys

    terminal.termlog(f"Paste an API key of {base_url} and press enter (nothing is shown):")
    if timeout is not None and not select.select([sys.stdin], [], [], timeout)[0]:
        return None
    try:
        return getpass.getpass("runlane: API key: ").strip() or None
    except (EOFError, KeyboardInterrupt):
        return None


def login(
    key: str | None = None,
    relogin: bool | None = None,
    host: str | None = None,
    force: bool | None = None,
    timeout: int | None = None,
    verify: bool = True,
    referrer: str | None = None,
    prompt: bool = True,
    anonymous: object = _UNSET,
) -> bool:
    """Log in to a server: find, check and keep an API key.

    Args:
        key: The key. Default: environment, netrc, settings, a prompt on the terminal.
        relogin: Ask even if a key is known.
        host: The server's URL; it is written to the global settings file. Default: the configured one.
        force: Fail instead of returning False.
        timeout: Seconds to wait at the prompt.
        verify: Ask the server whether the key is good.
        referrer: Accepted without effect.
        prompt: Whether to ask at all.
        anonymous: Accepted without effect.

    Returns:
        Whether there is a key now.

    Raises:
        UsageError: No server is configured; or no key and nobody to ask.
        AuthenticationError: The key has the wrong form, or the server rejected it.
    """
    del referrer, anonymous
    base_url = _base_url(host)
    state = _setup.process()
    settings = state.settings.copy()
    settings.base_url = base_url
    source = "code"
    if key is None and not relogin:
        key, source = _credentials.find_key(settings, state.file_api_key)
    if key is None and prompt:
        key = _prompt(base_url, timeout if timeout is not None else settings.login_timeout)
        source = "prompt"
    if key is None:
        if force or not terminal.is_interactive():
            raise UsageError("No API key configured. Use `wandb login` to log in.")
        return False
    _credentials.check_format(key)
    if verify:
        _verify(base_url, key, settings)
    if source in ("code", "prompt"):
        path = _credentials.write_netrc(base_url, key)
        terminal.termlog(f"Appending key for {_credentials.host_of(base_url)} to your netrc file: {path}")
    if host:
        files.write(files.global_path(), {"base_url": base_url})
        files.write(state.settings.settings_workspace, {"base_url": None})
        state.put({"base_url": base_url})
    _credentials.remember(base_url, key)
    return True


def _verify(base_url: str, key: str, settings: Any) -> None:
    """Ask the server who the key belongs to.

    Raises:
        AuthenticationError: The server rejected it.
    """
    from .public_api._client import GraphQLClient

    client = GraphQLClient(base_url, key, timeout_secs=10.0, settings=settings)
    try:
        viewer = client.execute("query Viewer { viewer { username entity } }", {})["viewer"]
    except AuthenticationError:
        raise
    except CommError as error:
        terminal.termwarn(f"the key could not be verified: {error}")
        return
    if viewer is None:
        raise AuthenticationError(f"the server at {base_url} rejected the API key")
    terminal.termlog(f"Currently logged in as: {viewer.get('username')} to {base_url}")


class _DeprecatedApi:
    """`runlane.api`: what old code asks for the key."""

    @property
    def api_key(self) -> str | None:
        """The key of the configured server, or None."""
        state = _setup.process()
        settings = state.settings.copy()
        if not settings.is_set("base_url"):
            server = _servers.running_server()
            return server.api_key if server is not None else None
        return _credentials.find_key(settings, state.file_api_key)[0]

    def settings(self, key: str | None = None) -> Any:
        """One setting, or the common ones as a dict."""
        settings = _setup.process().settings
        return (
            getattr(settings, key)
            if key
            else {name: getattr(settings, name) for name in ("base_url", "entity", "project")}
        )


api = _DeprecatedApi()


def ensure_configured() -> None:
    """Read the settings now, if that did not happen yet."""
    _setup.process()
