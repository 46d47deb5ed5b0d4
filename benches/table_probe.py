"""One measurement of a table of 100,000 x 5 cells, run in either interpreter: prints a JSON line.

python benches/table_probe.py {runlane|wandb}
"""

from __future__ import annotations

import importlib
import json
import random
import resource
import sys
import tempfile
from time import perf_counter

ROWS = 100_000
COLUMNS = ["number", "score", "text", "group", "animal"]


def main() -> None:
    """Seconds to make the table and to log it, offline; and by how much the process's peak of memory grew, in MiB."""
    tracker = importlib.import_module(sys.argv[1])
    generator = random.Random(0)
    rows = [
        [
            index,
            generator.random(),
            f"row number {index}",
            generator.randrange(1000),
            generator.choice(["cat", "dog", "bird"]),
        ]
        for index in range(ROWS)
    ]
    folder = tempfile.mkdtemp(prefix="bench-")
    run = tracker.init(project="bench", mode="offline", dir=folder, settings={"silent": True})
    # What the first table of a process loads is not what a table costs.
    run.log({"first": tracker.Table(columns=COLUMNS, data=rows[:10])})
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = perf_counter()
    table = tracker.Table(columns=COLUMNS, data=rows)
    made = perf_counter()
    run.log({"table": table})
    logged = perf_counter()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak
    run.finish()
    print("RESULT" + json.dumps({"construct": made - begin, "log": logged - made, "mebibytes": grown / 1024}))


if __name__ == "__main__":
    main()
