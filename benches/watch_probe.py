"""Milliseconds of a training step without and with `watch(log="all", log_freq=1)`, for either library.

python benches/watch_probe.py MODULE
"""

from __future__ import annotations

import importlib
import json
import os
import statistics
import sys
from time import perf_counter

os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_CONSOLE": "off"}

import torch
from torch import nn

STEPS = 12
#: The first steps allocate.
WARM_UP = 2


def main() -> None:
    """Print `RESULT` and the medians."""
    tracker = importlib.import_module(sys.argv[1])
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for _ in range(10):
        layers += [nn.Linear(1000, 1000), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Linear(1000, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    data = torch.randn(1, 1000)
    run = tracker.init(project="watch", settings={"x_disable_stats": True})

    def step() -> float:
        begin = perf_counter()
        optimizer.zero_grad()
        loss = model(data).square().mean()
        loss.backward()
        optimizer.step()
        run.log({"loss": loss.item()})
        return (perf_counter() - begin) * 1e3

    def median() -> float:
        return statistics.median([step() for _ in range(STEPS)][WARM_UP:])

    bare = median()
    run.watch(model, log="all", log_freq=1)
    watched = median()
    run.finish()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print("RESULT" + json.dumps({"bare": bare, "watched": watched, "parameters": parameters}))


if __name__ == "__main__":
    main()
