"""Composition of a run's settings: what `init` was given on top of the process's settings, and where the run goes."""

from __future__ import annotations

import os
import sys

from . import _credentials, _git, _host_facts, _ranks, _servers, terminal
from ._ids import random_id, time_ordered_id
from ._settings import Settings
from .errors import AuthenticationError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._setup import Process

#: Argument of `init` -> setting.
ARGUMENTS = {
    "entity": "entity",
    "project": "project",
    "dir": "root_dir",
    "id": "run_id",
    "name": "run_name",
    "notes": "run_notes",
    "tags": "run_tags",
    "group": "run_group",
    "job_type": "run_job_type",
    "mode": "mode",
    "force": "force",
    "reinit": "reinit",
    "resume": "resume",
    "resume_from": "resume_from",
    "fork_from": "fork_from",
    "allow_val_change": "allow_val_change",
    "save_code": "save_code",
    "sync_tensorboard": "sync_tensorboard",
    "monitor_gym": "monitor_gym",
}
_SWEEP_DECIDES = ("entity", "project", "id")


def compose(state: Process, given: Any, arguments: dict[str, Any]) -> Settings:
    """The run's settings: the process's, then `settings=`, then the arguments of `init`.

    Raises:
        SettingsError: A value is not allowed.
        UsageError: A run id, project or entity that breaks its rule.
    """
    state.refresh()
    settings = state.settings.copy()
    if given is not None:
        if isinstance(given, Settings):
            settings.layer(given.given())
        elif hasattr(given, "keys"):
            settings.layer(Settings(**dict(given)).given())
        else:
            raise TypeError(f"`settings` must be a Settings object or a dict, got {type(given).__name__}")
    if settings.sweep_id or settings.launch:
        for name in _SWEEP_DECIDES:
            if arguments.get(name) is not None:
                arguments = {**arguments, name: None}
                terminal.termwarn(f"Ignoring {name} passed to wandb.init when running a sweep.")
    settings.layer({ARGUMENTS[name]: value for name, value in arguments.items() if value is not None})
    if arguments.get("resume") is False:
        settings._values.pop("resume", None)
    terminal.termsetup(settings)
    return settings


def infer(settings: Settings) -> None:
    """Fill in what the system knows: program, host, git root, project."""
    if not settings.program:
        settings.program = _host_facts.program_path()
    if not settings.host:
        settings.host = os.uname().nodename
    if not settings.disable_git and not settings.git_root:
        settings.git_root = _git.find_root(os.getcwd())
    if not settings.project:
        program = None if settings.disable_git else settings.program
        settings.project = (
            None if settings.disable_git else _git.default_project(program)
        ) or "uncategorized"


def writer(settings: Settings) -> dict[str, Any]:
    """Who logs to the run. In shared mode the run's label is set: console lines and system metrics carry it."""
    if not settings._shared:
        return _ranks.writer(settings.x_label, host=settings.host)
    joins = not settings.x_primary
    who = _ranks.writer(
        settings.x_label,
        f"{settings.host}-{random_id()}",
        time_ordered_id(),
        joins=joins,
        host=settings.host,
    )
    settings.x_label = who["label"]
    if joins and not settings.is_set("x_update_finish_state"):
        # The run ends with its primary process, not with the first other one.
        settings.x_update_finish_state = False
    return who


def git_facts(settings: Settings) -> dict[str, str]:
    """Remote and commit of the repository; empty outside git or where git is off."""
    if settings.disable_git:
        return {}
    root = settings.git_root
    commit = settings.git_commit or (_git.head_commit(root) if root else None)
    remote = settings.git_remote_url or (_git.remote_url(root, settings.git_remote) if root else None)
    facts = {"remote_url": _git.without_credentials(remote) if remote else None, "commit": commit}
    return {name: value for name, value in facts.items() if value}


def choose_destination(state: Process, settings: Settings) -> tuple[str | None, str | None]:
    """Decide whether the run is online, and with which key; sets `mode` and `base_url`.

    Returns:
        The API key (None offline), and one line for the user if the run is offline although nobody asked for that.

    Raises:
        UsageError: `force` is set and there is no server or no key.
        AuthenticationError: The key cannot be one.
    """
    if settings._offline:
        return None, None
    if not settings.is_set("base_url"):
        server = _servers.running_server()
        if server is not None:
            settings.base_url = server.base_url
            key = server.api_key
            if key:
                return key, None
    if not settings.is_set("base_url"):
        if settings.force:
            raise UsageError(
                "no server is configured, and `force=True` asks for one\n"
                "hint: run `runlane server start`, or set `WANDB_BASE_URL` to the address of a server"
            )
        settings.mode = "offline"
        return None, "No server is configured: this run stays on this machine. Look at it with `runlane ui`."
    key, source = _credentials.find_key(settings, state.file_api_key)
    if key is None:
        if settings.force:
            raise UsageError(f"No API key configured for {settings.base_url}. Use `runlane login` to log in.")
        url, settings.mode = settings.base_url, "offline"
        return None, (
            f"No API key is configured for {url}: this run stays on this machine. Use `runlane login` to log in;"
            f" upload the run later with `runlane sync`."
        )
    try:
        _credentials.check_format(key)
    except AuthenticationError as error:
        raise AuthenticationError(
            f"the API key from {source} for {settings.base_url} cannot be used: {error}"
        ) from error
    return key, None


def in_notebook() -> bool:
    """Whether changes of config and repeated `init` calls are ordinary here."""
    return "IPython" in sys.modules and Settings()._jupyter
