"""The closing block, and what is printed at start and end."""

from __future__ import annotations

import pytest
from runlane import _closing, terminal


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([], ""),
        ([5.0], "▁"),
        ([1.0, 1.0, 1.0], "▁▁▁"),
        ([0, 1, 2, 3, 4, 5, 6, 7], "▁▂▃▄▅▆▇█"),
        ([1.0, 0.0], "█▁"),
        ([0.0, float("nan"), 1.0], "▁ █"),
        ([float("inf")], ""),
        ([-1.7e308, 1.7e308], "▁█"),
    ],
)
def test_sparkline(values, line):
    assert _closing.sparkline(values) == line


def test_long_series_are_averaged_to_the_width():
    line = _closing.sparkline(range(1000))
    assert len(line) == _closing.WIDTH
    assert (line[0], line[-1]) == ("▁", "█")
    assert list(line) == sorted(line)


def test_history_lines_are_sorted_aligned_and_limited():
    items = [(("loss",), [1.0]), (("n", "accuracy"), [0.0, 1.0]), (("_step",), [0.0]), (("a",), [1.0])]
    assert _closing.history_lines(items, 10) == ["         a ▁", "      loss ▁", "n.accuracy ▁█"]
    assert _closing.history_lines(items, 1) == ["a ▁", "+2 ..."]
    assert _closing.history_lines(items, 0) == []


def test_summary_lines_show_numbers_texts_and_nested_leaves():
    summary = {
        "loss": 0.123456789,
        "n": {"min": 1},
        "text": "x" * 30,
        "flag": True,
        "_runtime": 5,
        "hist": {"_type": "histogram"},
        "list": [1],
        "small": 1e-7,
        "large": 1.5e12,
        "none": None,
    }
    assert _closing.summary_lines(summary, 10) == [
        " flag True",
        "large 1.5e+12",
        " loss 0.12346",
        "n.min 1",
        "small 1e-07",
        f" text {'x' * 20}...",
    ]


def test_offline_block(wandb, capsys):
    run = wandb.init(mode="offline", id="abc")
    for value in (1.0, 0.5, 0.1):
        run.log({"loss": value})
    capsys.readouterr()
    run.finish()
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "runlane: ",
        "runlane: Run history:",
        "runlane: loss █▄▁",
        "runlane: ",
        "runlane: Run summary:",
        "runlane: loss 0.1",
        "runlane: ",
        "runlane: You can look at this run with: runlane ui",
        "runlane: You can sync this run to a server by running:",
        f"runlane: runlane sync {run.sync_dir}",
        f"runlane: Find logs at: ./wandb/{run.sync_dir.rpartition('/')[2]}/logs",
    ]


def test_row_that_was_open_is_in_the_results(wandb, capsys):
    run = wandb.init(mode="offline")
    run.log({"loss": 1.0}, step=5)
    run.finish()
    assert "runlane: loss 1.0" in capsys.readouterr().err.splitlines()
    assert run.summary["loss"] == 1.0


def _online(wandb, daemon, **arguments):
    daemon.answer = {
        "entity": "e",
        "project": "p",
        "display_name": "exalted-darkness-6",
        "run_url": "http://h:1/e/p/runs/abc",
        "project_url": "http://h:1/e/p",
        **daemon.answer,
    }
    return wandb.init(
        settings={"base_url": "http://h:1", "api_key": "k" * 40, "show_emoji": True}, id="abc", **arguments
    )


def test_online_start_and_end(wandb, daemon, capsys):
    run = _online(wandb, daemon)
    assert run.url == "http://h:1/e/p/runs/abc"
    start = capsys.readouterr().err.splitlines()
    assert start[-3:] == [
        "runlane: Syncing run exalted-darkness-6",
        "runlane: ⭐️ View project at http://h:1/e/p",
        "runlane: 🚀 View run at http://h:1/e/p/runs/abc",
    ]
    run.finish()
    end = capsys.readouterr().err.splitlines()
    assert end[-4:] == [
        "runlane: 🚀 View run exalted-darkness-6 at: http://h:1/e/p/runs/abc",
        "runlane: ⭐️ View project at: http://h:1/e/p",
        "runlane: Synced 5 W&B file(s), 0 media file(s), 0 artifact file(s) and 0 other file(s)",
        f"runlane: Find logs at: ./wandb/{run.sync_dir.rpartition('/')[2]}/logs",
    ]


def test_unreachable_server_is_said_once_and_the_run_goes_on(wandb, daemon, capsys):
    daemon.answer = {"detached": True}
    run = _online(wandb, daemon)
    assert (
        "The server at http://h:1 does not answer: the run goes on from local state"
        in capsys.readouterr().err
    )
    run.log({"a": 1})
    daemon.finish_answer = {"complete": False, "problem": "connection refused"}
    run.finish()
    text = capsys.readouterr().err
    assert "connection refused" in text
    assert f"runlane sync {run.sync_dir}" in text


def test_finish_timeout_raises_only_when_asked(wandb, daemon):
    daemon.finish_answer = {"complete": False}
    _online(wandb, daemon).finish()
    run = wandb.init(
        settings={
            "base_url": "http://h:1",
            "api_key": "k" * 40,
            "finish_timeout": 0.1,
            "finish_timeout_raises": True,
        }
    )
    with pytest.raises(TimeoutError, match=r"not uploaded within 0\.1 seconds"):
        run.finish()
    assert wandb.run is None


def test_silent_prints_nothing_but_keeps_the_debug_log(wandb, capsys):
    run = wandb.init(mode="offline", settings={"silent": True})
    wandb.termwarn("a warning")
    run.finish()
    assert capsys.readouterr() == ("", "")
    with open(run.sync_dir + "/logs/debug.log") as file:
        assert "WARNING" in (text := file.read())
    assert "a warning" in text


def test_quiet_prints_only_what_matters(wandb, capsys):
    wandb.init(mode="offline", settings={"quiet": True}).finish()
    text = capsys.readouterr().err
    assert "Run summary" not in text
    assert "Find logs at" in text


def test_terminal_levels_prefix_and_repeat(capsys):
    terminal.termlog("info")
    terminal.termwarn("warn", repeat=False)
    terminal.termwarn("warn", repeat=False)
    terminal.termerror("two\nlines")
    assert capsys.readouterr().err.splitlines() == [
        "runlane: info",
        "runlane: WARNING warn",
        "runlane: ERROR two",
        "runlane: ERROR lines",
    ]


def test_terminal_survives_a_closed_or_missing_stream(monkeypatch):
    import io
    import sys

    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    terminal.termlog("lost")
    monkeypatch.setattr(sys, "stderr", None)
    terminal.termlog("lost")


def test_terminal_without_unicode(monkeypatch):
    import io
    import sys

    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(raw, encoding="ascii"))
    terminal.termlog("▁ done")
    assert terminal.emoji("🚀") == ""
    assert raw.getvalue() == b"runlane: ? done\n"


def test_artifacts_show_in_the_progress_and_in_what_is_left():
    state = {"rows_uploaded": 3, "rows_total": 4, "bytes_uploaded": 500_000, "bytes_total": 1_000_000}
    assert _closing.progress_line(state) == "uploading: 3 of 4 rows, 0.5 of 1.0 MB"
    more = {
        **state,
        "artifacts_left": 2,
        "artifact_bytes_uploaded": 1_500_000,
        "artifact_bytes_total": 9_000_000,
    }
    assert _closing.progress_line(more).endswith("1.0 MB, 2 artifacts: 1.5 of 9.0 MB")
    assert _closing.progress_line({**more, "artifacts_left": 1}).endswith(", 1 artifact: 1.5 of 9.0 MB")

    assert _closing.unfinished_line({}, "dir") is None
    assert _closing.unfinished_line({"complete": True}, "dir") is None
    waits = _closing.unfinished_line({"complete": False, "problem": "no answer"}, "dir")
    assert waits is not None
    assert "not complete yet: no answer" in waits
    failed = _closing.unfinished_line(
        {"complete": False, "uploaded": True, "problem": "artifact `a`: gone"}, "dir"
    )
    assert failed is not None
    assert failed.startswith("the run is uploaded, but not all of its artifacts: artifact `a`: gone\n")
    assert "`runlane sync dir` tries them again" in failed
