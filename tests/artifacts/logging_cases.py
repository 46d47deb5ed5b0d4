"""Logs artifacts of every kind, offline. Run with `runlane` or `wandb` as the only argument; prints what each call did as JSON."""

import datetime
import json
import os
import sys

if sys.argv[1] == "runlane":
    import runlane as wandb
else:
    import wandb

os.makedirs("data/sub/deep", exist_ok=True)
for name, content in {
    "data/x.txt": b"hello",
    "data/sub/ünï 日本.bin": bytes(range(256)),
    "data/sub/deep/empty": b"",
    "data/sub/same": b"hello",
    "train.py": b"print(1)\n",
    "requirements.txt": b"numpy\n",
    "notes.md": b"not code\n",
}.items():
    with open(name, "wb") as file:
        file.write(content)
os.link("data/x.txt", "data/hard")
os.symlink("sub", "data/link")

run = wandb.init(
    project="pairs", id="pairs1", group="team", mode="offline", settings={"program_relpath": "src/train.py"}
)
done = {}


def case(name, call):
    try:
        result = call()
    except Exception as error:
        done[name] = [type(error).__name__, isinstance(error, (ValueError, TypeError))]
    else:
        done[name] = getattr(result, "name", None) or (None if result is None else "something")


def tree():
    artifact = wandb.Artifact(
        "tree",
        "dataset",
        description="what it is",
        metadata={"a": 1, "b": [1.5, None, "x"], "c": {"d": True}},
    )
    artifact.add_dir("data")
    artifact.add_file("train.py", name="code/train.py")
    with artifact.new_file("made/by hand.txt") as file:
        file.write("hello")
    artifact.add_reference("https://example.com/weights.bin", checksum=False)
    artifact.add_reference("ftp://example.com/x", name="far/away")
    artifact.add_reference(f"file://{os.getcwd()}/data/sub", name="refs")
    artifact.add_file("data/x.txt", name="gone/a")
    artifact.add_file("data/x.txt", name="gone/b")
    artifact.remove("gone")
    artifact.add_file("data/x.txt", name="media/abc.txt", is_tmp=True)
    artifact.ttl = datetime.timedelta(days=2)
    return artifact


def part(content, name="parts"):
    artifact = wandb.Artifact(name, "dataset")
    with artifact.new_file(f"part-{content}") as file:
        file.write(content)
    return artifact


def of_algorithm():
    artifact = wandb.Artifact("fast", "dataset", digest_algorithm="XXH128", storage_region="eu")
    artifact.add_dir("data")
    return artifact


def forever():
    artifact = part("x", "forever")
    artifact.ttl = None
    return artifact


case("tree", lambda: run.log_artifact(tree(), aliases=["best", "a b"], tags=["x", "two words"]))
case("file", lambda: run.log_artifact("data/x.txt"))
case("directory", lambda: run.log_artifact("data", name="by-path", type="dataset", aliases=["best", "best"]))
case("reference", lambda: run.log_artifact(f"file://{os.getcwd()}/data", type="dataset"))
case("nothing there", lambda: run.log_artifact("nowhere"))
case("no path", lambda: run.log_artifact(5))
case("bad name", lambda: run.log_artifact("data/x.txt", name="a b"))
case("bad alias", lambda: run.log_artifact("data/x.txt", aliases=["a/b"]))
case("bad tag", lambda: run.log_artifact("data/x.txt", tags=["a/b"]))
case("empty", lambda: run.log_artifact(wandb.Artifact("empty", "dataset")))
case("other digests", lambda: run.log_artifact(of_algorithm()))
case("more", lambda: run.log_artifact(wandb.Artifact("more", "dataset", incremental=True)))
case("forever", lambda: run.log_artifact(forever()))
case("first part", lambda: run.upsert_artifact(part("one")))
case("second part", lambda: run.upsert_artifact(part("two"), distributed_id="mine"))
case("last part", lambda: run.finish_artifact(part("three")))
case("model", lambda: run.log_model("data/x.txt"))
case("model directory", lambda: run.log_model("data", name="weights", aliases=["best"]))
case("no model", lambda: run.log_model("nowhere"))
case("code", lambda: run.log_code("."))
case(
    "named code", lambda: run.log_code(".", name="code of/mine", include_fn=lambda path: path.endswith(".md"))
)
case("no code", lambda: run.log_code("data"))
again = part("x", "again")
case("once", lambda: run.log_artifact(again, aliases=["one"]))
again.description = "changed"
case("twice", lambda: run.log_artifact(again, aliases=["two"]))
case("wait", again.wait)
run.finish()
case("finished", lambda: run.log_artifact("data/x.txt"))
sys.stdout.write("RESULTS " + json.dumps(done) + "\n")
