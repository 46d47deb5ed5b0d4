"""Which server a run goes to.

There is no default host: a server is named by code, environment or a settings file, or it was started by this
user on this machine and is still running. A key alone never selects a host.
"""

from __future__ import annotations

import os

from ._settings_files import config_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class LocalServer:
    """A running server of this user, as its registry file tells."""

    def __init__(self, base_url: str, pid: int, data_dir: str, credentials: str) -> None:
        self.base_url = base_url
        self.pid = pid
        self.data_dir = data_dir
        self.credentials = credentials

    def account(self) -> dict[str, str]:
        """`username`, `entity` and `api_key` of the server's only user; empty if the file cannot be read."""
        record = _read_private_json(self.credentials)
        return {name: str(value) for name, value in (record or {}).items() if isinstance(value, str)}

    @property
    def api_key(self) -> str | None:
        """The key of the server's only user."""
        return self.account().get("api_key")


def registry_path() -> str:
    """The file in which a running server of this user is registered."""
    return os.path.join(config_dir(), "server.runlane.json")


def _read_private_json(path: str) -> dict[str, Any] | None:
    """The JSON object in a file that belongs to this user, else None."""
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_uid != os.getuid():
                return None
            content = file.read(1 << 20)
    except OSError:
        return None
    import json

    try:
        record = json.loads(content)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _is_running(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except OSError:
        # No such process, or a process of somebody else that got the number.
        return False
    return True


def running_server() -> LocalServer | None:
    """The live server that this user started, or None."""
    record = _read_private_json(registry_path())
    if record is None:
        return None
    base_url, pid = record.get("base_url"), record.get("pid")
    if not isinstance(base_url, str) or not isinstance(pid, int) or not _is_running(pid):
        return None
    data_dir = str(record.get("data_dir") or "")
    credentials = str(record.get("credentials") or os.path.join(data_dir, "credentials.json"))
    return LocalServer(base_url.rstrip("/"), pid, data_dir, credentials)
