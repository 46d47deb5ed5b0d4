"""The summary facade: reading asks the run, writing sends paths."""

from __future__ import annotations

import json

import pytest


def _updates(daemon):
    return [
        (path, json.loads(text)) for record in daemon.of_kind("summary") for path, text in record["update"]
    ]


def test_logged_values_are_read_back(offline):
    offline.log({"loss": 0.5, "n": {"a": 1}})
    assert offline.summary["loss"] == offline.summary.loss == offline.summary.get("loss") == 0.5
    assert offline.summary["n"]["a"] == offline.summary.n.a == 1
    assert set(offline.summary.keys()) == {"loss", "n"}
    assert "loss" in offline.summary
    assert offline.summary.get("absent", 3) == 3
    with pytest.raises(KeyError):
        offline.summary["absent"]
    with pytest.raises(AttributeError):
        _ = offline.summary.absent


def test_writes_send_paths(offline, daemon):
    offline.summary["best"] = 0.9
    offline.summary.accuracy = 1
    offline.summary.update({"a": 1, "b": {"c": 2}})
    offline.summary["b"]["d"] = 3
    offline.summary.b.e = 4
    assert _updates(daemon) == [
        ("best", 0.9),
        ("accuracy", 1),
        ("a", 1),
        ("b", {"c": 2}),
        (("b", "d"), 3),
        (("b", "e"), 4),
    ]
    assert offline.summary["b"]["d"] == 3


def test_delete(offline, daemon):
    offline.summary["a"] = 1
    offline.summary["n"] = {"b": 2}
    del offline.summary["a"]
    del offline.summary["n"]["b"]
    assert [record["remove"] for record in daemon.of_kind("summary") if record["remove"]] == [
        ["a"],
        [("n", "b")],
    ]
    assert "a" not in offline.summary
    with pytest.raises(KeyError):
        del offline.summary["a"]


def test_bad_values_send_nothing(offline, daemon):
    with pytest.raises(TypeError):
        offline.summary.update({"good": 1, "bad": object()})
    with pytest.raises(TypeError, match="summary keys must be strings"):
        offline.summary[1] = 2
    assert _updates(daemon) == []


def test_large_array_becomes_a_histogram(offline, daemon):
    import numpy as np

    offline.summary["tensor"] = np.linspace(0, 1, 1000)
    ((_, value),) = _updates(daemon)
    assert value["_type"] == "histogram"
    assert sum(value["values"]) == 1000
    assert len(value["bins"]) == 65


def test_readable_after_finish_but_not_writable(wandb):
    run = wandb.init(mode="offline")
    run.log({"loss": 0.5})
    run.finish()
    assert run.summary["loss"] == 0.5
    with pytest.raises(wandb.UsageError, match="is finished"):
        run.summary["loss"] = 1


def test_module_summary_is_the_runs(wandb):
    run = wandb.init(mode="offline")
    assert wandb.summary is run.summary
