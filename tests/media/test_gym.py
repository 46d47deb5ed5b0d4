"""`monitor_gym`: what recorders of environments make becomes videos of the run."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import runlane
from runlane.integration import gym


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    monkeypatch.setitem(runlane.__dict__, "run", SimpleNamespace(log=rows.append))
    for name in ("gymnasium", "gym", "stable_baselines3"):
        monkeypatch.setitem(sys.modules, name, None)
    return rows


def _installed(monkeypatch: pytest.MonkeyPatch, name: str, **members: Any) -> None:
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        module = ModuleType(".".join(parts[:end]))
        module.__path__ = []
        monkeypatch.setitem(sys.modules, module.__name__, module)
    sys.modules[name].__dict__.update(members)


def test_a_recording_is_a_video_of_the_run(
    monkeypatch: pytest.MonkeyPatch, logged: list[dict[str, Any]], tmp_path: Path
) -> None:
    class RecordVideo:
        video_folder = str(tmp_path)
        _video_name: str | None = "rl-video-episode-0"

        def stop_recording(self) -> str:
            (tmp_path / f"{self._video_name}.mp4").write_bytes(b"frames")
            self._video_name = None
            return "stopped"

    class VecVideoRecorder:
        video_path = str(tmp_path / "vec.mp4")

        def _stop_recording(self) -> None:
            Path(self.video_path).write_bytes(b"frames")

    _installed(monkeypatch, "gymnasium.wrappers", RecordVideo=RecordVideo)
    _installed(
        monkeypatch, "stable_baselines3.common.vec_env.vec_video_recorder", VecVideoRecorder=VecVideoRecorder
    )
    gym.monitor()
    gym.monitor()
    assert RecordVideo().stop_recording() == "stopped"
    VecVideoRecorder()._stop_recording()
    assert [list(row) for row in logged] == [["videos"], ["videos"]]
    assert [Path(row["videos"]._file.local_path()).name for row in logged] == [
        "rl-video-episode-0.mp4",
        "vec.mp4",
    ]
    monkeypatch.setitem(runlane.__dict__, "run", None)
    RecordVideo().stop_recording()
    assert len(logged) == 2


def test_an_environment_is_not_disturbed(
    monkeypatch: pytest.MonkeyPatch,
    logged: list[dict[str, Any]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class VideoRecorder:
        def __init__(self, name: str, enabled: bool = True) -> None:
            self.path, self.enabled = str(tmp_path / name), enabled

        def close(self) -> None:
            Path(self.path).write_bytes(b"frames")

    _installed(monkeypatch, "gymnasium.wrappers.monitoring.video_recorder", VideoRecorder=VideoRecorder)
    gym.monitor()
    VideoRecorder("x.mp4", enabled=False).close()
    VideoRecorder("x.avi").close()
    assert not logged and "x.avi" in capsys.readouterr().err
    VideoRecorder("x.mp4").close()
    assert len(logged) == 1


def test_without_a_library_it_says_so(
    logged: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    gym.monitor()
    assert "neither gymnasium nor gym is installed" in capsys.readouterr().err and not logged
