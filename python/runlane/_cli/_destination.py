"""The server that commands talk to, and what the sync engine is told of it."""

from __future__ import annotations

import click

from runlane import _credentials, _servers, _setup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from runlane._settings import Settings


def resolve() -> tuple[Settings, str]:
    """Settings with `base_url`, and the key for it.

    Raises:
        ClickException: No server is configured, or there is no key for it.
    """
    state = _setup.process()
    settings = state.settings.copy()
    key: str | None = None
    if not settings.is_set("base_url"):
        server = _servers.running_server()
        if server is None:
            raise click.ClickException(
                "no server is configured\nhint: run `runlane server start`, or set `WANDB_BASE_URL` to the address of a server"
            )
        settings.base_url = server.base_url
        key = server.api_key
    key = key or _credentials.find_key(settings, state.file_api_key)[0]
    if not key:
        raise click.ClickException(
            f"Not authenticated.\nhint: run `runlane login --host {settings.base_url}`"
        )
    return settings, key


def sync_request(settings: Settings, key: str, logs: list[str], **options: Any) -> dict[str, Any]:
    """The request of `runlane-core sync` (docs/design.md)."""
    from runlane.artifacts import _storage

    request: dict[str, Any] = {
        "base_url": settings.base_url,
        "api_key": key,
        "entity": None,
        "project": None,
        "run_id": None,
        "job_type": None,
        "replace_tags": {},
        "parallel": 5,
        "follow": False,
        "mark_synced": True,
        "skip_finish": False,
        "retry_quarantined": False,
        "extra_http_headers": settings.x_extra_http_headers or {},
        "http_proxy": settings.http_proxy,
        "https_proxy": settings.https_proxy,
        "insecure_disable_ssl": settings.insecure_disable_ssl,
        "staging_dir": _storage.staging_dir(),
        "cache_dir": _storage.cache_dir(),
        "logs": logs,
    }
    request.update(options)
    return request
