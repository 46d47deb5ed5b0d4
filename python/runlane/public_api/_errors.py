"""What the Public API raises beside `CommError`."""

from __future__ import annotations

from runlane.errors import CommError


class InvalidArgumentError(CommError, ValueError):
    """An argument that cannot be; it is a `ValueError` and, as in wandb, a `CommError` that holds one."""

    def __init__(self, message: str) -> None:
        super().__init__(message, ValueError(message))


class RunNotFoundError(ValueError):
    """There is no such run; the cause of the `CommError` that says so."""


class IncompleteRunHistoryError(Exception):
    """Some rows of a run are not in its history exports yet."""
