"""Artifacts on their way from a run to the server: whole, once, in parts, and what the user is told."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from pathlib import Path

import pytest
from proxy import Action, Forward, Proxy
from scripts import daemon_pid
from stored_versions import fetched, logged_versions, used_ids
from world import Home, Server

#: Makes and logs an artifact of small files: nested, with odd names, empty, and two that are alike.
SMALL_FILES = """
import os, runlane
os.makedirs("data/deep/er", exist_ok=True)
for number in range({count}):
    with open(f"data/deep/{{number:04}}.txt", "w") as file:
        file.write(f"{{number}}\\n" * 50)
for name in ("empty", "deep/er/empty too", "größe ☃ %2F?.txt", "a'b\\"c d"):
    with open(f"data/{{name}}", "w") as file:
        file.write("" if "empty" in name else name)
run = runlane.init(project={project!r}, id={run!r})
artifact = runlane.Artifact("small", type="dataset", metadata={{"n": 1}})
artifact.add_dir("data")
run.log({{"x": 1}})
run.log_artifact(artifact, aliases=["best"])
artifact.wait()
print("digest", artifact.digest, artifact.version)
run.finish()
"""


class Counting:
    """A proxy in front of a server that counts uploads by what they are of."""

    def __init__(self, server: Server) -> None:
        self.puts: Counter[str] = Counter()
        port = int(server.base_url.rpartition(":")[2])
        self.proxy = Proxy(port, plan=self._count, kinds=b"PUT ")
        self.env = {**server.env, "WANDB_BASE_URL": self.proxy.base_url}

    def _count(self, _number: int, head: bytes) -> Action:
        self.puts[head.split(b"?")[0].decode()] += 1
        return Forward()


def closing_line(output: str) -> list[int]:
    """The numbers of files of the closing block."""
    (line,) = re.findall(r"Synced .* file\(s\)", output)
    return [int(number) for number in re.findall(r"\d+", line.replace("W&B", ""))]


def staging(home: Home) -> Path:
    return Path(home.env["XDG_DATA_HOME"]) / "wandb" / "artifacts" / "staging"


def cached(home: Home) -> list[Path]:
    """The files of the cache."""
    cache = Path(home.env["XDG_CACHE_HOME"]) / "wandb" / "artifacts" / "obj"
    return [path for path in cache.rglob("*") if path.is_file()]


def test_many_small_files_arrive_whole_and_nothing_goes_twice(
    home: Home, server: Server, project: str
) -> None:
    counting = Counting(server)
    count = 120
    code = SMALL_FILES.format(count=count, project=project, run="first")
    first = home.python(code, env=counting.env)
    (version,) = logged_versions(server, project, "first").values()
    assert (version.name, version.state, version.aliases) == ("small:v0", "COMMITTED", ["best", "latest"])
    files = {
        path.relative_to(home.work / "data").as_posix(): path.read_bytes()
        for path in (home.work / "data").rglob("*")
        if path.is_file()
    }
    assert sorted(version.manifest["contents"]) == sorted(files)
    assert len(files) == count + 4
    for path in [*list(files)[:20], *(path for path in files if "deep/0" not in path)]:
        assert version.content(path) == files[path], path
    # Each content once: the two empty files are one, and other tests may have given it to the server before.
    contents = {hashlib.md5(content).hexdigest() for content in files.values()}
    own = contents - {hashlib.md5(b"").hexdigest()}
    uploads = {path: times for path, times in counting.puts.items() if "/storage/artifacts/" in path}
    assert len(own) <= len(uploads) <= len(contents)
    assert set(uploads.values()) == {1}
    assert closing_line(first.stderr)[2] == len(files)
    # Staged copies have moved into the cache.
    assert not [path for path in staging(home).rglob("*") if path.is_file()]
    assert {path.parent.name + path.name for path in cached(home)} == contents

    counting.puts.clear()
    again = home.python(SMALL_FILES.format(count=count, project=project, run="second"), env=counting.env)
    assert "already exists with the same content" in again.stderr
    assert not [path for path in counting.puts if "/storage/artifacts/" in path]
    assert first.stdout.splitlines()[-1] == again.stdout.splitlines()[-1]


def test_a_thousand_files_take_seconds(home: Home, server: Server, project: str) -> None:
    home.python(SMALL_FILES.format(count=1_000, project=project, run="many"), env=server.env)
    (version,) = logged_versions(server, project, "many").values()
    assert len(version.manifest["contents"]) == 1_004
    assert version.content("deep/0999.txt") == b"999\n" * 50


LARGE_FILE = """
import runlane
block = bytes(range(256)) * 4096
with open("large.bin", "wb") as file:
    for number in range({mebibytes}):
        file.write(number.to_bytes(8, "little") + block[8:])
run = runlane.init(project={project!r}, id="large")
artifact = runlane.Artifact("weights", type="model", digest_algorithm={algorithm!r})
artifact.add_file("large.bin", policy="immutable")
run.log_artifact(artifact)
print("logged", flush=True)
input()
artifact.wait()
run.finish()
"""


def peak_memory(pid: int) -> int:
    """The most memory that a process had in RAM, in bytes."""
    text = Path(f"/proc/{pid}/status").read_text()
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", text)
    return int(peak) << 10


@pytest.mark.parametrize("algorithm", ["MD5", "XXH128"])
def test_a_large_file_goes_in_parts_in_little_memory(
    home: Home, server: Server, project: str, algorithm: str
) -> None:
    mebibytes = 100
    home.python("import runlane; runlane.init(project='idle').finish()", env=server.env)
    before = peak_memory(daemon_pid(home))
    code = LARGE_FILE.format(mebibytes=mebibytes, project=project, algorithm=algorithm)
    process = home.start(code, env=server.env)
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.close()
    pid = daemon_pid(home)
    assert process.wait(90) == 0
    assert peak_memory(pid) - before < 64 << 20
    (version,) = logged_versions(server, project, "large").values()
    entry = version.manifest["contents"]["large.bin"]
    assert entry["size"] == mebibytes << 20
    with (home.work / "large.bin").open("rb") as file:
        expected = hashlib.file_digest(file, "sha256") if hasattr(hashlib, "file_digest") else None
    found = hashlib.sha256(fetched(version.urls["large.bin"]))
    assert expected is None or found.digest() == expected.digest()
    # A file that is uploaded where it lies stays there.
    assert (home.work / "large.bin").exists()


REFERRING = """
import runlane
run = runlane.init(project={project!r}, id="referring")
run.log({{"x": 1}}, step=7)
first = runlane.Artifact("raw", type="dataset")
with first.new_file("a.txt") as file:
    file.write("hello")
run.log_artifact(first)
second = runlane.Artifact("derived", type="dataset")
second.add_reference("wandb-client-artifact://" + first._client_id + "/a.txt", name="a.txt")
second.add_reference("https://example.com/x", name="x", checksum=False)
run.log_artifact(second)
run.use_artifact(first)
run.finish()
"""


def test_references_to_what_is_logged_beside_lead_to_the_servers_version(
    home: Home, server: Server, project: str
) -> None:
    home.python(REFERRING.format(project=project), env=server.env)
    versions = logged_versions(server, project, "referring")
    raw, derived = versions["raw:v0"], versions["derived:v0"]
    hexadecimal = base64.b64decode(raw.id).hex()
    assert derived.manifest["contents"]["a.txt"]["ref"] == f"wandb-artifact://{hexadecimal}/a.txt"
    assert derived.manifest["contents"]["x"]["ref"] == "https://example.com/x"
    assert used_ids(server, project, "referring") == {raw.id}
    # As W&B's client tells it: the step before that of the row that is being made.
    assert raw.step == derived.step == 6


OFFLINE = """
import runlane
run = runlane.init(project={project!r}, id="offline", mode="offline")
for number, name in enumerate(["kept", "lost", "kept"]):
    artifact = runlane.Artifact(name, type="dataset")
    with open(f"{{name}}.txt", "w") as file:
        file.write(f"{{name}} {{number}}")
    artifact.add_file(f"{{name}}.txt", policy="immutable" if name == "lost" else "mutable")
    run.log_artifact(artifact)
run.log({{"x": 1}})
run.finish()
"""


def test_sync_uploads_artifacts_and_says_which_file_is_gone(home: Home, server: Server, project: str) -> None:
    home.python(OFFLINE.format(project=project))
    (directory,) = home.wandb_dir.glob("offline-run-*")
    lost = home.work / "lost.txt"
    content = lost.read_bytes()
    lost.unlink()
    result = home.runlane("sync", str(directory), env=server.env, check=False)
    said = result.stdout + result.stderr
    assert "artifact `lost` is not stored: file `lost.txt` of the artifact cannot be read" in said
    assert str(lost) in said
    assert "hint: it was moved or deleted before its upload" in said
    assert not list(directory.glob("*.synced"))
    versions = logged_versions(server, project, "offline")
    stored = {name for name, version in versions.items() if version.state == "COMMITTED"}
    assert stored == {"kept:v0", "kept:v1"}
    assert [versions[name].content("kept.txt") for name in sorted(stored)] == [b"kept 0", b"kept 2"]

    # Other bytes under the old name are no substitute; the right ones are.
    lost.write_bytes(b"x" * len(content))
    said = home.runlane("sync", str(directory), env=server.env, check=False).stderr
    assert "file `lost.txt` has changed since it was added to the artifact" in said
    lost.write_bytes(content)
    home.runlane("sync", str(directory), env=server.env)
    assert list(directory.glob("*.synced"))
    versions = logged_versions(server, project, "offline")
    assert sorted(name for name, version in versions.items() if version.state == "COMMITTED") == [
        "kept:v0",
        "kept:v1",
        "lost:v0",
    ]


def test_a_run_of_many_entries_goes_by_a_file_of_its_own(home: Home, server: Server, project: str) -> None:
    code = f"""
import runlane
from runlane.artifacts import _logging
_logging.MANIFEST_ENTRIES = 2
run = runlane.init(project={project!r}, id="listed")
artifact = runlane.Artifact("listed", type="dataset")
for number in range(5):
    with artifact.new_file(f"{{number}}.txt") as file:
        file.write(str(number))
run.log_artifact(artifact)
artifact.wait()
run.finish()
"""
    home.python(code, env=server.env)
    (version,) = logged_versions(server, project, "listed").values()
    assert {path: version.content(path) for path in version.urls} == {
        f"{number}.txt": str(number).encode() for number in range(5)
    }
    assert not [path for path in staging(home).rglob("*") if path.is_file()]


def test_what_the_server_refuses_is_told_and_the_run_ends(home: Home, server: Server, project: str) -> None:
    code = f"""
import runlane
run = runlane.init(project={project!r}, id="refused")
for type_name in ("dataset", "model"):
    artifact = runlane.Artifact("one-name", type=type_name)
    with artifact.new_file("a") as file:
        file.write(type_name)
    try:
        run.log_artifact(artifact)
        artifact.wait(20)
    except ValueError as error:
        print("told:", error)
run.finish()
"""
    result = home.python(code, env=server.env)
    assert "told:" in result.stdout
    assert "one-name" in result.stdout
    assert "dataset" in result.stdout
    (version,) = logged_versions(server, project, "refused").values()
    assert version.content("a") == b"dataset"
    assert json.dumps(version.manifest)
