"""Images of 256 x 256 x 3 and histograms of a million values, offline: the caller's time."""

from __future__ import annotations

from bench_world import Report, World, median

PROBE = "media_probe.py"
IMAGES = {"noise": "an image of noise", "gradient": "an image of a gradient"}


def compare_media(ours: World, peer: World, rounds: int, report: Report) -> None:
    """How much less of the caller's time it takes: encoded at once, and in the background (`x_async_media`)."""
    theirs, mine, behind = [], [], []
    for _ in range(rounds):
        theirs.append(peer.probe(PROBE, "sync"))
        mine.append(ours.probe(PROBE, "sync"))
        behind.append(ours.probe(PROBE, "async"))

    def faster(side: list[dict[str, float]], name: str) -> float:
        return median([found[name] for found in theirs]) / median([found[name] for found in side])

    for name, label in IMAGES.items():
        report.note(f"{label}: the peer", median([found[name] for found in theirs]) * 1e3, " ms")
        report.add(f"{label}, made and logged: faster by", faster(mine, name), 3)
        report.add(f"{label}, encoded in the background: faster by", faster(behind, name), 50)
    report.add("a histogram of 1,000,000 values: faster by", faster(mine, "histogram"), 7)
