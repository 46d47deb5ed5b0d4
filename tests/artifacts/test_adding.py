"""Adding files to a draft: what is copied, hashed, named and refused, and what is left on the disk."""

from __future__ import annotations

import base64
import gc
import hashlib
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from runlane import terminal
from runlane.artifacts import Artifact, ArtifactManifestEntry, _staging

MIB = 1 << 20


@pytest.fixture(autouse=True)
def data(world: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The staging directory."""
    monkeypatch.setenv("WANDB_DATA_DIR", str(world.parent / "data"))
    return world.parent / "data" / "artifacts" / "staging"


@pytest.fixture
def draft() -> Artifact:
    return Artifact("a", "dataset")


def md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


def staged(data: Path) -> list[Path]:
    return sorted(path for path in data.rglob("*") if path.is_file() and path.suffix != ".lock")


def test_digests_are_those_of_the_reference(world: Path) -> None:
    (world / "q.txt").write_bytes(b"hello")
    for algorithm, entry, manifest in (
        ("MD5", "XUFAKrxLKna5cZ2REBfFkg==", "22572f4f3494bd013f0af76b2bdf1598"),
        ("XXH128", "tenBrQcbPn/Hec+qXlI4GA==", "ce6b81b5cc6189a6b7bfd1879a52e911"),
    ):
        draft = Artifact("a", "t", digest_algorithm=algorithm)  # type: ignore[arg-type]
        added = draft.add_file("q.txt")
        assert (added.digest, draft.digest) == (entry, manifest)
        assert added.extra == ({"alg": "XXH128"} if algorithm == "XXH128" else {})


@pytest.mark.parametrize("size", [0, 1, 4 * MIB, 4 * MIB + 1, 33 * MIB + 7])
def test_what_is_uploaded_is_what_was_added(world: Path, data: Path, draft: Artifact, size: int) -> None:
    content = os.urandom(min(size, MIB)) * (size // MIB + 1)
    content = content[:size]
    (world / "f").write_bytes(content)
    entry = draft.add_file("f")
    (world / "f").write_bytes(b"changed after it was added")
    assert entry.local_path is not None
    copy = Path(entry.local_path)
    assert copy.read_bytes() == content
    assert (entry.digest, entry.size, draft.size) == (md5(content), size, size)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o400
    assert data in copy.parents
    # One copy beside the user's file, and nothing else.
    assert sum(path.stat().st_size for path in staged(data)) == size


def test_a_file_that_is_immutable_stays_where_it_is(world: Path, data: Path, draft: Artifact) -> None:
    (world / "f").write_bytes(b"x" * (5 * MIB))
    entry = draft.add_file("f", policy="immutable")
    assert (entry.local_path, entry.digest) == (str(world / "f"), md5(b"x" * (5 * MIB)))
    assert staged(data) == []


def test_names_come_from_the_path_or_are_given(world: Path, draft: Artifact) -> None:
    (world / "d").mkdir()
    (world / "d" / "f.tar.gz").write_bytes(b"hello")
    assert draft.add_file("d/f.tar.gz").path == "f.tar.gz"
    assert draft.add_file(world / "d" / "f.tar.gz", name="x//y/./z/").path == "x/y/z"  # type: ignore[arg-type]
    assert (
        draft.add_file("d/f.tar.gz", name="m/abc.def.png", is_tmp=True).path
        == "m/5d41402abc4b2a76b971.def.png"
    )
    assert draft.add_file("d/f.tar.gz", name="no-suffix", is_tmp=True).path == "5d41402abc4b2a76b971"
    assert draft.get_added_local_path_name("d/f.tar.gz") == "5d41402abc4b2a76b971"
    assert draft.get_added_local_path_name("d/other") is None


@pytest.mark.parametrize(
    "name",
    ["/x", "../x", "x/../../y", "a\\b", "a\nb", "a\0b", "C:/x", "x" * 256, "/".join(["x" * 200] * 30)],
    ids=lambda name: repr(name)[:20],
)
def test_names_that_leave_the_artifact_or_fit_no_disk_are_refused(
    world: Path, data: Path, draft: Artifact, name: str
) -> None:
    (world / "f").write_bytes(b"x")
    with pytest.raises(ValueError, match="Invalid artifact path"):
        draft.add_file("f", name=name)
    assert len(draft.manifest) == 0
    assert staged(data) == []


@pytest.mark.parametrize(
    "name", ["ünï/日本.txt", "emoji 🎉", "e\u0301", "é", "con", "a b", "-x", "~", "%2e%2e"]
)
def test_names_of_every_script_are_kept(world: Path, draft: Artifact, name: str) -> None:
    path = world / "d" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    draft.add_dir("d")
    assert list(draft.manifest.entries) == [name]


def test_what_cannot_be_added_is_refused(world: Path, data: Path, draft: Artifact) -> None:
    (world / "f").write_bytes(b"x")
    (world / "d").mkdir()
    os.mkfifo(world / "pipe")
    for path in ("missing", "d", "pipe", 5, True, None):
        with pytest.raises((ValueError, TypeError)):
            draft.add_file(path)  # type: ignore[arg-type]
    for path in ("missing", "f"):
        with pytest.raises(ValueError, match="Path is not a directory"):
            draft.add_dir(path)
    with pytest.raises(ValueError, match="Invalid policy"):
        draft.add_file("f", policy="sometimes")
    if os.getuid():
        (world / "f").chmod(0)
        with pytest.raises(PermissionError):
            draft.add_file("f")
    assert len(draft.manifest) == 0
    assert staged(data) == []


def test_the_same_path_takes_other_bytes_only_when_asked(world: Path, data: Path, draft: Artifact) -> None:
    (world / "f").write_bytes(b"one")
    (world / "g").write_bytes(b"two")
    first = draft.add_file("f")
    assert draft.add_file("f") is first
    with pytest.raises(ValueError, match="Cannot add the same path twice: 'f'"):
        draft.add_file("g", name="f")
    assert draft.manifest.entries["f"].digest == md5(b"one")
    assert draft.add_file("g", name="f", overwrite=True).digest == md5(b"two")
    del first
    gc.collect()
    assert [path.read_bytes() for path in staged(data)] == [b"two"]


def test_a_directory_is_taken_whole_with_its_links(
    world: Path, draft: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(terminal, "termwarn", lambda text, **_: told.append(text))
    (world / "d" / "s" / "empty").mkdir(parents=True)
    (world / "outside").mkdir()
    (world / "d" / "x").write_bytes(b"1")
    (world / "d" / "s" / "y").write_bytes(b"")
    (world / "outside" / "z").write_bytes(b"3")
    os.link(world / "d" / "x", world / "d" / "hard")
    (world / "d" / "to-file").symlink_to("x")
    (world / "d" / "to-directory").symlink_to(world / "outside")
    (world / "d" / "s" / "up").symlink_to("..")
    (world / "d" / "broken").symlink_to("nowhere")
    os.mkfifo(world / "d" / "pipe")
    draft.add_dir("d", name="pre/fix")
    entries = draft.manifest.entries
    assert sorted(entries) == [
        f"pre/fix/{name}" for name in ("hard", "s/y", "to-directory/z", "to-file", "x")
    ]
    assert entries["pre/fix/hard"].digest == entries["pre/fix/to-file"].digest == md5(b"1")
    assert draft.size == 4
    (text,) = told
    assert all(f"`{name}`" in text for name in ("broken", "pipe", "s/up"))
    assert draft.get_added_local_path_name("d/s/y") == "pre/fix/s/y"


def test_a_directory_is_added_whole_or_not_at_all(world: Path, data: Path, draft: Artifact) -> None:
    (world / "d").mkdir()
    for name in ("a", "b", "c"):
        (world / "d" / name).write_bytes(b"old")
    draft.add_dir("d")
    (world / "d" / "b").write_bytes(b"new")
    (world / "d" / "d").write_bytes(b"more")
    with pytest.raises(ValueError, match="Cannot add the same path twice: 'b'"):
        draft.add_dir("d")
    assert sorted(draft.manifest.entries) == ["a", "b", "c"]
    draft.add_dir("d", merge=True)
    assert {path: entry.size for path, entry in draft.manifest.entries.items()} == {
        "a": 3,
        "b": 3,
        "c": 3,
        "d": 4,
    }
    assert draft.manifest.entries["b"].digest == md5(b"new")
    (world / "d" / "bad\nname").write_bytes(b"x")
    with pytest.raises(ValueError, match="Invalid artifact path"):
        draft.add_dir("d", merge=True)
    gc.collect()
    assert len(staged(data)) == len(draft.manifest) == 4


def test_names_that_are_no_text_are_refused(world: Path, draft: Artifact) -> None:
    (world / "d").mkdir()
    Path(os.fsdecode(b"d/\xff")).write_bytes(b"x")
    with pytest.raises(ValueError, match="not valid UTF-8"):
        draft.add_dir("d")


def test_two_thousand_files_are_the_same_for_every_thread(world: Path, data: Path, draft: Artifact) -> None:
    (world / "d").mkdir()
    contents = {f"{number:04}.bin": os.urandom(number % 700) for number in range(2000)}
    for name, content in contents.items():
        (world / "d" / name).write_bytes(content)
    draft.add_dir("d")
    assert {path: entry.digest for path, entry in draft.manifest.entries.items()} == {
        name: md5(content) for name, content in contents.items()
    }
    for path, entry in draft.manifest.entries.items():
        assert entry.local_path is not None
        assert Path(entry.local_path).read_bytes() == contents[path]
    assert len(staged(data)) == 2000
    draft.remove(entry)
    draft.manifest.entries.clear()
    del entry
    gc.collect()
    assert staged(data) == []


def test_new_files_are_added_when_they_are_closed(world: Path, data: Path, draft: Artifact) -> None:
    with draft.new_file("n/f.txt") as file:
        file.write("hello")
        assert "n/f.txt" not in draft.manifest.entries
    entry = draft.manifest.entries["n/f.txt"]
    assert (entry.digest, entry.skip_cache) == (md5(b"hello"), True)
    del entry
    with pytest.raises(ValueError, match="already exists"), draft.new_file("n/f.txt"):
        pass
    with draft.new_file("n/f.txt", mode="a") as file:
        file.write(" you")
    assert draft.manifest.entries["n/f.txt"].digest == md5(b"hello you")
    with draft.new_file("n/f.txt", mode="w", encoding="utf-16-le") as file:
        file.write("é")
    assert draft.manifest.entries["n/f.txt"].digest == md5("é".encode("utf-16-le"))
    with draft.new_file("bytes", mode="xb") as binary:
        binary.write(b"\0")
    with pytest.raises(KeyError), draft.new_file("lost") as file:
        file.write("x")
        raise KeyError
    for name in ("/abs", "../up", ""):
        with pytest.raises(ValueError, match="Invalid artifact path"), draft.new_file(name):
            pass
    assert sorted(draft.manifest.entries) == ["bytes", "n/f.txt"]
    gc.collect()
    assert len(staged(data)) == 2


def test_entries_are_removed_one_by_one_or_by_directory(world: Path, data: Path, draft: Artifact) -> None:
    for name in ("a", "d/x", "d/y", "dd"):
        with draft.new_file(name) as file:
            file.write(name)
    draft.remove("d")
    draft.remove(draft.manifest.entries["a"])
    assert list(draft.manifest.entries) == ["dd"]
    for gone in ("d", "a", "nowhere"):
        with pytest.raises(FileNotFoundError):
            draft.remove(gone)
    with pytest.raises(FileNotFoundError):
        draft.remove(ArtifactManifestEntry(path="a", digest="x"))
    with pytest.raises(TypeError):
        draft.remove(5)  # type: ignore[arg-type]
    gc.collect()
    assert [path.read_text() for path in staged(data)] == ["dd"]


def test_a_full_disk_is_named_with_what_to_do(draft: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_DATA_DIR", "/proc/nowhere")
    Path("f").write_bytes(b"x")
    with pytest.raises(OSError, match=r"proc"):
        draft.add_file("f")
    error = OSError(28, "No space left on device", "f")
    assert "WANDB_DATA_DIR" in str(_staging._explained(error))


LEAVING = """
import os, signal, sys
from runlane.artifacts import Artifact
open("f", "wb").write(b"x" * (6 << 20))
draft = Artifact("a", "t")
draft.add_file("f")
draft.add_file("f", name="g")
how = sys.argv[1]
if how == "fork":
    child = os.fork()
    if child == 0:
        # A child reads what its parent has hashed, or hashes it again, and leaves the parent's files alone.
        assert draft.manifest.entries["f"].digest == draft.manifest.entries["g"].digest
        other = Artifact("b", "t")
        other.add_file("f")
        del draft, other
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert all(os.path.exists(entry.local_path) for entry in draft.manifest)
elif how == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
elif how == "raise":
    raise SystemExit(3)
"""


@pytest.mark.parametrize("how", ["end", "raise", "fork", "kill"])
def test_what_was_never_logged_goes_with_its_process(world: Path, data: Path, how: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LEAVING, how], check=False, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == {"raise": 3, "kill": -9}.get(how, 0), ended.stderr
    if how != "kill":
        assert staged(data) == []
        return
    (left,) = data.glob("open-????????????????")
    assert len(staged(data)) == 2
    # Not at once: the process may only seem dead.
    Artifact("b", "t").add_file("f")
    _staging.close()
    _staging._open.clear()
    assert left.exists()
    os.utime(left, (0, 0))
    Artifact("b", "t").add_file("f")
    assert not left.exists()


def test_drafts_are_filled_by_threads(world: Path, draft: Artifact) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def add(number: int) -> Any:
        path = world / f"t{number}"
        path.write_bytes(bytes([number]) * 1000)
        return draft.add_file(str(path))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(100)))
    assert {entry.digest for entry in draft.manifest} == {
        md5(bytes([number]) * 1000) for number in range(100)
    }


def test_directories_are_added_below_paths_and_to_the_root(world: Path, draft: Artifact) -> None:
    (world / "d").mkdir()
    (world / "d" / "f").write_bytes(b"x")
    for name in (Path("below"), "./", ".hidden"):
        draft.add_dir("d", name=name)  # type: ignore[arg-type]
    assert sorted(draft.manifest.entries) == [".hidden/f", "below/f", "f"]
    with pytest.raises(ValueError, match="Invalid artifact path"):
        draft.add_dir("d", name="..")


def test_what_is_logged_when_no_thread_starts_any_more_is_logged_at_once(
    draft: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interpreter starts none when it ends."""
    import threading

    from runlane.artifacts import _logging

    def refuses(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuses)
    monkeypatch.setattr(_logging, "_is_ready", lambda _artifact: False)
    published = []
    waiting = _logging.HandOver()
    for number in range(2):
        waiting.submit(draft, lambda number=number: published.append(number))  # type: ignore[misc]
    waiting.wait(0)
    assert published == [0, 1]
