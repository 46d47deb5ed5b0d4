"""What adding files to artifacts costs, run in either interpreter: prints a JSON line.

python benches/artifact_probe.py {runlane|wandb}
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from time import perf_counter

FILES, FILE_BYTES = 2_000, 10 << 10
LARGE_BYTES, PIECE_BYTES = 1 << 30, 16 << 20


def allocated(folder: Path) -> int:
    """Bytes that the files below a folder take on the disk; links to one file count once."""
    # Blocks that wait to be written are not counted before.
    os.sync()
    found = (path.stat() for path in folder.rglob("*") if path.is_file())
    return sum({(file.st_dev, file.st_ino): file.st_blocks * 512 for file in found}.values())


def main() -> None:
    """Seconds to add 2,000 small files and one of 1 GiB, until the digests are known, and to log them; disk beside the data."""
    tracker = importlib.import_module(sys.argv[1])
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    data = folder / "data"
    os.environ["WANDB_DATA_DIR"] = str(data)
    small, large = folder / "small", folder / "large"
    small.mkdir()
    for number in range(FILES):
        (small / f"{number}.bin").write_bytes(os.urandom(FILE_BYTES))
    with large.open("wb") as file:
        for _ in range(LARGE_BYTES // PIECE_BYTES):
            file.write(os.urandom(PIECE_BYTES))
    run = tracker.init(project="bench", mode="offline", dir=str(folder), settings={"silent": True})
    # What the first artifact of a process loads is not what files cost.
    first = tracker.Artifact("first", "dataset")
    first.add_file(__file__)
    run.log_artifact(first)
    before = allocated(data)
    found: dict[str, float] = {}
    for name, add in (
        ("small", lambda artifact: artifact.add_dir(str(small))),
        ("large", lambda artifact: artifact.add_file(str(large))),
    ):
        artifact = tracker.Artifact(name, "dataset")
        began = perf_counter()
        add(artifact)
        added = perf_counter()
        run.log_artifact(artifact)
        logged = perf_counter()
        digest = artifact.digest
        found[f"{name}_add"] = added - began
        found[f"{name}_log"] = logged - added
        found[f"{name}_whole"] = perf_counter() - began
        assert digest
    found["disk"] = (allocated(data) - before) / (FILES * FILE_BYTES + LARGE_BYTES)
    run.finish()
    shutil.rmtree(folder)
    print("RESULT" + json.dumps(found))


if __name__ == "__main__":
    main()
