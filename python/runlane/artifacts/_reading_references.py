"""Entries that stand for something elsewhere: following them to other artifacts, and reading what is at their end."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from http.client import IncompleteRead
from urllib.parse import unquote, urlsplit

from runlane.errors import UsageError

from . import _documents as documents
from ._digests import algorithm_of, file_digest
from ._errors import DownloadError
from ._placing import write_all
from ._versions import Version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ._artifact import Artifact
    from ._entries import ArtifactManifestEntry
    from ._transport import Transport

_ARTIFACT = "wandb-artifact"
_CLIENT_ARTIFACT = "wandb-client-artifact"
#: References of references of … beyond this are taken for a circle.
_MAX_CHAIN = 32
_BLOCK_BYTES = 1 << 20


def is_artifact_reference(ref: str | None) -> bool:
    """Whether a reference leads to an entry of another artifact."""
    return ref is not None and urlsplit(ref).scheme in (_ARTIFACT, _CLIENT_ARTIFACT)


def followed(
    artifact: Artifact, entry: ArtifactManifestEntry, known: dict[str, str] | None = None
) -> tuple[Artifact, ArtifactManifestEntry]:
    """The entry at the end of references to other artifacts, and its artifact.

    Args:
        artifact: Whose entry it is.
        entry: Where the chain begins.
        known: Ids of versions by the client's ids in references; what is in it is not asked for again.

    Raises:
        DownloadError: There is no such artifact or entry, or the references go round in circles.
    """
    for _ in range(_MAX_CHAIN):
        ref = entry.ref
        if ref is None or not is_artifact_reference(ref):
            return artifact, entry
        parts = urlsplit(ref)
        found = _artifact(artifact, parts.scheme, parts.netloc, ref, {} if known is None else known)
        path = ref.partition("://")[2].partition("/")[2]
        target = found.manifest.entries.get(path)
        if target is None:
            raise DownloadError(f"the reference `{ref}` leads to no entry of the artifact `{found.name}`")
        artifact, entry = found, target
    raise DownloadError(f"the references of the entry `{entry.path}` go round in circles")


def _artifact(near: Artifact, scheme: str, place: str, ref: str, known: dict[str, str]) -> Artifact:
    api = near._stored_version.api
    if scheme == _CLIENT_ARTIFACT:
        # `<client id>` is one version, `<client id>:latest` the newest of a collection.
        artifact_id = known.get(place)
        if artifact_id is None:
            found = api._client.execute(documents.BY_CLIENT_ID, {"clientID": place})
            artifact_id = (found.get("clientIDMapping") or {}).get("serverID")
            if artifact_id and not place.endswith(":latest"):
                known[place] = artifact_id
    else:
        try:
            artifact_id = base64.b64encode(bytes.fromhex(place)).decode()
        except ValueError as error:
            raise DownloadError(f"the reference `{ref}` names no artifact") from error
    kept: dict[str, Artifact] = api._artifact_cache
    if artifact_id not in kept:
        version = Version.by_id(api, artifact_id) if artifact_id else None
        if version is None:
            raise DownloadError(f"there is no artifact for the reference `{ref}`, or it cannot be read")
        kept[str(artifact_id)] = near._from_version(version)
    return kept[str(artifact_id)]


class Contents:
    """Where the contents of a reference are now: a local file, or a stream that `write` saves.

    Attributes:
        path: The local file; None: `write` it.
        cached: What the contents are cached by: a URI and the ETag that they had; None: they are not.
    """

    def __init__(
        self,
        path: str | None = None,
        write: Callable[[int], int] | None = None,
        cached: tuple[str, str] | None = None,
    ) -> None:
        self.path = path
        self.write = write
        self.cached = cached


def contents(entry: ArtifactManifestEntry, transport: Transport) -> Contents:
    """Find what a reference leads to, and check that it is still what was added.

    Raises:
        DownloadError: It is not there, is something else now, or cannot be read.
    """
    ref = str(entry.ref)
    scheme = urlsplit(ref).scheme
    if scheme == "file":
        return _local(entry, ref)
    if scheme in ("http", "https"):
        if scheme == "https" and (urlsplit(ref).hostname or "").endswith(".blob.core.windows.net"):
            return Contents(write=lambda to: _azure(entry, ref, to), cached=(ref, entry.digest))
        return Contents(write=lambda to: _http(entry, ref, transport, to), cached=(ref, entry.digest))
    if scheme == "s3":
        return Contents(write=lambda to: _s3(entry, ref, to), cached=(ref, entry.digest))
    if scheme == "gs":
        return Contents(write=lambda to: _gs(entry, ref, to), cached=(ref, entry.digest))
    raise DownloadError(
        f"the entry `{entry.path}` is a reference to `{ref}`, and nothing here reads `{scheme}`"
        "\nhint: `allow_missing_references=True` leaves such entries out"
    )


def _changed(entry: ArtifactManifestEntry, place: str, found: str) -> DownloadError:
    return DownloadError(
        f"Digest mismatch for the entry `{entry.path}`: `{place}` is not what was added: expected {entry.digest},"
        f" found {found}"
    )


def _local(entry: ArtifactManifestEntry, ref: str) -> Contents:
    path = ref.removeprefix("file://")
    if not os.path.lexists(path):
        path = unquote(path)
    if not os.path.isfile(path):
        raise DownloadError(
            f"the entry `{entry.path}` is a reference to `{ref}`, which is no file on this machine"
        )
    if _is_content_digest(entry, ref):
        found = file_digest(path, algorithm_of(entry))
        if found != entry.digest:
            raise _changed(entry, path, found)
    return Contents(path)


def _is_content_digest(entry: ArtifactManifestEntry, ref: str) -> bool:
    """Whether the digest is that of the contents: without a checksum it is the URI, or that of the URI."""
    uri = base64.b64encode(hashlib.md5(ref.encode(), usedforsecurity=False).digest()).decode()
    if entry.digest in (ref, uri):
        return False
    try:
        return len(base64.b64decode(entry.digest, validate=True)) == 16
    except (ValueError, binascii.Error):
        return False


def _http(entry: ArtifactManifestEntry, ref: str, transport: Transport, descriptor: int) -> int:
    with transport.get(ref, foreign=True) as answer:
        if answer.status != 200:
            raise DownloadError(
                f"the entry `{entry.path}` is a reference to `{ref}`, which answers {answer.status}"
            )
        etag = (answer.headers.get("ETag") or "").strip('"')
        if etag and entry.digest not in (ref, etag) and answer.headers.get("ETag") != entry.digest:
            raise _changed(entry, ref, etag)
        length = answer.headers.get("Content-Length")
        block = memoryview(bytearray(_BLOCK_BYTES))
        written = 0
        while count := answer.readinto(block):
            written += count
            if entry.size and written > entry.size:
                # Whoever answers could go on for ever.
                raise _changed(entry, ref, f"more than {entry.size} bytes")
            write_all(descriptor, block[:count])
        if length is not None and length.isdecimal() and written != int(length):
            raise IncompleteRead(b"", int(length) - written)
        return written


def _library(name: str, package: str, ref: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise UsageError(
            f"reading `{ref}` needs the package `{package}`\nhint: pip install {package}"
        ) from error


def _bucket_and_key(ref: str) -> tuple[str, str]:
    parts = urlsplit(ref)
    return parts.netloc, parts.path.lstrip("/")


def _copy(stream: Any, descriptor: int) -> int:
    written = 0
    while block := stream.read(_BLOCK_BYTES):
        write_all(descriptor, block)
        written += len(block)
    return written


def _s3(entry: ArtifactManifestEntry, ref: str, descriptor: int) -> int:
    client = _library("boto3", "boto3", ref).client(
        "s3", endpoint_url=os.environ.get("AWS_S3_ENDPOINT_URL"), region_name=os.environ.get("AWS_REGION")
    )
    bucket, key = _bucket_and_key(ref)
    where: dict[str, Any] = {"Bucket": bucket, "Key": key}
    version = entry.extra.get("versionID")
    if version and version != "null":
        where["VersionId"] = version
    try:
        found = client.get_object(**where)
        etag = str(found["ETag"]).strip('"')
        if entry.digest not in (ref, etag) and "VersionId" not in where:
            # It was overwritten; a bucket with versions still has what was added.
            older = client.list_object_versions(Bucket=bucket, Prefix=key).get("Versions") or []
            match = [
                each for each in older if each["Key"] == key and str(each["ETag"]).strip('"') == entry.digest
            ]
            if match:
                found["Body"].close()
                found = client.get_object(**where, VersionId=match[0]["VersionId"])
                etag = entry.digest
    except Exception as error:
        raise DownloadError(
            f"the entry `{entry.path}` is a reference to `{ref}`, which cannot be read: {error}", error
        ) from error
    if entry.digest not in (ref, etag):
        raise _changed(entry, ref, etag)
    return _copy(found["Body"], descriptor)


def _gs(entry: ArtifactManifestEntry, ref: str, descriptor: int) -> int:
    client = _library("google.cloud.storage", "google-cloud-storage", ref).Client()
    bucket, key = _bucket_and_key(ref.partition("#")[0])
    generation = entry.extra.get("versionID")
    try:
        blob = client.bucket(bucket).get_blob(key, generation=generation)
    except Exception as error:
        raise DownloadError(
            f"the entry `{entry.path}` is a reference to `{ref}`, which cannot be read: {error}", error
        ) from error
    if blob is None:
        raise DownloadError(
            f"the entry `{entry.path}` is a reference to `{ref}`, and there is no such object"
        )
    if entry.digest not in (ref, blob.etag):
        raise _changed(entry, ref, str(blob.etag))
    with blob.open("rb") as stream:
        return _copy(stream, descriptor)


def _azure(entry: ArtifactManifestEntry, ref: str, descriptor: int) -> int:
    blobs = _library("azure.storage.blob", "azure-storage-blob", ref)
    credential = _library("azure.identity", "azure-identity", ref).DefaultAzureCredential()
    client = blobs.BlobClient.from_blob_url(ref.partition("?")[0], credential=credential)
    try:
        stream = client.download_blob(version_id=entry.extra.get("versionID"))
    except Exception as error:
        raise DownloadError(
            f"the entry `{entry.path}` is a reference to `{ref}`, which cannot be read: {error}", error
        ) from error
    etag = str(stream.properties.etag).strip('"')
    if entry.digest not in (ref, etag):
        raise _changed(entry, ref, etag)
    written = 0
    for block in stream.chunks():
        write_all(descriptor, block)
        written += len(block)
    return written
