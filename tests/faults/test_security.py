"""The client's machine (reliability.md 6.2): other users, keys, captured secrets, hostile logs, redirects.

B4, damaged frames beside a healthy run, is in test_local_protocol.py.
"""

from __future__ import annotations

import contextlib
import email.message
import io
import json
import os
import socket
import stat
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from driven import OwnServer, Trainer, TrainerError
from hostile import files_record, recorder, row_record, run_record, spellings, text, write_log
from runlane import _redact
from runlane.public_api._client import GraphQLClient, SafeRedirects
from table import record
from world import PYTHON, Home

Start = Callable[..., Trainer]
SOCKETS = ("daemon-v1.sock", "daemon-v1-control.sock")
PATIENCE_SECS = 20


def runtime_of(home: Home) -> Path:
    return Path(home.env["RUNLANE_RUNTIME_DIR"])


def processes_of(home: Home) -> list[int]:
    """The processes that were started for this home, by its runtime directory in their environment or arguments."""
    mark = home.env["RUNLANE_RUNTIME_DIR"].encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (process / "cmdline").read_bytes() + (process / "environ").read_bytes():
                found.append(int(process.name))
    return found


def daemon_of(home: Home) -> int:
    words = (b"daemon", home.env["RUNLANE_RUNTIME_DIR"].encode())
    (pid,) = [
        pid
        for pid in processes_of(home)
        if all(word in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") for word in words)
    ]
    return pid


# -- B1: other users -----------------------------------------------------------------------------------------------------


def knock(path: Path, user: int) -> str:
    """What a process of a user gets from a socket."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        said = "nothing"
        try:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(PATIENCE_SECS)
                probe.connect(str(path))
                # The greeting of HTTP/2; on the record socket, which would answer to it by closing, a valid Hello.
                hello = b"\x52\x04\0\0\0\x0a\x02\x08\x01"
                preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
                probe.sendall(preface if "control" in path.name else hello)
                said = "answered" if probe.recv(100) else "closed"
        except OSError as error:
            said = type(error).__name__
        finally:
            os.write(writing, said.encode())
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        said = answer.read()
    os.waitpid(child, 0)
    return said


@pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can become another user; the check has unit tests in Rust"
)
def test_b1_another_user_is_refused(home: Home, trainer: Start) -> None:
    """B1: a second user gets no answer, even if directory and sockets were opened to everybody."""
    trainer().do("run = wandb.init(project='p', mode='offline')")
    runtime = runtime_of(home)
    assert stat.S_IMODE(runtime.stat().st_mode) == 0o700
    for name in SOCKETS:
        assert stat.S_IMODE((runtime / name).stat().st_mode) == 0o600
        assert knock(runtime / name, 65_534) == "PermissionError"
    runtime.chmod(0o711)
    for name in SOCKETS:
        (runtime / name).chmod(0o666)
        assert knock(runtime / name, 65_534) in ("closed", "ConnectionResetError", "BrokenPipeError")
        assert knock(runtime / name, 0) == "answered"
    runtime.chmod(0o700)
    record("B1", "second user at both sockets", "no answer", "0 answers", 4)


def test_b1_a_directory_that_is_not_private_is_refused(home: Home, trainer: Start, tmp_path: Path) -> None:
    """B1: a runtime directory that others may enter, or a link that somebody else put there, is used by nobody of ours."""
    own = tmp_path / "elsewhere"
    own.mkdir(mode=0o700)
    link = tmp_path / "link"
    link.symlink_to(own)
    wide = tmp_path / "wide"
    wide.mkdir()
    wide.chmod(0o755)
    for place in (wide, link):
        env = {"RUNLANE_RUNTIME_DIR": str(place)}
        one = trainer(env)
        with pytest.raises(TrainerError, match="runtime directory must be a directory of this user alone"):
            one.do("run = wandb.init(project='p', mode='offline')")
        binary = home.env.get("RUNLANE_CORE_BINARY") or one_binary(home)
        started = home.run([binary, "daemon", "--runtime-dir", str(place)], check=False)
        assert (started.returncode, "not private" in started.stderr) == (1, True), started.stderr
        shown = home.runlane("daemon", "status", check=False, env=env)
        assert (shown.returncode, "not private" in shown.stderr) == (1, True), shown.stderr
        assert list(place.iterdir()) == []
    record("B1", "runtime directory open to others, or a link", "refused by daemon, SDK and CLI", "0 uses", 2)


def one_binary(home: Home) -> str:
    return home.python("from runlane._setup import core_binary\nprint(core_binary())").stdout.strip()


# -- B2: where the key must not be ----------------------------------------------------------------------------------------


def files_with(places: list[Path], secrets: list[bytes]) -> list[str]:
    """The files below `places` that hold one of the secrets."""
    found = []
    for place in places:
        for path in [place, *place.rglob("*")]:
            if path.is_file() and not path.is_symlink():
                data = path.read_bytes()
                found += [str(path) for secret in secrets if secret in data]
    return found


def test_b2_the_key_is_nowhere(home: Home, trainer: Start, own_server: OwnServer) -> None:
    """B2: the key is in no argument, no file of the run, no log, not at the server, and not in the daemon's environment."""
    server = own_server.start()
    secrets = spellings(server.api_key)
    one = trainer(server.env)
    before = set(one.do("import os; print(*os.environ)")[0].split())
    one.do("run = wandb.init(project='keys', id='r', config={'lr': 1})")
    one.do(f"print('the key is', {server.api_key!r})")
    one.do("import runlane; runlane.termlog('the key is ' + os.environ['WANDB_API_KEY'])")
    one.log(range(100))
    one.flush()
    # Words of every process of ours, and the environment of the daemon.
    pids = processes_of(home) + processes_of(own_server.owner)
    assert len(pids) >= 3
    for pid in pids:
        with contextlib.suppress(FileNotFoundError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
            assert not any(secret in words for secret in secrets), words
    environment = Path(f"/proc/{daemon_of(home)}/environ").read_bytes()
    assert not any(secret in environment for secret in secrets)
    # What the run leaves for its children in the environment.
    added = one.do(f"print(*(v for n, v in os.environ.items() if n not in {before!r}))")[0]
    assert server.api_key not in added
    one.do("run.finish()")
    one.end()
    home.runlane("sync", str(home.run_dirs()[0]), "--no-skip-synced", env=server.env)
    places = [home.wandb_dir, runtime_of(home), home.root / "home"]
    assert files_with(places, secrets) == []
    own_server.stop()
    kept = [path for path in server.data_dir.rglob("*") if path.name != "credentials.json"]
    assert any(path.suffix == ".db" for path in kept)
    assert files_with([path for path in kept if path.is_file()], secrets) == []
    credentials = server.data_dir / "credentials.json"
    assert stat.S_IMODE(credentials.stat().st_mode) == 0o600
    record("B2", "scan of processes, run, logs, server for the key", "0 places", "0", 1)


def test_b2_netrc_is_private_and_keeps_its_other_entries(home: Home) -> None:
    """B2: the credentials file is rewritten as a whole, for its owner alone."""
    netrc = Path(home.env["NETRC"])
    others = "machine example.org\n  login me\n  password else\n"
    netrc.write_text(others)
    netrc.chmod(0o644)
    key = "local-" + "k" * 43
    for _ in range(2):
        home.runlane("login", "--host", "http://127.0.0.1:9", "--no-verify", key)
    assert stat.S_IMODE(netrc.stat().st_mode) == 0o600
    content = netrc.read_text()
    assert others in content
    assert content.count(key) == 1
    assert [path.name for path in netrc.parent.glob(".netrc*")] == [".netrc"]


# -- B3: secrets in what is captured --------------------------------------------------------------------------------------


def scrambled(length: int, alphabet: str = "aB3dE5gH7jK9mN1pQ2sT4vW6yZ8") -> str:
    """Text that looks like a token, made here so that no scanner takes this file for a leak."""
    return (alphabet * (length // len(alphabet) + 1))[:length]


_T = scrambled(36)
_HEX = scrambled(64, "0a1b2c3d4e5f6789")
#: Arguments of a program, and the part of each that must not be captured.
CORPUS: list[tuple[list[str], str]] = [
    (["--api-key", "hunter2"], "hunter2"),
    (["--api_key=hunter2"], "hunter2"),
    (["--wandb-api-key", "hunter2"], "hunter2"),
    (["--apiKey=hunter2"], "hunter2"),
    (["--token", "hunter2"], "hunter2"),
    (["--hf_token=hunter2"], "hunter2"),
    (["--password", "hunter2"], "hunter2"),
    (["--db.password=hunter2"], "hunter2"),
    (["+trainer.logger.password=hunter2"], "hunter2"),
    (["--client-secret", "hunter2"], "hunter2"),
    (["--secret-key=hunter2"], "hunter2"),
    (["--private-key=hunter2"], "hunter2"),
    (["--credentials=hunter2"], "hunter2"),
    (["AWS_SECRET_ACCESS_KEY=hunter2"], "hunter2"),
    (["WANDB_API_KEY=hunter2"], "hunter2"),
    (["--data", "https://me:hunter2@host/x"], "hunter2"),
    (["--data=https://hunter2@host/x"], "hunter2"),
    (["--store", "postgres://me:p@hunter2@host:5432/db"], "hunter2"),
    (["--broker=redis://:hunter2@host:6379/0"], "hunter2"),
    (["https://host/x?access_token=hunter2&y=1"], "hunter2"),
    (["https://bucket.s3.amazonaws.com/x?X-Amz-Signature=hunter2&y=1"], "hunter2"),
    (["https://account.blob.core.windows.net/x?sv=1&sig=hunter2%3D"], "hunter2"),
    (["DefaultEndpointsProtocol=https;AccountName=a;AccountKey=hunter2=="], "hunter2"),
    (["--header", "Authorization: Bearer hunter2hunter2hunter2"], "hunter2"),
    (["--header", "Authorization: Basic aHVudGVyMjpodW50ZXIy"], "aHVudGVyMjpodW50ZXIy"),
    ([f"ghp_{_T}"], _T),
    ([f"github_pat_{_T}"], _T),
    ([f"glpat-{_T[:20]}"], _T[:20]),
    ([f"hf_{_T}"], _T),
    ([f"sk-proj-{_T}"], _T),
    ([f"sk-ant-api03-{_T}"], _T),
    (["AKIA" + scrambled(16, "A2B3C4D5E6F7")], scrambled(16, "A2B3C4D5E6F7")),
    ([f"AIza{_T[:35]}"], _T[:35]),
    ([f"xoxb-{_T}"], _T),
    ([f"sk_live_{_T}"], _T),
    ([f"npm_{_T}"], _T),
    ([f"pypi-{_T}"], _T),
    ([f"dckr_pat_{_T}"], _T),
    ([f"eyJhbGciOiJI.eyJzdWIiOi{_T}.{_T}"], _T),
    ([f"dop_v1_{_HEX}"], _HEX),
    ([f"-----BEGIN RSA PRIVATE KEY-----\n{_T}\n-----END RSA PRIVATE KEY-----"], _T),
    ([f"local-{_T}{_T}"], _T),
    (["https://api.telegram.org/bot123456789:" + scrambled(35)], scrambled(35)),
]

HARMLESS = [
    ["--lr", "0.1", "--seed", "-3"],
    ["--tokenizer", "bert-base-uncased", "--max_tokens=512", "--num-tokens", "7"],
    ["--pad-token", "<pad>", "--eos_token=</s>"],
    ["--keys", "a,b", "--key", "loss", "--key=loss"],
    ["--data", "s3://bucket/path@v2/x", "file:///tmp/a@b", "user@host"],
    ["--commit", "0123456789abcdef0123456789abcdef01234567"],
    ["--name", "task-sk-learn", "--bottleneck", "64", "robot@2"],
    ["https://host/x?page=2&q=key"],
]


def test_b3_forty_secret_shapes_are_not_captured() -> None:
    """B3: no secret of the corpus is left in captured arguments; what is none stays as it is."""
    assert len(CORPUS) >= 40
    leaks = [words for words, secret in CORPUS if secret in " ".join(_redact.arguments(words))]
    assert leaks == []
    assert [_redact.arguments(words) for words in HARMLESS] == HARMLESS
    record("B3", "secret shapes in captured arguments", "0 captured", "0", len(CORPUS))


def test_b3_names_may_be_excepted(home: Home) -> None:
    """B3: the opt-out list keeps the values of the options that it names."""
    code = "from runlane import _redact\nprint(_redact.arguments(['--api-key', 'a', '--access-token=b']))"
    shown = home.python(code, env={"RUNLANE_REDACT_EXCEPT": "access_token, unused"}).stdout
    assert shown.strip() == "['--api-key', '[redacted]', '--access-token=b']"


def test_b3_nothing_of_it_reaches_the_log(home: Home) -> None:
    """B3: a run whose arguments, git remote, scheduler and console carry secrets; its whole directory is searched."""
    subprocess.run(["git", "init", "-q", "."], cwd=home.work, check=True)
    remote = "https://me:hunter2@example.org/team/repo.git"
    subprocess.run(["git", "remote", "add", "origin", remote], cwd=home.work, check=True)
    key = "local-" + scrambled(43)
    script = home.work / "train.py"
    script.write_text(
        "import runlane\n"
        f"run = runlane.init(project='p', mode='offline', settings=runlane.Settings(api_key={key!r}))\n"
        f"print('my key is {key}')\n"
        "run.log({'x': 1})\n"
        "run.finish()\n"
    )
    words = [word for found, _secret in CORPUS for word in found]
    env = {"SLURM_JOB_ID": "7", "SLURM_API_TOKEN": "hunter2", "SLURM_COMMENT": f"with hf_{_T}"}
    env["WANDB_BASE_URL"], env["WANDB_API_KEY"] = "http://127.0.0.1:9", key
    home.run([PYTHON, str(script), *words], check=True, env=env)
    (directory,) = home.run_dirs()
    captured = b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())
    secrets = {secret for _words, secret in CORPUS} | {key}
    assert [secret for secret in sorted(secrets) if secret.encode() in captured] == []
    assert b"https://example.org/team/repo.git" in captured
    assert b"my key is [redacted]" in captured
    assert b"SLURM" in captured or b"job_id" in captured


# -- B5: hostile logs -----------------------------------------------------------------------------------------------------

MARK = b"the content of a file that nobody asked for"


def test_b5_a_hostile_log_reaches_nothing_outside(home: Home, own_server: OwnServer, tmp_path: Path) -> None:
    """B5: paths of a log lead to no file outside the run directory; server and key are those that the user named."""
    server = own_server.start()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_bytes(MARK)
    (home.work / "secret.txt").write_bytes(MARK)
    directory = home.wandb_dir / "offline-run-20260101_000000-evil"
    files = directory / "files"
    files.mkdir(parents=True)
    (directory / "secret.txt").write_bytes(MARK)
    (files / "good.txt").write_bytes(b"asked for")
    (files / "folder").symlink_to(outside)
    (files / "config.yaml").symlink_to(outside / "not-there-before.yaml")
    names = [
        "../secret.txt",
        "../../../secret.txt",
        str(outside / "secret.txt"),
        f"//{outside}/secret.txt",
        "folder/secret.txt",
        "folder/../../secret.txt",
        "./../secret.txt",
        "a/../../secret.txt",
        "..\\secret.txt",
        "file:///etc/passwd",
        "",
        "\0secret.txt",
        "good.txt",
    ]
    with recorder() as elsewhere:
        log = write_log(
            directory / "run-evil.wandb",
            text_header(),
            run_record(
                run_id="evil",
                entity="../admin",
                project="../../x",
                display_name=f"\x1b]0;{elsewhere.url}\a",
                host=elsewhere.url,
            ),
            settings_config(base_url=elsewhere.url, api_key="local-" + "e" * 43),
            files_record(*names),
            row_record(0, x=1, _wandb={"base_url": elsewhere.url}),
        )
        before = sorted(path for path in tmp_path.rglob("*") if own_server.data not in path.parents)
        result = home.runlane(
            "sync",
            str(log),
            "-p",
            "hostile",
            "-e",
            server.entity,
            "--id",
            "evil",
            env=server.env,
            check=False,
        )
        assert elsewhere.seen == []
    assert "\x1b" not in result.stdout + result.stderr
    assert files_with([server.data_dir], [MARK]) == []
    assert files_with([server.data_dir / "objects"], [b"asked for"]) != [], result.stdout + result.stderr
    # Nothing was written but beside the log and in the run's files.
    fresh = {path for path in tmp_path.rglob("*") if own_server.data not in path.parents} - set(before)
    strays = [
        path for path in fresh if directory not in path.parents and home.root / "home" not in path.parents
    ]
    assert strays == []
    assert not (outside / "not-there-before.yaml").exists()
    # A run whose files are all elsewhere.
    away = home.wandb_dir / "offline-run-20260101_000000-away"
    log = write_log(
        away / "run-away.wandb", run_record(run_id="away", project="p"), files_record("secret.txt")
    )
    (away / "files").symlink_to(outside)
    result = home.runlane("sync", str(log), env=server.env, check=False)
    assert result.returncode == 1
    assert "a link to another place" in result.stdout + result.stderr
    assert [path.name for path in outside.iterdir()] == ["secret.txt"]
    assert files_with([server.data_dir], [MARK]) == []
    record("B5", "crafted log given to sync", "0 files from outside, 0 foreign requests", "0", len(names))


def text_header() -> bytes:
    """A header record of another program."""
    return text(21, text(1, text(1, "wandb 0.31.0")))


def settings_config(**values: str) -> bytes:
    """A config record that looks like settings."""
    return text(
        5, b"".join(text(1, text(1, key) + text(16, json.dumps(value))) for key, value in values.items())
    )


# -- B6: redirects --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_b6_the_key_does_not_follow_a_redirect_to_another_host(status: int) -> None:
    """B6: the Python client sends neither the key nor the user's own headers to another host."""
    key = "local-" + "r" * 43
    with recorder() as first, recorder() as second:
        first.answer = lambda path: (status, {"Location": second.url + path}, b"")
        second.answer = lambda _path: (200, {"Content-Type": "application/json"}, b'{"data": {}}')
        client = GraphQLClient(first.url, key, timeout_secs=10)
        client._headers["X-Private"] = "hunter2"
        with contextlib.suppress(Exception):
            client.execute("query { viewer { id } }", {})
        client.download("/files/x").close()
        assert any(b"Authorization" in seen for seen in first.seen)
        assert second.seen
        for seen in second.seen:
            assert not any(secret in seen for secret in [*spellings(key), b"hunter2", b"Authorization"]), seen
    record("B6", f"redirect {status} to another host (Python)", "key absent", "absent", 2)


def test_b6_no_redirect_leads_out_of_encryption() -> None:
    """B6: https does not become http, not even on the same host."""
    request = urllib.request.Request("https://host/x", headers={"Authorization": "Basic x"})
    for target in ("http://host/x", "http://host:443/x", "ftp://host/x"):
        with pytest.raises(urllib.error.HTTPError):
            SafeRedirects().redirect_request(
                request,
                io.BytesIO(),
                302,
                "Found",
                email.message.Message(),
                target,  # type: ignore[arg-type]
            )
    kept = SafeRedirects().redirect_request(
        request,
        io.BytesIO(),
        302,
        "Found",
        email.message.Message(),
        "https://host/y",  # type: ignore[arg-type]
    )
    assert kept is not None
    assert kept.get_header("Authorization") == "Basic x"


@pytest.mark.parametrize("status", [302, 307, 308])
def test_b6_uploads_do_not_follow_redirects(home: Home, trainer: Start, status: int) -> None:
    """B6: the daemon sends neither key nor data to where a server redirects it; training goes on."""
    key = "local-" + "u" * 43
    with recorder() as first, recorder() as second:
        first.answer = lambda path: (status, {"Location": second.url + path}, b"")
        second.answer = lambda _path: (200, {"Content-Type": "application/json"}, b'{"data": {}}')
        one = trainer({"WANDB_BASE_URL": first.url, "WANDB_API_KEY": key, "WANDB_INIT_TIMEOUT": "1"})
        with contextlib.suppress(TrainerError):
            one.do("run = wandb.init(project='p', id='redirected')")
            one.log(range(5))
            one.flush()
        deadline = time.monotonic() + PATIENCE_SECS
        while not first.seen and time.monotonic() < deadline:
            time.sleep(0.05)
        one.kill()
        time.sleep(0.3)
        assert any(secret in seen for secret in spellings(key) for seen in first.seen)
        assert [seen for seen in second.seen if any(secret in seen for secret in spellings(key))] == []
        assert second.seen == []
    record("B6", f"redirect {status} to another host (uploads)", "not followed", "0 requests", 1)
