"""Bringing many entries to a directory at once.

An entry goes the shortest way: left alone if the file is there and right, else from the cache, else from the server into the cache and
from there to its place. Threads and memory are bounded, whatever the artifact: the list of URLs is read page by page, and no further
than what is being fetched.
"""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import FIRST_COMPLETED, FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from functools import partial
from http.client import HTTPException
from itertools import islice
from urllib.parse import quote

from runlane._environment import variable
from runlane.errors import CommError, UsageError
from runlane.terminal import termwarn

from ._cache import Cache, Temporary, free_bytes, is_full
from ._digests import algorithm_of, digest_bytes, file_digest, hasher
from ._errors import DownloadError
from ._fetching import RESUMED_BYTES, Fetcher, Partial, Source, part_mode
from ._placing import Root, check_conflicts, check_path, could_fold, explained, folding
from ._reading_references import contents, followed
from ._sizes import parse_size
from ._transport import Transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from typing_extensions import Self

    from ._artifact import Artifact
    from ._entries import ArtifactManifestEntry

_THREADS = 32
#: Entries that are looked at, or fetched, before the next ones are handed out.
_AHEAD = 2048
#: Between attempts to read a reference.
_DELAYS_SECS = (0.5, 2.0)
#: For more entries than this the list of all URLs is read, for fewer only theirs.
_NAMED = 500


class _Wanted:
    """An entry with contents, the artifact whose it is, and the place that the contents go to."""

    __slots__ = ("artifact", "entry", "path")

    def __init__(self, artifact: Artifact, entry: ArtifactManifestEntry, path: str) -> None:
        self.artifact = artifact
        self.entry = entry
        self.path = path


class Download:
    """One download of entries of one artifact to one directory.

    Args:
        artifact: The artifact.
        root: The directory.
        skip_cache: Whether the cache stays out of it.
        multipart: Whether files are fetched in parts; None: large ones.
        missing_ok: Whether references that cannot be read are left out with a warning.
    """

    def __init__(
        self,
        artifact: Artifact,
        root: str,
        *,
        skip_cache: bool = False,
        multipart: bool | None = None,
        missing_ok: bool = False,
    ) -> None:
        self.artifact = artifact
        self.root = Root(root)
        self._cache = Cache()
        self._cached = not skip_cache
        self._multipart = multipart
        self._missing_ok = missing_ok
        self._api = artifact._stored_version.api
        self._transport = Transport(self._api._client)
        self._fetcher = Fetcher(self._transport)
        self._added = False
        self._renewing = threading.Lock()
        self._pool = ThreadPoolExecutor(_THREADS, "runlane-download")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._fetcher.close()
        if self._added:
            self._keep_bound()

    def _keep_bound(self) -> None:
        bound = variable("ARTIFACT_CACHE_SIZE")
        if bound is not None:
            try:
                self._cache.keep_bound(parse_size(bound))
            except ValueError as error:
                termwarn(f"`RUNLANE_ARTIFACT_CACHE_SIZE` has no effect: {error}", repeat=False)

    def run(self, entries: Sequence[ArtifactManifestEntry]) -> None:
        """Bring the entries to the directory.

        Raises:
            DownloadError: One has a name that cannot be written, or contents that cannot be had.
            CommError: The server cannot be reached.
        """
        for entry in entries:
            check_path(entry.path)
            self.root.check_length(entry.path)
        paths = [entry.path for entry in entries]
        check_conflicts(paths)
        os.makedirs(self.root.path, exist_ok=True)
        if could_fold(paths):
            check_conflicts(paths, folding(self.root.path))
        files, foreign = self._followed(entries)
        missing = []
        for some in _slices(files, _AHEAD):
            # One file is looked at sooner than a thread starts: tables have many that are here already.
            here = map(self._is_here, some) if len(some) == 1 else self._pool.map(self._is_here, some)
            for wanted, there in zip(some, here, strict=True):
                if not there:
                    missing.append(wanted)
        self._check_space(missing)
        self._all(self._tasks(missing, foreign))

    def _followed(
        self, entries: Iterable[ArtifactManifestEntry]
    ) -> tuple[list[_Wanted], list[tuple[ArtifactManifestEntry, str]]]:
        """Files of this and of other artifacts, and what lies at other systems, with the places that they go to."""
        files, foreign = [], []
        known: dict[str, str] = {}
        for entry in entries:
            artifact, target = self.artifact, entry
            if entry.ref is not None:
                try:
                    artifact, target = followed(self.artifact, entry, known)
                except CommError as error:
                    self._leave_out(entry.path, error)
                    continue
            if target.ref is None:
                files.append(_Wanted(artifact, target, entry.path))
            else:
                foreign.append((target, entry.path))
        return files, foreign

    def _leave_out(self, path: str, error: Exception) -> None:
        """Pass over a reference that cannot be read, if that was asked for."""
        if not self._missing_ok:
            raise error
        termwarn(f"the reference `{path}` is left out: {error}")

    def _tasks(
        self, missing: Iterable[_Wanted], foreign: Iterable[tuple[ArtifactManifestEntry, str]]
    ) -> Iterator[Callable[[], None]]:
        """What is left to do; each is run by some thread."""
        by_artifact: dict[int, tuple[Artifact, dict[str, list[_Wanted]]]] = {}
        for wanted in missing:
            _, names = by_artifact.setdefault(id(wanted.artifact), (wanted.artifact, {}))
            names.setdefault(wanted.entry.path, []).append(wanted)
        for artifact, names in by_artifact.values():
            for name, url in artifact._file_urls(list(names) if len(names) <= _NAMED else None):
                for wanted in names.pop(name, ()):
                    yield partial(self._fetch, wanted, url)
                if not names:
                    break
            for unlisted in names.values():
                for wanted in unlisted:
                    yield partial(self._fetch, wanted, None)
        for entry, path in foreign:
            yield partial(self._foreign_or_left_out, entry, path)

    def _all(self, tasks: Iterator[Callable[[], None]]) -> None:
        """Run all tasks, a bounded number ahead; the first error ends it."""
        running: set[Future[None]] = set()
        try:
            for task in tasks:
                running.add(self._pool.submit(task))
                if len(running) >= 4 * _THREADS:
                    running = self._reap(running, all_of_them=False)
            self._reap(running, all_of_them=True)
        except BaseException:
            self._fetcher.stop()
            for future in running:
                future.cancel()
            raise

    @staticmethod
    def _reap(running: set[Future[None]], all_of_them: bool) -> set[Future[None]]:
        done, left = wait(running, return_when=FIRST_EXCEPTION if all_of_them else FIRST_COMPLETED)
        for future in done:
            future.result()
        return left

    def _check_space(self, missing: Iterable[_Wanted]) -> None:
        needed = sum(wanted.entry.size or 0 for wanted in missing)
        free = free_bytes(self.root.path)
        if free is not None and needed > free:
            raise DownloadError(
                f"cannot download `{self.artifact.name}` to `{self.root.path}`: it needs {needed} bytes, {free} are free"
                "\nhint: free some space, or download to another disk with `root=`"
            )

    # --- what is here already ---------------------------------------------------------------------------------------

    def _is_here(self, wanted: _Wanted) -> bool:
        """Whether the file is right, or can be made so from the cache."""
        return self._place_is_right(wanted.entry, wanted.path) or self._from_cache(wanted.entry, wanted.path)

    def _place_is_right(self, entry: ArtifactManifestEntry, path: str) -> bool:
        found = self.root.stat(path)
        if found is None or entry.size not in (None, found.st_size):
            return False
        target = self.root.target(path)
        noted = self._cache.checksum(target, found)
        if noted is None:
            noted = file_digest(target, algorithm_of(entry))
            if noted == entry.digest:
                self._cache.note_checksum(target, noted)
        return noted == entry.digest

    def _from_cache(self, entry: ArtifactManifestEntry, path: str) -> bool:
        algorithm, digest = algorithm_of(entry), digest_bytes(entry)
        if entry.size == 0 and hasher(algorithm).digest() == digest:
            with self.root.write(path) as place:
                place.finish()
            return True
        if not self._cached:
            return False
        cached = self._cache.content_path(algorithm, digest)
        if not self._cache.find(cached, entry.size):
            return False
        try:
            descriptor = os.open(cached, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            # It was removed meanwhile, or is not for this user.
            return False
        try:
            checked = hasher(algorithm)
            with self.root.write(path) as place:
                place.copy_from(descriptor, checked)
                if checked.digest() != digest:
                    self._cache.drop(cached)
                    return False
                place.finish()
        finally:
            os.close(descriptor)
        self._cache.used(cached)
        self._cache.note_checksum(self.root.target(path), entry.digest)
        return True

    # --- what is at the server --------------------------------------------------------------------------------------

    def _source(self, artifact: Artifact, entry: ArtifactManifestEntry, url: str | None) -> Source:
        def renew() -> str | None:
            with self._renewing:
                return next(
                    (found for name, found in artifact._file_urls([entry.path]) if name == entry.path), None
                )

        return Source(entry.path, url, renew, lambda: _fallback_url(artifact, entry))

    def _fetch(self, wanted: _Wanted, url: str | None) -> None:
        """Fetch the contents of an entry to its place."""
        entry, path = wanted.entry, wanted.path
        source = self._source(wanted.artifact, entry, url)
        if self._cached and self._cache_takes(entry.size or 0):
            try:
                # The same contents may stand under another name too.
                if not self._from_cache(entry, path):
                    self._fetch_to_cache(source, entry, path)
            except OSError as error:
                self._stop_caching(error)
            else:
                return
        with self.root.write(path) as place, explained(path, self.root.path):
            self._fetch_into(source, entry, place.descriptor, None)
            place.finish()
        self._cache.note_checksum(self.root.target(path), entry.digest)

    def _fetch_into(
        self, source: Source, entry: ArtifactManifestEntry, descriptor: int, collected: Partial | None
    ) -> None:
        """Fetch the contents of an entry into an open file, going on with what is collected already."""
        algorithm, digest, size = algorithm_of(entry), digest_bytes(entry), entry.size or 0
        if part_mode(size, self._multipart):
            finished = None if collected is None else collected.finished
            self._fetcher.fetch_parts(source, descriptor, size, algorithm, digest, finished)
        else:
            begun = 0 if collected is None else collected.beginning_bytes(size)
            self._fetcher.fetch(source, descriptor, entry.size, algorithm, digest, begun)

    def _cache_takes(self, size: int) -> bool:
        if self._cache.make_room(size):
            return True
        self._stop_caching(None)
        return False

    def _stop_caching(self, error: OSError | None) -> None:
        """Go on without the cache, and say so once."""
        if self._cached:
            self._cached = False
            why = "the disk is full" if error is None or is_full(error) else str(error.strerror or error)
            termwarn(f"the artifact cache `{self._cache.root}` is not used: {why}")

    def _fetch_to_cache(self, source: Source, entry: ArtifactManifestEntry, path: str) -> None:
        """Fetch into the cache, and from there to the place.

        Raises:
            OSError: The cache cannot be written.
        """
        size = entry.size or 0
        if size >= RESUMED_BYTES or part_mode(size, self._multipart):
            collecting = self._cache.partial_path(algorithm_of(entry), digest_bytes(entry))
            with Partial(collecting) as collected:
                if collected.locked:
                    # Whoever held the lock before may have finished the file.
                    if not self._from_cache(entry, path):
                        self._fetch_into(source, entry, collected.descriptor, collected)
                        self._settle(collecting, collected.descriptor, entry, path)
                    return
        with Temporary(self._cache.temporary_path()) as temporary:
            descriptor = os.open(
                temporary.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666
            )
            try:
                self._fetch_into(source, entry, descriptor, None)
                self._settle(temporary.path, descriptor, entry, path)
            finally:
                os.close(descriptor)

    def _settle(self, temporary: str, descriptor: int, entry: ArtifactManifestEntry, path: str) -> None:
        """Put checked contents to their place, and make them an entry of the cache."""
        with self.root.write(path) as place:
            place.copy_from(descriptor, None)
            place.finish()
        self._cache.adopt(temporary, self._cache.content_path(algorithm_of(entry), digest_bytes(entry)))
        self._added = True
        self._cache.note_checksum(self.root.target(path), entry.digest)

    # --- what is elsewhere ------------------------------------------------------------------------------------------

    def _foreign_or_left_out(self, entry: ArtifactManifestEntry, path: str) -> None:
        try:
            self._foreign_with_patience(entry, path)
        except (CommError, UsageError) as error:
            self._leave_out(path, error)

    def _foreign_with_patience(self, entry: ArtifactManifestEntry, path: str) -> None:
        """As `_foreign`, again after a connection that broke.

        Raises:
            DownloadError: It cannot be read, or there is no space for it.
        """
        for delay_secs in (*_DELAYS_SECS, None):
            try:
                return self._foreign(entry, path)
            except (OSError, HTTPException) as error:
                if is_full(error):
                    with explained(path, self.root.path):
                        raise
                if delay_secs is None:
                    raise DownloadError(
                        f"the entry `{path}` is a reference to `{entry.ref}`, which cannot be read: {error}",
                        error,
                    ) from error
            time.sleep(delay_secs)

    def _foreign(self, entry: ArtifactManifestEntry, path: str) -> None:
        """Bring what a reference to another system leads to."""
        found = contents(entry, self._transport)
        if found.path is not None:
            self._place_file(found.path, path)
            return
        assert found.write is not None, "contents are a file or a stream"
        cached = None
        if found.cached is not None and self._cached:
            cached = self._cache.reference_path(*found.cached)
            # Without an ETag nothing says whether it is still the same.
            known = found.cached[0] != found.cached[1]
            if known and self._cache.find(cached, entry.size):
                self._place_file(cached, path)
                self._cache.used(cached)
                return
        with self.root.write(path) as place:
            size = found.write(place.descriptor)
            if entry.size and size != entry.size:
                raise DownloadError(
                    f"the entry `{entry.path}` has {entry.size} bytes, but `{entry.ref}` has {size} now"
                )
            if cached is not None and self._cache_takes(size):
                self._keep(place.descriptor, cached)
            place.finish()

    def _place_file(self, source: str, path: str) -> None:
        descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with self.root.write(path) as place:
                place.copy_from(descriptor, None)
                place.finish()
        finally:
            os.close(descriptor)

    def _keep(self, descriptor: int, cached: str) -> None:
        """Copy what was just read into the cache; without success it is read again next time."""
        try:
            with Temporary(self._cache.temporary_path()) as temporary:
                with open(temporary.path, "xb") as file:
                    position = 0
                    while block := os.pread(descriptor, 1 << 20, position):
                        position += file.write(block)
                self._cache.adopt(temporary.path, cached)
                self._added = True
        except OSError as error:
            self._stop_caching(error)


def _slices(wanted: Iterable[_Wanted], length: int) -> Iterator[list[_Wanted]]:
    iterator = iter(wanted)
    while some := list(islice(iterator, length)):
        yield some


def _fallback_url(artifact: Artifact, entry: ArtifactManifestEntry) -> str | None:
    """The URL of the endpoint that serves contents by their digest, below the server's own address."""
    version = artifact._stored_version
    hexadecimal = digest_bytes(entry).hex()
    entity = version.source_entity or version.entity
    if artifact.manifest.storage_layout == "V1":
        return f"/artifacts/{quote(entity, safe='')}/{hexadecimal}"
    parts = [
        artifact.manifest.storage_region or "default",
        entity,
        version.source_project or version.project,
        version.source_collection or version.collection,
    ]
    if version.api._has_feature("ARTIFACT_V2_DOWNLOAD_HANDLER_SUPPORTS_ARTIFACT_ID"):
        parts.append(version.id)
    parts += [entry.birth_artifact_id or "", hexadecimal, entry.path.rpartition("/")[2]]
    return "/artifactsV2/" + "/".join(quote(part, safe="") for part in parts)
