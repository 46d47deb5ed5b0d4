"""`Artifact.download` and its relatives."""

from __future__ import annotations

import json
import os
import posixpath
import time
from concurrent.futures import ThreadPoolExecutor

from runlane.terminal import termlog, termwarn

from . import _documents as documents
from . import _storage
from ._digests import algorithm_of, file_digest
from ._downloader import Download
from ._errors import DownloadError, TooFewItemsError, TooManyItemsError, needs_logged
from ._placing import Root, check_path
from ._reading_references import followed, is_artifact_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Executor
    from typing import Any

    from runlane.public_api import ArtifactFiles

    from ._artifact import Artifact
    from ._entries import ArtifactManifest, ArtifactManifestEntry
    from ._versions import Version

#: Downloads of this size and more are told of.
_TOLD_BYTES = 50 << 20
_TOLD_FILES = 5000
_HASHING_THREADS = 8


class Downloading:
    """The part of `Artifact` that brings contents to this machine."""

    if TYPE_CHECKING:
        _version: Version | None
        _manifest: ArtifactManifest | None

        @property
        def manifest(self) -> ArtifactManifest: ...
        @property
        def name(self) -> str: ...
        @property
        def source_name(self) -> str: ...
        @property
        def _stored_version(self) -> Version: ...
        def _execute(self, document: str, variables: dict[str, Any]) -> dict[str, Any]: ...
        def _object_entry(self, name: str) -> ArtifactManifestEntry | None: ...

    def _load_manifest(self) -> ArtifactManifest:
        """The manifest of the stored version, read once.

        Raises:
            CommError: The server cannot be reached.
            ValueError: It has no manifest, or what it has is none.
        """
        from ._entries import ArtifactDigestAlgorithm, ArtifactManifest

        version = self._stored_version
        found = self._execute(documents.MANIFEST, {"id": version.id}).get("artifact") or {}
        address = ((found.get("currentManifest") or {}).get("file") or {}).get("directUrl")
        if not address:
            raise DownloadError(f"the artifact `{self.name}` has no manifest at the server")
        with version.api._client.download(str(address)) as answer:
            content = answer.read()
        algorithm = ArtifactDigestAlgorithm(version.attrs.get("digestAlgorithm") or "MANIFEST_MD5")
        try:
            manifest = ArtifactManifest.from_manifest_json(json.loads(content), algorithm)
        except ValueError as error:
            raise DownloadError(
                f"the manifest of the artifact `{self.name}` cannot be read: {error}", error
            ) from error
        for entry in manifest.entries.values():
            entry._parent = self  # type: ignore[assignment]
        return manifest

    def _default_root(self, with_version: bool = True) -> str:
        name = self.source_name if with_version else self.source_name.rpartition(":")[0]
        return os.path.join(_storage.download_dir(), name)

    @needs_logged
    def download(
        self,
        root: str | os.PathLike[str] | None = None,
        allow_missing_references: bool = False,
        skip_cache: bool | None = None,
        path_prefix: str | os.PathLike[str] | None = None,
        multipart: bool | None = None,
    ) -> str:
        """Bring the contents to this machine. Files that are there already and right are left alone; every other byte is checked.

        Args:
            root: The directory. Default: `<WANDB_ARTIFACT_DIR or ./artifacts>/<name>:<version>`.
            allow_missing_references: Warn about references that cannot be read, instead of raising.
            skip_cache: Neither read from the local cache nor add to it.
            path_prefix: Only entries whose path begins so.
            multipart: Whether files are fetched in parts at once. Default: those of 64 MiB and more.

        Returns:
            The directory.

        Raises:
            ValueError: An entry cannot be written below the directory, or is not what its digest says; also a `CommError`.
            CommError: The server cannot be reached, or has the contents not.
        """
        directory = os.fspath(root or self._default_root())
        prefix = "" if path_prefix is None else str(os.fspath(path_prefix))
        entries = [entry for path, entry in self.manifest.entries.items() if path.startswith(prefix)]
        size = sum(entry.size or 0 for entry in entries)
        told = size >= _TOLD_BYTES or len(entries) >= _TOLD_FILES
        if told:
            termlog(
                f"Downloading large artifact {self.name!r}, {size / (1 << 20):.2f}MB. {len(entries)} files..."
            )
        began = time.monotonic()
        with Download(
            self,  # type: ignore[arg-type]
            str(directory),
            skip_cache=bool(skip_cache),
            multipart=multipart,
            missing_ok=allow_missing_references,
        ) as download:
            download.run(entries)
        if told:
            took = max(time.monotonic() - began, 1e-3)
            termlog(f"Done. {took:.1f} s ({size / took / (1 << 20):.1f}MB/s)")
        return str(directory)

    @needs_logged
    def checkout(self, root: str | None = None) -> str:
        """Make a directory hold exactly the contents: what is not in the artifact is removed from it.

        Args:
            root: The directory. Default: `<WANDB_ARTIFACT_DIR or ./artifacts>/<name>`, without a version.

        Returns:
            The directory.

        Raises:
            ValueError, CommError: As of `download`; nothing was removed if an entry has a name that cannot be written.
        """
        directory = os.fspath(root or self._default_root(with_version=False))
        paths = set(self.manifest.entries)
        for path in paths:
            check_path(path)
        if os.path.isdir(directory):
            Root(directory).keep_only(paths)
        return self.download(root=directory)

    @needs_logged
    def verify(self, root: str | None = None) -> None:
        """Compare a directory with the artifact, byte by byte.

        Args:
            root: The directory. Default: as of `download`.

        Raises:
            ValueError: A file differs, is missing, or is not in the artifact.
        """
        directory = Root(os.fspath(root or self._default_root()))
        entries = self.manifest.entries
        if not os.path.isdir(directory.path):
            raise ValueError(f"there is no directory `{directory.path}` to verify")
        for path in directory.files():
            if path not in entries:
                raise ValueError(f"Found file {path} which is not a member of artifact {self.name}")
        checked, skipped = [], 0
        for entry in entries.values():
            if entry.ref is None or is_artifact_reference(entry.ref):
                checked.append(entry)
            else:
                skipped += 1
        with ThreadPoolExecutor(_HASHING_THREADS, "runlane-verify") as pool:
            for entry, right in zip(
                checked, pool.map(lambda entry: _is_right(directory, entry), checked), strict=True
            ):
                if not right:
                    raise ValueError(f"Digest mismatch for file: {directory.target(entry.path)}")
        if skipped:
            termwarn(f"skipped verification of {skipped} refs")

    @needs_logged
    def files(
        self, names: list[str] | None = None, per_page: int = 50, start: str | None = None
    ) -> ArtifactFiles:
        """The files as the server lists them, loaded page by page.

        Args:
            names: Only these.
            per_page: Files per request.
            start: Where to begin: the `cursor` of an earlier list.
        """
        from runlane.public_api import ArtifactFiles

        return ArtifactFiles(self._stored_version.api, self, names, per_page, start)  # type: ignore[arg-type]

    @needs_logged
    def file(self, root: str | None = None) -> str:
        """Download the one file of an artifact that has one.

        Returns:
            Its path.

        Raises:
            ValueError: There is none, or more than one.
        """
        entries = list(self.manifest.entries.values())
        if not entries:
            raise TooFewItemsError("This artifact contains no files")
        if len(entries) > 1:
            raise TooManyItemsError(
                "This artifact contains more than one file, call `.download()` to get all files or call"
                ' .get_entry("filename").download()'
            )
        return entries[0].download(root)

    @needs_logged
    def get_entry(self, name: str | os.PathLike[str]) -> ArtifactManifestEntry:
        """The entry of a path, or of the object that was added under a name.

        Raises:
            KeyError: There is none.
        """
        path = posixpath.normpath(str(os.fspath(name)))
        entry = self.manifest.entries.get(path) or self._object_entry(path)
        if entry is None:
            raise KeyError(f"Path not contained in artifact: {path}")
        entry._parent = self  # type: ignore[assignment]
        return entry

    def get_path(self, name: str | os.PathLike[str]) -> ArtifactManifestEntry:
        """Deprecated: `get_entry`."""
        termwarn("Artifact.get_path(name) is deprecated, use Artifact.get_entry(name) instead.", repeat=False)
        return self.get_entry(name)

    def _file_urls(self, names: Iterable[str] | None) -> Iterable[tuple[str, str | None]]:
        """Name and URL of files: of some, or of all, page by page."""
        version = self._stored_version
        where = {
            "entity": version.entity,
            "project": version.project,
            "collection": version.collection,
            "alias": version.label,
        }
        if names is not None:
            listed = list(names)
            where |= {"fileNames": listed, "perPage": len(listed)}  # type: ignore[dict-item]
            document = documents.FILES
        else:
            where |= {"perPage": _page_size(version)}  # type: ignore[dict-item]
            document = documents.FILE_URLS
        cursor: str | None = None
        while True:
            answer = self._execute(document, {**where, "cursor": cursor})
            collection = (answer.get("project") or {}).get("artifactCollection") or {}
            files = (collection.get("artifactMembership") or {}).get("files")
            if files is None:
                raise DownloadError(f"there is no artifact `{self.name}` at the server any more")
            for edge in files["edges"]:
                yield str(edge["node"]["name"]), edge["node"].get("directUrl")
            page = files["pageInfo"]
            if not page["hasNextPage"] or page["endCursor"] in (None, cursor):
                return
            cursor = page["endCursor"]


def _page_size(version: Version) -> int:
    return int(version.api._settings.artifact_fetch_file_url_batch_size or 5000)


def _is_right(root: Root, entry: ArtifactManifestEntry) -> bool:
    found = root.stat(entry.path)
    if found is None or entry.size not in (None, 0, found.st_size):
        return False
    return file_digest(root.target(entry.path), algorithm_of(entry)) == entry.digest


def entry_download(
    entry: ArtifactManifestEntry,
    root: str | None = None,
    skip_cache: bool | None = None,
    executor: Executor | None = None,
) -> str:
    """Bring one entry to this machine; see `ArtifactManifestEntry.download`.

    `executor` is accepted as wandb does, and not used: parts have threads of their own.
    """
    del executor
    artifact: Artifact = entry.parent_artifact()
    directory = os.fspath(root or artifact._default_root())
    with Download(artifact, str(directory), skip_cache=bool(skip_cache)) as download:
        download.run([entry])
        return download.root.target(entry.path)


def entry_ref_url(entry: ArtifactManifestEntry) -> str:
    """The URI by which other artifacts refer to an entry: `wandb-artifact://<hex of the version's id>/<path>`."""
    import base64

    artifact = entry.parent_artifact()
    version = artifact._stored_version
    return f"wandb-artifact://{base64.b64decode(version.id).hex()}/{entry.path}"


def entry_ref_target(entry: ArtifactManifestEntry) -> str:
    """What a reference leads to, through references to other artifacts."""
    artifact = entry.parent_artifact()
    _, found = followed(artifact, entry)
    return str(found.ref or entry_ref_url(found))
