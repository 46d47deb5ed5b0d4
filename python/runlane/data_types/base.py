"""`WBValue` and `Media`: what every type of this package is an instance of, as libraries test with `isinstance`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar


class WBValue:
    """Base of everything that is stored as more than a plain value."""

    #: Tells the conversion of logged values, without an import, that the value stores itself.
    _runlane_value: ClassVar[bool] = True

    def to_json(self, run_or_artifact: Any = None) -> dict[str, Any]:
        """The value as a row holds it.

        Raises:
            NotImplementedError: The type has no such form.
        """
        raise NotImplementedError

    def _row_value(self, run: Any, key: str, step: int | str) -> dict[str, Any]:
        """The value as the row of `key` holds it; what belongs into files is in the run's files after that."""
        del key, step
        return self.to_json(run)


class Media(WBValue):
    """A value whose content is a file of the run.

    The first row that has it stores the file; later rows of the same run refer to it.
    """

    def __init__(self) -> None:
        # The run that has the file, and what rows of it say of the file.
        self._bound: tuple[Any, dict[str, Any]] | None = None

    def __getstate__(self) -> dict[str, Any]:
        # A copy, also one in another process, is stored again: the run may be another one there.
        return {**self.__dict__, "_bound": None}

    def is_bound(self) -> bool:
        """Whether a run has the file."""
        return self._bound is not None

    def bind_to_run(
        self, run: Any, key: str, step: int | str, id_: int | str | None = None, **_options: Any
    ) -> None:
        """Store the file with `run`, under a name made of `key` and `step`.

        Raises:
            OSError: It cannot be written.
        """
        del id_
        self._bound = (run, self._store(run, str(key), step))

    def to_json(self, run_or_artifact: Any = None) -> dict[str, Any]:
        """What a row holds; `bind_to_run` comes first.

        Raises:
            TypeError: The value is not stored with this run.
        """
        if self._bound is None or self._bound[0] is not run_or_artifact:
            raise TypeError(f"{type(self).__name__}.to_json takes the run that it was logged to")
        return self._described(self._bound[1])

    def _row_value(self, run: Any, key: str, step: int | str) -> dict[str, Any]:
        if self._bound is None or self._bound[0] is not run:
            self.bind_to_run(run, key, step)
        return self.to_json(run)

    def _store(self, run: Any, key: str, step: int | str) -> dict[str, Any]:
        """Write the file; returns `path`, `sha256` and `size`."""
        raise NotImplementedError

    def _described(self, file: dict[str, Any]) -> dict[str, Any]:
        """The row's value, `file` being what `_store` returned."""
        raise NotImplementedError


class BatchableMedia(Media):
    """Media of which a list is one value of a row."""
