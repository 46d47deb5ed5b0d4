"""Directories that cannot be used (reliability.md 7.2): a temporary one with a warning, or one clear error; sockets too."""

from __future__ import annotations

import os

import pytest
from attempts import mismatches, try_starts
from world import Home

SHOW = "print('DIR', ascii(run.dir))"


@pytest.fixture
def temporary(home: Home) -> str:
    """The system's temporary directory, as scripts of this home see it."""
    path = home.root / "temporary"
    path.mkdir()
    home.env["TMPDIR"] = str(path)
    return str(path)


@pytest.mark.parametrize(
    ("directory", "shown"),
    [
        ("'file/below'", "file/below"),
        ("'file'", "file"),
        ("'/proc/nowhere'", "/proc/nowhere"),
        ("'x' * 300", "x" * 300),
        ("'/'.join(['d' * 100] * 60)", "d" * 100),
        ("'link'", "link"),
    ],
)
def test_a_directory_that_cannot_be_made_falls_back_with_a_warning(
    home: Home, temporary: str, directory: str, shown: str
) -> None:
    (home.work / "file").write_text("not a directory")
    (home.work / "link").symlink_to("link")
    found = try_starts(home, [f"run = wandb.init(dir={directory}); run.log({{'a': 1}}); {SHOW}"])
    assert found.raised == [None], found.printed
    (line,) = [line for line in found.printed.splitlines() if line.startswith("DIR")]
    assert line.startswith(f"DIR '{temporary}/wandb/")
    assert len(found.warnings(shown, temporary)) == 1


def test_the_variable_falls_back_too(home: Home, temporary: str) -> None:
    (home.work / "file").write_text("not a directory")
    found = try_starts(home, [f"run = wandb.init(); {SHOW}"], env={"WANDB_DIR": "file/below"})
    assert found.raised == [None]
    assert f"DIR '{temporary}/wandb/" in found.printed


def test_without_any_usable_directory_it_is_a_usage_error(home: Home) -> None:
    (home.work / "file").write_text("not a directory")
    code = """
import tempfile
import runlane as wandb
tempfile.tempdir = "file/too"
try:
    wandb.init(mode="offline", dir="file/below")
except wandb.UsageError as error:
    print("SAID", error)
"""
    printed = home.python(code).stdout
    assert "file/below" in printed and "hint: set `WANDB_DIR`" in printed
    assert home.run_dirs() == []


def test_a_path_that_is_not_utf_8_works(home: Home, temporary: str) -> None:
    name = os.fsdecode(b"caf\xe9")
    found = try_starts(home, [f"run = wandb.init(dir={name!r}); run.log({{'a': 1}}); {SHOW}"])
    assert found.raised == [None], found.printed
    made = [path for path in (home.work / name).rglob("*.wandb") if path.stat().st_size > 7]
    fallen = [path for path in (home.root / "temporary").rglob("*.wandb") if path.stat().st_size > 7]
    assert len(made) + len(fallen) == 1, found.printed
    assert made or found.warnings(temporary)


def test_odd_but_possible_directories_work(home: Home) -> None:
    names = ["with space", "ümläut 🚀", "a'b\"c", "new\nline", "-dash", "x" * 200]
    found = try_starts(home, [f"run = wandb.init(dir={name!r}); run.log({{'a': 1}})" for name in names])
    assert found.raised == [None] * len(names), found.printed
    for name in names:
        (log,) = (home.work / name).rglob("*.wandb")
        assert log.stat().st_size > 7, name


def test_a_socket_path_beyond_108_bytes_works_or_says_so(home: Home) -> None:
    long = home.root / ("r" * 120)
    cases = [("wandb.init()", "UsageError", "RUNLANE_RUNTIME_DIR")]
    found = try_starts(home, [code for code, _, _ in cases], env={"RUNLANE_RUNTIME_DIR": str(long)})
    assert mismatches(cases, found.raised) == []
    assert "108" in str(found.raised[0])
    assert home.run_dirs() == []


def test_a_long_xdg_runtime_directory_is_not_used(home: Home) -> None:
    long = home.root / ("r" * 120)
    code = """
from runlane._setup import runtime_dir
import os
print("USED", runtime_dir() == f"/tmp/runlane-{os.getuid()}")
"""
    env = {"RUNLANE_RUNTIME_DIR": "", "XDG_RUNTIME_DIR": str(long)}
    assert "USED True" in home.python(code, env=env).stdout
    env["XDG_RUNTIME_DIR"] = str(home.root)[:60]
    assert "USED False" in home.python(code, env=env).stdout


@pytest.mark.parametrize("kind", ["file", "open", "foreign"])
def test_a_runtime_directory_that_is_not_private_is_refused(home: Home, kind: str) -> None:
    place = home.root / "rt"
    if kind == "file":
        place.write_text("in the way")
    else:
        place.mkdir(mode=0o700)
        if kind == "open":
            place.chmod(0o777)
        else:
            if os.geteuid() != 0:
                pytest.skip("only root can give a directory away")
            os.chown(place, 12345, 12345)
    cases = [("wandb.init()", "Error", str(place))]
    found = try_starts(home, ["wandb.init()"], env={"RUNLANE_RUNTIME_DIR": str(place)})
    assert mismatches(cases, found.raised) == []
    assert home.run_dirs() == []
