"""Reading runs back, with our public API and with the real one, into the same plain shape."""

from __future__ import annotations

import json
import math
from typing import Any

from world import Home, Server

# Runs in either client: prints one JSON document with everything that a test compares. NaN and infinities stay what
# Python's json makes of them.
DUMP = """
import json, sys
import {module} as wandb
run = wandb.Api().run({path!r})
print("DUMP" + json.dumps({{
    "state": run.state, "name": run.name, "id": run.id, "tags": list(run.tags), "notes": run.notes, "group": run.group,
    "job_type": run.job_type, "config": dict(run.config), "summary": run.summary._json_dict,
    "rows": list(run.scan_history()),
    "sampled": run.history(samples=100000, pandas=False),
    "files": sorted(file.name for file in run.files()),
    "history_lines": run.lastHistoryStep,
}}))
"""


def read_run(home: Home, server: Server, path: str, *, python: str | None = None) -> dict[str, Any]:
    """The run at `path` as our `Api` sees it, or as wandb's does if its interpreter is given."""
    module = "wandb" if python else "runlane"
    code = DUMP.format(module=module, path=path)
    words = {"python": python} if python else {}
    output = home.python(code, env=server.env, **words).stdout
    line = next(line for line in output.splitlines() if line.startswith("DUMP"))
    document: dict[str, Any] = json.loads(line.removeprefix("DUMP"))
    return document


def plain(value: Any) -> Any:
    """A value whose non-finite floats compare equal, however a client spells them."""
    if isinstance(value, dict):
        if set(value) == {"$float"}:
            return f"float:{value['$float']}"
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "float:NaN" if math.isnan(value) else f"float:{'Infinity' if value > 0 else '-Infinity'}"
    if value in ("NaN", "Infinity", "-Infinity"):
        return f"float:{value}"
    return value


def leaf_paths(row: dict[str, Any], prefix: tuple[str, ...] = ()) -> list[str]:
    """Dotted paths of the leaves of a nested row; a literal dot in a key is written `\\.`."""
    paths = []
    for key, value in row.items():
        path = (*prefix, key.replace(".", "\\."))
        if isinstance(value, dict) and value:
            paths += leaf_paths(value, path)
        else:
            paths.append(".".join(path))
    return paths
