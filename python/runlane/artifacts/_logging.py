"""Handing a finished draft over to the daemon, which makes a version of it.

The record of an artifact has the digests of all its files, so it waits for those that are still being hashed: in a thread of the run,
never in the caller's. Records keep the order of the calls.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from weakref import WeakSet

from runlane import _core, terminal
from runlane._json_text import encode

from . import _checks, _storage
from ._entries import LAYOUT, POLICY, ArtifactManifest, sorted_entries
from ._errors import WaitTimeoutError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from runlane._run import Run
    from runlane.public_api import Api

    from ._artifact import Artifact

#: Entries beyond which the manifest goes by a file of its own: the record must fit into a frame of the socket.
MANIFEST_ENTRIES = 100_000
MANIFEST_BYTES = 16 << 20
#: What an entry needs besides its texts, about.
_ENTRY_BYTES = 64
#: Records of larger manifests take more than some milliseconds to make.
_SOON_ENTRIES = 500
#: One question to the daemon; further ones follow.
_ASK_SECS = 10.0
#: The user is told what the end of a run waits for after this time.
_QUIET_SECS = 2.0
LATEST = "latest"


class Saving:
    """An artifact on its way: what `wait` asks."""

    def __init__(self, run: Run, client_id: str, name: str) -> None:
        self._run = run
        self._client_id = client_id
        self._name = name
        self._handed_over = threading.Event()
        self._error: BaseException | None = None
        self._pid = os.getpid()

    def handed_over(self, error: BaseException | None = None) -> None:
        """The daemon has the record, or will never have it."""
        self._error = error
        self._handed_over.set()

    def api(self) -> Api:
        """The Public API at the run's server."""
        from runlane._run_using import run_api

        return run_api(self._run)

    def wait(self, timeout: float | None) -> str:
        """Wait until the artifact is stored; its id.

        Raises:
            WaitTimeoutError: The time is over.
            ValueError: It could not be stored; the message says why.
            CommError: The daemon does not answer.
        """
        end = None if timeout is None else time.monotonic() + max(0.0, timeout)
        # A forked child has a copy of the event that nobody sets.
        if os.getpid() == self._pid and not self._handed_over.wait(_left(end)):
            raise self._timed_out(timeout, "its files are still being read")
        if self._error is not None:
            raise ValueError(f"artifact `{self._name}` was not logged: {self._error}") from self._error
        if self._run._finished:
            return self._known_to_server()
        told = ""
        while True:
            left = _left(end)
            answer = self._ask(_ASK_SECS if left is None else min(_ASK_SECS, left))
            problem = str(answer.get("error") or "")
            if answer.get("done"):
                if problem:
                    raise ValueError(f"artifact `{self._name}` could not be stored: {problem}")
                return str(answer["artifact_id"])
            if left is not None and left <= 0:
                raise self._timed_out(timeout, problem)
            if problem and problem != told:
                told = problem
                terminal.termwarn(f"artifact `{self._name}` is not stored yet: {problem}")

    def _ask(self, timeout_secs: float) -> dict[str, Any]:
        return self._run._ask("artifact", {"client_id": self._client_id}, timeout_secs)

    def _known_to_server(self) -> str:
        """The run has ended and with it its connection: the server knows what became of the artifact."""
        from . import _documents as documents

        known = self.api()._client.execute(documents.BY_CLIENT_ID, {"clientID": self._client_id})
        artifact_id = (known.get("clientIDMapping") or {}).get("serverID")
        if not artifact_id:
            raise ValueError(f"artifact `{self._name}` is not stored at the server")
        return str(artifact_id)

    def _timed_out(self, timeout: float | None, why: str) -> WaitTimeoutError:
        text = f"artifact `{self._name}` is not stored after {timeout:g} s"
        return WaitTimeoutError(f"{text}: {why}" if why else text)


def _left(end: float | None) -> float | None:
    return None if end is None else max(0.0, end - time.monotonic())


class HandOver:
    """The artifacts of a run that wait for their digests, in order, and the thread that waits with them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Artifact, Callable[[], None]]] = deque()
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()
        _open.add(self)

    def submit(self, artifact: Artifact, publish: Callable[[], None]) -> None:
        """Call `publish` when everything of the artifact is hashed: now, if it is and nothing waits before it."""
        if os.getpid() != self._pid:
            # The parent's thread is not here, and the lock may be held for good.
            publish()
            return
        with self._lock:
            if self._waiting or not _is_ready(artifact):
                self._waiting.append((artifact, publish))
                if self._has_thread():
                    return
                # Nothing else waits: what waits has a thread.
                self._waiting.clear()
        publish()

    def _has_thread(self) -> bool:
        """Whether a thread waits for the digests; the interpreter starts none when it ends."""
        if self._thread is None:
            # No daemon thread: a process that only attached to the run ends when the record is with the daemon.
            thread = threading.Thread(target=self._work, name="runlane-artifacts")
            try:
                thread.start()
            except RuntimeError:
                return False
            self._thread = thread
        return True

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    return
                _, publish = self._waiting[0]
            # Reading a digest waits for it.
            publish()
            with self._lock:
                self._waiting.popleft()

    def wait(self, timeout: float | None = None) -> None:
        """Wait until nothing waits any more, or the time is up. The run ends."""
        if os.getpid() != self._pid:
            return
        end = None if timeout is None else time.monotonic() + timeout
        thread, quiet = self._thread, _QUIET_SECS
        while thread is not None and thread is not threading.current_thread():
            left = _left(end)
            if left == 0:
                return
            thread.join(quiet if left is None else min(quiet, left))
            if thread.is_alive() and left is None and quiet == _QUIET_SECS:
                terminal.termlog("waiting for files of artifacts to be read")
                quiet = _ASK_SECS
            thread = self._thread


#: Those of this process, and of those that it was forked from.
_open: WeakSet[HandOver] = WeakSet()


def hand_over_all(timeout: float) -> None:
    """Wait until the daemon has every artifact that this process logged, or the time is up. The process ends."""
    end = time.monotonic() + timeout
    for one in list(_open):
        one.wait(_left(end))


def _is_ready(artifact: Artifact) -> bool:
    """Whether the record can be made at once, and soon."""
    # The manifest of a stored version, which may be logged again, may not be here yet.
    manifest = artifact._manifest
    if manifest is None or len(manifest) > _SOON_ENTRIES:
        return False
    return all(entry.is_hashed for entry in list(manifest.entries.values()))


def publish(run: Run, artifact: Artifact, saving: Saving, facts: dict[str, Any]) -> None:
    """Write the record. What goes wrong is told once, and again to those who wait; it never reaches the program that trains."""
    try:
        payload = {**facts, **_contents(artifact.manifest), "digest": artifact.manifest.digest()}
        run._publish("artifact", payload)
    except Exception as error:  # noqa: BLE001, RUF100 - logging must not end the program
        terminal.termerror(f"artifact `{artifact._name}` is not logged: {error}")
        saving.handed_over(error)
    else:
        saving.handed_over()


def facts_of(
    run: Run,
    artifact: Artifact,
    aliases: list[str],
    tags: list[str],
    *,
    finalize: bool,
    use: bool,
    by_user: bool,
) -> dict[str, Any]:
    """What the record says beside the manifest, as it is now: a draft's description, say, may be changed later."""
    metadata = _checks.metadata(artifact._metadata)
    return {
        "run_id": run.id,
        "project": run.project or "",
        "entity": run.entity or "",
        "type": artifact._type,
        "name": artifact._name,
        "description": artifact._description or "",
        "metadata": encode(metadata) if metadata else "",
        "user_created": by_user,
        "use_after_commit": use,
        "aliases": aliases,
        "tags": tags,
        "distributed_id": artifact._distributed_id or "",
        "finalize": finalize,
        "client_id": artifact._client_id,
        "sequence_client_id": artifact._sequence_client_id,
        "base_id": artifact._base_id or "",
        "ttl_duration_seconds": artifact._ttl_secs() or 0,
        "digest_algorithm": artifact.digest_algorithm.value,
        "incremental": artifact._incremental,
    }


def _contents(manifest: ArtifactManifest) -> dict[str, Any]:
    """The manifest as the record has it; files are the daemon's from now on."""
    entries = sorted_entries(manifest.entries.values())
    # Digests first: a file is handed over only when it is hashed.
    digests = [entry.digest for entry in entries]
    staged = [(index, entry._staged) for index, entry in enumerate(entries) if entry._staged is not None]
    paths: list[str | None] = [entry.local_path for entry in entries]
    for (index, _), path in zip(staged, _core.hand_over_files([file for _, file in staged]), strict=True):
        paths[index] = path
    rows = [
        (
            entry.path,
            digest,
            entry.ref,
            entry.size,
            path,
            entry.birth_artifact_id,
            entry.skip_cache,
            [(key, encode(value)) for key, value in entry.extra.items()],
        )
        for entry, digest, path in zip(entries, digests, paths, strict=True)
    ]
    config = [("storageLayout", encode(LAYOUT))]
    if manifest.storage_region:
        config.append(("storageRegion", encode(manifest.storage_region)))
    fields: dict[str, Any] = {"storage_policy": POLICY, "storage_policy_config": config}
    size = sum(
        _ENTRY_BYTES + len(row[0]) + len(row[1]) + len(row[2] or "") + len(row[4] or "") for row in rows
    )
    if len(rows) > MANIFEST_ENTRIES or size > MANIFEST_BYTES:
        fields["manifest_file_path"] = _write_manifest(rows)
    else:
        fields["contents"] = rows
    return fields


def _write_manifest(rows: list[tuple[Any, ...]]) -> str:
    """Write entries to a file that the daemon reads and removes; its path."""
    import gzip

    directory = os.path.join(_storage.staging_dir(), "artifact_manifests")
    os.makedirs(directory, exist_ok=True)
    name = f"{time.time_ns() // 1_000_000}_{os.urandom(8).hex()}.manifest_contents.jl.gz"
    path = os.path.join(directory, name)
    names = ("path", "digest", "ref", "size", "local_path", "birthArtifactID", "skip_cache")
    try:
        with gzip.open(path, "wt", compresslevel=1, encoding="utf-8") as file:
            for row in rows:
                members = {name: value for name, value in zip(names, row[:7], strict=True) if value}
                text = encode(members)
                if row[7]:
                    extra = ", ".join(f"{encode(key)}: {value}" for key, value in row[7])
                    text = f'{text[:-1]}, "extra": {{{extra}}}}}'
                file.write(f"{text}\n")
    except BaseException:
        if os.path.exists(path):
            os.unlink(path)
        raise
    return path
