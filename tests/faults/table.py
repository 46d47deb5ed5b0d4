"""The table of the fault tests: one line per fault, its bound and the worst that was measured."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path


def record(row: str, fault: str, bound: str, worst: str, trials: int) -> None:
    """Add a line to the table, if the environment variable RUNLANE_FAULT_TABLE names its directory.

    Args:
        row: Id in reliability.md, such as `T1`.
        fault: What was done to whom.
        bound: What is promised, with its unit.
        worst: The worst that was measured, with the same unit.
        trials: How often.
    """
    directory = os.environ.get("RUNLANE_FAULT_TABLE")
    if not directory:
        return
    line = {"id": row, "fault": fault, "bound": bound, "worst": worst, "trials": trials}
    # A file for each line: tests run in several processes.
    path = Path(directory) / f"{os.getpid()}-{uuid.uuid4().hex}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(line) + "\n", encoding="utf-8")
