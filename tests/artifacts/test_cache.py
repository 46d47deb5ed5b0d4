"""The cache: wandb's layout, bounded, and safe for any number of processes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from fake_server import FakeServer, StoredVersion
from runlane._cli import cli
from runlane.artifacts import Artifact, _cache, _sizes
from runlane.artifacts._cache import Cache

Fetch = Callable[[StoredVersion], Artifact]


@pytest.fixture
def filled(world: Path, cache: Path) -> Cache:
    """Three entries of 1,000 bytes; the first was used longest ago by its access time."""
    made = Cache()
    assert made.root == str(cache)
    for number in range(3):
        path = Path(made.content_path("md5", bytes([number]) * 16))
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes(1000))
        os.utime(path, (1_000_000 + number, 1_000_000))
    return made


def left(cache: Cache) -> list[int]:
    return [n for n in range(3) if os.path.exists(cache.content_path("md5", bytes([n]) * 16))]


def test_names_are_those_of_wandb(world: Path, cache: Path) -> None:
    made = Cache()
    digest = hashlib.md5(b"x").digest()
    hexadecimal = digest.hex()
    assert made.content_path("md5", digest) == str(cache / "obj" / "md5" / hexadecimal[:2] / hexadecimal[2:])
    assert made.content_path("xxh128", digest) == str(
        cache / "obj" / "xxh128" / hexadecimal[:2] / hexadecimal[2:]
    )
    both = hashlib.sha256(
        hashlib.sha256(b"https://h/x").digest() + hashlib.sha256(b"tag").digest()
    ).hexdigest()
    assert made.reference_path("https://h/x", "tag") == str(cache / "obj" / "etag" / both[:2] / both[2:])


def test_what_was_used_longest_ago_goes_first(filled: Cache) -> None:
    filled.used(filled.content_path("md5", bytes(16)))
    assert filled.cleanup(2500) == 1000
    assert left(filled) == [0, 2]
    assert filled.cleanup(0) == 2000
    assert left(filled) == []
    assert filled.cleanup(0) == 0


def test_room_is_made_by_half_first(filled: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    free = {3: 100, 1: 5000, 0: 9000}
    monkeypatch.setattr(_cache, "_SPARE_BYTES", 0)
    monkeypatch.setattr(_cache, "free_bytes", lambda _path: free[len(left(filled))])
    assert filled.make_room(50)
    assert left(filled) == [0, 1, 2]
    assert filled.make_room(4000)
    assert left(filled) == [2]
    assert filled.make_room(8000)
    assert left(filled) == []
    assert not filled.make_room(10_000)


def test_a_bound_is_kept_after_a_download(
    stored: FakeServer, fetch: Fetch, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNLANE_ARTIFACT_CACHE_SIZE", "2KB")
    fetch(stored.add({f"f{index}": os.urandom(500) for index in range(9)})).download()
    assert sum(path.stat().st_size for path in (cache / "obj").rglob("*") if path.is_file()) <= 2000


def test_a_bound_that_is_none_is_said_to_be(
    stored: FakeServer,
    fetch: Fetch,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("RUNLANE_ARTIFACT_CACHE_SIZE", "much")
    fetch(stored.add({"x": b"1"})).download()
    assert "`RUNLANE_ARTIFACT_CACHE_SIZE` has no effect: 'much' is no size" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("10", 10),
        ("10B", 10),
        ("1KB", 1000),
        ("1.5 MB", 1_500_000),
        ("10GB", 10**10),
        ("2GiB", 2 << 30),
        ("3k", 3000),
        ("1TB", 10**12),
    ],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert _sizes.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1", "1 XB", "1GBB", "ten"])
def test_sizes_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no size; expected one such as `10GB`"):
        _sizes.parse_size(text)
    result = CliRunner().invoke(cli, ["artifact", "cache", "cleanup", "--", text])
    assert result.exit_code != 0


def test_the_command_cleans_up_and_says_how_much(filled: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    temporary = Path(filled.temporary_path())
    temporary.write_bytes(bytes(1_000_000))
    cli(["artifact", "cache", "cleanup", "2KB"], standalone_mode=False)
    told = capsys.readouterr().err
    assert (
        "Cache contains 1.0MB of temporary files. Run `runlane artifact cache cleanup --remove-temp`" in told
    )
    assert "Reclaimed 1.0KB of space" in told
    assert left(filled) == [1, 2]
    cli(["artifact", "cache", "cleanup", "--remove-temp", "0"], standalone_mode=False)
    assert "Reclaimed 1.0MB of space" in capsys.readouterr().err
    assert not temporary.exists()


def test_a_cache_that_cannot_be_written_is_passed_by(
    stored: FakeServer, fetch: Fetch, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text("a file where the directory should be")
    root = Path(fetch(stored.add({"x": b"1", "y": b"2"})).download())
    assert (root / "x").read_bytes() == b"1"
    assert capsys.readouterr().err.count("is not used") == 1


def test_notes_of_digests_hold_until_the_file_changes(world: Path) -> None:
    made = Cache()
    file = world / "file"
    file.write_bytes(b"1")
    made.note_checksum(str(file), "abc")
    assert made.checksum(str(file), file.stat()) == "abc"
    later = file.stat().st_mtime_ns + 4_000_000
    os.utime(file, ns=(later, later))
    assert made.checksum(str(file), file.stat()) is None
