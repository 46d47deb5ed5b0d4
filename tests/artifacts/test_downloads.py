"""Downloading: what comes is right, whatever the server, the disk and other processes do."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_server import KEY, FakeServer, StoredVersion
from runlane.artifacts import Artifact, _cache, _fetching
from runlane.errors import CommError

Fetch = Callable[[StoredVersion], Artifact]

TREE = {
    "a.txt": b"alpha",
    "dir/b.bin": bytes(range(256)) * 40,
    "dir/sub/empty": b"",
    "dir/sub/\u00fcml\u00e4ut \u65e5\u672c.txt": b"unicode",
    "same-as-a.txt": b"alpha",
}


def read_tree(root: str | Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in Path(root).rglob("*")
        if path.is_file()
    }


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow each other at once."""
    monkeypatch.setattr(_fetching, "_FIRST_DELAY_SECS", 0.001)
    monkeypatch.setattr(_fetching, "_LONGEST_DELAY_SECS", 0.002)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a few hundred kilobytes are large ones."""
    monkeypatch.setattr(_fetching, "PARTS_FROM_BYTES", 300_000)
    monkeypatch.setattr(_fetching, "_PART_BYTES", 100_000)


def test_a_tree_comes_back_byte_for_byte(stored: FakeServer, fetch: Fetch, world: Path) -> None:
    root = fetch(stored.add(TREE)).download()
    assert root == str(world / "artifacts" / "data1:v0")
    assert read_tree(root) == TREE


def test_files_that_are_right_are_left_alone(stored: FakeServer, fetch: Fetch) -> None:
    artifact = fetch(stored.add(TREE))
    root = Path(artifact.download())
    before = {path: path.stat().st_ino for path in root.rglob("*")}
    asked = stored.asked["GET"]
    artifact.download()
    assert {path: path.stat().st_ino for path in root.rglob("*")} == before
    assert stored.asked["GET"] == asked


def test_a_file_that_was_changed_is_put_right_again(stored: FakeServer, fetch: Fetch) -> None:
    artifact = fetch(stored.add(TREE))
    root = Path(artifact.download())
    (root / "a.txt").write_bytes(b"ALPHA")
    (root / "dir/b.bin").write_bytes(b"short")
    artifact.download()
    assert read_tree(root) == TREE


def test_the_cache_gives_files_without_a_request(stored: FakeServer, fetch: Fetch, world: Path) -> None:
    artifact = fetch(stored.add(TREE))
    artifact.download()
    stored.asked.clear()
    artifact.download(root=world / "again")
    assert read_tree(world / "again") == TREE
    assert stored.asked.total() == 0


def test_a_downloaded_file_can_be_edited_without_changing_the_cache(
    stored: FakeServer, fetch: Fetch, world: Path
) -> None:
    artifact = fetch(stored.add(TREE))
    root = Path(artifact.download())
    with open(root / "a.txt", "r+b") as file:
        file.write(b"EDIT!")
    assert (root / "a.txt").stat().st_nlink == 1
    artifact.download(root=world / "again")
    assert read_tree(world / "again") == TREE


def test_a_damaged_cache_entry_is_replaced(
    stored: FakeServer, fetch: Fetch, cache: Path, world: Path
) -> None:
    artifact = fetch(stored.add({"x": b"good contents"}))
    artifact.download()
    hexadecimal = hashlib.md5(b"good contents").hexdigest()
    entry = cache / "obj" / "md5" / hexadecimal[:2] / hexadecimal[2:]
    entry.write_bytes(b"evil contents")
    artifact.download(root=world / "again")
    assert (world / "again" / "x").read_bytes() == entry.read_bytes() == b"good contents"


def test_skip_cache_neither_reads_nor_fills_the_cache(
    stored: FakeServer, fetch: Fetch, cache: Path, world: Path
) -> None:
    artifact = fetch(stored.add(TREE))
    artifact.download(skip_cache=True)
    assert not (cache / "obj").exists()
    artifact.download(root=world / "one")
    asked = stored.asked["a.txt"]
    artifact.download(root=world / "two", skip_cache=True)
    assert stored.asked["a.txt"] == asked + 1
    assert read_tree(world / "two") == TREE


def test_wrong_contents_are_refused_and_leave_nothing(stored: FakeServer, fetch: Fetch, cache: Path) -> None:
    stored.faults["x"] = ["corrupt"] * 9
    artifact = fetch(stored.add({"x": b"contents"}))
    with pytest.raises(ValueError, match="entry `x` are not what its digest says"):
        artifact.download()
    assert read_tree("artifacts") == {}
    assert read_tree(cache) == {}


def test_wrong_contents_are_asked_for_again(stored: FakeServer, fetch: Fetch) -> None:
    stored.faults["x"] = ["corrupt"]
    assert read_tree(fetch(stored.add({"x": b"contents"})).download()) == {"x": b"contents"}


@pytest.mark.usefixtures("quick")
def test_broken_connections_and_busy_servers_are_waited_out(stored: FakeServer, fetch: Fetch) -> None:
    content = os.urandom(3_000_000)
    stored.faults["x"] = ["break", 503, "break", 429]
    assert read_tree(fetch(stored.add({"x": content})).download()) == {"x": content}
    asked = [headers.get("Range") for path, headers in stored.headers if path.startswith("/file/")]
    assert asked[0] is None
    assert asked[1] == asked[2] == "bytes=1500000-", "what came is not asked for again"


@pytest.mark.usefixtures("quick")
def test_a_server_that_stays_down_ends_the_download_with_its_answer(stored: FakeServer, fetch: Fetch) -> None:
    stored.faults["x"] = [503] * 99
    with pytest.raises(CommError, match=r"entry `x`.*answered 503: told to fail"):
        fetch(stored.add({"x": b"1"})).download()


def test_expired_urls_are_asked_for_again(stored: FakeServer, fetch: Fetch) -> None:
    artifact = fetch(stored.add({"x": b"1", "y": b"2"}))
    listed = artifact._file_urls
    stale = list(listed(None))
    stored.generation += 1
    artifact._file_urls = lambda names: stale if names is None or len(list(names)) > 1 else listed(names)
    assert read_tree(artifact.download()) == {"x": b"1", "y": b"2"}


@pytest.mark.parametrize("handler_takes_id", [True, False])
def test_without_a_url_contents_come_by_their_digest(
    stored: FakeServer, fetch: Fetch, handler_takes_id: bool
) -> None:
    version = stored.add({"dir/x y.txt": b"contents"})
    stored.without_url.add("dir/x y.txt")
    if not handler_takes_id:
        stored.features.remove("ARTIFACT_V2_DOWNLOAD_HANDLER_SUPPORTS_ARTIFACT_ID")
    assert read_tree(fetch(version).download()) == {"dir/x y.txt": b"contents"}
    path, headers = next(each for each in stored.headers if each[0].startswith("/artifactsV2/"))
    ids = [version.id.replace("=", "%3D")] * (2 if handler_takes_id else 1)
    hexadecimal = hashlib.md5(b"contents").hexdigest()
    assert path.split("/")[2:] == ["default", "e", "p", "data1", *ids, hexadecimal, "x%20y.txt"]
    assert headers["Authorization"].startswith("Basic ")


def test_a_url_that_fails_is_replaced_by_the_endpoint_of_digests(stored: FakeServer, fetch: Fetch) -> None:
    stored.faults["x"] = [404] * 9
    assert read_tree(fetch(stored.add({"x": b"contents"})).download()) == {"x": b"contents"}
    assert stored.asked["fallback"] == 1


def test_urls_are_read_page_by_page(
    stored: FakeServer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runlane.artifacts import _downloader

    monkeypatch.setattr(_downloader, "_NAMED", 5)
    stored.page = 7
    contents = {f"f{index:03}": f"{index}".encode() for index in range(40)}
    assert read_tree(fetch(stored.add(contents)).download()) == contents
    assert stored.asked["GetArtifactMembershipFileUrls"] == 6


def test_a_prefix_brings_only_what_begins_so(stored: FakeServer, fetch: Fetch) -> None:
    root = fetch(stored.add(TREE)).download(path_prefix="dir/")
    assert set(read_tree(root)) == {path for path in TREE if path.startswith("dir/")}


@pytest.mark.usefixtures("small_parts", "quick")
def test_large_files_come_in_parts_at_once(stored: FakeServer, fetch: Fetch) -> None:
    content = os.urandom(1_234_567)
    stored.faults["big"] = ["break", 503]
    assert read_tree(fetch(stored.add({"big": content})).download()) == {"big": content}
    asked = [headers["Range"] for path, headers in stored.headers if path.startswith("/file/")]
    assert {"bytes=0-99999", "bytes=1200000-1234566"} <= set(asked)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("skip_cache", [True, False])
def test_large_files_come_whole_from_a_server_without_ranges(
    stored: FakeServer, fetch: Fetch, skip_cache: bool
) -> None:
    stored.ranges = False
    content = os.urandom(1_234_567)
    assert read_tree(fetch(stored.add({"big": content})).download(skip_cache=skip_cache)) == {"big": content}


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("multipart", [True, False])
def test_multipart_can_be_asked_for_and_forbidden(stored: FakeServer, fetch: Fetch, multipart: bool) -> None:
    contents = {"small": b"1" * 1000, "big": b"2" * 400_000}
    assert read_tree(fetch(stored.add(contents)).download(multipart=multipart)) == contents
    ranges = {headers.get("Range") for path, headers in stored.headers if path.startswith("/file/")}
    assert (None not in ranges) is multipart


KILLED = """
import sys
from runlane.artifacts import _downloader, _fetching
from runlane.public_api import Api
_downloader.RESUMED_BYTES = _fetching.PARTS_FROM_BYTES = 300_000
_fetching._PART_BYTES = 100_000
_fetching._PARTS_AT_ONCE = 1
api = Api(overrides={"base_url": sys.argv[1]}, api_key=sys.argv[2], timeout=60)
print(api.artifact("e/p/data1:v0").download(multipart=sys.argv[3] == "parts"))
"""


@pytest.mark.parametrize("how", ["parts", "stream"])
def test_a_killed_download_goes_on_where_it_stopped(
    stored: FakeServer, fetch: Fetch, cache: Path, how: str
) -> None:
    content = os.urandom(2_000_000)
    stored.add({"big": content})
    # In parts the sixth hangs; as a stream the body stops after its half.
    stored.faults["big"] = [None] * 5 + ["hang"] if how == "parts" else ["half"]
    process = subprocess.Popen([sys.executable, "-c", KILLED, stored.url, KEY, how], stdout=subprocess.PIPE)
    collected = cache / "tmp" / f"runlane-md5-{hashlib.md5(content).hexdigest()}.part"
    done = collected.with_name(f"{collected.name}.done")

    def far_enough() -> bool:
        if how == "parts":
            return done.exists() and len(done.read_text().splitlines()) == 6
        # What does not fill a block is still on its way.
        return collected.exists() and collected.stat().st_size > 700_000

    _wait(far_enough)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()  # type: ignore[union-attr]
    stored.go_on.set()
    beginning = collected.stat().st_size
    assert not (Path("artifacts") / "data1:v0" / "big").exists()
    before = len(stored.headers)
    finished = subprocess.run(
        [sys.executable, "-c", KILLED, stored.url, KEY, how], capture_output=True, text=True, check=True
    )
    assert read_tree(finished.stdout.strip()) == {"big": content}
    asked = [headers.get("Range") for path, headers in stored.headers[before:] if path.startswith("/file/")]
    if how == "parts":
        assert len(asked) == 15
        assert "bytes=0-99999" not in asked
    else:
        assert asked == [f"bytes={beginning}-"]
    assert list((cache / "tmp").iterdir()) == []


@pytest.mark.usefixtures("quick")
def test_a_wrong_beginning_of_an_earlier_attempt_is_thrown_away(
    stored: FakeServer, fetch: Fetch, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runlane.artifacts._downloader.RESUMED_BYTES", 1000)
    content = os.urandom(50_000)
    (cache / "tmp").mkdir(parents=True)
    (cache / "tmp" / f"runlane-md5-{hashlib.md5(content).hexdigest()}.part").write_bytes(b"x" * 20_000)
    assert read_tree(fetch(stored.add({"x": content})).download()) == {"x": content}


def test_two_processes_download_at_once(stored: FakeServer, fetch: Fetch) -> None:
    contents = {f"d{index % 7}/f{index}": os.urandom(5000) for index in range(60)}
    contents["big"] = os.urandom(2_000_000)
    stored.add(contents)
    code = [sys.executable, "-c", KILLED, stored.url, KEY, "parts"]
    processes = [subprocess.Popen(code, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    roots = [process.communicate(timeout=60)[0].strip() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert read_tree(roots[0]) == contents


def test_threads_download_the_same_artifact_at_once(stored: FakeServer, fetch: Fetch) -> None:
    contents = {f"f{index}": os.urandom(500) for index in range(50)}
    artifact = fetch(stored.add(contents))
    errors: list[BaseException] = []

    def run() -> None:
        try:
            artifact.download()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert read_tree("artifacts/data1:v0") == contents


def test_a_full_cache_disk_is_passed_by(
    stored: FakeServer,
    fetch: Fetch,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(_cache, "free_bytes", lambda _path: 10)
    assert read_tree(fetch(stored.add(TREE)).download()) == TREE
    assert not (cache / "obj").exists()
    assert "is not used: the disk is full" in capsys.readouterr().err


def test_a_full_disk_is_named_before_anything_is_fetched(
    stored: FakeServer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runlane.artifacts import _downloader

    monkeypatch.setattr(_downloader, "free_bytes", lambda _path: 10)
    with pytest.raises(CommError, match=r"it needs 10245 bytes, 10 are free\nhint: "):
        fetch(stored.add({"a": b"alpha", "b": bytes(10240)})).download()
    assert stored.asked["a"] == 0


def test_interrupting_a_download_ends_soon(stored: FakeServer, fetch: Fetch) -> None:
    contents = {f"f{index}": b"x" * 100 for index in range(200)}
    stored.faults["f0"] = ["corrupt"] * 9
    artifact = fetch(stored.add(contents))
    for name in contents:
        if name != "f0":
            stored.faults[name] = [503] * 9
    began = time.monotonic()
    with pytest.raises(ValueError, match="entry `f0`"):
        artifact.download()
    assert time.monotonic() - began < 3


def test_the_key_goes_to_no_other_host(stored: FakeServer, fetch: Fetch) -> None:
    other = FakeServer()
    try:
        content = b"of another host"
        other.foreign["/x"] = (content, None)
        version = stored.add({"x": content})
        stored.answers["ArtifactMembershipFiles"] = {
            "project": {
                "artifactCollection": {
                    "artifactMembership": {
                        "files": {
                            "edges": [{"node": {"name": "x", "directUrl": f"{other.url}/x"}}],
                            "pageInfo": {"hasNextPage": False, "endCursor": None},
                        }
                    }
                }
            }
        }
        fetch(version).download()
        assert other.headers[0][0] == "/x"
        assert "Authorization" not in other.headers[0][1]
    finally:
        other.close()


def test_one_entry_is_downloaded_alone(
    stored: FakeServer, fetch: Fetch, world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    artifact = fetch(stored.add(TREE))
    assert artifact.get_entry("./dir//b.bin") is artifact.get_path("dir/b.bin")
    assert "get_path(name) is deprecated" in capsys.readouterr().err
    path = artifact.get_entry("dir/b.bin").download(root=str(world / "here"))
    assert path == str(world / "here" / "dir" / "b.bin")
    assert read_tree(world / "here") == {"dir/b.bin": TREE["dir/b.bin"]}
    with pytest.raises(KeyError, match="Path not contained in artifact: nope"):
        artifact.get_entry("nope")


def test_the_file_of_an_artifact_with_one(stored: FakeServer, fetch: Fetch) -> None:
    from runlane.artifacts._errors import TooFewItemsError, TooManyItemsError

    assert Path(fetch(stored.add({"only": b"1"})).file()).read_bytes() == b"1"
    with pytest.raises(TooManyItemsError, match="more than one file"):
        fetch(stored.add(TREE)).file()
    with pytest.raises(TooFewItemsError, match="contains no files"):
        fetch(stored.add({})).file()


def test_checkout_removes_what_is_not_in_the_artifact(stored: FakeServer, fetch: Fetch, world: Path) -> None:
    artifact = fetch(stored.add(TREE))
    extra = world / "artifacts" / "data1" / "old" / "extra.txt"
    extra.parent.mkdir(parents=True)
    extra.write_text("x")
    root = artifact.checkout()
    assert root == str(world / "artifacts" / "data1")
    assert read_tree(root) == TREE
    assert not extra.parent.exists()


def test_verify_tells_what_differs(stored: FakeServer, fetch: Fetch) -> None:
    artifact = fetch(stored.add(TREE))
    root = Path(artifact.download())
    artifact.verify()
    (root / "extra").write_text("x")
    with pytest.raises(ValueError, match="Found file extra which is not a member of artifact data1:v0"):
        artifact.verify()
    (root / "extra").unlink()
    kept = (root / "a.txt").stat()
    (root / "a.txt").write_bytes(b"ALPHA")
    os.utime(root / "a.txt", ns=(kept.st_atime_ns, kept.st_mtime_ns))
    with pytest.raises(ValueError, match=r"Digest mismatch for file: .*a\.txt"):
        artifact.verify()
    (root / "a.txt").unlink()
    with pytest.raises(ValueError, match=r"Digest mismatch for file: .*a\.txt"):
        artifact.verify()


def test_the_default_directory_can_be_set(
    stored: FakeServer, fetch: Fetch, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_ARTIFACT_DIR", str(world / "elsewhere"))
    assert fetch(stored.add(TREE)).download() == str(world / "elsewhere" / "data1:v0")


def test_thousands_of_files_come_over_kept_connections(stored: FakeServer, fetch: Fetch) -> None:
    contents = {f"d{index % 20}/f{index}": str(index).encode() for index in range(1000)}
    assert read_tree(fetch(stored.add(contents)).download()) == contents


def _wait(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not ready():
        assert time.monotonic() < deadline, "what was waited for did not come"
        time.sleep(0.01)


def test_a_proxy_is_gone_through(stored: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from runlane.public_api import Api

    stored.add({"x": b"contents", "gone": b"2"})
    stored.faults["gone"] = [404] * 9
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", stored.url)
    proxied: list[str] = []
    plain = stored.get

    def forward(handler: Any) -> None:
        if handler.path.startswith("http://"):
            proxied.append(handler.path)
            handler.path = handler.path.removeprefix(stored.url)
        plain(handler)

    stored.get = forward  # type: ignore[method-assign]
    api = Api(overrides={"base_url": stored.url}, api_key=KEY, timeout=5)
    assert read_tree(api.artifact("e/p/data1:v0").download()) == {"x": b"contents", "gone": b"2"}
    assert len([path for path in proxied if "/file/" in path]) == 2
    assert any("/artifactsV2/" in path for path in proxied)


def test_large_downloads_are_told_of(
    stored: FakeServer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    artifact = fetch(stored.add(TREE))
    artifact.download()
    assert "Downloading" not in capsys.readouterr().err
    monkeypatch.setattr("runlane.artifacts._download._TOLD_FILES", 3)
    artifact.download()
    told = capsys.readouterr().err
    assert "Downloading large artifact 'data1:v0', 0.01MB. 5 files..." in told
    assert "Done. " in told
