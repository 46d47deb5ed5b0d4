"""What artifacts raise, under the names of `wandb.sdk.artifacts.exceptions`."""

from __future__ import annotations

from functools import wraps

from runlane.errors import CommError, Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    F = TypeVar("F", bound=Callable[..., Any])


class ArtifactStatusError(AttributeError):
    """The artifact is in a state in which this cannot be done."""

    def __init__(
        self,
        msg: str = "Artifact is in an invalid state for the requested operation.",
        name: str | None = None,
        obj: Any = None,
    ) -> None:
        super().__init__(msg, name=name or "", obj=obj)


class ArtifactNotLoggedError(ArtifactStatusError):
    """Only an artifact that is stored at a server has this."""

    def __init__(self, fullname: str, obj: Any) -> None:
        super().__init__(
            f"'{fullname}' used prior to logging artifact or while in offline mode."
            " Call Artifact.wait() before accessing logged artifact properties.",
            fullname.rpartition(".")[2],
            obj,
        )


class ArtifactFinalizedError(ArtifactStatusError):
    """The artifact was logged; its contents do not change any more."""

    def __init__(self, fullname: str, obj: Any) -> None:
        super().__init__(
            f"'{fullname}' used on logged artifact. Can't modify finalized artifact.",
            fullname.rpartition(".")[2],
            obj,
        )


class WaitTimeoutError(Error):
    """The artifact was not stored in the time given."""


class DownloadError(CommError, ValueError):
    """A file of an artifact cannot be had or written, or is not what its digest says; the message names it."""


class TooFewItemsError(ValueError):
    """There is less than what was asked for."""


class TooManyItemsError(ValueError):
    """There is more than what was asked for."""


def needs_logged(method: F) -> F:
    """Have a method (or the function of a property) raise `ArtifactNotLoggedError` on a draft."""

    @wraps(method)
    def checked(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self._version is None:
            raise ArtifactNotLoggedError(f"Artifact.{method.__name__}", self)
        return method(self, *args, **kwargs)

    return checked  # type: ignore[return-value]


def needs_draft(method: F) -> F:
    """Have a method (or the setter of a property) raise `ArtifactFinalizedError` on an artifact that was logged."""

    @wraps(method)
    def checked(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self._version is not None or self._final:
            raise ArtifactFinalizedError(f"Artifact.{method.__name__}", self)
        return method(self, *args, **kwargs)

    return checked  # type: ignore[return-value]
