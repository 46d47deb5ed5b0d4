"""What `watch(log="all", log_freq=1)` adds to a training step of a model with 10 million parameters on the CPU."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from bench_world import HERE, Report, World, median

#: Debian's torch, wandb, and a place for our package: see tools/ensure-torch.sh.
TORCH = HERE.parent / ".venv-torch" / "bin" / "python"
PROBE = "watch_probe.py"


def compare_watch(rounds: int, report: Report) -> None:
    """Overhead per step, ours and the peer's, in the same interpreter."""
    if not TORCH.exists():
        print("watch: no torch here (see tools/ensure-torch.sh); left out", flush=True)
        return
    ours, peer = World(str(TORCH), "runlane"), World(str(TORCH), "wandb")
    try:
        # The package of the interpreter that runs the bench: the release build.
        found = find_spec("runlane")
        if found is None or found.origin is None:
            raise RuntimeError("runlane is not installed where the bench runs")
        place = ours.home / "package"
        place.mkdir()
        (place / "runlane").symlink_to(Path(found.origin).parent)
        ours.env["PYTHONPATH"] = str(place)
        mine, theirs = [], []
        for _ in range(rounds):
            mine.append(ours.probe(PROBE))
            theirs.append(peer.probe(PROBE))
    finally:
        ours.close()
        peer.close()
    cost = [
        median([row["watched"] for row in rows]) - median([row["bare"] for row in rows])
        for rows in (mine, theirs)
    ]
    size = mine[0]["parameters"] / 1e6
    report.add(f"watch of {size:.0f} M parameters, cost of a step: less by", cost[1] / max(cost[0], 1e-6), 5)
    report.note("a step without watch", median([row["bare"] for row in mine]), "ms")
    report.note("what watch adds to it", cost[0], "ms")
    report.note("what wandb's watch adds to it", cost[1], "ms")
