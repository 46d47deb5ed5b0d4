"""References to the web and to object stores: asking for ETags and sizes.

Every answer has 10 s. The packages of the stores are the user's: boto3, google-cloud-storage, azure-storage-blob.
"""

from __future__ import annotations

import os
from urllib.parse import parse_qs, unquote, urlsplit

from runlane.errors import CommError, Error

from ._found import Found

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TypeVar

    T = TypeVar("T")

AZURE_HOST = ".blob.core.windows.net"
TIMEOUT_SECS = 10.0


class UnreachableReferenceError(CommError, ValueError):
    """What a reference stands for cannot be looked at."""


def object_name(uri: str, scheme: str) -> str:
    """The name of a reference that was given none: the last part of the URI."""
    if scheme in ("s3", "gs", "azure"):
        return os.path.basename(unquote(urlsplit(uri).path).rstrip("/")) or (urlsplit(uri).hostname or uri)
    return uri.rstrip("/").rpartition("/")[2] if uri.rstrip("/").count("/") > 2 else urlsplit(uri).netloc


def look_up(scheme: str, uri: str, limit: int) -> list[Found]:
    """What `uri` stands for.

    Raises:
        ValueError: It cannot be reached, does not exist, or holds more than `limit` objects.
        Error: The package for it is missing.
    """
    return {"http": _http, "https": _http, "s3": _s3, "gs": _gs, "azure": _azure}[scheme](uri, limit)


def _failed(uri: str, error: object) -> UnreachableReferenceError:
    caught = error if isinstance(error, BaseException) else None
    return UnreachableReferenceError(
        f"cannot look at the reference `{uri}`: {str(error) or type(error).__name__}"
        "\nhint: with `checksum=False` it is added without looking at it",
        caught,
    )


def _in_time(uri: str, ask: Callable[[], T]) -> T:
    """The result of `ask`, which is left behind when the time is up: resolving a name, say, has no timeout of its own."""
    import queue
    import threading

    answers: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()

    def work() -> None:
        try:
            answers.put((True, ask()))
        except BaseException as error:  # noqa: BLE001, RUF100 - it is raised by the one who waits
            answers.put((False, error))

    threading.Thread(target=work, name="runlane-reference", daemon=True).start()
    try:
        is_good, answer = answers.get(timeout=TIMEOUT_SECS)
    except queue.Empty:
        raise _failed(uri, f"no answer within {TIMEOUT_SECS:g} s") from None
    if is_good:
        return answer  # type: ignore[no-any-return]
    raise _failed(uri, answer) from answer


def _unquoted(etag: str) -> str:
    return etag.strip('"')


def _http(uri: str, limit: int) -> list[Found]:
    del limit
    import urllib.request

    def ask() -> tuple[str | None, str | None]:
        # The body is not read: closing ends the transfer. Some servers answer HEAD with less.
        with urllib.request.urlopen(uri, timeout=TIMEOUT_SECS) as answer:  # noqa: S310 - http(s) is all that comes here
            return answer.headers.get("ETag"), answer.headers.get("Content-Length")

    etag, length = _in_time(uri, ask)
    size = int(length) if length is not None and length.isascii() and length.isdigit() else None
    if etag is None:
        return [Found(uri, uri, size=size, name=object_name(uri, "http"))]
    # Of a weak one (`W/"…"`) only the end: the entry's digest is compared with what W&B's client wrote.
    return [Found(uri, _unquoted(etag), size=size, name=object_name(uri, "http"), extra={"etag": etag})]


def _import(module: str, package: str, scheme: str, extra: str) -> Any:
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError as error:
        raise Error(
            f"{scheme} references require the package `{package}`: run `pip install {package}` ({extra})"
            "\nhint: with `checksum=False` the reference is added without it"
        ) from error


def _too_many(limit: int) -> ValueError:
    return ValueError(f"Exceeded {limit} objects tracked, pass max_objects to add_reference")


def _collect(uri: str, prefix: str, objects: Iterable[tuple[str, Found]], limit: int) -> list[Found]:
    """Objects below a prefix, named by what is behind it.

    Raises:
        ValueError: There are none, or too many.
    """
    directory = prefix if prefix.endswith("/") or not prefix else f"{prefix}/"
    found: list[Found] = []
    for key, one in objects:
        if not one.size:
            continue
        if len(found) >= limit:
            raise _too_many(limit)
        one.name = key[len(directory) :]
        one.is_below = True
        found.append(one)
    if not found:
        raise _failed(uri, "there is no such object or prefix")
    return found


def _s3(uri: str, limit: int) -> list[Found]:
    boto3 = _import("boto3", "boto3", "s3://", "as wandb[aws]")
    config = _import("botocore.config", "boto3", "s3://", "as wandb[aws]").Config(
        connect_timeout=TIMEOUT_SECS, read_timeout=TIMEOUT_SECS, retries={"max_attempts": 0}
    )
    errors = _import("botocore.exceptions", "boto3", "s3://", "as wandb[aws]")
    parts = urlsplit(uri)
    bucket, key = parts.netloc, parts.path.lstrip("/")
    version = parse_qs(parts.query).get("versionId", [None])[0]
    base = f"s3://{bucket}"
    try:
        client = boto3.client("s3", endpoint_url=os.environ.get("AWS_S3_ENDPOINT_URL"), config=config)
        if key and not key.endswith("/"):
            chosen = {"VersionId": version} if version else {}
            try:
                head = client.head_object(Bucket=bucket, Key=key, **chosen)
            except errors.ClientError as error:
                if str(error.response.get("Error", {}).get("Code")) not in ("404", "NoSuchKey"):
                    raise
                if version:
                    raise
            else:
                etag = _unquoted(head["ETag"])
                extra = {"etag": etag}
                if head.get("VersionId") not in (None, "null"):
                    extra["versionID"] = head["VersionId"]
                size = int(head["ContentLength"])
                return [Found(uri, etag, size=size, name=os.path.basename(key), extra=extra)]
        prefix = key if key.endswith("/") or not key else f"{key}/"
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)

        def objects() -> Iterable[tuple[str, Found]]:
            for page in pages:
                for item in page.get("Contents", []):
                    etag = _unquoted(item["ETag"])
                    extra = {"etag": etag}
                    ref = f"{base}/{item['Key']}"
                    yield item["Key"], Found(ref, etag, size=int(item["Size"]), name="", extra=extra)

        return _collect(uri, prefix, objects(), limit)
    except (errors.ClientError, errors.BotoCoreError) as error:
        raise _failed(uri, error) from error


def _gs(uri: str, limit: int) -> list[Found]:
    storage = _import("google.cloud.storage", "google-cloud-storage", "gs://", "as wandb[gcp]")
    errors = _import("google.api_core.exceptions", "google-cloud-storage", "gs://", "as wandb[gcp]")
    parts = urlsplit(uri)
    key, generation = parts.path.lstrip("/"), parts.fragment or None

    def found(blob: Any, ref: str) -> Found:
        extra = {"etag": blob.etag}
        if blob.generation is not None:
            extra["versionID"] = str(blob.generation)
        return Found(ref, blob.etag, size=int(blob.size), name=os.path.basename(blob.name), extra=extra)

    try:
        bucket = storage.Client().bucket(parts.netloc)
        if key and not key.endswith("/"):
            blob = bucket.get_blob(key, generation=generation, timeout=TIMEOUT_SECS, retry=None)
            if blob is not None:
                return [found(blob, uri)]
        prefix = key if key.endswith("/") or not key else f"{key}/"
        blobs = bucket.list_blobs(prefix=prefix, timeout=TIMEOUT_SECS, retry=None)
        objects = ((blob.name, found(blob, f"gs://{parts.netloc}/{blob.name}")) for blob in blobs)
        return _collect(uri, prefix, objects, limit)
    except (errors.GoogleAPIError, OSError) as error:
        raise _failed(uri, error) from error


def _azure(uri: str, limit: int) -> list[Found]:
    blobs = _import("azure.storage.blob", "azure-storage-blob", "Azure", "as wandb[azure]")
    identity = _import("azure.identity", "azure-identity", "Azure", "as wandb[azure]")
    errors = _import("azure.core.exceptions", "azure-storage-blob", "Azure", "as wandb[azure]")
    parts = urlsplit(uri)
    account = f"{parts.scheme}://{parts.netloc}"
    container, _, key = unquote(parts.path).lstrip("/").partition("/")
    version = parse_qs(parts.query).get("versionId", [None])[0]
    waits = {"connection_timeout": TIMEOUT_SECS, "read_timeout": TIMEOUT_SECS, "retry_total": 0}

    def found(properties: Any, ref: str) -> Found:
        etag = _unquoted(properties.etag)
        extra = {"etag": etag}
        if properties.version_id is not None:
            extra["versionID"] = properties.version_id
        return Found(
            ref, etag, size=int(properties.size), name=os.path.basename(properties.name), extra=extra
        )

    try:
        service = blobs.BlobServiceClient(account, credential=identity.DefaultAzureCredential(), **waits)
        if key and not key.endswith("/"):
            client = service.get_blob_client(container, key, version_id=version)
            try:
                return [found(client.get_blob_properties(), uri)]
            except errors.ResourceNotFoundError:
                if version:
                    raise
        prefix = key if key.endswith("/") or not key else f"{key}/"
        listed = service.get_container_client(container).list_blobs(name_starts_with=prefix)
        objects = ((one.name, found(one, f"{account}/{container}/{one.name}")) for one in listed)
        return _collect(uri, prefix, objects, limit)
    except errors.AzureError as error:
        raise _failed(uri, error) from error
