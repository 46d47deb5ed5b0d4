"""What a run is called and where it lives: the properties of `Run`."""

from __future__ import annotations

import os

from . import _telemetry, terminal
from . import _validation as check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

    from ._settings import Settings


class RunProperties:
    """Identity of a run, read from its settings and the answer that it was opened with."""

    _settings: Settings
    _answer: dict[str, Any]

    if TYPE_CHECKING:

        def _publish(self, kind: str, payload: Any) -> None: ...
        def _check_open(self, method: str) -> None: ...
        def _record_feature(self, number: int) -> None: ...
        def _ask(self, kind: str, payload: dict[str, Any] | None = None) -> dict[str, Any]: ...

    @property
    def _system_metrics(self) -> dict[str, list[tuple[datetime, float]]]:
        """The last samples of each system metric, oldest first: (time in UTC, value).

        `Settings(x_stats_buffer_size=N)` keeps N of each key, -1 all of them (a million values together, the oldest go);
        without it there are none.

        Raises:
            UsageError: The run is finished.
            CommError: The daemon does not answer.
        """
        from datetime import datetime, timezone

        self._check_open("_system_metrics")
        found = self._ask("system_metrics")["metrics"]
        return {
            key: [
                (datetime.fromtimestamp(at, timezone.utc), value)
                for at, value in zip(times, values, strict=True)
            ]
            for key, (times, values) in sorted(found.items())
        }

    @property
    def settings(self) -> Settings:
        """A copy of the run's settings."""
        return self._settings.copy()

    @property
    def id(self) -> str:
        """The run's id, unique in its project."""
        return str(self._settings.run_id)

    @property
    def entity(self) -> str:
        """The entity (user or team) that owns the run; empty if unknown."""
        return self._settings.entity or ""

    @property
    def project(self) -> str:
        """The run's project."""
        return self._settings.project or "uncategorized"

    def project_name(self) -> str:
        """The run's project."""
        return self.project

    @property
    def path(self) -> str:
        """`entity/project/run id`; without the entity while it is unknown."""
        return "/".join(part for part in (self.entity, self.project, self.id) if part)

    @property
    def name(self) -> str | None:
        """The display name; None if nobody chose one yet."""
        return self._settings.run_name or None

    @name.setter
    def name(self, value: str) -> None:
        self._check_open("name")
        self._settings.run_name = check.name(value)
        self._record_feature(_telemetry.SET_RUN_NAME)
        self._publish("run", {"run_id": self.id, "display_name": self._settings.run_name})

    @property
    def notes(self) -> str | None:
        """The run's notes."""
        return self._settings.run_notes or None

    @notes.setter
    def notes(self, value: str) -> None:
        self._check_open("notes")
        self._settings.run_notes = check.notes(value)
        self._publish("run", {"run_id": self.id, "notes": self._settings.run_notes})

    @property
    def tags(self) -> tuple[str, ...]:
        """The run's tags."""
        return tuple(self._settings.run_tags or ())

    @tags.setter
    def tags(self, value: Any) -> None:
        self._check_open("tags")
        self._settings.run_tags = check.tags(value)
        self._record_feature(_telemetry.SET_RUN_TAGS)
        self._publish("run", {"run_id": self.id, "tags": list(self._settings.run_tags)})

    @property
    def group(self) -> str:
        """The group that the run belongs to; empty for none."""
        return self._settings.run_group or ""

    @property
    def job_type(self) -> str:
        """What kind of job the run is; empty for none."""
        return self._settings.run_job_type or ""

    @property
    def sweep_id(self) -> str | None:
        """The sweep that the run belongs to."""
        return self._settings.sweep_id or None

    @property
    def dir(self) -> str:
        """The directory of the run's files."""
        return str(self._settings.files_dir)

    @property
    def sync_dir(self) -> str:
        """The run directory."""
        return str(self._settings.sync_dir)

    @property
    def start_time(self) -> float:
        """Unix time at which the run started, seconds."""
        return float(self._settings.x_start_time)

    @property
    def starting_step(self) -> int:
        """The first step of this execution: 0, or behind the last one when resumed."""
        return int(self._answer.get("starting_step") or 0)

    @property
    def resumed(self) -> bool:
        """Whether the run existed before."""
        return bool(self._answer.get("resumed"))

    @property
    def offline(self) -> bool:
        """Whether nothing is uploaded while the run goes on."""
        return bool(self._settings._offline)

    @property
    def disabled(self) -> bool:
        """Whether the run does nothing at all."""
        return bool(self._settings._noop)

    @property
    def _attach_id(self) -> str | None:
        """What `attach` in another process needs to log to this run."""
        return None if self.disabled else f"{self.id}:{os.path.abspath(self.sync_dir)}"

    def _page(self, url: str, answered: str) -> str | None:
        if self.offline:
            terminal.termwarn("URL not available in offline run")
            return None
        return str(self._answer.get(answered) or "") or url or None

    @property
    def url(self) -> str | None:
        """The run's page; None (with a warning) offline."""
        return self._page(self._settings.run_url, "run_url")

    @property
    def project_url(self) -> str | None:
        """The project's page; None (with a warning) offline."""
        return self._page(self._settings.project_url, "project_url")

    @property
    def sweep_url(self) -> str | None:
        """The sweep's page; None (with a warning) offline."""
        return self._page(self._settings.sweep_url, "sweep_url")

    def get_url(self) -> str | None:
        """The run's page; None offline."""
        return self.url

    def get_project_url(self) -> str | None:
        """The project's page; None offline."""
        return self.project_url

    def get_sweep_url(self) -> str | None:
        """The sweep's page; None without a sweep and offline."""
        return self.sweep_url
