"""References: entries that stand for something elsewhere, with what tells whether it has changed."""

from __future__ import annotations

import os

from runlane import terminal

from . import _checks
from ._adding import MOST_ENTRIES
from ._entries import ArtifactDigestAlgorithm, ArtifactManifest, ArtifactManifestEntry
from ._errors import needs_draft

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ._artifact import Artifact
    from ._found import Found

#: What a reference to a directory or prefix expands to at most.
MAX_OBJECTS = 10_000_000
_NO_URI = "References must be URIs. To reference a local file, use file://"


class References:
    """The part of `Artifact` that takes references in."""

    if TYPE_CHECKING:

        @property
        def manifest(self) -> ArtifactManifest: ...

    @needs_draft
    def add_reference(
        self,
        uri: ArtifactManifestEntry | str,
        name: str | os.PathLike[str] | None = None,
        checksum: bool = True,
        max_objects: int | None = None,
    ) -> Sequence[ArtifactManifestEntry]:
        """Add a reference to something that stays where it is.

        `file://` (a file, or all files of a directory), `http(s)://`, `s3://`, `gs://`, Azure's `https://<account>.blob.core.windows.net`
        (an object, or all below a prefix), an entry of another artifact, and any other URI, of which nothing is known.

        Args:
            uri: What is referred to.
            name: Path in the artifact, or of a directory or prefix the directory there. Default: the last part of the URI's path.
            checksum: Read an ETag or checksum of it now, at most 10 s for each answer. Otherwise the URI is all that is known.
            max_objects: What a directory or prefix may hold. Default: 10,000,000; an artifact has at most 1,000,000 entries.

        Returns:
            The entries.

        Raises:
            ArtifactFinalizedError: The artifact was logged.
            ValueError: It is no URI, cannot be reached, holds too much, or a name is not allowed or taken by something else.
            Error: A package is missing that stores of this kind are read with; the message names it.
        """
        prefix = None if name is None else _checks.entry_path(name)
        if isinstance(uri, ArtifactManifestEntry):
            found = [_of_entry(uri.parent_artifact(), uri)]
        else:
            found = _resolve(uri, prefix, checksum, _limit(max_objects))
        made = [one.entry(prefix) for one in found]
        if len(self.manifest) + len(made) > MOST_ENTRIES:
            raise ValueError(f"an artifact has at most {MOST_ENTRIES:,} entries")
        for entry in made:
            entry.path = _checks.entry_path(entry.path)
            known = self.manifest.entries.get(entry.path)
            if known is not None and known.digest != entry.digest:
                raise ValueError(f"Cannot add the same path twice: {entry.path!r}")
        for entry in made:
            self.manifest.entries[entry.path] = entry
        return made


def _limit(max_objects: int | None) -> int:
    if max_objects is None:
        return MAX_OBJECTS
    if isinstance(max_objects, bool) or not isinstance(max_objects, int) or max_objects < 1:
        raise ValueError(f"`max_objects` must be a positive integer, got {max_objects!r}")
    return max_objects


def _resolve(uri: Any, name: str | None, checksum: bool, limit: int) -> list[Found]:
    from urllib.parse import urlsplit

    from ._found import Found

    if not isinstance(uri, str):
        raise ValueError(_NO_URI)  # noqa: TRY004 - one error for whatever is no URI
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise ValueError(f"{_NO_URI}: {error}") from None
    if not parts.scheme or "://" not in uri or any(char.isspace() and char != " " for char in uri):
        raise ValueError(_NO_URI)
    scheme = parts.scheme.lower()
    if scheme == "file":
        return _files(uri, checksum, limit)
    if scheme in ("wandb-artifact", "wandb-client-artifact"):
        return [_of_artifact(uri)]
    if scheme in ("http", "https", "s3", "gs"):
        from . import _reference_stores as stores

        if scheme == "https" and (parts.hostname or "").endswith(stores.AZURE_HOST):
            scheme = "azure"
        if not checksum:
            return [Found(uri, uri, name=stores.object_name(uri, scheme))]
        return stores.look_up(scheme, uri, limit)
    if name is None:
        raise ValueError(
            f'You must pass name="<entry_name>" when tracking references with unknown schemes. ref: {uri}'
        )
    terminal.termwarn(f"Artifact references with unsupported schemes cannot be checksummed: {uri}")
    return [Found(uri, uri, name=name)]


def _files(uri: str, checksum: bool, limit: int) -> list[Found]:
    import base64
    import hashlib
    import time

    from runlane import _core

    from . import _staging
    from ._found import Found

    path = uri[len("file://") :]
    top = os.path.abspath(path)
    is_directory = path.startswith("/") and os.path.isdir(path)
    if not path.startswith("/") or not (is_directory or os.path.isfile(path)):
        raise ValueError(f"Path {uri!r} must be a valid file or directory path")
    names = [""]
    started = time.monotonic()
    if is_directory:
        try:
            names, left_out = _core.list_tree(top, limit, False)
        except ValueError as error:
            if "has more than" not in str(error):
                raise
            raise ValueError(
                f"Exceeded {limit} objects tracked, pass max_objects to add_reference"
            ) from error
        if left_out:
            terminal.termwarn(
                f"`{terminal.printable(top)}`: {len(left_out)} special files, and links to directories or to nowhere, left out"
            )
    paths = [os.path.join(top, name) if name else top for name in names]
    refs = [f"{uri.rstrip('/')}/{name}" if name else uri for name in names]
    if checksum:
        staged = _staging.take(paths, ArtifactDigestAlgorithm.MANIFEST_MD5, copy=False)
        found = [
            Found(ref, one.digest(), size=one.size, name=name or os.path.basename(top), is_below=is_directory)
            for ref, name, one in zip(refs, names, staged, strict=True)
        ]
    else:
        found = [
            Found(
                ref,
                base64.b64encode(
                    hashlib.md5(_uri_of(path).encode(), usedforsecurity=False).digest()
                ).decode(),
                size=os.path.getsize(path),
                name=name or os.path.basename(top),
                is_below=is_directory,
            )
            for ref, name, path in zip(refs, names, paths, strict=True)
        ]
    if is_directory and checksum:
        terminal.termlog(
            f"Generating checksum for up to {limit} files in {top!r}... Done. {time.monotonic() - started:.1f}s"
        )
    return found


def _uri_of(path: str) -> str:
    from pathlib import Path

    return Path(path).resolve().as_uri()


def _of_artifact(uri: str) -> Found:
    """The reference to an entry of another artifact.

    Raises:
        ValueError: There is no such artifact or entry.
        CommError: The server cannot be reached.
    """
    from ._drafts import draft_of
    from ._found import Found

    scheme, _, rest = uri.partition("://")
    place, _, path = rest.partition("/")
    other = draft_of(place.partition(":")[0]) if scheme == "wandb-client-artifact" else None
    if other is None:
        other = _stored(scheme, place, uri)
    entry = other.manifest.entries.get(path)
    if entry is None:
        raise ValueError(f"the artifact `{other.name}` has no entry `{path}`: {uri}")
    if other.is_draft():
        return Found(uri, entry.digest, size=0, name=os.path.basename(path))
    return _of_entry(other, entry)


def _of_entry(artifact: Artifact, entry: ArtifactManifestEntry) -> Found:
    """The reference to the entry at the end of the chain that `entry` may be the beginning of."""
    from ._found import Found
    from ._reading_references import followed

    _, last = followed(artifact, entry)
    return Found(last.ref_url(), last.digest, size=0, name=os.path.basename(entry.path))


def _stored(scheme: str, place: str, uri: str) -> Artifact:
    """The version that a URI names: by the hex form of its id, or by its maker's client id."""
    import base64

    import runlane
    from runlane._run_using import run_api
    from runlane.public_api import Api

    from . import _documents as documents
    from ._artifact import Artifact
    from ._versions import Version

    run = runlane.run
    api = run_api(run) if run is not None and not run.offline else Api()
    artifact_id = None
    if scheme == "wandb-client-artifact":
        known = api._client.execute(documents.BY_CLIENT_ID, {"clientID": place})
        artifact_id = (known.get("clientIDMapping") or {}).get("serverID")
    else:
        try:
            artifact_id = base64.b64encode(bytes.fromhex(place)).decode()
        except ValueError:
            raise ValueError(f"the reference `{uri}` names no artifact") from None
    version = Version.by_id(api, artifact_id) if artifact_id else None
    if version is None:
        raise ValueError(f"there is no artifact for the reference `{uri}`, or it cannot be read")
    return Artifact._from_version(version)
