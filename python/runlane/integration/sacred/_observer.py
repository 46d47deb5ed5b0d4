"""`WandbObserver` of Sacred."""

from __future__ import annotations

import runlane
from runlane.artifacts import Artifact
from runlane.integration._frameworks import framework, plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_Base: Any = framework("sacred.observers").RunObserver


class WandbObserver(_Base):  # type: ignore[misc, unused-ignore]
    """Keeps an experiment of Sacred as a run: its config, its metrics, and its result.

    A number that the experiment returns is logged as `result_0`, a list or tuple of them as `result_0`, `result_1`, …, a dict under its
    own keys; a text is put into the summary. The run stays open when the experiment ends, as the program may go on.

    Args:
        **kwargs: Arguments of `init`.
    """

    def __init__(self, **kwargs: Any) -> None:
        self.run = runlane.init(**kwargs)
        self.resources: list[str] = []

    def started_event(
        self,
        ex_info: Any,
        command: str,
        host_info: Any,
        start_time: Any,
        config: Mapping[str, Any],
        meta_info: Any,
        _id: Any,
    ) -> str:
        """Put the experiment's config into the run's; the run's id is the experiment's if it has none."""
        del ex_info, command, host_info, start_time, meta_info
        self.run.config.update({**config, "resources": self.resources}, allow_val_change=True)
        return str(_id or self.run.id)

    def log_metrics(self, metrics_by_name: Mapping[str, Any], info: Any) -> None:
        """Log the values that `log_scalar` was given since the last call, a row for each."""
        del info
        for name, metric in metrics_by_name.items():
            for value in metric["values"]:
                self.run.log({name: plain(value)})

    def completed_event(self, stop_time: Any, result: Any) -> None:
        """Log what the experiment returned."""
        del stop_time
        if result is None:
            return
        if isinstance(result, dict):
            self.run.log({str(name): plain(value) for name, value in result.items()})
            return
        for number, value in enumerate(result if isinstance(result, (list, tuple)) else [result]):
            name, single = f"result_{number}", plain(value)
            if isinstance(single, (bool, int, float)):
                self.run.log({name: single})
            else:
                self.run.summary[name] = single

    def resource_event(self, filename: str) -> None:
        """Keep the name of a file that the experiment opens in the config, as `resources`."""
        self.resources.append(filename)
        self.run.config.update({"resources": list(self.resources)}, allow_val_change=True)

    def artifact_event(
        self, name: str, filename: str, metadata: Any = None, content_type: str | None = None
    ) -> None:
        """Log a file that the experiment adds, as an artifact whose type is the file's content type, or `file`."""
        del metadata
        # A content type has a slash, which types of artifacts cannot have.
        artifact = Artifact(name, (content_type or "file").replace("/", "-"))
        artifact.add_file(filename)
        self.run.log_artifact(artifact)
