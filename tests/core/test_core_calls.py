"""The call itself: keys, steps, commits, misuse, notices."""

from __future__ import annotations

import collections
import gc
import struct
import sys
import threading
import time
import weakref
from typing import Any

import pytest
from core_world import World, items_of
from runlane import _core


@pytest.mark.parametrize("data", [5, None, [], "x", {1}])
def test_what_is_no_mapping_is_refused(world: World, data: Any) -> None:
    run = world.open()
    with pytest.raises(TypeError, match="must be passed a dictionary"):
        run.log(data)


@pytest.mark.parametrize("key", [1, None, b"x", ("a",), 1.5])
def test_keys_must_be_strings(world: World, key: Any) -> None:
    run = world.open()
    with pytest.raises(TypeError, match="must be strings") as caught:
        run.log({"a": 1, key: 2})
    assert repr(key) in str(caught.value)
    assert world.values(run, {"b": 1}) == {"b": 1}


@pytest.mark.parametrize("key", ["", " ", "\t\n", "\u00a0\u2003"])
def test_blank_keys_are_refused(world: World, key: str) -> None:
    with pytest.raises(ValueError, match="is empty"):
        world.open().log({key: 1})


def test_long_keys_are_refused(world: World) -> None:
    run = world.open()
    assert world.values(run, {"k" * 1024: 1}) == {"k" * 1024: 1}
    with pytest.raises(ValueError, match="1025 bytes, the limit is 1024"):
        run.log({"k" * 1025: 1})
    with pytest.raises(ValueError, match="1026 bytes"):
        run.log({"ü" * 513: 1})


def test_odd_keys_round_trip(world: World) -> None:
    run = world.open()
    keys = ["a.b", "a/b", "a[0]", "'q\"", "🎉", "\u202eabc", "__proto__", "ü", "_own"]
    assert list(world.values(run, dict.fromkeys(keys, 1))) == keys
    assert world.notices == []


def test_control_characters_in_keys_warn_once(world: World) -> None:
    run = world.open()
    for _ in range(2):
        assert world.values(run, {"a\0b": 1, "c\x1b": 2}) == {"a\0b": 1, "c\x1b": 2}
    assert [severity for severity, text in world.notices if "control" in text] == [30]


def test_reserved_keys_are_not_overwritten_and_warn_once(world: World) -> None:
    run = world.open()
    for _ in range(2):
        assert world.values(run, {"_step": 5, "_runtime": 1.0, "_wandb": {}, "loss": 1}) == {"loss": 1}
    names = [text.split("`")[1] for _, text in world.notices]
    assert names == ["_step", "_runtime", "_wandb"]


def test_timestamp_is_the_time_of_the_call_unless_given(world: World) -> None:
    run = world.open()
    before = time.time()
    run.log({"a": 1})
    run.log({"a": 1, "_timestamp": 12.5})
    after = time.time()
    calls = world.wait_for("call", 2)
    stamps = [[value for path, _, value in call["items"] if path == ["_timestamp"]] for call in calls]
    (own,), (given,) = stamps
    assert before <= struct.unpack("<d", bytes.fromhex(own))[0] <= after
    assert struct.unpack("<d", bytes.fromhex(given))[0] == 12.5


def test_an_empty_call_is_a_call(world: World) -> None:
    run = world.open()
    assert world.values(run, {}) == {}


def test_step_and_commit_travel_as_given(world: World) -> None:
    np = pytest.importorskip("numpy")
    run = world.open()
    given = [
        {},
        {"step": 3},
        {"step": np.int64(4)},
        {"step": -1},
        {"step": 2**63 - 1},
        {"step": -(2**70)},
        {"commit": True},
        {"commit": False},
        {"step": 3, "commit": True},
        {"sync": True},
    ]
    for arguments in given:
        run.log({"a": 1}, **arguments)
    run.log({"a": 1}, 9, False)
    calls = world.wait_for("call", len(given) + 1)
    assert [(call["step"], call["flush"]) for call in calls] == [
        (None, None),
        (3, None),
        (4, None),
        (-1, None),
        (2**63 - 1, None),
        (-(2**63), None),
        (None, True),
        (None, False),
        (3, True),
        (None, None),
        (9, False),
    ]


@pytest.mark.parametrize("step", [1.0, "1", True, float("nan"), [1]])
def test_steps_must_be_integers(world: World, step: Any) -> None:
    with pytest.raises(TypeError, match="step must be an integer"):
        world.open().log({"a": 1}, step=step)


def test_a_step_beyond_64_bits_is_refused(world: World) -> None:
    with pytest.raises(ValueError, match="above the largest step"):
        world.open().log({"a": 1}, step=2**63)


def test_misuse_goes_to_its_hook(world: World) -> None:
    closed = _core.RunBase()
    closed._set_hooks(
        lambda *_: None, lambda kind, _: (_ for _ in ()).throw(RuntimeError(kind)), lambda *_: None
    )
    with pytest.raises(RuntimeError, match="not_open"):
        closed.log({"a": 1})
    run = world.open()
    run._finish(0, 0.0, False, lambda _: None)
    for call in (lambda: run.log({"a": 1}), lambda: run._publish("preempting", {})):
        with pytest.raises(RuntimeError, match="finished"):
            call()
    marked = world.open()
    marked._mark_finished()
    with pytest.raises(RuntimeError, match="finished"):
        marked.log({"a": 1})


def test_finish_reports_progress_and_delivers_notices(world: World) -> None:
    run = world.open()
    for number in range(5):
        run.log({"a": number})
    seen: list[dict[str, Any]] = []
    last = run._finish(3, 0.0, True, seen.append)
    assert [state["rows_uploaded"] for state in seen] == [2]
    assert last["done"] and last["complete"] and last["rows_uploaded"] == 5
    assert world.notices == [(30, "a notice")]
    assert world.events("request")[-1] == {"event": "request", "kind": 7, "after": 5}
    assert not run._open_stream


def test_requests_come_behind_the_calls_before_them(world: World) -> None:
    run = world.open()
    for number in range(1000):
        run.log({"a": number})
    assert run._request("summary", {}, 10.0) == {"json": '{"loss": 1}'}
    assert world.events("request")[-1]["after"] == 1000
    assert run._request("step", {}, 10.0) == {"next": 7}
    assert run._request("flush", {"level": "logged"}, 10.0) == {"reached": True}
    assert run._request("sampled_history", {"samples": 10}, 10.0) == {"items": [(("loss",), [1.5, 2.5])]}
    assert run._request("status", {}, 10.0)["logged_seq"] == 1000
    with pytest.raises(ValueError, match="no request `nonsense`"):
        run._request("nonsense", {}, 1.0)
    with pytest.raises(ValueError, match="level must be"):
        run._request("flush", {"level": "durable"}, 1.0)


def test_records_keep_their_place_between_calls(world: World) -> None:
    run = world.open()
    run.log({"a": 1})
    published = {
        "config": {"update": [("lr", "0.1"), (("opt", "name"), '"sgd"')], "remove": ["old"]},
        "summary": {"update": [("best", "1")], "remove": [("a", "b")]},
        "metric": {
            "name": "loss",
            "step_metric": "epoch",
            "summary": ["min"],
            "goal": "minimize",
            "overwrite": True,
        },
        "run": {"run_id": "r1", "tags": ["x"], "git": {"remote_url": "u", "commit": "c"}},
        "files": {"files": [("a.txt", "now", "other"), ("b.png", "live", "media")]},
        "alert": {"title": "t", "text": "x", "level": "WARN", "wait_millis": 1000},
        "telemetry": {"feature": [2, 7], "imports_init": [1], "env": [], "python_version": "3"},
        "environment": {
            "os": "Linux",
            "disk": {"/": (2, 1)},
            "memory_total": 5,
            "gpu_nvidia": [{"name": "H100"}],
            "slurm": {"a": "b"},
        },
        "output": {"stream": "stderr", "text": "x\n", "time_micros": 1_500_000},
        "output_logger": {"text": "x\n"},
        "preempting": {},
    }
    for kind, payload in published.items():
        run._publish(kind, payload)
    run.log({"a": 2})
    assert [call["seq"] for call in world.wait_for("call", 2)] == [1, 2 + len(published)]
    assert [record["kind"] for record in world.events("record")] == [5, 3, 12, 17, 6, 10, 11, 26, 13, 27, 23]


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("nonsense", {}),
        ("config", {"updates": []}),
        ("metric", {"name": "x", "summary": ["median"]}),
        ("metric", {"name": "x", "goal": "up"}),
        ("files", {"files": [("a", "soon", "other")]}),
        ("files", {"files": [("a", "now", "thing")]}),
        ("output", {"stream": "stdin", "text": ""}),
    ],
)
def test_unknown_words_in_records_are_refused(world: World, kind: str, payload: dict[str, Any]) -> None:
    run = world.open()
    with pytest.raises(ValueError):
        run._publish(kind, payload)
    assert world.values(run, {"a": 1}) == {"a": 1}


def test_opening_says_what_the_daemon_answered(world: World) -> None:
    run = _core.RunBase()
    record = {
        "run_id": "r1",
        "project": "p",
        "entity": "me",
        "config": {"lr": "0.1"},
        "tags": ["a"],
        "start_time_micros": 1_700_000_000_000_000,
        "telemetry": {"feature": [1]},
        "branch_point": {"run": "r0", "metric": "_step", "value": 3},
    }
    settings = {
        "run_id": "r1",
        "sync_dir": str(world.sync_dir),
        "extra_http_headers": {"a": "b"},
        "ignore_globs": ["*.x"],
    }
    preface = [{"kind": "environment", "os": "Linux"}, {"kind": "telemetry", "feature": [2]}]
    answer = run._open(world.connection, settings, record, preface, False, 10.0)
    assert (answer["entity"], answer["project"], answer["tags"], answer["config"]) == (
        "me",
        "p",
        ["a"],
        {"lr": "0.1"},
    )
    assert answer["run_url"] == "http://x/run" and answer["error"] is None
    assert world.events("open")[-1]["preface"] == [26, 11]


def test_a_refused_run_is_not_open(world: World) -> None:
    run = _core.RunBase()
    settings = {"run_id": "r1", "project": "refuse", "sync_dir": str(world.sync_dir)}
    answer = run._open(world.connection, settings, {"run_id": "r1"}, [], False, 10.0)
    assert answer["error"] == {"code": 3, "message": "not this one"}
    assert not run._open_stream
    with pytest.raises(_core.DaemonError):
        run._request("step", {}, 1.0)
    assert world.values(world.open(), {"a": 1}) == {"a": 1}


def test_several_runs_share_the_connection(world: World) -> None:
    runs = [world.open(run_id=f"r{number}") for number in range(3)]
    for number in range(300):
        runs[number % 3].log({"a": number})
    for run in runs:
        run._finish(0, 0.0, False, lambda _: None)
    by_writer = collections.defaultdict(list)
    for call in world.events("call"):
        by_writer[call["writer"]].append(items_of(call)["a"])
    assert sorted(by_writer.values()) == [list(range(start, 300, 3)) for start in range(3)]
    assert len(world.events("hello")) == 1


def test_many_threads_lose_nothing(world: World) -> None:
    run = world.open()

    def work(number: int) -> None:
        for turn in range(300):
            run.log({"thread": number, "turn": turn, "nested": {"list": [turn]}})

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run._finish(0, 0.0, False, lambda _: None)
    turns = collections.defaultdict(list)
    for call in world.events("call"):
        found = items_of(call)
        turns[found["thread"]].append(found["turn"])
    assert all(turns[number] == list(range(300)) for number in range(16))


def test_a_dict_changed_by_another_thread_never_crashes(world: World) -> None:
    run = world.open()
    data: dict[str, Any] = {f"k{number}": number for number in range(50)}
    stop = threading.Event()

    def churn() -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            data[f"n{turn % 97}"] = [turn]
            data.pop(f"n{(turn * 7) % 97}", None)

    thread = threading.Thread(target=churn)
    thread.start()
    for _ in range(2000):
        run.log(data)
    stop.set()
    thread.join()
    run._finish(0, 0.0, False, lambda _: None)
    assert len(world.events("call")) == 2000
    assert all(items_of(call)["k49"] == 49 for call in world.events("call"))


def test_runs_and_their_hooks_are_collected(world: World) -> None:
    class Run(_core.RunBase):
        def hook(self, *_: Any) -> None: ...

    run = Run()
    run._set_hooks(run.hook, run.hook, run.hook)
    gone = weakref.ref(run)
    del run
    gc.collect()
    assert gone() is None


def test_a_hook_that_fails_does_not_stop_the_call(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    run = world.open()
    reported: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: reported.append(unraisable.exc_type))

    def warn(_severity: int, _text: str) -> None:
        raise OSError("no terminal")

    run._set_hooks(lambda *_: None, lambda *_: None, warn)
    run.log({"_step": 1, "a": 1})
    assert items_of(world.wait_for("call", 1)[0]) == {"a": 1}
    assert reported == [OSError]
