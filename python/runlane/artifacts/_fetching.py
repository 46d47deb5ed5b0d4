"""One file from its URL to the disk: checked against its digest, gone on with after a break, large ones in parts.

A large file is collected in `<cache>/tmp/runlane-<algorithm>-<digest>.part`, under a lock, so that a download that was killed goes on
where it stopped. Beside it `.part.done` has one line per finished part of a file that is fetched in parts; without it, the bytes in the
file are a beginning. Nothing of it is trusted: the digest of the whole decides.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import http.client
import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed

from ._cache import is_full
from ._digests import feed, hasher
from ._errors import DownloadError
from ._placing import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ._digests import Hasher
    from ._transport import Answer, Transport

#: Files of this size and more go on where a killed download stopped.
RESUMED_BYTES = 8 << 20
#: Files of this size and more are fetched in parts at once, if nothing else is asked for.
PARTS_FROM_BYTES = 64 << 20
_PART_BYTES = 16 << 20
_LARGE_BYTES = 2 << 30
_LARGE_PART_BYTES = 100 << 20
_PARTS_AT_ONCE = 8

_BLOCK_BYTES = 256 << 10
_MAX_ATTEMPTS = 6
_FIRST_DELAY_SECS = 0.25
_LONGEST_DELAY_SECS = 5.0
_LONGEST_RETRY_AFTER_SECS = 60.0
_RETRIED = frozenset((408, 429, 500, 502, 503, 504))
_EXPIRED = frozenset((401, 403))


class Source:
    """Where the contents of an entry are.

    Args:
        entry: Name of the entry, for messages.
        url: As the server listed it; None: not known yet.
        renew: Asks the server for the URL; None: there is none.
        fallback: Makes the URL of the endpoint that serves contents by their digest; None: there is none.
    """

    def __init__(
        self,
        entry: str,
        url: str | None,
        renew: Callable[[], str | None],
        fallback: Callable[[], str | None],
    ) -> None:
        self.entry = entry
        self._url = url
        self._renew = renew
        self._fallback = fallback
        self._renewals = 3
        self._last_resort = False

    def url(self) -> str:
        """The URL to ask.

        Raises:
            DownloadError: There is none.
        """
        if self._url is None:
            self._url = self._renew()
        if self._url is None:
            self._last_resort = True
            self._url = self._fallback()
        if self._url is None:
            raise DownloadError(f"the server has no address for the entry `{self.entry}`")
        return self._url

    def other(self, used: str, status: int) -> bool:
        """Whether there is another URL after `used` was answered with an error: a new one, or that of the other endpoint."""
        if self._url not in (None, used):
            # Another part of the same file was told so first.
            return True
        if self._last_resort:
            return False
        if status in _EXPIRED and self._renewals:
            self._renewals -= 1
            renewed = self._renew()
            if renewed is not None and renewed != used:
                self._url = renewed
                return True
        self._last_resort = True
        self._url = self._fallback()
        return self._url is not None


class Fetcher:
    """Fetches files for one download. Any thread may use it."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._parts: ThreadPoolExecutor | None = None
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Have what is being fetched end soon, with an error."""
        self._stopped.set()

    def close(self) -> None:
        """End the threads of parts."""
        if self._parts is not None:
            self._parts.shutdown(wait=True, cancel_futures=True)

    def fetch(
        self,
        source: Source,
        descriptor: int,
        size: int | None,
        algorithm: str,
        digest: bytes,
        resumed: int = 0,
    ) -> None:
        """Write the contents into an open file, and check them.

        Args:
            source: Where they are.
            descriptor: The file.
            size: How many bytes there are; None: not known.
            algorithm: `md5` or `xxh128`.
            digest: What they must have.
            resumed: How many bytes at the beginning of the file are there already.

        Raises:
            DownloadError: The contents cannot be had, or are not what the digest says.
        """
        for again in (True, False):
            collected = feed(hasher(algorithm), descriptor, resumed) if resumed else hasher(algorithm)
            found = self._stream(source, descriptor, size, algorithm, collected, resumed)
            if found == digest:
                return
            if not again:
                _mismatch(source.entry, digest, found)
            # A beginning from an earlier attempt may be wrong, and so may an answer from a cache on the way.
            resumed = 0
            os.ftruncate(descriptor, 0)

    def _stream(
        self,
        source: Source,
        descriptor: int,
        size: int | None,
        algorithm: str,
        collected: Hasher,
        position: int,
    ) -> bytes:
        block = memoryview(bytearray(_BLOCK_BYTES))
        os.lseek(descriptor, position, os.SEEK_SET)
        for attempt in _Attempts(source.entry, self._stopped):
            with attempt:
                if size is not None and position == size and size:
                    break
                with self._ask(source, position, None) as answer:
                    if position and answer.status != 206:
                        # It sends all of it again.
                        position, collected = 0, hasher(algorithm)
                        os.ftruncate(descriptor, 0)
                        os.lseek(descriptor, 0, os.SEEK_SET)
                    while count := answer.readinto(block):
                        position += count
                        if size is not None and position > size:
                            raise DownloadError(
                                f"the server sent more than the {size} bytes that the entry `{source.entry}` has"
                            )
                        collected.update(block[:count])
                        write_all(descriptor, block[:count])
                        attempt.progress()
                if size is not None and position < size:
                    raise http.client.IncompleteRead(b"", size - position)
                break
        return collected.digest()

    def fetch_parts(
        self,
        source: Source,
        descriptor: int,
        size: int,
        algorithm: str,
        digest: bytes,
        finished: FinishedParts | None = None,
    ) -> None:
        """As `fetch`, with several parts at once; `finished` tells which ones an earlier attempt has finished.

        Raises:
            DownloadError: The contents cannot be had, or are not what the digest says.
        """
        length = _LARGE_PART_BYTES if size >= _LARGE_BYTES else _PART_BYTES
        finished = finished or FinishedParts(None)
        for again in (True, False):
            done = finished.begin(length)
            os.ftruncate(descriptor, size)
            missing = [start for start in range(0, size, length) if start // length not in done]
            ranges = self._fetch_missing(source, descriptor, size, length, missing, finished)
            finished.forget()
            if not ranges:
                os.ftruncate(descriptor, 0)
                self.fetch(source, descriptor, size, algorithm, digest)
                return
            found = feed(hasher(algorithm), descriptor).digest()
            if found == digest:
                return
            if not again:
                _mismatch(source.entry, digest, found)

    def _fetch_missing(
        self,
        source: Source,
        descriptor: int,
        size: int,
        length: int,
        missing: list[int],
        finished: FinishedParts,
    ) -> bool:
        """Fetch the parts that begin at these positions; False: the server knows no ranges."""
        if self._parts is None:
            self._parts = ThreadPoolExecutor(_PARTS_AT_ONCE, "runlane-download-part")
        waiting = {
            self._parts.submit(
                self._fetch_part, source, descriptor, start, min(start + length, size), size
            ): start
            for start in missing
        }
        try:
            for future in as_completed(waiting):
                if not future.result():
                    return False
                finished.add(waiting[future] // length)
        finally:
            for future in waiting:
                future.cancel()
            # None of them may write into a file that the next step begins anew, or whose descriptor is another's.
            for future in waiting:
                if not future.cancelled():
                    with contextlib.suppress(Exception):
                        future.result()
        return True

    def _fetch_part(self, source: Source, descriptor: int, start: int, end: int, size: int) -> bool:
        block = memoryview(bytearray(_BLOCK_BYTES))
        position = start
        for attempt in _Attempts(source.entry, self._stopped):
            with attempt:
                with self._ask(source, position, end) as answer:
                    if answer.status != 206:
                        if position != 0 or end != size:
                            return False
                    while position < end and (
                        count := answer.readinto(block[: min(len(block), end - position)])
                    ):
                        _write_at(descriptor, block[:count], position)
                        position += count
                        attempt.progress()
                if position < end:
                    raise http.client.IncompleteRead(b"", end - position)
                break
        return True

    def _ask(self, source: Source, position: int, end: int | None) -> Answer:
        """Ask for the contents from `position` on, with another URL where there is one.

        Raises:
            DownloadError: The server has them not.
            _RetriedError: It may be better later.
        """
        headers = {}
        if position or end is not None:
            headers["Range"] = f"bytes={position}-" + ("" if end is None else str(end - 1))
        while True:
            url = source.url()
            answer = self._transport.get(url, headers)
            if answer.status == 200:
                return answer
            if answer.status == 206:
                told = answer.headers.get("Content-Range") or ""
                if told.startswith(f"bytes {position}-"):
                    return answer
            with answer:
                text = answer.text()
            if answer.status in _RETRIED:
                raise _RetriedError(
                    f"the server answered {answer.status}: {text}", answer.headers.get("Retry-After")
                )
            if not source.other(url, answer.status):
                raise DownloadError(
                    f"cannot download the entry `{source.entry}`: the server answered {answer.status}: {text}"
                )


class _RetriedError(Exception):
    """An answer that may become good by asking again."""

    def __init__(self, text: str, retry_after: str | None) -> None:
        super().__init__(text)
        self.delay_secs = (
            min(float(retry_after), _LONGEST_RETRY_AFTER_SECS)
            if retry_after and retry_after.strip().isdecimal()
            else 0.0
        )


class _Attempts:
    """Attempts with growing delays; whatever got bytes begins to count anew."""

    def __init__(self, entry: str, stopped: threading.Event) -> None:
        self._entry = entry
        self._failed = 0
        self._stopped = stopped

    def __iter__(self) -> Iterator[_Attempts]:
        while True:
            yield self

    def progress(self) -> None:
        """Note that bytes came.

        Raises:
            DownloadError: The download is to end.
        """
        self._failed = 0
        if self._stopped.is_set():
            raise DownloadError(f"the download of the entry `{self._entry}` was stopped")

    def __enter__(self) -> None:
        return

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> bool:
        retried = isinstance(error, (_RetriedError, http.client.HTTPException)) or (
            # A disk's error is an `OSError` too, and no other attempt makes it better.
            isinstance(error, OSError) and not is_full(error)
        )
        if error is None or not retried:
            return False
        self._failed += 1
        if self._failed >= _MAX_ATTEMPTS:
            raise DownloadError(
                f"cannot download the entry `{self._entry}`: {error or type(error).__name__}", error
            ) from error
        longest = min(_LONGEST_DELAY_SECS, _FIRST_DELAY_SECS * 2 ** (self._failed - 1))
        jitter = random.uniform(0.5, 1.0)  # noqa: S311 - not a secret
        if self._stopped.wait(max(getattr(error, "delay_secs", 0.0), longest * jitter)):
            raise DownloadError(f"the download of the entry `{self._entry}` was stopped") from error
        return True


class FinishedParts:
    """Which parts of a file are there, kept in a file beside it; without a path, nothing is kept."""

    def __init__(self, path: str | None) -> None:
        self._path = path

    def begin(self, length: int) -> set[int]:
        """The parts of `length` bytes that were finished; from now on others are added to them.

        Raises:
            OSError: The file cannot be written.
        """
        if self._path is None:
            return set()
        head = f"part {length}\n"
        with contextlib.suppress(FileNotFoundError, ValueError), open(self._path, encoding="ascii") as file:
            found = file.read(1 << 20)
            if found.startswith(head):
                # A last line that was cut off counts for nothing.
                return {int(line) for line in found.split("\n")[1:-1] if line.isdecimal()}
        with open(self._path, "w", encoding="ascii") as file:
            file.write(head)
        return set()

    def add(self, number: int) -> None:
        """Note that a part is there.

        Raises:
            OSError: The file cannot be written.
        """
        if self._path is not None:
            with open(self._path, "a", encoding="ascii") as file:
                file.write(f"{number}\n")

    def forget(self) -> bool:
        """Remove the notes; whether there were any."""
        if self._path is None:
            return False
        try:
            os.unlink(self._path)
        except OSError:
            return False
        return True


class Partial:
    """The file that a large entry is collected in, under a lock; `locked` is false where another process has it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.finished = FinishedParts(f"{path}.done")
        self.descriptor = -1
        self.locked = False

    def beginning_bytes(self, size: int) -> int:
        """How many bytes at the beginning of the file are there, for whoever goes on behind them."""
        if self.finished.forget():
            # It was collected in parts: what is in between is not there.
            os.ftruncate(self.descriptor, 0)
        return min(size, os.fstat(self.descriptor).st_size)

    def __enter__(self) -> Partial:
        for _ in range(8):
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Whoever had the lock before may have renamed the file.
                there = os.stat(self.path)
                opened = os.fstat(descriptor)
            except BlockingIOError:
                os.close(descriptor)
                return self
            except FileNotFoundError:
                os.close(descriptor)
                continue
            if (there.st_dev, there.st_ino) == (opened.st_dev, opened.st_ino):
                self.descriptor, self.locked = descriptor, True
                return self
            os.close(descriptor)
        return self

    def __exit__(self, *_error: object) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)


def part_mode(size: int, multipart: bool | None) -> bool:
    """Whether a file is fetched in parts; `multipart` is what the caller asked for."""
    return size >= PARTS_FROM_BYTES if multipart is None else multipart and size > 0


def _mismatch(entry: str, digest: bytes, found: bytes) -> None:
    raise DownloadError(
        f"the contents of the entry `{entry}` are not what its digest says: expected"
        f" {base64.b64encode(digest).decode()}, got {base64.b64encode(found).decode()}"
    )


def _write_at(descriptor: int, block: memoryview, position: int) -> None:
    while block:
        count = os.pwrite(descriptor, block, position)
        block, position = block[count:], position + count
