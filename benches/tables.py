"""A table of 100,000 x 5 cells, made and logged as both of its files, offline."""

from __future__ import annotations

from bench_world import Report, World, median

PROBE = "table_probe.py"


def compare_tables(ours: World, peer: World, rounds: int, report: Report) -> None:
    """How much faster it is, and what memory it takes besides the rows."""
    mine, theirs = [], []
    for _ in range(rounds):
        mine.append(ours.probe(PROBE))
        theirs.append(peer.probe(PROBE))
    for name in ("construct", "log"):
        ratio = median([found[name] for found in theirs]) / median([found[name] for found in mine])
        report.note(f"table of 100,000 x 5, {name}: faster by", ratio)
    totals = [median([found["construct"] + found["log"] for found in side]) for side in (theirs, mine)]
    report.add("table of 100,000 x 5, made and logged: faster by", totals[0] / totals[1], 10)
    memory = [median([found["mebibytes"] for found in side]) for side in (theirs, mine)]
    report.note("table of 100,000 x 5: the peer's memory", memory[0], " MiB")
    report.add("table of 100,000 x 5: memory / the peer's", memory[1] / memory[0], 0.75, at_most=True)
