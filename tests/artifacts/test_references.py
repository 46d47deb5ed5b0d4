"""References: to other artifacts, to files, to the web, to buckets; each is what was added, or it is refused."""

from __future__ import annotations

import base64
import io
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_server import FakeServer, StoredVersion, md5
from runlane.artifacts import Artifact
from runlane.errors import CommError, UsageError

Fetch = Callable[[StoredVersion], Artifact]


def add_reference(version: StoredVersion, path: str, ref: str, digest: str, **members: Any) -> None:
    version.entries[path] = {"digest": digest, "ref": ref, "size": 0, **members}


def uri_of(version: StoredVersion, path: str) -> str:
    return f"wandb-artifact://{base64.b64decode(version.id).hex()}/{path}"


def test_references_to_other_artifacts_are_followed_to_their_end(stored: FakeServer, fetch: Fetch) -> None:
    first = stored.add({"dir/x y": b"contents"})
    second, third = stored.add({}), stored.add({"own": b"1"})
    add_reference(second, "mid", uri_of(first, "dir/x y"), md5(b"contents"))
    add_reference(third, "end", uri_of(second, "mid"), md5(b"contents"))
    asked: list[str] = []

    def mapped(variables: dict[str, Any]) -> dict[str, Any]:
        asked.append(variables["clientID"])
        return {"clientIDMapping": {"serverID": second.id}}

    stored.answers["ClientIDMapping"] = mapped
    add_reference(third, "by-client", "wandb-client-artifact://abc/mid", md5(b"contents"))
    add_reference(third, "again", "wandb-client-artifact://abc/mid", md5(b"contents"))
    artifact = fetch(third)
    root = Path(artifact.download(root=""))
    assert {path.name: path.read_bytes() for path in root.iterdir()} == {
        "own": b"1",
        "end": b"contents",
        "by-client": b"contents",
        "again": b"contents",
    }
    assert asked == ["abc"], "each client's id is asked for once"
    assert artifact.get_entry("end").ref_target() == uri_of(first, "dir/x y")
    assert artifact.get_entry("own").ref_url() == uri_of(third, "own")
    artifact.verify()


def test_references_that_go_round_in_circles_are_named(stored: FakeServer, fetch: Fetch) -> None:
    first, second = stored.add({}), stored.add({})
    add_reference(first, "a", uri_of(second, "b"), "x")
    add_reference(second, "b", uri_of(first, "a"), "x")
    with pytest.raises(ValueError, match="go round in circles"):
        fetch(first).download()


@pytest.mark.parametrize(
    ("ref", "text"),
    [
        ("wandb-artifact://00ff/x", "there is no artifact for the reference"),
        ("wandb-artifact://no-hex/x", "names no artifact"),
        ("wandb-client-artifact://unknown/x", "there is no artifact for the reference"),
        (None, "leads to no entry of the artifact `data1:v0`"),
        ("file:///nowhere/at/all", "no file on this machine"),
        ("ftp://host/x", "nothing here reads `ftp`"),
    ],
)
def test_missing_references_raise_or_are_left_out(
    stored: FakeServer,
    fetch: Fetch,
    capsys: pytest.CaptureFixture[str],
    ref: str | None,
    text: str,
) -> None:
    first = stored.add({"x": b"1"})
    version = stored.add({"own": b"2"})
    stored.answers["ClientIDMapping"] = {"clientIDMapping": None}
    add_reference(version, "gone", ref or uri_of(first, "nope"), "x")
    with pytest.raises(CommError, match=text):
        fetch(version).download()
    root = Path(fetch(version).download(allow_missing_references=True))
    assert [path.name for path in root.iterdir()] == ["own"]
    assert "the reference `gone` is left out: " in capsys.readouterr().err


def test_files_of_this_machine_are_copied_and_checked(
    stored: FakeServer, fetch: Fetch, tmp_path: Path
) -> None:
    source = tmp_path / "with space.bin"
    source.write_bytes(b"local")
    version = stored.add({})
    add_reference(version, "checked", f"file://{source}", md5(b"local"))
    add_reference(version, "unchecked", f"file://{source}", f"file://{source}")
    root = Path(fetch(version).download())
    assert (root / "checked").read_bytes() == (root / "unchecked").read_bytes() == b"local"
    source.write_bytes(b"other")
    with pytest.raises(ValueError, match="Digest mismatch for the entry `checked`"):
        fetch(version).download()


def test_the_web_is_read_and_cached_by_its_etag(stored: FakeServer, fetch: Fetch, world: Path) -> None:
    stored.foreign["/web"] = (b"of the web", '"tag1"')
    version = stored.add({})
    add_reference(version, "page", f"{stored.url}/web", "tag1", size=10, extra={"etag": '"tag1"'})
    artifact = fetch(version)
    assert (Path(artifact.download()) / "page").read_bytes() == b"of the web"
    path, headers = stored.headers[-1]
    assert path == "/web"
    assert "Authorization" not in headers, "the key is for the server, not for what an artifact refers to"
    artifact.download(root=world / "again")
    assert (world / "again" / "page").read_bytes() == b"of the web"
    assert stored.asked["/web"] == 1


def test_a_page_of_the_web_that_changed_is_refused(stored: FakeServer, fetch: Fetch) -> None:
    stored.foreign["/web"] = (b"of the web", '"tag2"')
    version = stored.add({})
    add_reference(version, "page", f"{stored.url}/web", "tag1")
    add_reference(version, "unchecked", f"{stored.url}/web", f"{stored.url}/web")
    with pytest.raises(
        ValueError, match=r"Digest mismatch for the entry `page`: .*expected tag1, found tag2"
    ):
        fetch(version).download()
    assert (Path(fetch(version).download(path_prefix="un")) / "unchecked").read_bytes() == b"of the web"
    stored.foreign["/web"] = (b"longer than before", '"tag1"')
    version.entries["page"]["size"] = 3
    with pytest.raises(ValueError, match=r"`page`: .* is not what was added: .*found more than 3 bytes"):
        fetch(version).download(path_prefix="page")


class FakeBoto:
    """A bucket with versions, behind what is used of boto3."""

    def __init__(self) -> None:
        self.objects = {"old": (b"before", "etag-old"), "new": (b"after", "etag-new")}

    def client(self, *_args: Any, **_options: Any) -> FakeBoto:
        return self

    def get_object(self, **where: str) -> dict[str, Any]:
        assert (where["Bucket"], where["Key"]) == ("bucket", "dir/key")
        content, etag = self.objects[where.get("VersionId", "new")]
        return {"Body": io.BytesIO(content), "ETag": f'"{etag}"'}

    def list_object_versions(self, **where: str) -> dict[str, Any]:
        return {
            "Versions": [
                {"Key": where["Prefix"], "ETag": f'"{etag}"', "VersionId": name}
                for name, (_, etag) in self.objects.items()
            ]
        }


@pytest.mark.parametrize(
    ("digest", "extra", "content"),
    [
        ("etag-new", {"etag": "etag-new"}, b"after"),
        ("etag-old", {"etag": "etag-old", "versionID": "old"}, b"before"),
        ("etag-old", {"etag": "etag-old"}, b"before"),
        ("etag-gone", {"etag": "etag-gone"}, None),
    ],
)
def test_objects_of_a_bucket_are_read_as_they_were_added(
    stored: FakeServer,
    fetch: Fetch,
    monkeypatch: pytest.MonkeyPatch,
    digest: str,
    extra: dict[str, str],
    content: bytes | None,
) -> None:
    monkeypatch.setitem(sys.modules, "boto3", FakeBoto())
    version = stored.add({})
    add_reference(version, "object", "s3://bucket/dir/key", digest, extra=extra)
    if content is None:
        with pytest.raises(
            ValueError, match=r"`s3://bucket/dir/key` is not what was added: expected etag-gone"
        ):
            fetch(version).download()
    else:
        assert (Path(fetch(version).download()) / "object").read_bytes() == content


@pytest.mark.parametrize(("etag", "right"), [("tag", True), ("other", False)])
def test_objects_of_google_are_read_by_their_generation(
    stored: FakeServer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch, etag: str, right: bool
) -> None:
    asked: list[tuple[str, str, Any]] = []

    class Blob:
        def __init__(self) -> None:
            self.etag = etag

        def open(self, _mode: str) -> io.BytesIO:
            return io.BytesIO(b"of google")

    class Client:
        def bucket(self, name: str) -> Client:
            self.name = name
            return self

        def get_blob(self, key: str, generation: Any) -> Blob:
            asked.append((self.name, key, generation))
            return Blob()

    module = types.ModuleType("google.cloud.storage")
    module.Client = Client  # type: ignore[attr-defined]
    for name in ("google", "google.cloud"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "google.cloud.storage", module)
    version = stored.add({})
    add_reference(version, "object", "gs://bucket/dir/key#7", "tag", extra={"versionID": "7"})
    if right:
        assert (Path(fetch(version).download()) / "object").read_bytes() == b"of google"
    else:
        with pytest.raises(ValueError, match="Digest mismatch for the entry `object`"):
            fetch(version).download()
    assert asked == [("bucket", "dir/key", "7")]


def test_a_missing_library_is_named(
    stored: FakeServer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    version = stored.add({})
    add_reference(version, "object", "s3://bucket/key", "tag")
    with pytest.raises(UsageError, match="needs the package `boto3`\nhint: pip install boto3"):
        fetch(version).download()


def test_a_connection_that_breaks_is_made_again(
    stored: FakeServer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runlane.artifacts._downloader._DELAYS_SECS", (0.001, 0.001))
    stored.foreign["/web"] = (b"of the web" * 1000, '"tag1"')
    version = stored.add({})
    add_reference(version, "page", f"{stored.url}/web", "tag1", size=10_000)
    stored.faults["/web"] = ["break", "break"]
    assert (Path(fetch(version).download()) / "page").stat().st_size == 10_000
    other = stored.add({})
    add_reference(other, "nobody", "http://127.0.0.1:9/x", "tag1", size=1)
    with pytest.raises(
        CommError, match=r"entry `nobody` is a reference to `http://127.0.0.1:9/x`, which cannot be"
    ):
        fetch(other).download()
