"""The console: captured, shown as a terminal shows it, bounded, and left alone otherwise."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import pytest
from consoles import (
    COLOURS,
    Terminal,
    daemon_pid,
    lines,
    output_log,
    pages,
    rss_mib,
    run_piped,
    shown,
    texts,
    until,
)
from driven import Trainer
from world import Home, Server

Start = Callable[..., Trainer]

INIT = "import runlane as wandb\nrun = wandb.init(project={project!r}, id={run!r}, mode={mode!r}, settings=wandb.Settings(console={console!r}, silent=True, x_disable_stats=True{more}))\n"

#: Prints from Python, from C, from child processes and with progress bars, each on a line of its own.
BODY = """
import ctypes, os, subprocess, sys
from tqdm import tqdm
print("from python")
print("\\x1b[1;31mred\\x1b[0m and plain", flush=True)
libc = ctypes.CDLL(None)
libc.printf(b"from C: %d\\n", 42)
libc.fflush(None)
os.write(1, b"from the descriptor\\n")
os.system("echo from a shell")
subprocess.run([sys.executable, "-c", "print('from a child')"])
print("half a line, ", end="")
print("and the rest")
sys.stdout.write("10%\\r50%\\r\\x1b[K100%\\n")
sys.stdout.flush()
for _ in tqdm(range(300), desc="train", mininterval=0.001):
    pass
for _ in tqdm(range(3), desc="outer", mininterval=0):
    for _ in tqdm(range(4), desc="inner", mininterval=0, leave=False):
        pass
print("naïve 日本 😀", flush=True)
print("the end", flush=True)
"""


def script(project: str, run: str, body: str, *, console: str, mode: str = "online", more: str = "") -> str:
    """A script that runs `body` within a run."""
    return (
        INIT.format(project=project, run=run, mode=mode, console=console, more=more)
        + body
        + "\nrun.finish()\n"
    )


def without_rates(text: str) -> str:
    """A progress bar without the times that differ from one run to the next."""
    import re

    return re.sub(r"\[\d\d:\d\d<[^\]]*\]", "[]", text)


@pytest.mark.parametrize("mode", ["online", "offline"])
def test_a_script_shows_what_a_terminal_shows_at_the_end(
    home: Home, server: Server, project: str, mode: str
) -> None:
    """Python, C, child processes and progress bars, in a real terminal; offline and then synced too."""
    terminal = Terminal(home, script(project, "redirect", BODY, console="redirect", mode=mode), server.env)
    assert terminal.end() == 0
    if mode == "offline":
        home.runlane("sync", str(home.run_dirs()[-1]), env=server.env)
    expected = shown(terminal.output.decode())
    found = [text.rstrip() for text in texts(server, f"{project}/redirect")]
    # Standard error has a terminal of its own, whose last line the inner bar has cleared.
    assert sorted(filter(None, found)) == sorted(filter(None, expected))
    for text in ("from C: 42", "from the descriptor", "from a shell", "from a child", "100%", "the end"):
        assert text in found
    page = pages(server, f"{project}/redirect", **{"from": 0})
    stamps = [line["timestamp"] for line in page["lines"] if line["level"] is None]
    assert all(stamps) and stamps == sorted(stamps)
    assert {line["level"] for line in page["lines"] if "outer" in line["text"]} == {"error"}
    red = next(line["text"] for line in page["lines"] if "and plain" in line["text"])
    assert red == "\x1b[1;31mred\x1b[0m and plain"
    # The file says the same.
    file = [COLOURS.sub("", line).rstrip() for line in output_log(home).splitlines()]
    assert file == found


def test_lines_are_those_of_the_real_client(
    home: Home, server: Server, project: str, wandb_python: str
) -> None:
    """The same script, run by both clients; differences are those of docs/differences.md."""
    body = """
import sys, time
print("a"); print("b", end=""); print("to the error stream", file=sys.stderr); print("c")
print("\\x1b[1;31mred\\x1b[0m plain\\n\\n  indented\\ttab")
sys.stdout.write("10%\\r20%\\r30%\\n"); sys.stdout.write("abcdef\\rXY\\n")
sys.stdout.write("l1\\nl2\\nl3\\n\\x1b[A\\x1b[AXX\\n\\x1b[Bend\\n")
for number in range(100): print("line", number)
sys.stderr.write("bar 0\\nbar 1\\nbar 2\\x1b[A\\x1b[A\\rBAR 0\\n\\n\\n")
print("x" * 5000)
run.write_logs("written\\nto the log")
print("tail", end="")
"""
    ours = script(project, "ours", body, console="wrap")
    theirs = script(project, "theirs", body, console="wrap").replace(
        "import runlane as wandb", "import wandb"
    )
    home.python(ours, env=server.env)
    home.python(theirs, env=server.env, python=wandb_python)
    expected = lines(server, f"{project}/theirs")
    assert len(expected) > 110
    assert lines(server, f"{project}/ours") == expected


def test_lines_follow_live_while_they_change(
    home: Home, server: Server, project: str, trainer: Start
) -> None:
    one = trainer(server.env)
    one.do(
        f"run = wandb.init(project={project!r}, id='live', settings=wandb.Settings(console='wrap', silent=True))"
    )
    one.do("import sys; sys.stderr.write('loading'); print('starting')")
    until(lambda: "loading" in texts(server, f"{project}/live"))
    for percent in (10, 60):
        one.do(f"sys.stderr.write('\\r {percent}%    '); sys.stderr.flush()")
        until(lambda percent=percent: f" {percent}%    " in texts(server, f"{project}/live"))
    one.do("sys.stderr.write('\\rdone     \\n')")
    until(lambda: "done     " in texts(server, f"{project}/live"))
    found = texts(server, f"{project}/live")
    assert found.count("starting") == 1 and not any("%" in text for text in found)
    one.do("run.finish()")
    one.end()
    assert texts(server, f"{project}/live") == found


def test_a_killed_daemon_changes_nothing_of_the_lines(
    home: Home, server: Server, project: str, trainer: Start
) -> None:
    one = trainer(server.env)
    one.do(
        f"run = wandb.init(project={project!r}, id='killed', settings=wandb.Settings(console='wrap', silent=True))"
    )
    one.do("import sys, os")
    one.do("for i in range(50): sys.stdout.write(f'line {i}\\n')")
    one.do("sys.stderr.write('bar  10%')")
    until(lambda: "bar  10%" in texts(server, f"{project}/killed"))
    os.kill(daemon_pid(home), 9)
    one.do("sys.stderr.write('\\rbar 100%\\n'); sys.stdout.write('\\x1b[3AUP\\n')")
    one.do("run.finish()")
    one.end()
    found = [text for text in texts(server, f"{project}/killed") if not text.startswith("DONE")]
    assert [text for text in found if "bar" in text] == ["bar 100%"]
    # The driven process itself prints what it did: the cursor was above those lines.
    assert sum("UP" in text for text in found) == 1
    assert [text for text in output_log(home).splitlines() if "bar" in text] == ["bar 100%"]


def test_a_million_lines_keep_the_first_and_the_last(home: Home, server: Server, project: str) -> None:
    body = """
import re, sys
for number in range(1_000_000):
    sys.stdout.write(f"line {number}\\n")
# Not of `getrusage`, which begins with what the process that started this one had.
print("PEAK", re.search("VmHWM: *\\t* *([0-9]+)", open("/proc/self/status").read())[1])
"""
    code = script(project, "million", body, console="wrap")
    started = home.start(
        code.replace(
            "run.finish()",
            "import sys; sys.stdout.flush(); run.finish(); print('logged', flush=True); input()",
        ),
        env=server.env,
    )
    try:
        assert rss_mib(daemon_pid(home)) < 200
    finally:
        started.kill()
        started.wait()
    page = pages(server, f"{project}/million", limit=2)
    assert page["total"] == 1_000_001
    assert page["lines"][0]["text"] == "line 999999"
    ((start, end),) = page["gaps"]
    assert start >= 200_000 and 1_000_001 - end >= 200_000
    first = pages(server, f"{project}/million", **{"from": 0, "limit": 2})
    assert [line["text"] for line in first["lines"]] == ["line 0", "line 1"]
    kept = output_log(home).splitlines()
    assert (kept[0], kept[-2]) == ("line 0", "line 999999")
    assert len(kept) < 700_000
    peak_mib = float(page["lines"][1]["text"].split()[1]) / 1024
    assert peak_mib < 300


def test_descriptors_are_captured_byte_for_byte_and_restored(
    home: Home, server: Server, project: str
) -> None:
    """Pipes instead of a terminal; binary output; children that live on; the descriptors are what they were."""
    code = f"""
import os, subprocess, sys
before = [os.fstat(number).st_ino for number in (1, 2)]
import runlane as wandb
run = wandb.init(project={project!r}, id="bytes", settings=wandb.Settings(console="redirect", silent=True))
assert [os.fstat(number).st_ino for number in (1, 2)] != before
sys.stdout.buffer.write(b"\\xff\\xfe\\x00binary\\n")
os.write(1, "cut in a charac".encode() + "é".encode()[:1]); os.write(1, "é".encode()[1:] + b"ter\\n")
os.write(2, b"to the error stream\\n")
os.write(1, b"x" * 100_000 + b"\\n")
child = subprocess.Popen([sys.executable, "-c", "import time; print('early', flush=True); time.sleep(1); print('late')"])
pid = os.fork()
if pid == 0:
    os.write(1, b"from a fork\\n"); os._exit(0)
os.waitpid(pid, 0)
import time; time.sleep(0.3)
run.finish()
assert [os.fstat(number).st_ino for number in (1, 2)] == before
os.write(1, b"afterwards\\n")
"""
    done = run_piped(home, code, server.env)
    assert done.returncode == 0, done.stderr
    assert b"\xff\xfe\x00binary\n" in done.stdout
    assert "cut in a characéter\n".encode() in done.stdout
    assert b"x" * 100_000 + b"\n" in done.stdout
    # The child writes to the pipe of a process that is gone: the heir carries it on.
    assert b"late\n" in done.stdout and b"afterwards\n" in done.stdout
    assert done.stderr == b"to the error stream\n"
    found = texts(server, f"{project}/bytes")
    for text in ("\ufffd\ufffdbinary", "cut in a characéter", "early", "from a fork", "x" * 4096):
        assert text in found
    assert "afterwards" not in found and "late" not in found


def test_output_survives_every_end_of_the_process(home: Home, server: Server, project: str) -> None:
    """What was written reaches the user's terminal whatever ends the process, and the log wherever that can be."""
    ends = {
        "exit": ("import sys; sys.exit(3)", 3, True),
        "error": ("raise ValueError('boom')", 1, True),
        "abrupt": ("os._exit(4)", 4, False),
        "abort": ("os.abort()", -6, False),
        "kill": ("os.kill(os.getpid(), 9)", -9, False),
        "closed": ("os.close(1); os.close(2); run.finish()", 0, True),
    }
    for name, (end, status, is_logged) in ends.items():
        code = INIT.format(project=project, run=name, mode="online", console="redirect", more="")
        code += f"import os\nos.write(1, b'last words of {name}\\n')\n{end}\n"
        done = run_piped(home, code, server.env)
        assert done.returncode == status, (name, done.stderr)
        assert f"last words of {name}\n".encode() in done.stdout, name
        if is_logged:
            until(lambda name=name: f"last words of {name}" in texts(server, f"{project}/{name}"))
    assert any("ValueError: boom" in text for text in texts(server, f"{project}/error"))


def test_a_terminal_stays_a_terminal(home: Home, server: Server, project: str) -> None:
    body = """
import os, shutil, sys
print("tty", sys.stdout.isatty(), os.isatty(1), os.isatty(2), shutil.get_terminal_size().columns)
"""
    terminal = Terminal(
        home, script(project, "tty", body, console="redirect", mode="offline"), server.env, columns=123
    )
    assert terminal.end() == 0
    assert "tty True True True 123\r\n" in terminal.output.decode()


def test_a_reader_that_is_gone_is_learned_of(home: Home, project: str) -> None:
    """`train.py | head -1`: the program gets a broken pipe as it would without a run, and does not hang."""
    code = script(
        project,
        "head",
        "import os\nfor _ in range(10**6): print('x' * 100)",
        console="redirect",
        mode="offline",
    )
    (home.root / "head.py").write_text(code)
    done = home.run(
        ["/bin/sh", "-c", f"{sys.executable} {home.root}/head.py 2>{home.root}/errors | head -1; true"],
        check=True,
        timeout=40,
    )
    assert done.stdout == "x" * 100 + "\n"
    assert "BrokenPipeError" in (home.root / "errors").read_text()


@pytest.mark.parametrize("console", ["wrap", "redirect"])
def test_odd_output_disturbs_nothing(home: Home, server: Server, project: str, console: str) -> None:
    body = """
import contextlib, io, sys
print("a\\ud800b")
print("endless " * 200_000)
print("y" * 100_000_000)
try:
    sys.stdout.write(b"bytes")
except TypeError as error:
    print("TypeError")
with contextlib.redirect_stdout(io.StringIO()) as inner:
    print("into the string")
assert inner.getvalue() == "into the string\\n"
sys.stdout.writelines(["one\\n", "two\\n"])
run.log({"x": 1})
print("done")
"""
    done = run_piped(
        home,
        script(project, f"odd-{console}", body, console=console),
        server.env | {"PYTHONIOENCODING": "utf-8:replace"},
    )
    assert done.returncode == 0 and done.stderr == b""
    assert len(done.stdout) > 100_000_000
    found = texts(server, f"{project}/odd-{console}")
    assert found[0].startswith("a") and found[0].endswith("b")
    assert found[-4:] == ["TypeError", "one", "two", "done"]
    assert max(map(len, found)) <= 4096
    log = home.run_dirs()[-1]
    assert sum(path.stat().st_size for path in log.rglob("*")) < 90 << 20


def test_parts_labels_and_loggers(home: Home, server: Server, project: str) -> None:
    body = """
import logging
logging.getLogger("app").warning("from a logger: %s", "text")
logging.getLogger("other").error("not captured, but printed")
for number in range(60): print("line", number, flush=True)
"""
    more = ", x_label='lab', console_multipart=True, console_chunk_max_bytes=100, capture_loggers={'app': 'INFO'}"
    home.python(script(project, "parts", body, console="wrap", more=more), env=server.env)
    files = home.run_dirs()[-1] / "files"
    parts = sorted(files.glob("logs/output_lab_*.log"))
    assert len(parts) > 1
    text = "".join(part.read_text() for part in parts)
    assert text.splitlines()[:2] == ["WARNING:app:from a logger: text", "not captured, but printed"]
    assert [line for line in text.splitlines() if line.startswith("line")] == [f"line {n}" for n in range(60)]
    from runlane import Api

    api = Api(overrides={"base_url": server.base_url}, api_key=server.api_key)
    stored = {file.name for file in api.run(f"{project}/parts").files()}
    assert {f"logs/{part.name}" for part in parts} <= stored
    labels = {line["label"] for line in pages(server, f"{project}/parts", **{"from": 0})["lines"]}
    assert labels == {"lab"} or labels == {None}


def test_ranks_have_labels_and_terminals_of_their_own(home: Home, server: Server, project: str) -> None:
    body = """
import multiprocessing, sys
def work(rank):
    for percent in (10, 50, 100):
        sys.stdout.write(f"\\rrank {rank}: {percent}%")
    sys.stdout.write("\\n")
    sys.stdout.flush()
    run.log({"rank": rank})
context = multiprocessing.get_context("fork")
workers = [context.Process(target=work, args=(rank,), name=f"worker-{rank}") for rank in range(3)]
for worker in workers: worker.start()
for worker in workers: worker.join()
print("all done")
"""
    home.python(script(project, "ranks", body, console="wrap"), env=server.env)
    page = pages(server, f"{project}/ranks", **{"from": 0})
    found = {line["label"]: line["text"] for line in page["lines"] if line["text"].startswith("rank")}
    assert sorted(found.values()) == [f"rank {rank}: 100%" for rank in range(3)]
    # Whoever printed first was alone then, and went without a label.
    label, text = next((label, text) for label, text in found.items() if label)
    one = pages(server, f"{project}/ranks", label=label)
    assert [line["text"] for line in one["lines"]] == [text]
