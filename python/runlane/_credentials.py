"""API keys: where they are looked for, and the netrc file they are kept in."""

from __future__ import annotations

import os

from . import _servers
from ._environment import variable
from ._validation import key_format_problem
from .errors import AuthenticationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._settings import Settings

# Keys given to `login(key=…)` in this process, by base URL.
_session: dict[str, str] = {}


def remember(base_url: str, key: str) -> None:
    """Use `key` for `base_url` in this process."""
    _session[base_url.rstrip("/")] = key


def remembered() -> dict[str, str]:
    """What `remember` kept: keys by server."""
    return dict(_session)


def forget() -> None:
    """Drop what `remember` kept."""
    _session.clear()


def netrc_path() -> str:
    """The netrc file: `$NETRC`, else `~/.netrc`, else an existing `~/_netrc`."""
    named = os.environ.get("NETRC")
    if named:
        return os.path.expanduser(named)
    usual = os.path.expanduser("~/.netrc")
    other = os.path.expanduser("~/_netrc")
    return other if not os.path.exists(usual) and os.path.exists(other) else usual


def host_of(base_url: str) -> str:
    """Host, with its port if the URL has one: the machine name in netrc."""
    return base_url.partition("://")[2].partition("/")[0]


def _machines(host: str) -> tuple[str, ...]:
    return (host, "api.wandb.ai") if host == "api.forge.coreweave.com" else (host,)


def key_from_netrc(base_url: str) -> str | None:
    """The key that netrc has for the server, or None (also when the file cannot be parsed)."""
    path = netrc_path()
    if not os.path.isfile(path):
        return None
    import netrc

    try:
        entries = netrc.netrc(path)
    except (OSError, ValueError, netrc.NetrcParseError):
        return None
    for machine in _machines(host_of(base_url)):
        found = entries.hosts.get(machine)
        if found and found[2]:
            return found[2]
    return None


def write_netrc(base_url: str, key: str) -> str:
    """Store the key for the server; other entries stay, an entry of the same machine is replaced.

    Returns:
        The path of the file.

    Raises:
        OSError: The file cannot be written.
    """
    path = netrc_path()
    host = host_of(base_url)
    kept: list[str] = []
    try:
        with open(path, encoding="utf-8") as file:
            skipping = False
            for line in file.read().splitlines():
                words = line.split()
                if words[:1] in (["machine"], ["default"], ["macdef"]):
                    skipping = words[:2] == ["machine", host]
                if not skipping:
                    kept.append(line)
    except FileNotFoundError:
        pass
    lines = [*kept, f"machine {host}", "  login user", f"  password {key}", ""]
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    temporary = f"{path}.{os.getpid()}.runlane-tmp"
    with open(
        os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
    ) as file:
        file.write("\n".join(lines))
    os.replace(temporary, path)
    return path


def find_key(settings: Settings, file_key: str | None = None) -> tuple[str | None, str]:
    """The API key for `settings.base_url` and where it comes from.

    A key given in code wins; then environment, netrc, settings file, the process's earlier login, and the credentials file
    of a server that this user runs.

    Args:
        settings: The composed settings.
        file_key: What the settings files say, so that a key given in code can be told from it.

    Raises:
        AuthenticationError: `WANDB_API_KEY` and `WANDB_IDENTITY_TOKEN_FILE` are both set.
    """
    base_url = str(settings.base_url or "")
    from_env = variable("API_KEY")
    if from_env and variable("IDENTITY_TOKEN_FILE"):
        raise AuthenticationError(
            "Both WANDB_API_KEY and WANDB_IDENTITY_TOKEN_FILE are set; unset one of them"
        )
    given = settings.api_key
    if given and given not in (from_env, file_key):
        return given, "code"
    if from_env:
        return from_env, "environment"
    if key := key_from_netrc(base_url):
        return key, "netrc"
    if file_key:
        return file_key, "settings"
    if key := _session.get(base_url):
        return key, "login"
    server = _servers.running_server()
    if server is not None and server.base_url == base_url and (key := server.api_key):
        return key, "local server"
    return None, ""


def check_format(key: str) -> None:
    """Refuse text that cannot be a key.

    Raises:
        AuthenticationError: With the rule; never with the key.
    """
    problem = key_format_problem(key)
    if problem:
        raise AuthenticationError(f"{problem}\nhint: run `runlane login` to enter the key again")
