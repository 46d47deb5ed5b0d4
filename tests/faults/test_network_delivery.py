"""N3, N4: answers that are lost, requests that come late, twice and out of order; every row is stored once."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest
from driven import OwnServer, Trainer
from network_world import CALL_BOUND_SECS, PATIENCE_SECS, begin, timed_log, worst_call
from proxy import Action, DropResponse, Duplicate, Forward, HoldAndReplay, Lose, Proxy, chances
from reading import read_run
from table import record
from trials import trials
from world import Home

Start = Callable[..., Trainer]
Weights = dict[Callable[[random.Random], Action], float]

LOST_AND_LATE: Weights = {
    lambda _source: DropResponse(): 4,
    lambda source: HoldAndReplay(source.uniform(0.1, 3)): 4,
    lambda _source: Lose(): 1,
    lambda _source: Forward(): 4,
}
TWICE_AND_OUT_OF_ORDER: Weights = {
    lambda source: Duplicate(source.uniform(0, 3)): 6,
    lambda source: HoldAndReplay(source.uniform(0.1, 3)): 2,
    lambda source: Forward(source.uniform(0, 0.3)): 4,
}


@pytest.mark.parametrize(
    ("row", "weights", "fault"),
    [
        ("N3", LOST_AND_LATE, "answers lost, requests lost, or delivered after their repetition"),
        ("N4", TWICE_AND_OUT_OF_ORDER, "requests delivered twice and out of order"),
    ],
    ids=["n3", "n4"],
)
def test_n3_n4_every_row_once_whatever_happens_to_requests(
    home: Home,
    own_server: OwnServer,
    project: str,
    trainer: Start,
    row: str,
    weights: Weights,
    fault: str,
) -> None:
    server = own_server.start()
    tries = trials(1, 20)
    requests = 0
    for seed in range(tries):
        with Proxy(own_server.port, plan=chances(seed, weights)) as proxy:
            one = trainer({**server.env, "WANDB_BASE_URL": proxy.base_url})
            run = f"run{seed}"
            begin(one, project, run)
            for part in range(8):
                timed_log(one, range(part * 50, part * 50 + 50), pause=0.02)
                one.do(f"print('console {part}')")
            assert worst_call(one) < CALL_BOUND_SECS
            one.do("run.finish()", timeout=PATIENCE_SECS)
            one.end()
            proxy.settle()
            time.sleep(0.2)
            requests += proxy.taken
            found = read_run(home, server, f"{project}/{run}")
            assert [(line["_step"], line["x"]) for line in found["rows"]] == [(i, i) for i in range(400)]
            assert (found["state"], found["summary"]["x"]) == ("finished", 399)
            kinds = {kind for _at, kind in proxy.log}
            assert len(kinds) >= 2, f"the plan did nothing: {proxy.log}"
    record(row, fault, "every row once, in order", "0 missing, 0 twice", requests)
