"""Files of all policies, also while they change, vanish or are something else by the time that they are uploaded."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from hashlib import md5
from pathlib import Path

from driven import Trainer
from runlane import Api
from world import Home, Server

Start = Callable[..., Trainer]
PATIENCE_SECS = 30


class Stored:
    """The files of a run at the server."""

    def __init__(self, server: Server, path: str) -> None:
        self._api = Api(overrides={"base_url": server.base_url}, api_key=server.api_key)
        self._path = path

    def content(self, name: str, tmp_path: Path) -> bytes | None:
        """The bytes of a file, or None."""
        found = self._api.run(self._path).files([name])
        if not found:
            return None
        with found[0].download(root=str(tmp_path), replace=True) as opened:
            return Path(opened.name).read_bytes()

    def until(self, name: str, content: bytes, tmp_path: Path) -> float:
        """Wait until the server has this content; how long that took."""
        start = time.monotonic()
        while self.content(name, tmp_path) != content:
            assert time.monotonic() - start < PATIENCE_SECS, f"{name}: {self.content(name, tmp_path)!r}"
            time.sleep(0.1)
        return time.monotonic() - start


def test_policies(home: Home, server: Server, project: str, trainer: Start, tmp_path: Path) -> None:
    """`now` is uploaded once, `end` at the end, `live` whenever it changes: written to, replaced, or taken away."""
    work = home.work
    for name in ("now", "end", "live", "replaced", "vanished", "ignored.tmp"):
        (work / name).write_text("first")
    one = trainer(server.env)
    one.do(
        f"run = wandb.init(project={project!r}, id='p1', settings=wandb.Settings(ignore_globs=['*.tmp'], save_code=False))"
    )
    one.do("run.save('now', policy='now'); run.save('end', policy='end')")
    one.do("[run.save(name) for name in ('live', 'replaced', 'vanished', 'ignored.tmp')]")
    stored = Stored(server, f"{project}/p1")
    for name in ("now", "live", "replaced", "vanished"):
        stored.until(name, b"first", tmp_path)
    (work / "now").write_text("second")
    (work / "live").write_text("second")
    (work / "vanished").unlink()
    (work / "other").write_text("second")
    (work / "other").rename(work / "replaced")
    took = max(stored.until(name, b"second", tmp_path) for name in ("live", "replaced"))
    assert took < 10
    with (work / "live").open("a") as file:
        file.write(" and third")
    stored.until("live", b"second and third", tmp_path)
    assert stored.content("end", tmp_path) is None
    assert stored.content("now", tmp_path) == b"first"
    (work / "end").write_text("at the end")
    (work / "live").write_text("at the end, too")
    one.do("run.finish()")
    one.end()
    assert "and 5 other file(s)" in one.said(), "a live file counts once"
    assert stored.content("end", tmp_path) == b"at the end"
    assert stored.content("live", tmp_path) == b"at the end, too"
    assert stored.content("now", tmp_path) == b"first"
    assert stored.content("vanished", tmp_path) == b"first"
    assert stored.content("ignored.tmp", tmp_path) is None


def test_files_that_are_written_to_all_the_time(
    home: Home, server: Server, project: str, trainer: Start, tmp_path: Path
) -> None:
    """N11: one grows without end, one is rewritten in place without a pause: what is stored was there at one moment."""
    (home.work / "grows").write_text("")
    whole = [bytes([letter]) * (4 << 20) for letter in b"abc"]
    (home.work / "rewritten").write_bytes(whole[0])
    over = threading.Event()

    def write() -> None:
        with (
            (home.work / "grows").open("ab", buffering=0) as grows,
            (home.work / "rewritten").open("r+b") as again,
        ):
            for number in range(1 << 30):
                grows.write(b"%08d\n" % number)
                again.seek(0)
                again.write(whole[number % 3])
                if over.wait(0.001):
                    return

    writer = threading.Thread(target=write)
    one = trainer(server.env)
    one.do(f"run = wandb.init(project={project!r}, id='busy', settings=wandb.Settings(save_code=False))")
    writer.start()
    stored = Stored(server, f"{project}/busy")
    try:
        one.do("run.save('grows'); run.save('rewritten')")
        one.do("run.log({'x': 1})")
        start = time.monotonic()
        sizes = set()
        while len(sizes) < 2:
            content = stored.content("grows", tmp_path)
            if content:
                sizes.add(len(content))
                numbers = content.split()
                assert numbers[: len(numbers) - 1] == [b"%08d" % number for number in range(len(numbers) - 1)]
            assert time.monotonic() - start < PATIENCE_SECS
            time.sleep(0.1)
    finally:
        over.set()
        writer.join()
    final = (home.work / "rewritten").read_bytes()
    one.do("run.finish()")
    one.end()
    assert stored.content("rewritten", tmp_path) == final
    assert stored.content("grows", tmp_path) == (home.work / "grows").read_bytes()


def test_what_is_no_file_any_more_costs_one_warning(
    home: Home, server: Server, project: str, trainer: Start, tmp_path: Path
) -> None:
    """A FIFO, a directory, a link loop and a device in the places of saved files: the others arrive."""
    names = ["fifo", "folder", "loop", "device", "good"]
    for name in names:
        (home.work / name).write_text(name)
    one = trainer(server.env)
    one.do(f"run = wandb.init(project={project!r}, id='odd', settings=wandb.Settings(save_code=False))")
    one.do(f"[run.save(name, policy='end') for name in {names!r}]")
    for name in names[:-1]:
        (home.work / name).unlink()
    os.mkfifo(home.work / "fifo")
    (home.work / "folder").mkdir()
    (home.work / "loop").symlink_to("loop")
    (home.work / "device").symlink_to("/dev/zero")
    one.do("run.finish()")
    one.end()
    stored = Stored(server, f"{project}/odd")
    assert [stored.content(name, tmp_path) for name in names] == [None, None, None, None, b"good"]
    for name in names[:-1]:
        assert one.said().count(f"file `{name}` not uploaded") == 1, one.said()


def test_live_files_of_an_offline_run_arrive_as_they_are_at_the_sync(
    home: Home, server: Server, project: str, tmp_path: Path
) -> None:
    home.python(
        "import runlane as wandb\n"
        "for name in ('now', 'end', 'live'):\n    open(name, 'w').write('first')\n"
        f"run = wandb.init(project={project!r}, id='off', mode='offline')\n"
        "for name in ('now', 'end', 'live'):\n    run.save(name, policy=name)\n"
        "run.finish()\n"
    )
    for name in ("now", "end", "live"):
        (home.work / name).write_text(f"{name}, later")
    home.runlane("sync", str(home.run_dirs()[0]), env=server.env)
    stored = Stored(server, f"{project}/off")
    for name in ("now", "end", "live"):
        assert stored.content(name, tmp_path) == f"{name}, later".encode()
    api = Api(overrides={"base_url": server.base_url}, api_key=server.api_key)
    import base64

    digest = base64.b64encode(md5(b"live, later", usedforsecurity=False).digest()).decode()
    assert api.run(f"{project}/off").file("live").md5 in (digest, md5(b"live, later").hexdigest())
