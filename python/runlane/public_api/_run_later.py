"""Methods of `Run` that come with artifacts; each says so."""

from __future__ import annotations

from ._later import later

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any


class RunLater:
    """What a run has to do with artifacts."""

    def logged_artifacts(self, per_page: int = 100) -> Any:
        """Comes with artifacts."""
        del per_page
        later("Run.logged_artifacts", "artifacts")

    def used_artifacts(self, per_page: int = 100) -> Any:
        """Comes with artifacts."""
        del per_page
        later("Run.used_artifacts", "artifacts")

    def use_artifact(self, artifact: Any, use_as: str | None = None) -> Any:
        """Comes with artifacts."""
        del artifact, use_as
        later("Run.use_artifact", "artifacts")

    def log_artifact(
        self, artifact: Any, aliases: Collection[str] | None = None, tags: Collection[str] | None = None
    ) -> Any:
        """Comes with artifacts."""
        del artifact, aliases, tags
        later("Run.log_artifact", "artifacts")
