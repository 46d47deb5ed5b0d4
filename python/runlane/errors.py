"""What runlane raises. One tree under `Error`, with the names of `wandb.errors`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Error(Exception):
    """Base of every error of this package."""

    def __init__(self, message: str = "", context: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.context = context or {}


class CommError(Error):
    """The server (or the daemon) could not be reached, or refused a request; `exc` is what was caught."""

    def __init__(self, message: str = "", exc: BaseException | None = None) -> None:
        super().__init__(message)
        self.exc = exc


class AuthenticationError(CommError):
    """Credentials are missing or were rejected."""


class UsageError(Error):
    """The library was used in a way that cannot work; the message says what to do instead."""


class UnsupportedError(UsageError):
    """A feature that this version, or the server at hand, does not have."""


class NotYetError(UnsupportedError, NotImplementedError):
    """A feature that a later version brings."""


class MissingPackageError(Error, ImportError):
    """A package that is not installed with runlane is needed; the message names it and the extra that brings it."""


class ConfigError(Error):
    """A run's config cannot be read, or a value in it may not be changed."""


class SettingsError(UsageError, ValueError):
    """A setting has a value that is not allowed, or does not exist."""


class SettingsTypeError(SettingsError, TypeError):
    """A setting has a value of the wrong type."""


class MetricError(UsageError, ValueError):
    """A metric definition has an argument that is not allowed."""


class CoreNotAvailableError(Error):
    """`runlane-core` is missing, or the daemon could not be started."""


# The name that wandb gives it.
WandbCoreNotAvailableError = CoreNotAvailableError

__all__ = (
    "AuthenticationError",
    "CommError",
    "ConfigError",
    "CoreNotAvailableError",
    "Error",
    "MetricError",
    "MissingPackageError",
    "NotYetError",
    "SettingsError",
    "SettingsTypeError",
    "UnsupportedError",
    "UsageError",
    "WandbCoreNotAvailableError",
)
