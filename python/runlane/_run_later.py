"""Methods of `Run` that later versions bring. Each says so; none does nothing in silence."""

from __future__ import annotations

from ._later import refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

_ARTIFACTS = "artifacts"


class RunLater:
    """Artifacts and code."""

    def log_artifact(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Store an artifact as an output of the run."""
        refuse("log_artifact", _ARTIFACTS)

    def use_artifact(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Mark an artifact as an input of the run."""
        refuse("use_artifact", _ARTIFACTS)

    def upsert_artifact(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Add to an artifact that several processes fill."""
        refuse("upsert_artifact", _ARTIFACTS)

    def finish_artifact(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Close an artifact that several processes fill."""
        refuse("finish_artifact", _ARTIFACTS)

    def link_artifact(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Link an artifact to a collection."""
        refuse("link_artifact", _ARTIFACTS)

    def log_model(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Store a model as an output of the run."""
        refuse("log_model", _ARTIFACTS)

    def use_model(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Download a model."""
        refuse("use_model", _ARTIFACTS)

    def link_model(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Link a model to the registry."""
        refuse("link_model", _ARTIFACTS)

    def pin_config_keys(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Pin config keys in the web app."""
        refuse("pin_config_keys", "pinned config keys")
