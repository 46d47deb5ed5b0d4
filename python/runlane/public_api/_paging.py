"""Lists that a server gives page by page: loaded when they are needed, the next page while the last one is used."""

from __future__ import annotations

import os
from threading import RLock, Thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Generic, NamedTuple, TypeVar, overload

    T = TypeVar("T")

    class Loaded(NamedTuple):
        """One page: its things, where the next page begins, and whether there is one."""

        items: list[Any]
        cursor: str | None
        more: bool

else:
    from collections import namedtuple

    Loaded = namedtuple("Loaded", "items cursor more")

    class Generic:
        """Stands in for `typing.Generic`."""

        def __class_getitem__(cls, _item: object) -> type:
            return cls

    T = "T"


class _Ahead:
    """A page that a thread of its own loads."""

    def __init__(self, load: Callable[[], Loaded]) -> None:
        self._load = load
        self._loaded: Loaded | None = None
        self._error: BaseException | None = None
        self._pid = os.getpid()
        self._thread = Thread(target=self._run, name="runlane-next-page", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._loaded = self._load()
        except BaseException as error:
            self._error = error

    def take(self) -> Loaded:
        """The page, once it is there; loaded again in a child of `fork`, which has no such thread.

        Raises:
            CommError: The page could not be loaded.
        """
        if self._pid != os.getpid():
            return self._load()
        self._thread.join()
        if self._error is not None:
            raise self._error
        assert self._loaded is not None
        return self._loaded


class Pages(Generic[T]):
    """A list of things that is loaded page by page. Any thread may use it, and any number of loops at once.

    When a loop is halfway through what is loaded, one page more is loaded in the background.
    """

    last_response: Any = None

    def __init__(self, per_page: int, start: str | None = None) -> None:
        if not isinstance(per_page, int) or per_page < 1:
            raise ValueError(f"`per_page` must be a positive integer, got {per_page!r}")
        self.per_page = per_page
        self.objects: list[T] = []
        self._cursor = start
        self._more = True
        self._ahead: _Ahead | None = None
        self._lock = RLock()
        self._position = 0

    def _fetch(self, cursor: str | None) -> Loaded:
        """Ask for the page behind `cursor`."""
        raise NotImplementedError

    def _load_page(self) -> None:
        with self._lock:
            ahead, self._ahead = self._ahead, None
            loaded = ahead.take() if ahead is not None else self._fetch(self._cursor)
            self.objects.extend(loaded.items)
            self._cursor = loaded.cursor if loaded.cursor is not None else self._cursor
            # A page without anything would be asked for again and again.
            self._more = loaded.more and bool(loaded.items)

    def _look_ahead(self) -> None:
        """Start loading the next page."""
        with self._lock:
            if self._ahead is None and self._more and self.objects:
                cursor = self._cursor
                self._ahead = _Ahead(lambda: self._fetch(cursor))

    def _load_until(self, count: int | None) -> None:
        """Load until `count` things are there, or all of them."""
        with self._lock:
            while self._more and (count is None or len(self.objects) < count):
                self._load_page()

    def _at(self, position: int) -> T | None:
        """The thing at a position; None behind the last."""
        if position >= len(self.objects):
            self._load_until(position + 1)
            if position >= len(self.objects):
                return None
        if self._more and self._ahead is None and position >= len(self.objects) - (self.per_page + 1) // 2:
            self._look_ahead()
        return self.objects[position]

    @property
    def more(self) -> bool:
        """Whether there is more than what is loaded."""
        return self._more

    @property
    def cursor(self) -> str | None:
        """Where the next page begins; a later `start=` goes on from here."""
        return self._cursor

    @property
    def length(self) -> int | None:
        """How many things there are, if the server says so."""
        return None

    def __iter__(self) -> Iterator[T]:
        position = 0
        while (found := self._at(position)) is not None:
            yield found
            position += 1

    def __next__(self) -> T:
        found = self._at(self._position)
        if found is None:
            raise StopIteration
        self._position += 1
        return found

    def next(self) -> T:
        """The next thing.

        Raises:
            StopIteration: There is none.
        """
        return self.__next__()

    if TYPE_CHECKING:

        @overload
        def __getitem__(self, index: int) -> T: ...
        @overload
        def __getitem__(self, index: slice) -> list[T]: ...

    def __getitem__(self, index: int | slice) -> T | list[T]:
        last = index.stop if isinstance(index, slice) else index
        from_end = last is None or last < 0
        if isinstance(index, slice) and (index.start or 0) < 0:
            from_end = True
        self._load_until(None if from_end else last + (0 if isinstance(index, slice) else 1))
        return self.objects[index]

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        del state["_lock"], state["_ahead"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._ahead = None
        self._lock = RLock()


class SizedPages(Pages[T]):
    """Such a list where the server tells how many there are."""

    def __init__(self, per_page: int, start: str | None = None) -> None:
        super().__init__(per_page, start)
        self._total: int | None = None

    @property
    def length(self) -> int | None:
        """How many things there are; None before the first page."""
        return self._total

    def __len__(self) -> int:
        if self._total is None:
            self._load_until(1)
        return self._total if self._total is not None else len(self.objects)

    def __bool__(self) -> bool:
        return len(self) > 0
