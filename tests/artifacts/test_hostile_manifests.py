"""A manifest comes from a stranger: nothing outside the root is written, and what cannot be is named."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_server import FakeServer, StoredVersion
from runlane.artifacts import Artifact, _downloader, _placing
from runlane.errors import CommError

Fetch = Callable[[StoredVersion], Artifact]


def everything(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*")}


@pytest.mark.parametrize(
    "path",
    [
        "../outside",
        "../../.ssh/authorized_keys",
        "dir/../../outside",
        "/etc/outside",
        "//outside",
        "dir//x",
        "dir/./x",
        "..",
        ".",
        "",
        "x/",
        "nul\0byte",
        "n" * 256,
        "d/" + "\u00fc" * 128,
        "surrogate\udc80",
    ],
)
def test_names_that_lead_elsewhere_are_refused(
    stored: FakeServer, fetch: Fetch, tmp_path: Path, path: str
) -> None:
    version = stored.add({"good": b"1", path: b"evil"})
    before = everything(tmp_path)
    for method in ("download", "checkout"):
        with pytest.raises(
            ValueError, match=r"the artifact has an entry .* that cannot be written: "
        ) as caught:
            getattr(fetch(version), method)()
        assert isinstance(caught.value, CommError)
        assert repr(path)[1:50] in str(caught.value) or ascii(path)[1:50] in str(caught.value)
    assert everything(tmp_path) == before
    assert stored.asked["good"] == 0


def test_names_of_four_kilobytes_are_refused_with_their_place(stored: FakeServer, fetch: Fetch) -> None:
    path = "/".join(["d" * 200] * 25)
    with pytest.raises(ValueError, match=r"cannot write the entry `ddd.* below .* its path has "):
        fetch(stored.add({path: b"1"})).download()


@pytest.mark.parametrize("name", ["CON", "aux.txt", "d/nul", "a:b", "C:/x", "a\\b", "tail.", "tail ", "a?b"])
def test_names_that_windows_reads_otherwise_are_refused_there_only(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be written"):
        _placing.check_path(name, windows=True)
    _placing.check_path(name, windows=False)


def test_odd_names_come_back_as_they_are(stored: FakeServer, fetch: Fetch) -> None:
    contents = {name: name.encode() for name in ("CON", "a\\b", "new\nline", "-rf", " ", "tail.", "~", "...")}
    root = Path(fetch(stored.add(contents)).download())
    assert {name: (root / name).read_bytes() for name in contents} == contents


def test_a_link_below_the_root_is_not_followed(stored: FakeServer, fetch: Fetch, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    root = Path("artifacts/data1:v0")
    root.mkdir(parents=True)
    (root / "dir").symlink_to(outside)
    with pytest.raises(ValueError, match=r"cannot write the entry `dir/x` .*`dir` is a link there"):
        fetch(stored.add({"dir/x": b"evil"})).download()
    assert list(outside.iterdir()) == []


def test_a_link_in_the_place_of_a_file_is_replaced(stored: FakeServer, fetch: Fetch, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"same size..")
    root = Path("artifacts/data1:v0")
    root.mkdir(parents=True)
    (root / "x").symlink_to(outside)
    fetch(stored.add({"x": b"from server"})).download()
    assert outside.read_bytes() == b"same size.."
    assert (root / "x").read_bytes() == b"from server"
    assert not (root / "x").is_symlink()


def test_a_link_to_right_contents_is_no_file_of_the_artifact(
    stored: FakeServer, fetch: Fetch, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"contents")
    artifact = fetch(stored.add({"x": b"contents"}))
    root = Path(artifact.download())
    (root / "x").unlink()
    (root / "x").symlink_to(outside)
    with pytest.raises(ValueError, match="Digest mismatch for file"):
        artifact.verify()
    artifact.download()
    assert not (root / "x").is_symlink()


def test_the_cache_follows_no_link(
    stored: FakeServer, fetch: Fetch, cache: Path, tmp_path: Path, world: Path
) -> None:
    artifact = fetch(stored.add({"x": b"contents"}))
    artifact.download()
    (entry,) = (path for path in (cache / "obj").rglob("*") if path.is_file())
    outside = tmp_path / "outside"
    outside.write_bytes(b"contents")
    entry.unlink()
    entry.symlink_to(outside)
    artifact.download(root=world / "again")
    assert outside.read_bytes() == b"contents"
    assert not entry.is_symlink()


def test_checkout_removes_links_and_not_what_they_lead_to(
    stored: FakeServer, fetch: Fetch, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    root = Path("artifacts/data1")
    root.mkdir(parents=True)
    (root / "link").symlink_to(outside)
    fetch(stored.add({"link/x": b"1"})).checkout()
    assert (outside / "kept").exists()
    assert not (outside / "x").exists()
    assert (root / "link" / "x").read_bytes() == b"1"


@pytest.mark.parametrize(
    ("paths", "folds"),
    [
        (("Readme", "README"), (True, False)),
        (("dir/x", "DIR/y"), (True, False)),
        (("caf\u00e9", "cafe\u0301"), (False, True)),
        (("\u00c9", "e\u0301"), (True, True)),
    ],
)
def test_names_that_a_file_system_takes_as_one_are_refused(
    stored: FakeServer,
    fetch: Fetch,
    monkeypatch: pytest.MonkeyPatch,
    paths: tuple[str, str],
    folds: tuple[bool, bool],
) -> None:
    contents = {path: path.encode() for path in paths}
    artifact = fetch(stored.add(contents))
    with monkeypatch.context() as patch:
        patch.setattr(_downloader, "folding", lambda _directory: folds)
        with pytest.raises(ValueError, match="are one file name on this file system") as caught:
            artifact.download()
        assert all(path in str(caught.value) for path in paths)
    root = Path(artifact.download())
    assert {path: (root / path).read_bytes() for path in contents} == contents


def test_what_a_file_system_folds_is_found_out(tmp_path: Path) -> None:
    assert _placing.folding(str(tmp_path)) == (
        os.path.exists(tmp_path.parent / tmp_path.name.swapcase()),
        False,
    )
    assert list(tmp_path.iterdir()) == []


def test_an_entry_that_is_a_file_and_a_directory_is_refused(stored: FakeServer, fetch: Fetch) -> None:
    with pytest.raises(
        ValueError, match=r"entry `a/b` of the artifact is a file, but the entry `a/b/c` needs a directory"
    ):
        fetch(stored.add({"a/b": b"1", "a/b/c": b"2"})).download()


@pytest.mark.parametrize("digest", ["", "not base64!", "AAAA", "d41d8cd98f00b204e9800998ecf8427e"])
def test_a_digest_that_is_none_is_named(stored: FakeServer, fetch: Fetch, digest: str) -> None:
    version = stored.add({"x": b"1"})
    version.entries["x"]["digest"] = digest
    with pytest.raises(ValueError, match="the entry `x` has a digest that is none"):
        fetch(version).download()


def test_a_server_that_sends_too_much_is_cut_off(stored: FakeServer, fetch: Fetch) -> None:
    version = stored.add({"x": b"1"})
    version.files["x"] = bytes(50_000_000)
    with pytest.raises(ValueError, match="sent more than the 1 bytes that the entry `x` has"):
        fetch(version).download()


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"storagePolicy": "other"},
        {"contents": []},
        {"contents": {"x": {}}},
        {"contents": {"x": {"digest": "a", "size": -1}}},
    ],
)
def test_a_manifest_that_is_none_is_said_to_be(
    stored: FakeServer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch, change: dict[str, object]
) -> None:
    version = stored.add({"x": b"1"})
    whole = {**version.manifest, **change}
    monkeypatch.setattr(StoredVersion, "manifest", property(lambda _self: whole))
    with pytest.raises(ValueError, match="the manifest of the artifact `data1:v0` cannot be read: "):
        fetch(version).download()


def test_a_redirect_to_a_file_of_this_machine_is_not_followed(stored: FakeServer, fetch: Fetch) -> None:
    version = stored.add({"x": b"1"})
    stored.answers["ArtifactMembershipFiles"] = {
        "project": {
            "artifactCollection": {
                "artifactMembership": {
                    "files": {
                        "edges": [{"node": {"name": "x", "directUrl": "file:///etc/passwd"}}],
                        "pageInfo": {"hasNextPage": False, "endCursor": None},
                    }
                }
            }
        }
    }
    with pytest.raises(CommError, match="scheme 'file'"):
        fetch(version).download()
