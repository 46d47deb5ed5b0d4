"""`save(glob)` with bad patterns and odd files (reliability.md 7.2)."""

from __future__ import annotations

import os

from attempts import mismatches, try_calls
from world import Home, Server

REFUSED: list[tuple[str, str, str]] = [
    ("run.save('../above.txt')", "ValueError", "not below the base path"),
    ("run.save('sub/../../above.txt')", "ValueError", "not below the base path"),
    ("run.save('/etc/passwd', base_path='/work-elsewhere')", "ValueError", "not below the base path"),
    ("run.save('sub/*.txt', base_path='other')", "ValueError", "not below the base path"),
    ("run.save('')", "ValueError", "empty"),
    ("run.save('a\\0b')", "ValueError", "NUL"),
    ("run.save('a\\nb')", "ValueError", "newline"),
    ("run.save(5)", "TypeError", "glob_str"),
    ("run.save(['a'])", "TypeError", "glob_str"),
    ("run.save('a.txt', base_path=5)", "TypeError", "base_path"),
    ("run.save('a.txt', policy='never')", "ValueError", '"live", "now" or "end"'),
    ("run.save('a.txt', policy=None)", "ValueError", '"live", "now" or "end"'),
    ("run.save('back\\\\slash')", "ValueError", "backslash"),
]


def test_patterns_that_leave_the_base_path_are_refused(home: Home, server: Server, project: str) -> None:
    (home.work / "sub").mkdir()
    (home.work / "a.txt").write_text("a")
    (home.work / "back\\slash").write_text("b")
    (home.root / "above.txt").write_text("secret")
    found = try_calls(home, server, project, [code for code, _, _ in REFUSED])
    assert mismatches(REFUSED, found.raised) == []
    assert not {"a.txt", "above.txt", "passwd"} & {os.path.basename(name) for name in found.document["files"]}
    assert found.rows == [{"last": 1}]


def test_special_files_are_skipped_with_a_warning(home: Home, server: Server, project: str) -> None:
    work = home.work
    (work / "odd").mkdir()
    os.mkfifo(work / "odd" / "pipe.x")
    (work / "odd" / "loop.x").symlink_to("loop.x")
    (work / "odd" / "gone.x").symlink_to("nowhere")
    (work / "odd" / "device.x").symlink_to("/dev/null")
    (work / "odd" / "dir.x").mkdir()
    (work / "odd" / "around").symlink_to(".")
    (work / "odd" / "good.x").write_text("good")
    codes = [
        "saved = run.save('odd/*.x', policy='now'); assert [os.path.basename(p) for p in saved] == ['good.x'], saved",
        "saved = run.save('odd/**/good.x', policy='now'); assert len(saved) < 100, len(saved)",
        "saved = run.save('odd/pipe.x'); assert saved == [], saved",
        "saved = run.save('/dev/zero', base_path='/dev'); assert saved == [], saved",
    ]
    found = try_calls(home, server, project, codes)
    assert found.raised == [None] * len(codes)
    for name in ("pipe.x", "loop.x", "gone.x", "device.x", "/dev/zero"):
        assert found.warnings(name), name
    assert "odd/good.x" in found.document["files"]


def test_a_missing_file_is_an_empty_list_and_a_warning(home: Home, server: Server, project: str) -> None:
    codes = [
        "saved = run.save('missing.txt'); assert saved == [], saved",
        "saved = run.save('missing/*.txt'); assert saved == [], saved",
        "saved = run.save('[unclosed'); assert saved == [], saved",
        "saved = run.save('*' * 300); assert saved == [], saved",
    ]
    found = try_calls(home, server, project, codes)
    assert found.raised == [None] * len(codes)
    for name in ("missing.txt", "missing/*.txt", "[unclosed"):
        assert len(found.warnings(f"`{name}`")) == 1, name


def test_a_pattern_with_too_many_matches_is_refused(home: Home, server: Server, project: str) -> None:
    many = home.work / "many"
    many.mkdir()
    first = many / "0"
    first.write_text("x")
    for number in range(1, 1_002):
        os.link(first, many / str(number))
    codes = [
        "import runlane._run_files as files; files._MAX_MATCHES = 1_000",
        "run.save('many/*', policy='now')",
        "run.save('many/1*', policy='now')",
    ]
    found = try_calls(home, server, project, codes)
    assert (
        mismatches([(codes[1], "ValueError", "matches 1002 files, the limit is 1000")], found.raised[1:2])
        == []
    )
    assert found.raised[2] is None
    assert "many/1" in found.document["files"] and "many/2" not in found.document["files"]


def test_odd_names_round_trip(home: Home, server: Server, project: str) -> None:
    names = [
        "with space.txt",
        "ümläut 🚀.txt",
        "a'b\"c.txt",
        "#hash?.txt",
        "%41.txt",
        "x" * 255,
        "CON",
        "trailing. ",
    ]
    place = home.work / "names"
    place.mkdir()
    for name in names:
        (place / name).write_text(name)
    found = try_calls(home, server, project, ["run.save('names/*', policy='now')"])
    assert found.raised == [None]
    stored = [name for name in found.document["files"] if name.startswith("names/")]
    assert sorted(stored) == sorted(f"names/{name}" for name in names)


def test_a_name_that_is_not_utf_8_is_refused(home: Home, server: Server, project: str) -> None:
    (home.work / os.fsdecode(b"caf\xe9.txt")).write_text("x")
    codes = ["run.save('caf*')"]
    found = try_calls(home, server, project, codes)
    assert mismatches([(codes[0], "ValueError", "not valid Unicode")], found.raised) == []
    assert found.rows == [{"last": 1}]
