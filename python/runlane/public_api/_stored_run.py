"""`Run` of the Public API: a run as the server stores it."""

from __future__ import annotations

import json

from runlane._json_text import encode
from runlane.errors import CommError

from . import _history
from . import _queries as queries
from ._files import File, Files
from ._page import Page

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from ._api import Api


def _json_object(text: Any) -> dict[str, Any]:
    """A JSON object that the server sends as text (or null)."""
    value = json.loads(text) if isinstance(text, str) and text else text
    return value if isinstance(value, dict) else {}


class HTTPSummary(dict):  # type: ignore[type-arg]
    """The summary of a stored run; changes are sent by `update`."""

    def __init__(self, run: Run, values: dict[str, Any]) -> None:
        super().__init__(values)
        self._run = run

    @property
    def _json_dict(self) -> dict[str, Any]:
        return dict(self)

    def update(self, *args: Any, **values: Any) -> None:
        """Set values, and send the whole summary."""
        super().update(*args, **values)
        from runlane._convert import friendly

        document = {str(key): friendly(str(key), value, histograms=True) for key, value in self.items()}
        self._run._api._client.execute(
            queries.UPDATE_SUMMARY, {"id": self._run.storage_id, "summaryMetrics": encode(document)}
        )


class Run(Page):
    """A run as the server stores it. Attributes are loaded when they are first read."""

    def __init__(
        self,
        api: Api,
        entity: str,
        project: str,
        run_id: str,
        attributes: dict[str, Any] | None = None,
        *,
        full: bool = False,
    ) -> None:
        self._api = api
        self.entity = entity
        self.project = project
        self.id = run_id
        self._attributes: dict[str, Any] = attributes or {}
        self._full = False
        if attributes is None:
            self.load()
        else:
            self._take(attributes, full)

    def _query(self, document: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The `run` part of an answer.

        Raises:
            CommError: There is no such run.
        """
        project = self._api._client.execute(document, variables).get("project")
        run = project.get("run") if project else None
        if run is None:
            raise CommError(f"Could not find run {self.entity}/{self.project}/{self.id}")
        return dict(run)

    def _take(self, attributes: dict[str, Any], full: bool) -> None:
        self._attributes = {**self._attributes, **attributes}
        self.name: str = attributes.get("displayName") or self.id
        self.tags: list[str] = list(attributes.get("tags") or [])
        self.notes: str | None = attributes.get("notes")
        self.description: str | None = attributes.get("description")
        self.group: str | None = attributes.get("group")
        self.job_type: str | None = attributes.get("jobType")
        if full:
            raw = _json_object(attributes.get("config"))
            self._raw_config = raw
            self._config = {
                key: entry["value"] if isinstance(entry, dict) and "value" in entry else entry
                for key, entry in raw.items()
                if key != "_wandb"
            }
            self._summary = HTTPSummary(self, _json_object(attributes.get("summaryMetrics")))
        self._full = full

    def load(self, force: bool = True) -> Run:
        """Read everything again from the server.

        Raises:
            CommError: There is no such run, or the server cannot be reached.
        """
        if force or not self._full:
            variables = {"project": self.project, "entity": self.entity, "name": self.id}
            self._take(self._query(queries.RUN, variables), full=True)
        return self

    load_full_data = load

    @property
    def storage_id(self) -> str:
        """The server's id of the run."""
        return str(self._attributes["id"])

    @property
    def config(self) -> dict[str, Any]:
        """The run's inputs, without internal keys; change it and call `update`."""
        self.load(force=False)
        return self._config

    @property
    def rawconfig(self) -> dict[str, Any]:
        """The config as it is stored, internal keys included."""
        self.load(force=False)
        return self._raw_config

    @property
    def summary(self) -> HTTPSummary:
        """The run's outcome."""
        self.load(force=False)
        return self._summary

    @property
    def summary_metrics(self) -> dict[str, Any]:
        """The run's outcome as a plain dict."""
        return dict(self.summary)

    @property
    def system_metrics(self) -> dict[str, Any]:
        """The latest system metrics."""
        self.load(force=False)
        return _json_object(self._attributes.get("systemMetrics"))

    @property
    def history_keys(self) -> dict[str, Any]:
        """Every metric of the history, with types and last step."""
        self.load(force=False)
        return dict(self._attributes.get("historyKeys") or {})

    @property
    def lastHistoryStep(self) -> int:  # noqa: N802 - wandb's name
        """The last step of the history, -1 without one."""
        variables = {"project": self.project, "entity": self.entity, "name": self.id}
        last = (self._query(queries.HISTORY_KEYS, variables).get("historyKeys") or {}).get("lastStep")
        return -1 if last is None else int(last)

    @property
    def state(self) -> str:
        """`running`, `finished`, `failed`, `crashed`, …; asked again while the run goes on."""
        if self._attributes.get("state") in ("running", "pending", "preempting"):
            variables = {"project": self.project, "entity": self.entity, "name": self.id}
            self._attributes["state"] = self._query(queries.RUN_STATE, variables)["state"]
        return str(self._attributes["state"])

    @property
    def created_at(self) -> str:
        """When the run was created."""
        return str(self._attributes.get("createdAt") or "")

    @property
    def heartbeat_at(self) -> str | None:
        """When the run last gave a sign."""
        return self._attributes.get("heartbeatAt")

    @property
    def commit(self) -> str | None:
        """The git commit that the run was made with."""
        return self._attributes.get("commit")

    @property
    def sweep_name(self) -> str | None:
        """The sweep that the run belongs to."""
        return self._attributes.get("sweepName")

    @property
    def user(self) -> dict[str, Any]:
        """Who made the run."""
        return dict(self._attributes.get("user") or {})

    @property
    def username(self) -> str | None:
        """Login name of who made the run."""
        return self.user.get("username")

    @property
    def read_only(self) -> bool:
        """Whether the run cannot be changed."""
        return bool(self._attributes.get("readOnly"))

    @property
    def path(self) -> list[str]:
        """Entity, project and run id."""
        return [self.entity, self.project, self.id]

    @property
    def url(self) -> str:
        """The run's page."""
        return str(self._api._settings_for(self.entity, self.project, self.id).run_url)

    @property
    def metadata(self) -> dict[str, Any] | None:
        """The parsed `wandb-metadata.json`, or None if the run has none."""
        import tempfile

        file = self.file("wandb-metadata.json")
        if file.size is None:
            return None
        with tempfile.TemporaryDirectory() as directory, file.download(root=directory) as opened:
            return _json_object(opened.read())

    def history(
        self,
        samples: int = 500,
        keys: list[str] | None = None,
        x_axis: str = "_step",
        pandas: bool = True,
        stream: str = "default",
    ) -> Any:
        """A sample of the history.

        Args:
            samples: Rows at most.
            keys: Only rows that have all of these metrics.
            x_axis: Metric that comes first.
            pandas: Whether to return a data frame; a list of dicts if pandas is missing.
            stream: `default`, or `system` for system metrics.

        Raises:
            ValueError: `keys` is no list of strings, or is used with system metrics.
        """
        if keys is not None and (isinstance(keys, str) or not all(isinstance(key, str) for key in keys)):
            raise ValueError("`keys` must be a list of strings")
        return _history.as_frame(_history.sample(self, samples, keys, x_axis, stream), x_axis, pandas)

    def scan_history(
        self,
        keys: list[str] | None = None,
        page_size: int = 1000,
        min_step: int | None = None,
        max_step: int | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Every row of the history, unsampled, in step order.

        Args:
            keys: Only rows that have all of these metrics, and only these members.
            page_size: Rows per request.
            min_step: First step.
            max_step: Step behind the last one.

        Raises:
            ValueError: `keys` is no list of strings, or `page_size` is not positive.
        """
        if keys is not None and (isinstance(keys, str) or not all(isinstance(key, str) for key in keys)):
            raise ValueError("`keys` must be a list of strings")
        if page_size < 1:
            raise ValueError("`page_size` must be positive")
        return _history.scan(self, keys, page_size, min_step, max_step)

    def files(self, names: list[str] | None = None, per_page: int = 50, pattern: str | None = None) -> Files:
        """The run's files: all, those of `names`, or those that match an SQL pattern."""
        return Files(self, names, per_page, pattern)

    def file(self, name: str) -> File:
        """One file by name; `size` is None if there is no such file."""
        found = self.files([name])
        return found[0] if len(found) else File(self, {"name": name})

    def update(self) -> None:
        """Send config, name, notes, tags, group and job type as they are now."""
        self.load(force=False)
        config = {key: {"value": value, "desc": None} for key, value in self._config.items()}
        if "_wandb" in self._raw_config:
            config["_wandb"] = self._raw_config["_wandb"]
        variables = {
            "id": self.storage_id,
            "tags": list(self.tags),
            "description": self.description,
            "notes": self.notes,
            "display_name": self.name,
            "config": encode(config),
            "groupName": self.group,
            "jobType": self.job_type,
        }
        self._api._client.execute(queries.UPDATE_RUN, variables)
        self._summary.update()

    save = update

    def delete(self) -> None:
        """Delete the run at the server."""
        self._api._client.execute(queries.DELETE_RUN, {"id": self.storage_id})

    def wait_until_finished(self, poll_secs: float = 2.0) -> None:
        """Wait until the run is no longer going on."""
        import time

        while self.state in ("running", "pending", "preempting"):
            time.sleep(poll_secs)
        self.load()

    def __repr__(self) -> str:
        return f"<Run {'/'.join(self.path)} ({self._attributes.get('state')})>"
