"""`Run` of the Public API: a run as the server stores it."""

from __future__ import annotations

import json

from runlane._json_text import encode
from runlane.errors import CommError

from . import _exports, _files, _frames, _history
from . import _queries as queries
from ._console_logs import ConsoleLogs
from ._errors import InvalidArgumentError, RunNotFoundError
from ._later import later
from ._page import Page
from ._run_artifacts import StoredRunArtifacts
from ._summary import HTTPSummary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any, Literal

    from ._api import Api
    from ._exports import DownloadHistoryResult
    from ._files import File, Files

#: States in which a run may change its state by itself.
_GOING_ON = frozenset(("running", "pending", "preempting"))
_POLL_SECS = 2.0


def _json_object(text: Any) -> dict[str, Any]:
    """A JSON object that the server sends as text (or null)."""
    value = json.loads(text) if isinstance(text, str) and text else text
    return value if isinstance(value, dict) else {}


class Run(StoredRunArtifacts, Page):
    """A run as the server stores it. What the server did not say yet is loaded when it is first read.

    Attributes that can be changed and sent with `update`: `config`, `name`, `notes`, `tags`, `group`, `job_type`, `description`.
    Attributes to read, beside those below: `created_at`, `heartbeat_at`, `commit`, `read_only`, `history_keys`, `user`,
    `history_line_count`, `display_name`.
    """

    def __init__(
        self,
        api: Api,
        entity: str,
        project: str,
        run_id: str,
        attrs: Mapping[str, Any] | None = None,
        *,
        full: bool = False,
    ) -> None:
        super().__init__({})
        self._api = api
        self._entity = entity
        self.project = project
        self._id = run_id
        self._full = False
        self._metadata: dict[str, Any] | None = None
        if attrs is None:
            self.load(force=True)
        else:
            self._take(attrs, full)

    @classmethod
    def create(
        cls,
        api: Api,
        run_id: str | None = None,
        project: str | None = None,
        entity: str | None = None,
        state: Literal["running", "pending"] = "running",
    ) -> Run:
        """Make a run without a program behind it.

        Args:
            api: The server.
            run_id: Its id; a new one by default.
            project: Its project; the configured one, else `uncategorized`.
            entity: Its entity; the default one.
            state: What it is in the beginning.
        """
        from runlane.util import generate_id

        variables = {
            "entity": entity or api.default_entity,
            "project": project or api.settings["project"] or "uncategorized",
            "name": run_id or generate_id(),
            "state": state,
        }
        bucket = api._client.execute(queries.CREATE_RUN, variables)["upsertBucket"]["bucket"]
        found = bucket["project"]
        return cls(api, found["entity"]["name"], found["name"], bucket["name"])

    # --- reading it -------------------------------------------------------------------------------------------------

    def _variables(self) -> dict[str, Any]:
        return {"project": self.project, "entity": self.entity, "name": self.id}

    def _query(self, document: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The `run` part of an answer.

        Raises:
            CommError: There is no such run.
        """
        project = self._api._client.execute(document, variables).get("project")
        run = project.get("run") if project else None
        if run is None:
            text = f"Could not find run {self.entity}/{self.project}/{self.id}"
            raise CommError(text, RunNotFoundError(text))
        return dict(run)

    def _take(self, attrs: Mapping[str, Any], full: bool) -> None:
        from ._users import User

        self._attrs = {**self._attrs, **attrs}
        if isinstance(attrs.get("user"), dict):
            self._attrs["user"] = User(self._api, dict(attrs["user"]))
        self.tags: list[str] = list(attrs.get("tags") or [])
        self.notes: str | None = attrs.get("notes")
        self.description: str | None = attrs.get("description")
        self.group: str | None = attrs.get("group")
        self.job_type: str | None = attrs.get("jobType")
        if full:
            stored = _json_object(attrs.get("config"))
            self._stored_config = stored
            self._raw_config = {
                key: entry["value"] if isinstance(entry, dict) and "value" in entry else entry
                for key, entry in stored.items()
            }
            self._config = {key: value for key, value in self._raw_config.items() if key != "_wandb"}
            self._attrs["config"] = self._config
            self._attrs["systemMetrics"] = _json_object(attrs.get("systemMetrics"))
            self._attrs["summaryMetrics"] = _json_object(attrs.get("summaryMetrics"))
            self._summary = HTTPSummary(self, self._attrs["summaryMetrics"])
        self._full = full

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and not self._full and self.snake_to_camel(name) == "historyKeys":
            self.load()
        return super().__getattr__(name)

    def load(self, force: bool = False) -> dict[str, Any]:
        """Read the run; again only with `force`. What was changed here and not sent is lost then.

        Raises:
            CommError: There is no such run, or the server cannot be reached.
        """
        if force or not self._full:
            self._take(self._query(queries.RUN, self._variables()), full=True)
            self._metadata = None
        return self._attrs  # type: ignore[return-value]

    def load_full_data(self, force: bool = False) -> dict[str, Any]:
        """As `load`."""
        return self.load(force)

    def _last_step(self) -> int | None:
        known = self._query(queries.HISTORY_KEYS, self._variables()).get("historyKeys") or {}
        last = known.get("lastStep")
        return None if last is None else int(last)

    def _project_id(self) -> int | None:
        if "projectId" not in self._attrs:
            self.load(force=True)
        found = self._attrs.get("projectId")
        return None if found is None else int(found)

    @property
    def id(self) -> str:
        """The run's id."""
        return self._id

    @id.setter  # noqa: A003 - wandb's name
    def id(self, value: str) -> None:
        self._id = value

    @property
    def name(self) -> str:
        """The run's readable name."""
        return str(self._attrs.get("displayName") or self.id)

    @name.setter
    def name(self, value: str) -> None:
        self._attrs["displayName"] = value

    @property
    def entity(self) -> str:
        """The entity that the run's project belongs to."""
        return self._entity

    @property
    def username(self) -> str:
        """The run's entity; wandb deprecates this name."""
        from runlane.terminal import termwarn

        termwarn("Run.username is deprecated. Please use Run.entity instead.", repeat=False)
        return self._entity

    @property
    def storage_id(self) -> str:
        """The server's id of the run."""
        return str(self._attrs["id"])

    @property
    def config(self) -> dict[str, Any]:
        """The run's inputs, without internal keys; change it and call `update`."""
        self.load()
        return self._config

    @property
    def rawconfig(self) -> dict[str, Any]:
        """The config with internal keys (`_wandb`)."""
        self.load()
        return self._raw_config

    @property
    def json_config(self) -> str:
        """The config as it is sent, as JSON text."""
        self.load()
        return encode({key: {"value": value, "desc": None} for key, value in self._config.items()})

    @property
    def summary(self) -> HTTPSummary:
        """The run's outcome; change it and call its `update`."""
        self.load()
        return self._summary

    @property
    def summary_metrics(self) -> dict[str, Any]:
        """The run's outcome as a plain dict, as it was read."""
        self.load()
        return dict(self._attrs["summaryMetrics"])

    @property
    def system_metrics(self) -> dict[str, Any]:
        """The latest system metrics."""
        self.load()
        return dict(self._attrs["systemMetrics"])

    @property
    def lastHistoryStep(self) -> int:  # noqa: N802 - wandb's name
        """The last step of the history, -1 without one."""
        last = self._last_step()
        return -1 if last is None else last

    @property
    def state(self) -> str:
        """`running`, `finished`, `failed`, `crashed`, …, as it was read; `wait_until_finished` asks again."""
        return str(self._attrs.get("state"))

    @property
    def sweep_name(self) -> str | None:
        """The sweep that the run belongs to."""
        return self._attrs.get("sweepName")

    @property
    def sweep(self) -> None:
        """None for a run that belongs to no sweep; sweeps come later."""
        if self.sweep_name is not None:
            later("Run.sweep", "sweeps")

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
        if self._metadata is None:
            found = self.files(["wandb-metadata.json"])
            if not found:
                return None
            address = found[0]._attrs.get("directUrl") or found[0]._attrs.get("url")
            with self._api._client.download(str(address)) as answer:
                self._metadata = _json_object(answer.read().decode())
        return self._metadata

    # --- its history ------------------------------------------------------------------------------------------------

    def history(
        self,
        samples: int = 500,
        keys: list[str] | None = None,
        x_axis: str = "_step",
        pandas: bool = True,
        stream: Literal["default", "system"] = "default",
    ) -> Any:
        """A sample of the history.

        Args:
            samples: Rows at most, the first and the last among them.
            keys: Only rows that have all of these metrics. What is no list of strings, or is used with system metrics, prints an
                error and gives an empty list, as in wandb.
            x_axis: Metric that comes first.
            pandas: Whether to return a data frame; a list of dicts if pandas is missing.
            stream: `default`, or `system` (also `events`) for system metrics.

        Raises:
            ValueError: There is no such stream.
            CommError: The server cannot be reached; also the error above is of this class.
        """
        from runlane.terminal import termerror

        if stream not in ("default", "system", "events"):
            raise InvalidArgumentError(f"unknown stream {stream!r}; expected 'default' or 'system'")
        try:
            names = _history.checked_keys(keys)
        except InvalidArgumentError as error:
            termerror(str(error))
            return []
        if names and stream != "default":
            termerror("stream must be default when specifying keys")
            return []
        return _history.as_frame(_history.sample(self, samples, names, x_axis, stream), x_axis, pandas)

    def scan_history(
        self,
        keys: list[str] | None = None,
        page_size: int = 1000,
        min_step: int = 0,
        max_step: int | None = None,
        use_cache: bool = True,
    ) -> _history.HistoryScan:
        """Every row of the history, unsampled, in step order.

        A server of ours streams the rows in the exact types that were logged; others are asked page by page.

        Args:
            keys: Only rows that have all of these metrics, and of them these members and `_step`.
            page_size: Rows per request, where pages are asked for.
            min_step: First step.
            max_step: Step behind the last one.
            use_cache: Accepted without effect.

        Raises:
            ValueError: `keys` is no list of strings, or `page_size` is not positive.
            CommError: While iterating: the server cannot be reached; also the error above is of this class.
        """
        names = _history.checked_keys(keys)
        if not isinstance(page_size, int) or page_size < 1:
            raise InvalidArgumentError(f"`page_size` must be a positive integer, got {page_size!r}")
        return _history.HistoryScan(
            self, min_step=min_step, max_step=max_step, keys=names, page_size=page_size, use_cache=use_cache
        )

    def beta_scan_history(
        self,
        keys: list[str] | None = None,
        page_size: int = 1000,
        min_step: int = 0,
        max_step: int | None = None,
        use_cache: bool = True,
    ) -> _history.HistoryScan:
        """As `scan_history`."""
        return self.scan_history(keys, page_size, min_step, max_step, use_cache)

    def history_frame(
        self,
        keys: list[str] | None = None,
        format: Literal["arrow", "polars", "pandas"] = "arrow",  # noqa: A002 - as in `histories`
        min_step: int | None = None,
        max_step: int | None = None,
        stream: Literal["default", "system"] = "default",
    ) -> Any:
        """The whole history as a frame, from columns; no number is a text on the way.

        Nested keys are columns with dots (`train.loss`). A column is of integers, floats (with integers among them the nearest
        floats), booleans or texts; values of different kinds and lists are JSON text in Arrow (marked `runlane.kind: json` in the
        field's metadata) and Polars, objects in pandas. A row without the key has a null, in pandas NaN.

        Args:
            keys: Only rows that have all of these metrics, and only these columns.
            format: `arrow` (a `pyarrow.Table`), `polars` or `pandas`; the package must be installed.
            min_step: First step.
            max_step: Step behind the last one.
            stream: `default`, or `system` for system metrics.

        Raises:
            ValueError: An argument is none of the above.
            ImportError: The format's package is not installed.
            CommError: The server cannot be reached, or is none of ours; also the first error is of this class.
        """
        if stream not in ("default", "system", "events"):
            raise InvalidArgumentError(f"unknown stream {stream!r}; expected 'default' or 'system'")
        names = _history.checked_keys(keys)
        return _frames.history_frame(self, names, format, min_step, max_step, stream)

    def download_history_exports(
        self, download_dir: Path | str, require_complete_history: bool = True
    ) -> DownloadHistoryResult:
        """Download the Parquet files of the history.

        Args:
            download_dir: Directory, made if it is missing.
            require_complete_history: Refuse if some rows are in no file yet.

        Raises:
            IncompleteRunHistoryError: Some rows are in no file yet.
            CommError: The server cannot be reached.
        """
        return _exports.download(self, download_dir, require_complete_history)

    def console_logs(self, *, per_page: int = 1000, last: int | None = None) -> ConsoleLogs:
        """What the run printed, line by line.

        Args:
            per_page: Lines per request.
            last: Only so many of the last lines.
        """
        return ConsoleLogs(self, per_page, last)

    # --- its files --------------------------------------------------------------------------------------------------

    def files(self, names: list[str] | None = None, pattern: str | None = None, per_page: int = 50) -> Files:
        """The run's files: all, those of `names`, or those that match an SQL pattern (`%.json`).

        Raises:
            ValueError: Names and a pattern are given.
        """
        return _files.Files(self, names, per_page, pattern)

    def file(self, name: str) -> File:
        """One file by name.

        Raises:
            CommError: There is no such file; `exc` is an `IndexError`.
        """
        found = self.files([name])
        if not found:
            text = f"run {'/'.join(self.path)} has no file `{name}`"
            raise CommError(text, IndexError(text))
        return found[0]

    def upload_file(self, path: str, root: str = ".") -> File:
        """Send a file to the run.

        Args:
            path: The file.
            root: Directory that its name in the run is relative to.

        Raises:
            ValueError: The file is not below `root`.
            CommError: There is no such file, or the server cannot be reached; also the error above is of this class.
        """
        return _files.upload(self, path, root)

    # --- changing it ------------------------------------------------------------------------------------------------

    def update(self) -> None:
        """Send config, name, notes, tags, group, job type, description and summary as they are now."""
        self.load()
        config = {key: {"value": value, "desc": None} for key, value in self._config.items()}
        if "_wandb" in self._stored_config:
            config["_wandb"] = self._stored_config["_wandb"]
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

    def save(self) -> None:
        """As `update`."""
        self.update()

    def _send_summary(self, document: dict[str, Any]) -> None:
        variables = {"id": self.storage_id, "summaryMetrics": encode(document)}
        self._api._client.execute(queries.UPDATE_SUMMARY, variables)

    def delete(self, delete_artifacts: bool = False) -> None:
        """Delete the run at the server.

        Args:
            delete_artifacts: Also the artifacts that it made.
        """
        document = queries.DELETE_RUN_AND_ARTIFACTS if delete_artifacts else queries.DELETE_RUN
        variables: dict[str, Any] = {"id": self.storage_id}
        if delete_artifacts:
            variables["deleteArtifacts"] = True
        self._api._client.execute(document, variables)
        self._api._forget(self)

    def stop(self) -> None:
        """Ask the run's program to end.

        Raises:
            CommError: The server cannot be reached, or refused it.
        """
        self._api._client.execute(queries.STOP_RUN, {"id": self.storage_id})

    def update_state(self, state: str) -> bool:
        """Set the state of a run that no program is behind.

        Args:
            state: `pending` or `failed`.

        Returns:
            Whether it was set.

        Raises:
            CommError: The state cannot be set, or not to this.
        """
        variables = {"input": {"id": self.storage_id, "state": state}}
        result = self._api._client.execute(queries.UPDATE_STATE, variables).get("updateRunState") or {}
        if result.get("success"):
            self._attrs["state"] = state
        return bool(result.get("success"))

    def wait_until_finished(self) -> None:
        """Wait until the run is no longer going on; then everything is read anew."""
        import time

        while True:
            state = self._query(queries.RUN_STATE, self._variables())["state"]
            self._attrs["state"] = state
            if state not in _GOING_ON:
                break
            time.sleep(_POLL_SECS)
        self.load(force=True)

    def __repr__(self) -> str:
        return f"<Run {'/'.join(self.path)} ({self._attrs.get('state')})>"
