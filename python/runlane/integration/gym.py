"""gym and gymnasium: `monitor`, which `init(monitor_gym=True)` calls, too.

The videos of their recorders become values of the run when there are media types; until then this says so, once, and
everything else goes on.
"""

from __future__ import annotations

from runlane import terminal

#: What is patched, by library, as `wandb.patched` has it.
patched: dict[str, list[object]] = {"tensorboard": [], "keras": [], "gym": []}


def monitor() -> None:
    """Say, once in a process, that videos are not logged yet."""
    terminal.termlog(
        "videos of gym are not logged yet: media types come with a later version of runlane; the files stay where they are",
        repeat=False,
    )


__all__ = ("monitor", "patched")
