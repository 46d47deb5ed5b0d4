"""Disabled mode: a run that keeps config and summary in memory and does nothing else."""

from __future__ import annotations

import os

from ._config import Config
from ._convert import is_media
from ._ids import random_id
from ._run import Run, RunStatus
from ._settings import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ._durability import Durability


class _Nothing:
    """The result of a call without effect: every attribute, item and call of it is nothing again."""

    def __getattr__(self, name: str) -> _Nothing:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *_args: Any, **_kwargs: Any) -> _Nothing:
        return self

    def __getitem__(self, key: Any) -> _Nothing:
        return self

    def __setitem__(self, key: Any, value: Any) -> None:
        return

    def __iter__(self) -> Any:
        return iter(())

    def __bool__(self) -> bool:
        return False

    def __enter__(self) -> _Nothing:
        return self

    def __exit__(self, *_args: object) -> None:
        return


NOTHING = _Nothing()


def _no_op(*_args: Any, **_kwargs: Any) -> Any:
    return NOTHING


class DisabledRun(Run):
    """A `Run` without files, daemon and server."""

    def __init__(self, settings: Settings | None = None, config: Config | None = None) -> None:
        # Frameworks make one without arguments, for ranks that do not log.
        settings = _named(settings or Settings(mode="disabled"))
        config = config or Config()
        settings.x_start_time = settings.x_start_time or 0.0
        super().__init__(settings, config)
        self._values: dict[str, Any] = {}
        self._step = 0
        config.__dict__["_publish"] = None

    def log(
        self,
        data: Mapping[str, Any],
        step: int | None = None,
        commit: bool | None = None,
        sync: bool | None = None,
    ) -> None:
        """Put the values into the summary."""
        del sync
        self._values.update(data)
        if step is not None:
            self._step = max(self._step, int(step))
        if commit or (commit is None and step is None):
            self._step += 1

    def _publish(self, kind: str, payload: Mapping[str, Any]) -> None:
        del kind, payload

    def _check_open(self, method: str) -> None:
        del method

    def _read_summary(self) -> dict[str, Any]:
        return self._values

    def _send_summary(
        self, changes: list[tuple[tuple[str, ...], str]], removed: list[tuple[str, ...]]
    ) -> None:
        import json

        for keys, text in changes:
            node = self._values
            for key in keys[:-1]:
                node = node.setdefault(key, {})
            node[keys[-1]] = json.loads(text)
        for keys in removed:
            node = self._values
            for key in keys[:-1]:
                node = node.get(key, {})
            node.pop(keys[-1], None)

    def _summary_value(self, path: tuple[str, ...], value: Any) -> Any:
        """Store nothing: a table is known by its type alone."""
        del path
        return {"_type": type(value).__name__} if is_media(value) else value

    @property
    def _system_metrics(self) -> dict[str, Any]:
        """Nothing is sampled."""
        return {}

    @property
    def step(self) -> int:
        """How often `log` closed a row."""
        return self._step

    @property
    def url(self) -> str | None:
        """Always None."""
        return None

    @property
    def project_url(self) -> str | None:
        """Always None."""
        return None

    @property
    def sweep_url(self) -> str | None:
        """Always None."""
        return None

    def save(
        self, glob_str: Any, base_path: Any = None, policy: str = "live", glob: bool = True
    ) -> list[str]:
        """Save nothing."""
        del glob_str, base_path, policy, glob
        return []

    def define_metric(self, name: str, *_args: Any, **_kwargs: Any) -> Any:
        """Define nothing."""
        del name
        return NOTHING

    def alert(self, title: str, text: str, level: Any = None, wait_duration: Any = None) -> None:
        """Send nothing."""
        del title, text, level, wait_duration

    def flush(self, level: str = "logged", timeout: float | None = None) -> bool:
        """Nothing waits."""
        from ._durability import level_of, timeout_of

        level_of(level)
        timeout_of(timeout)
        return True

    def durability(self) -> Durability:
        """Nothing is kept."""
        from ._durability import Durability

        return Durability(0, 0, 0, 0, 0, 0, 0)

    def status(self) -> RunStatus:
        """Nothing is pending."""
        return RunStatus(0, {})

    def restore(self, *_args: Any, **_kwargs: Any) -> None:
        """Fetch nothing."""
        return

    def finish(self, exit_code: int | None = None, quiet: bool | None = None) -> None:
        """End the run."""
        del exit_code, quiet
        if self._finished:
            return
        from . import _preinit, _setup

        self._finished = True
        state = _setup.process()
        if self in state.runs:
            state.runs.remove(self)
        _preinit.unbind(self)

    join = finish
    log_artifact = use_artifact = upsert_artifact = finish_artifact = link_artifact = _no_op
    log_model = use_model = link_model = log_code = watch = unwatch = pin_config_keys = _no_op


def _named(settings: Settings) -> Settings:
    """Settings with the names that wandb gives a run of disabled mode."""
    import tempfile

    settings.run_id = settings.run_id or random_id()
    settings._set("root_dir", tempfile.gettempdir())
    settings.use_dot_wandb = False
    settings.entity = "dummy"
    settings.project = settings.project if settings.project not in (None, "uncategorized") else "dummy"
    settings.run_name = settings.run_name or f"dummy-{settings.run_id}"
    settings.host = settings.host or os.uname().nodename
    return settings
