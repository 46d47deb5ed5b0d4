"""What logging images and histograms costs the caller, run in either interpreter: prints a JSON line.

python benches/media_probe.py {runlane|wandb} {sync|async}
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
from statistics import median
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

IMAGES, HISTOGRAMS, VALUES = 40, 15, 1_000_000


def caller_seconds(work: Callable[[int], object], times: int, pause_secs: float) -> float:
    """The median of what `work` takes, with pauses as a training step makes them."""
    taken = []
    for number in range(times):
        begin = perf_counter()
        work(number)
        taken.append(perf_counter() - begin)
        sleep(pause_secs)
    return median(taken)


def main() -> None:
    """Seconds to make and log an image of 256 x 256 x 3, noise and a gradient, and to make a histogram of a million values."""
    import numpy as np

    tracker = importlib.import_module(sys.argv[1])
    settings: dict[str, Any] = {"silent": True}
    if sys.argv[2] == "async":
        settings["x_async_media"] = True
    run = tracker.init(
        project="bench", mode="offline", dir=tempfile.mkdtemp(prefix="bench-"), settings=settings
    )
    generator = np.random.default_rng(0)
    ramp = np.add.outer(np.arange(256), np.arange(256)) // 2
    gradient = np.repeat(ramp[..., None], 3, axis=2).astype(np.uint8)
    noise = generator.integers(0, 256, (IMAGES, 256, 256, 3), dtype=np.uint8)
    run.log({"first": tracker.Image(gradient)})
    found = {
        "noise": caller_seconds(lambda n: run.log({"noise": tracker.Image(noise[n])}), IMAGES, 0.01),
        "gradient": caller_seconds(lambda _: run.log({"gradient": tracker.Image(gradient)}), IMAGES, 0.01),
    }
    values = generator.normal(size=VALUES)
    tracker.Histogram(values[:10])
    found["histogram"] = caller_seconds(lambda _: tracker.Histogram(values), HISTOGRAMS, 0)
    run.finish()
    print("RESULT" + json.dumps(found))


if __name__ == "__main__":
    main()
