"""Play scenarios with one import of the client.

Usage: run_scenarios.py MODULE SCRIPT WORLD RESULTS NAME…. SCRIPT is a Python file with the scenarios, WORLD JSON with what they work on;
RESULTS gets, by name, {"value": …} or {"error": …}. Each one works in a directory of its own.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
import traceback
from types import SimpleNamespace


def main() -> None:
    module, script, world, results, *names = sys.argv[1:]
    client = importlib.import_module(module)
    # Whatever the scenario imports by the name of wandb is the client.
    sys.modules["wandb"] = client
    spec = importlib.util.spec_from_file_location("scenarios", script)
    assert spec is not None and spec.loader is not None
    scenarios = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scenarios)
    start = os.getcwd()
    found = {}
    for name in names:
        os.makedirs(os.path.join(start, name))
        os.chdir(os.path.join(start, name))
        try:
            found[name] = {"value": getattr(scenarios, name)(client, SimpleNamespace(**json.loads(world)))}
        except Exception:
            found[name] = {"error": traceback.format_exc()}
        with open(results, "w", encoding="utf-8") as file:
            json.dump(found, file)
    # All runs are finished; the client's own ending has been seen to hang.
    os._exit(0)


if __name__ == "__main__":
    main()
