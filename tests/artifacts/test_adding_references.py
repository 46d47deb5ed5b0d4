"""Adding references to a draft: what the entries say, what is refused, and that nothing waits for long."""

from __future__ import annotations

import base64
import hashlib
import http.server
import os
import socket
import sys
import threading
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import runlane
from runlane import terminal
from runlane.artifacts import Artifact, _reference_stores


@pytest.fixture(autouse=True)
def data(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_DATA_DIR", str(world.parent / "data"))


@pytest.fixture
def draft() -> Artifact:
    return Artifact("a", "dataset")


def added(draft: Artifact, *arguments: Any, **options: Any) -> list[dict[str, Any]]:
    made = [entry.to_json() for entry in draft.add_reference(*arguments, **options)]
    for entry in made:
        assert not entry.pop("skip_cache")
        entry.pop("extra") if not entry["extra"] else None
    return made


def md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


class _Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.startswith("/gone"):
            self.send_error(404)
            return
        if self.path.startswith("/around"):
            self.send_response(302)
            self.send_header("Location", self.path)
            self.end_headers()
            return
        self.send_response(200)
        if "plain" not in self.path:
            self.send_header("ETag", 'W/"weak"' if "weak" in self.path else '"abc"')
            self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_arguments: Any) -> None:
        return


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Pages)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_files_are_hashed_where_they_are(world: Path, draft: Artifact) -> None:
    (world / "d" / "s").mkdir(parents=True)
    (world / "d" / "a").write_bytes(b"hello")
    (world / "d" / "s" / "b").write_bytes(b"")
    # As wandb: links to files are followed, links to directories are not.
    (world / "d" / "link").symlink_to("s")
    (world / "d" / "to-a").symlink_to("a")
    uri = f"file://{world}/d"
    assert added(draft, f"{uri}/a") == [{"path": "a", "digest": md5(b"hello"), "ref": f"{uri}/a", "size": 5}]
    assert added(draft, uri, name="all") == [
        {"path": "all/a", "digest": md5(b"hello"), "ref": f"{uri}/a", "size": 5},
        {"path": "all/s/b", "digest": md5(b""), "ref": f"{uri}/s/b", "size": 0},
        {"path": "all/to-a", "digest": md5(b"hello"), "ref": f"{uri}/to-a", "size": 5},
    ]
    assert added(draft, f"{uri}/a", name="unread", checksum=False) == [
        {"path": "unread", "digest": md5(f"{uri}/a".encode()), "ref": f"{uri}/a", "size": 5}
    ]
    with pytest.raises(ValueError, match="Exceeded 2 objects tracked, pass max_objects to add_reference"):
        draft.add_reference(uri, name="few", max_objects=2)
    for bad in (f"file://{world}/nowhere", "file://d/a", "file:///dev/null"):
        with pytest.raises(ValueError, match="must be a valid file or directory path"):
            draft.add_reference(bad, name="x")
    assert len(draft.manifest) == 5
    assert draft.size == 20


@pytest.mark.parametrize(
    "uri", ["d/a", "", "x", "s3:", "s3:/b", "http:\n//x", "://x", 5, None, b"s3://b", Path("/x")]
)
def test_what_is_no_uri_is_refused(draft: Artifact, uri: Any) -> None:
    with pytest.raises(ValueError, match="References must be URIs"):
        draft.add_reference(uri, name="x")


def test_web_pages_are_known_by_their_etag(draft: Artifact, web: str) -> None:
    assert added(draft, f"{web}/x/y.txt?q=1") == [
        {
            "path": "y.txt?q=1",
            "digest": "abc",
            "ref": f"{web}/x/y.txt?q=1",
            "size": 5,
            "extra": {"etag": '"abc"'},
        }
    ]
    assert added(draft, f"{web}/weak")[0]["digest"] == 'W/"weak'
    assert added(draft, f"{web}/plain") == [
        {"path": "plain", "digest": f"{web}/plain", "ref": f"{web}/plain"}
    ]
    assert added(draft, f"{web}/gone", name="n", checksum=False) == [
        {"path": "n", "digest": f"{web}/gone", "ref": f"{web}/gone"}
    ]


def test_what_cannot_be_reached_is_told_soon(
    draft: Artifact, web: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _reference_stores.TIMEOUT_SECS == 10
    monkeypatch.setattr(_reference_stores, "TIMEOUT_SECS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        for uri in (
            f"http://127.0.0.1:{silent.getsockname()[1]}/x",
            "http://127.0.0.1:1/x",
            f"{web}/gone",
            f"{web}/around",
            "http://[::1",
        ):
            with pytest.raises(ValueError, match=r"cannot look at the reference|must be URIs"):
                draft.add_reference(uri, name="x")
        assert time.monotonic() - began < 5
    assert len(draft.manifest) == 0


def test_other_schemes_are_taken_as_they_are(draft: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(terminal, "termwarn", lambda text, **_: told.append(text))
    with pytest.raises(ValueError, match='You must pass name="<entry_name>"'):
        draft.add_reference("ftp://host/x")
    assert added(draft, "ftp://host/x", name="f") == [
        {"path": "f", "digest": "ftp://host/x", "ref": "ftp://host/x"}
    ]
    assert told == ["Artifact references with unsupported schemes cannot be checksummed: ftp://host/x"]
    assert added(draft, "ftp://host/x", name="f")[0]["path"] == "f"
    with pytest.raises(ValueError, match="Cannot add the same path twice: 'f'"):
        draft.add_reference("ftp://host/y", name="f")
    for name in ("../f", "/f"):
        with pytest.raises(ValueError, match="Invalid artifact path"):
            draft.add_reference("ftp://host/x", name=name)
    with pytest.raises(ValueError, match="positive integer"):
        draft.add_reference("ftp://host/x", name="g", max_objects=0)


@pytest.mark.parametrize(
    ("uri", "package"),
    [
        ("s3://b/k", "boto3"),
        ("gs://b/k", "google-cloud-storage"),
        ("https://acc.blob.core.windows.net/c/k", "azure-storage-blob"),
    ],
)
def test_a_missing_package_is_named(
    draft: Artifact, monkeypatch: pytest.MonkeyPatch, uri: str, package: str
) -> None:
    for module in ("boto3", "google.cloud.storage", "azure.storage.blob"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(runlane.Error, match=f"pip install {package}"):
        draft.add_reference(uri)
    assert added(draft, uri, checksum=False) == [{"path": "k", "digest": uri, "ref": uri}]


class _Refused(Exception):  # noqa: N818 - stands for the library's
    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.response = {"Error": {"Code": code}}


class _Bucket:
    """Stands for boto3's client: two objects below a prefix, and one that is empty."""

    objects = {"d/one": 3, "d/s/two": 4, "d/empty": 0, "single": 7}  # noqa: RUF012 - never changed

    def head_object(self, *, Bucket: str, Key: str, VersionId: str | None = None) -> dict[str, Any]:  # noqa: N803 - boto3's
        if Bucket == "forbidden":
            raise _Refused("403")
        if Key not in self.objects or VersionId == "gone":
            raise _Refused("404")
        return {"ETag": f'"e-{Key}"', "ContentLength": self.objects[Key], "VersionId": VersionId or "null"}

    def get_paginator(self, name: str) -> Any:
        assert name == "list_objects_v2"
        return types.SimpleNamespace(paginate=self._pages)

    def _pages(self, *, Bucket: str, Prefix: str) -> Iterator[dict[str, Any]]:  # noqa: N803 - boto3's
        del Bucket
        for key, size in self.objects.items():
            if key.startswith(Prefix):
                yield {"Contents": [{"Key": key, "ETag": f'"e-{key}"', "Size": size}]}


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    modules = {
        "boto3": {"client": lambda *_, **__: _Bucket()},
        "botocore": {},
        "botocore.config": {"Config": lambda **options: options},
        "botocore.exceptions": {"ClientError": _Refused, "BotoCoreError": _Refused},
    }
    for name, members in modules.items():
        module = types.ModuleType(name)
        module.__dict__.update(members)
        monkeypatch.setitem(sys.modules, name, module)


def test_buckets_are_looked_into(draft: Artifact, bucket: None) -> None:
    assert added(draft, "s3://b/single") == [
        {
            "path": "single",
            "digest": "e-single",
            "ref": "s3://b/single",
            "size": 7,
            "extra": {"etag": "e-single"},
        }
    ]
    (entry,) = added(draft, "s3://b/single?versionId=v1", name="of-version")
    assert entry["extra"] == {"etag": "e-single", "versionID": "v1"}
    assert [
        (entry["path"], entry["ref"], entry["size"]) for entry in added(draft, "s3://b/d", name="all")
    ] == [("all/one", "s3://b/d/one", 3), ("all/s/two", "s3://b/d/s/two", 4)]
    with pytest.raises(ValueError, match="Exceeded 1 objects tracked"):
        draft.add_reference("s3://b/d", name="few", max_objects=1)
    for uri in ("s3://b/nowhere", "s3://b/single?versionId=gone", "s3://forbidden/x"):
        with pytest.raises(ValueError, match="cannot look at the reference"):
            draft.add_reference(uri, name="x")


def test_google_and_azure_are_looked_into(draft: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    blob = types.SimpleNamespace(name="d/one", etag="e1", generation=5, size=3, version_id=None)

    def bucket(name: str) -> Any:
        assert name == "b"
        return types.SimpleNamespace(
            get_blob=lambda key, **_: blob if key == "d/one" else None,
            list_blobs=lambda prefix, **_: [blob] if blob.name.startswith(prefix) else [],
        )

    class Service:
        def __init__(self, account: str, **_options: Any) -> None:
            assert account == "https://acc.blob.core.windows.net"

        def get_blob_client(self, container: str, key: str, version_id: str | None) -> Any:
            assert (container, version_id) == ("c", None)

            def properties() -> Any:
                if key != "d/one":
                    raise LookupError(key)
                return blob

            return types.SimpleNamespace(get_blob_properties=properties)

        def get_container_client(self, _container: str) -> Any:
            return types.SimpleNamespace(
                list_blobs=lambda name_starts_with: [blob] if blob.name.startswith(name_starts_with) else []
            )

    modules: dict[str, dict[str, Any]] = {
        "google.cloud.storage": {"Client": lambda: types.SimpleNamespace(bucket=bucket)},
        "google.api_core.exceptions": {"GoogleAPIError": LookupError},
        "azure.storage.blob": {"BlobServiceClient": Service},
        "azure.identity": {"DefaultAzureCredential": object},
        "azure.core.exceptions": {"AzureError": LookupError, "ResourceNotFoundError": LookupError},
    }
    for name, members in modules.items():
        for depth in range(1, name.count(".") + 2):
            part = ".".join(name.split(".")[:depth])
            if part not in modules and part not in sys.modules:
                monkeypatch.setitem(sys.modules, part, types.ModuleType(part))
        module = types.ModuleType(name)
        module.__dict__.update(members)
        monkeypatch.setitem(sys.modules, name, module)
    account = "https://acc.blob.core.windows.net/c"
    for base, version in (("gs://b", {"versionID": "5"}), (account, {})):
        (single,) = added(draft, f"{base}/d/one", name=f"{len(draft.manifest)}")
        assert (single["digest"], single["ref"], single["size"]) == ("e1", f"{base}/d/one", 3)
        assert single["extra"] == {"etag": "e1", **version}
        (below,) = added(draft, f"{base}/d", name=f"all{len(draft.manifest)}")
        assert (below["path"].rpartition("/")[2], below["ref"]) == ("one", f"{base}/d/one")
        with pytest.raises(ValueError, match="cannot look at the reference"):
            draft.add_reference(f"{base}/nowhere", name="x")


def test_drafts_refer_to_each_other(world: Path, draft: Artifact) -> None:
    other = Artifact("b", "dataset")
    with other.new_file("f") as file:
        file.write("hello")
    uri = f"wandb-client-artifact://{other._client_id}/f"
    assert added(draft, uri, name="theirs") == [
        {"path": "theirs", "digest": "XUFAKrxLKna5cZ2REBfFkg==", "ref": uri, "size": 0}
    ]
    with pytest.raises(ValueError, match="has no entry `g`"):
        draft.add_reference(f"wandb-client-artifact://{other._client_id}/g", name="x")


def test_objects_of_another_draft_become_references(world: Path, draft: Artifact) -> None:
    other = Artifact("b", "dataset")
    table = runlane.Table(["a"], [[1]])
    entry = other.add(table, "t")
    assert entry.path == "t.table.json"
    assert other.add(runlane.Table(["a"], [[2]]), "t") is entry
    assert other.add(runlane.Table(["a"], [[2]]), "t", overwrite=True).digest != entry.digest
    other = Artifact("b", "dataset")
    other["t"] = table
    other.finalize()
    again = draft.add(table, "mine")
    assert again.ref == f"wandb-client-artifact://{other._client_id}/t.table.json"
    assert again.digest == other.manifest.entries["t.table.json"].digest
    with pytest.raises(TypeError, match="Found object of type <class 'int'>"):
        draft.add(5, "x")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Histogram"):
        draft.add(runlane.Histogram([1, 2]), "x")
    with pytest.raises(ValueError, match="Invalid artifact path"):
        draft.add(runlane.Table(["a"], [[1]]), "../t")
    assert list(draft.manifest.entries) == ["mine.table.json"]
    assert os.listdir() == []
