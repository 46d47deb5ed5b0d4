"""`init`: start a run."""

from __future__ import annotations

import os
import sys
import time

from . import (
    _attaching,
    _config_sources,
    _console,
    _core,
    _exit_hooks,
    _host_facts,
    _init_settings,
    _preinit,
    _redact,
    _resume,
    _run_dir,
    _run_lines,
    _setup,
    _telemetry,
    terminal,
)
from ._config import Config
from ._debug_log import DebugLog
from ._ids import random_id
from ._run import Run
from ._run_settings import daemon_settings, init_timeout_secs, run_record
from ._stop import StopWatch
from .errors import AuthenticationError, CommError, Error, UnsupportedError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike
    from typing import Any, Literal

    from ._settings import Settings

_UNSET = object()
#: The daemon enforces the time limit of a start; the client waits this much longer for its answer.
_ANSWER_MARGIN_SECS = 10.0
# ErrorInfo.ErrorCode -> what is raised.
_ERRORS: dict[int, type[Error]] = {1: CommError, 2: AuthenticationError, 3: UsageError, 4: UnsupportedError}


def init(
    entity: str | None = None,
    project: str | None = None,
    dir: str | PathLike[str] | None = None,  # noqa: A002 - wandb's name
    id: str | None = None,  # noqa: A002 - wandb's name
    name: str | None = None,
    notes: str | None = None,
    tags: Sequence[str] | None = None,
    config: Any = None,
    config_exclude_keys: list[str] | None = None,
    config_include_keys: list[str] | None = None,
    allow_val_change: bool | None = None,
    group: str | None = None,
    job_type: str | None = None,
    mode: Literal["online", "offline", "disabled", "shared"] | None = None,
    force: bool | None = None,
    reinit: bool | str | None = None,
    resume: bool | Literal["allow", "never", "must", "auto"] | None = None,
    resume_from: str | None = None,
    fork_from: str | None = None,
    save_code: bool | None = None,
    tensorboard: bool | None = None,
    sync_tensorboard: bool | None = None,
    monitor_gym: bool | None = None,
    settings: Settings | dict[str, Any] | None = None,
    anonymous: object = _UNSET,
) -> Run:
    """Start a run, make it the active one, and return it.

    Args:
        entity: User or team that owns the run.
        project: Project of the run.
        dir: Directory in which `wandb/` is made.
        id: The run's id. Default: eight random letters and digits.
        name: Display name.
        notes: Longer description.
        tags: Labels; one string is one label.
        config: The run's inputs: mapping, argparse namespace, absl flags, or the path of a YAML file.
        config_exclude_keys: Deprecated: keys of `config` to leave out.
        config_include_keys: Deprecated: the only keys of `config` to take.
        allow_val_change: Whether config values may be changed later.
        group: Group of runs that belong together.
        job_type: Kind of job, such as `train` or `eval`.
        mode: `online`, `offline`, `disabled` or `shared`.
        force: Fail instead of going on without the server.
        reinit: What to do while another run is active: `return_previous`, `finish_previous`, `create_new`.
        resume: `allow`, `must`, `never` or `auto` (True).
        resume_from: `<run id>?_step=<n>`: rewind that run.
        fork_from: `<run id>?_step=<n>`: start from that run's history.
        save_code: Save the program and the state of its repository as files of the run. Default: the account's switch at the server.
        tensorboard: Same as `sync_tensorboard`.
        sync_tensorboard: Mirror what TensorBoard writers write while the run goes on: `docs/tensorboard.md`.
        monitor_gym: Log the videos that recorders of gymnasium and gym make, as `videos`.
        settings: A `Settings` object or a dict of settings.
        anonymous: Accepted without effect.

    Returns:
        The run; also a context manager.

    Raises:
        UsageError: An argument is not allowed, or the run may not be resumed as asked.
        AuthenticationError: The server rejected the credentials.
        CommError: The server is needed and cannot be reached.
        CoreNotAvailableError: The daemon cannot be started.
    """
    del anonymous
    arguments = {
        "entity": entity,
        "project": project,
        "dir": dir,
        "id": id,
        "name": name,
        "notes": notes,
        "tags": tags,
        "group": group,
        "job_type": job_type,
        "mode": mode,
        "force": force,
        "reinit": reinit,
        "resume": resume,
        "resume_from": resume_from,
        "fork_from": fork_from,
        "allow_val_change": allow_val_change,
        "save_code": save_code,
        "sync_tensorboard": sync_tensorboard if sync_tensorboard is not None else tensorboard,
        "monitor_gym": monitor_gym,
    }
    state = _setup.process()
    with state.lock:
        composed = _init_settings.compose(state, settings, arguments)
        previous = _previous_run(state, composed)
        if previous is not None:
            return previous
        if config_include_keys and config_exclude_keys:
            raise UsageError("Expected at most only one of exclude or include")
        given = _config_sources.filtered(
            _config_sources.as_mapping(config), config_include_keys, config_exclude_keys
        )
        run_config = _compose_config(composed, given)
        if composed._noop:
            return _start_disabled(state, composed, run_config)
        features = _init_features(composed, arguments, config)
        return _start(state, composed, run_config, features)


def _previous_run(state: _setup.Process, settings: Settings) -> Run | None:
    """Deal with runs that are active already; the run to return instead of a new one, or None."""
    if not state.runs:
        return None
    wish = settings.reinit
    if isinstance(wish, bool):
        terminal.termwarn(
            "Using a boolean value for 'reinit' is deprecated. Use 'return_previous' or 'finish_previous' instead.",
            repeat=False,
        )
        wish = "finish_previous" if wish else "return_previous"
    if wish == "default":
        wish = "finish_previous" if settings._jupyter else "return_previous"
    if wish == "create_new":
        return None
    if wish == "finish_previous":
        for run in list(state.runs):
            run.finish()
        return None
    if settings.resume == "must":
        raise Error(
            "Cannot resume a run while another run is active. You must either finish it using run.finish() or use reinit"
        )
    run = state.runs[-1]
    terminal.termlog(
        "wandb.init() called while a run is active and reinit is set to 'return_previous' (the default in scripts), so"
        f" returning the previous run {run.id}."
    )
    return run


def _compose_config(settings: Settings, given: dict[str, Any]) -> Config:
    """The config of a new run from all its sources, lowest first."""
    config = Config(allow_val_change=True)
    defaults, files = _config_sources.file_layers(settings.config_paths)
    for layer in (defaults, _preinit.take_config(), given, files):
        if layer:
            config.update(layer)
    if settings.sweep_param_path:
        config.update_locked(_config_sources.from_yaml(settings.sweep_param_path), user="sweep")
    return config


def _init_features(settings: Settings, arguments: dict[str, Any], config: Any) -> list[int]:
    flags = (
        (arguments["name"], _telemetry.SET_INIT_NAME),
        (arguments["id"], _telemetry.SET_INIT_ID),
        (arguments["tags"], _telemetry.SET_INIT_TAGS),
        (config, _telemetry.SET_INIT_CONFIG),
        (settings._offline, _telemetry.OFFLINE),
        (settings._shared, _telemetry.SHARED_MODE),
        (settings.fork_from, _telemetry.FORK_MODE),
        (settings.resume_from, _telemetry.REWIND_MODE),
        (settings.finish_timeout, _telemetry.FINISH_TIMEOUT),
        (True, _telemetry.INIT_RETURN_RUN),
    )
    return [number for given, number in flags if given]


def _start_disabled(state: _setup.Process, settings: Settings, config: Config) -> Run:
    from ._disabled import DisabledRun

    run = DisabledRun(settings, config)
    if settings.reinit != "create_new":
        _attaching.bind(run)
    state.runs.append(run)
    return run


def _start(state: _setup.Process, settings: Settings, config: Config, features: list[int]) -> Run:
    if settings._shared:
        settings.x_shared = True
    api_key, offline_reason = _init_settings.choose_destination(state, settings)
    settings._set("root_dir", _run_dir.usable_root(settings))
    settings.run_id = _resume.choose_run_id(settings) or random_id()
    settings.x_start_time = time.time()
    _init_settings.infer(settings)
    connection = state.connection()
    _run_dir.create(settings)
    run = Run(settings, config)
    run._debug_log = DebugLog(settings.log_user)
    terminal.add_sink(run._to_debug_log)
    try:
        _open(run, connection, api_key, features)
    except BaseException:
        terminal.remove_sink(run._to_debug_log)
        run._abandon()
        run._mark_finished()
        run._debug_log.close()
        raise
    _resume.remember(settings)
    _begin(state, run, offline_reason)
    run._config.use_inputs(run._use_of_config)
    return run


def _open(run: Run, connection: _core.Connection, api_key: str | None, features: list[int]) -> None:
    """Open the stream and take over what the daemon answers.

    Raises:
        Error: The run cannot start, with the class that says why.
    """
    settings = run._settings
    git = _init_settings.git_facts(settings)
    telemetry = _telemetry.record(features)
    run._features.extend(features)
    who = _init_settings.writer(settings)
    fields = daemon_settings(settings, api_key)
    for key in (api_key, settings.api_key):
        _redact.keep_secret(key)
    record = run_record(settings, run._config, git, telemetry)
    writer_id = random_id(20)
    preface = []
    if settings.x_primary and not (settings.x_disable_meta or settings.x_disable_machine_info):
        facts = _host_facts.quick_facts(settings, git, writer_id)
        preface.append({"kind": "environment", **facts, "writer": who if "rank" in who else None})
    run._note(f"opening run {settings.run_id} in {settings.sync_dir}, mode {settings.mode}")
    try:
        answer = run._open(
            connection,
            {**fields, "writer": who},
            record,
            preface,
            False,
            init_timeout_secs(settings) + _ANSWER_MARGIN_SECS,
        )
    except _core.DaemonError as error:
        raise CommError(f"run {settings.run_id} could not be started: {error}", error) from error
    failure = answer.get("error")
    if failure:
        raise _ERRORS.get(int(failure.get("code") or 0), CommError)(
            str(failure.get("message") or "the run could not be started")
        )
    run._answer = answer
    asked = settings.entity
    _take_over(run, answer)
    if asked and asked != settings.entity:
        terminal.termlog(f"No entity `{asked}` at this server: the run is filed under `{settings.entity}`")
    _attaching.remember(run, fields, record)
    run._writer_id = writer_id


def _take_over(run: Run, answer: dict[str, Any]) -> None:
    """Set what the server decided: names, and the config of a resumed run."""
    values = run._settings._values
    fields = {
        "entity": "entity",
        "project": "project",
        "run_id": "run_id",
        "run_name": "display_name",
        "run_notes": "notes",
        "run_group": "group",
        "run_job_type": "job_type",
        "sweep_id": "sweep_id",
    }
    for setting, field in fields.items():
        if answer.get(field):
            values[setting] = answer[field]
    if answer.get("tags"):
        values["run_tags"] = tuple(answer["tags"])
    if answer.get("resumed") or answer.get("forked"):
        import json

        stored = {key: json.loads(text) for key, text in (answer.get("config") or {}).items()}
        run._config.load(
            {key: value for key, value in stored.items() if key not in run._config and key != "_wandb"}
        )


def _begin(state: _setup.Process, run: Run, offline_reason: str | None) -> None:
    """Everything behind the start: hooks, console, globals, background work, lines for the user."""
    settings = run._settings
    state.runs.append(run)
    if settings.reinit != "create_new":
        _attaching.bind(run)
    _exit_hooks.install()
    _run_lines.started(state.settings_files, run, offline_reason)
    _console.start(run)
    if settings.sync_tensorboard or "runlane._tensorboard" in sys.modules:
        from . import _tensorboard

        _tensorboard.run_begins(run)
    if settings.monitor_gym:
        from .integration import gym

        gym.monitor()
    run._stop_watch = StopWatch(run)
    if settings._jupyter:
        from ._notebook import CellHooks

        run._cell_hooks = CellHooks(run)
    if settings.x_primary:
        from ._background import StartupWork

        run._startup = StartupWork(run, run._writer_id)
    if settings.show_run and not settings._offline and run.url and "PYTEST_CURRENT_TEST" not in os.environ:
        import webbrowser

        webbrowser.open(run.url)
