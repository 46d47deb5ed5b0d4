"""gym, gymnasium and Stable-Baselines3: their recorded episodes as `Video` of the active run.

`monitor`, which `init(monitor_gym=True)` calls, wraps the methods by which recorders finish a file. Each file becomes a row
`{"videos": Video(path)}`, the key that wandb uses. What goes wrong is one warning: an environment is never disturbed.
"""

from __future__ import annotations

import functools
import os
import sys

from runlane import terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_KEY = "videos"

#: What is patched, by library, as `wandb.patched` has it.
patched: dict[str, list[object]] = {"tensorboard": [], "keras": [], "gym": []}


def _named_path(recorder: Any) -> str | None:
    name = getattr(recorder, "_video_name", None)
    return os.path.join(recorder.video_folder, f"{name}.mp4") if name else None


def _own_path(recorder: Any) -> str | None:
    return getattr(recorder, "path", None) if getattr(recorder, "enabled", True) else None


def _stable_path(recorder: Any) -> str | None:
    return getattr(recorder, "video_path", None)


#: Module, class, the method that finishes a file, and where the file is.
_RECORDERS: tuple[tuple[str, str, str, Callable[[Any], str | None]], ...] = (
    # gymnasium 1
    ("gymnasium.wrappers", "RecordVideo", "stop_recording", _named_path),
    # gymnasium before 1, and gym
    ("gymnasium.wrappers.monitoring.video_recorder", "VideoRecorder", "close", _own_path),
    ("gym.wrappers.monitoring.video_recorder", "VideoRecorder", "close", _own_path),
    (
        "stable_baselines3.common.vec_env.vec_video_recorder",
        "VecVideoRecorder",
        "_stop_recording",
        _stable_path,
    ),
)


def monitor() -> None:
    """Have recorded episodes logged from now on; a second call adds what was imported meanwhile. Without a library it warns, once."""
    found = False
    for module_name, class_name, method, path_of in _RECORDERS:
        kind = getattr(_module(module_name), class_name, None)
        original = getattr(kind, method, None)
        if original is None:
            continue
        found = True
        if not hasattr(original, "_runlane_original"):
            setattr(kind, method, _followed(original, path_of))
            patched["gym"].append([f"{module_name}.{class_name}", method])
    if not found:
        terminal.termwarn(
            "monitor_gym: neither gymnasium nor gym is installed, no video is logged\nhint: pip install gymnasium",
            repeat=False,
        )


def _module(name: str) -> Any:
    """A module: an environment's library is loaded for it, anything else is taken only if the program has it."""
    if name.partition(".")[0] not in ("gymnasium", "gym"):
        return sys.modules.get(name)
    # The old library is not loaded beside the new one.
    if name.startswith("gym.") and "gym" not in sys.modules:
        return None
    try:
        return __import__(name, fromlist=["_"])
    except Exception:  # noqa: BLE001, RUF100 - a library of another generation, or one that is damaged
        return None


def _followed(original: Any, path_of: Callable[[Any], str | None]) -> Any:
    @functools.wraps(original)
    def finish(recorder: Any, *arguments: Any, **named: Any) -> Any:
        path = path_of(recorder)
        result = original(recorder, *arguments, **named)
        _log(path)
        return result

    finish._runlane_original = original  # type: ignore[attr-defined]
    return finish


def _log(path: str | None) -> None:
    run = sys.modules["runlane"].run
    if run is None or path is None or not os.path.isfile(path) or not os.path.getsize(path):
        return
    from runlane.data_types.video import Video

    try:
        run.log({_KEY: Video(path)})
    except Exception as error:  # noqa: BLE001, RUF100 - an environment is not disturbed by its video
        terminal.termwarn(f"the video `{terminal.printable(path)}` is not logged: {error}")


__all__ = ("monitor", "patched")
