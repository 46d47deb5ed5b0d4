"""Adding 2,000 files of 10 KiB and one of 1 GiB to artifacts, offline: time and disk."""

from __future__ import annotations

from bench_world import Report, World, median

PROBE = "artifact_probe.py"


def compare_artifacts(ours: World, peer: World, rounds: int, report: Report) -> None:
    """How much faster files are added, and logged with their digests; what lies on the disk beside the user's own."""
    mine, theirs = [], []
    for _ in range(rounds):
        mine.append(ours.probe(PROBE))
        theirs.append(peer.probe(PROBE))

    def ratio(name: str) -> float:
        return median([found[name] for found in theirs]) / median([found[name] for found in mine])

    def seconds(side: list[dict[str, float]], name: str) -> float:
        return median([found[name] for found in side])

    for name, label, goal in (("small", "2,000 files of 10 KiB", 5), ("large", "a file of 1 GiB", 2)):
        report.note(f"{label}: the peer adds", seconds(theirs, f"{name}_add"), " s")
        report.note(f"{label}: we add", seconds(mine, f"{name}_add"), " s")
        report.note(f"{label}: logging after it", seconds(mine, f"{name}_log") * 1e3, " ms")
        report.add(f"{label}, added: faster by", ratio(f"{name}_add"), goal)
        report.note(f"{label}, added, logged and hashed: faster by", ratio(f"{name}_whole"))
    report.note("artifacts, offline: the peer's disk / data", seconds(theirs, "disk"))
    report.add("artifacts, offline: disk / data", seconds(mine, "disk"), 1.05, at_most=True)
