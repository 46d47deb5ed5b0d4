"""Logging artifacts: the records, which are those of wandb, and what comes of them at a server."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from logs import records
from world import PYTHON, Home

CASES = Path(__file__).with_name("logging_cases.py")
#: What differs between two runs of the same client.
_RANDOM = ("client_id", "sequence_client_id")


def artifacts(home: Home) -> list[Any]:
    """The records of artifacts of the newest run."""
    (log,) = home.run_dirs()[-1].glob("run-*.wandb")
    return [record.artifact for record in records(log) if record.HasField("artifact")]


def plain(record: Any, root: str) -> dict[str, Any]:
    """What a record says, but for names of files and ids."""
    from google.protobuf.json_format import MessageToDict

    found: dict[str, Any] = MessageToDict(record, preserving_proto_field_name=True)
    for name in _RANDOM:
        assert len(found.pop(name)) == 128
    found["aliases"] = sorted(found["aliases"])
    found["metadata"] = json.loads(found.get("metadata", "{}"))
    entries = {}
    for entry in found["manifest"].pop("contents", []):
        staged = entry.pop("local_path", None)
        assert (staged is None) == ("ref" in entry)
        entry["ref"] = entry.get("ref", "").replace(root, "")
        entries[entry["path"]] = entry
    found["entries"] = entries
    return found


def run_cases(home: Home, client: str, python: str) -> tuple[dict[str, Any], list[Any]]:
    done = home.run([python, str(CASES), client], check=True, env={"WANDB_DATA_DIR": str(home.root / "data")})
    results = [line for line in done.stdout.splitlines() if line.startswith("RESULTS ")]
    found = artifacts(home)
    for record in found:
        for entry in record.manifest.contents:
            assert not entry.local_path or Path(entry.local_path).stat().st_size == entry.size
    return json.loads(results[0].removeprefix("RESULTS ")), found


def test_records_are_those_of_wandb(home: Home, wandb_python: str) -> None:
    """The same script with both clients: every call does the same, every record says the same."""
    ours, our_records = run_cases(home, "runlane", PYTHON)
    for path in home.work.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    theirs, their_records = run_cases(home, "wandb", wandb_python)
    assert ours == theirs
    root = str(home.work)
    for one, other in zip(our_records, their_records, strict=True):
        assert plain(one, root) == plain(other, root)
    twice = [record for record in our_records if record.name == "again"]
    assert [record.description for record in twice] == ["", "changed"]
    assert len({entry.local_path for record in twice for entry in record.manifest.contents}) == 2


WITHOUT_WAITING = """
import os, threading, runlane as wandb
from runlane.artifacts import Artifact, _logging

run = wandb.init(mode="offline", project="p")
os.mkdir("d")
for name in ("one", "two", "three"):
    with open(f"d/{name}", "wb") as file:
        file.write(name.encode() * (3 << 20))
# The threads that hash stand still until this is set.
go = threading.Event()
ready = _logging._is_ready
_logging._is_ready = lambda artifact: go.is_set() and ready(artifact)
publish = _logging.publish
_logging.publish = lambda *arguments: (go.wait(60), publish(*arguments))
first, second = Artifact("first", "t"), Artifact("second", "t")
first.add_dir("d")
second.add_file("d/one")
run.log_artifact(first)
run.log_artifact(second)
run.log({"loss": 1})
print("TRAINED", flush=True)
threading.Timer(0.2, go.set).start()
run.finish()
print("LEFT", [name for name in os.listdir(os.environ["WANDB_DATA_DIR"] + "/artifacts/staging") if "open-" in name])
"""


def test_training_does_not_wait_for_files_to_be_hashed(home: Home) -> None:
    done = home.python(WITHOUT_WAITING, env={"WANDB_DATA_DIR": str(home.root / "data")})
    assert "TRAINED" in done.stdout
    first, second = artifacts(home)
    assert [first.name, second.name] == ["first", "second"]
    assert [entry.path for entry in first.manifest.contents] == ["one", "three", "two"]
    assert all(Path(entry.local_path).exists() for entry in first.manifest.contents)


PROBLEMS = """
import os, runlane as wandb
from runlane.artifacts import Artifact, _logging

run = wandb.init(mode="offline", project="p")
open("f", "w").write("one")
left = Artifact("left", "t")
left.add_file("f", policy="immutable")
open("f", "w").write("other")
run.log_artifact(left)
lost = Artifact("lost", "t")
lost.add_file("f")
os.unlink(lost.manifest.entries["f"].local_path)
run.log_artifact(lost)
_logging.MANIFEST_ENTRIES = 3
many = Artifact("many", "t")
for number in range(5):
    with many.new_file(f"f{number}") as file:
        file.write(str(number))
many.add_reference("ftp://x/y", name="r")
run.log_artifact(many)
refused = []
for arguments in (
    {"aliases": [""]},
    {"aliases": ["a:b"]},
    {"aliases": ["v3"]},
    {"aliases": ["x" * 129]},
    {"aliases": [str(number) for number in range(101)]},
    {"aliases": [5]},
    {"tags": ["a:b"]},
    {"tags": [str(number) for number in range(21)]},
    {"tags": [None]},
    {"name": "run-x", "type": "run_table"},
):
    try:
        run.log_artifact("f", **{"type": "t", **arguments})
    except (TypeError, ValueError) as error:
        refused.append(type(error).__name__)
for method in (run.upsert_artifact, run.finish_artifact):
    try:
        method("f")
    except TypeError as error:
        refused.append(str(error))
print("REFUSED", refused)
run.log({"after": 1})
run.finish()
print("ENDED")
"""


def test_what_goes_wrong_is_one_line_and_ends_nothing(home: Home) -> None:
    done = home.python(PROBLEMS, env={"WANDB_DATA_DIR": str(home.root / "data")})
    assert "ENDED" in done.stdout
    why = "unless run is in a group or distributed_id is provided"
    kinds = ["ValueError"] * 5 + ["TypeError", "ValueError", "ValueError", "TypeError", "ValueError"]
    refused = [*kinds, f"Cannot upsert artifact {why}", f"Cannot finish artifact {why}"]
    assert f"REFUSED {refused}" in done.stdout
    lines = [line for line in done.stderr.splitlines() if "ERROR" in line]
    assert len(lines) == 2
    assert "`left` is not logged" in lines[0]
    assert 'has changed since it was added with `policy="immutable"`' in lines[0]
    assert "`lost` is not logged" in lines[1]
    assert "No such file" in lines[1]
    (many,) = artifacts(home)
    assert len(many.manifest.contents) == 0
    import gzip

    path = Path(many.manifest.manifest_file_path)
    assert path.parent.name == "artifact_manifests"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        entries = [json.loads(line) for line in file]
    assert [entry["path"] for entry in entries] == ["f0", "f1", "f2", "f3", "f4", "r"]
    assert all(Path(entry["local_path"]).exists() for entry in entries[:5])
    assert entries[5]["ref"] == entries[5]["digest"] == "ftp://x/y"


PARTS = """
import multiprocessing, os, sys
import runlane as wandb

def add(run, number, inherited=None):
    if inherited is not None:
        run.log_artifact(inherited)
    artifact = wandb.Artifact(f"of-{number}", "part")
    with artifact.new_file("f", mode="wb") as file:
        file.write(bytes([number]) * (5 << 20))
    run.log_artifact(artifact)

if __name__ == "__main__":
    run = wandb.init(mode="offline", project="p")
    made = wandb.Artifact("of-7", "part")
    with made.new_file("f", mode="wb") as file:
        file.write(bytes([7]) * (5 << 20))
    for how in ("fork", "spawn"):
        context = multiprocessing.get_context(how)
        children = [context.Process(target=add, args=(run, number, made if how == "fork" else None)) for number in range(2)]
        for child in children:
            child.start()
        for child in children:
            child.join()
            assert child.exitcode == 0
    add(run, 9, made)
    run.finish()
"""


def test_other_processes_log_artifacts_to_the_run(home: Home) -> None:
    home.python(PARTS, env={"WANDB_DATA_DIR": str(home.root / "data")})
    found = artifacts(home)
    assert sorted(record.name for record in found) == [
        "of-0",
        "of-0",
        "of-1",
        "of-1",
        "of-7",
        "of-7",
        "of-7",
        "of-9",
    ]
    for record in found:
        (entry,) = record.manifest.contents
        number = int(record.name[3:])
        assert Path(entry.local_path).read_bytes() == bytes([number]) * (5 << 20)


def test_disabled_runs_log_nothing(home: Home) -> None:
    done = home.python(
        "import runlane as wandb\n"
        "run = wandb.init(mode='disabled')\n"
        "open('f', 'w').write('x')\n"
        "artifact = wandb.Artifact('a', 't')\n"
        "artifact.add_file('f')\n"
        "logged = run.log_artifact(artifact)\n"
        "print('GOT', logged.wait().version is not None)\n"
        "run.log_model('f'); run.log_code('.'); run.use_artifact('a:latest').download()\n"
        "run.finish()\n",
        env={"WANDB_DATA_DIR": str(home.root / "data")},
    )
    assert "GOT True" in done.stdout
    assert not home.run_dirs()


CODE = """
import os, runlane as wandb
key = os.environ["WANDB_API_KEY"]
open("train.py", "w").write(f"wandb.login(key='{key}')\\n")
open("big.py", "w").write("x")
os.symlink("/etc/hostname", "out.py")
os.mkdir("wandb")
open("wandb/inner.py", "w").write("x")
run = wandb.init(mode="offline", project="p")
code = run.log_code()
print("NAMES", sorted(code.manifest.entries))
for entry in code.manifest:
    assert key not in open(entry.local_path).read()
run.finish()
"""


def test_code_is_logged_without_keys_and_without_what_lies_outside(home: Home) -> None:
    key = "0123456789abcdef0123456789abcdef01234567"
    done = home.python(CODE, env={"WANDB_DATA_DIR": str(home.root / "data"), "WANDB_API_KEY": key})
    assert "NAMES ['big.py', 'train.py']" in done.stdout
    assert "out.py" in done.stderr
    assert key.encode() not in b"".join(
        path.read_bytes() for path in (home.root / "data").rglob("*") if path.is_file()
    )
    (record,) = artifacts(home)
    assert (record.type, record.name.startswith("source-p-")) == ("code", True)
