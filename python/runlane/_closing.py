"""The closing block: history as sparklines, the summary, links and counts. Pure functions from values to lines."""

from __future__ import annotations

import os
from itertools import pairwise

from . import terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

_BLOCKS = "▁▂▃▄▅▆▇█"
#: Width of a sparkline; more values are averaged.
WIDTH = 40
_TEXT_WIDTH = 20


def _is_finite(value: float) -> bool:
    return value - value == 0


def _shrunk(values: Sequence[float], width: int) -> list[float]:
    """At most `width` means of neighbours."""
    count = len(values)
    if count <= width:
        return list(values)
    edges = [index * count // width for index in range(width + 1)]
    return [sum(values[low:high]) / (high - low) for low, high in pairwise(edges)]


def sparkline(values: Iterable[float]) -> str:
    """`values` as a line of block characters; NaN and infinite values become spaces."""
    given = list(values)
    finite = [value for value in given if _is_finite(value)]
    if not finite:
        return ""
    if len(finite) == len(given):
        given = finite = _shrunk(given, WIDTH)
    else:
        given = given[:: max(1, -(-len(given) // WIDTH))]
        finite = [value for value in given if _is_finite(value)] or [0.0]
    low, high = min(finite), max(finite)
    # Halves: the difference of two huge values overflows.
    half_span = high / 2 - low / 2
    scale = (len(_BLOCKS) - 1) / half_span if half_span else 0.0
    return "".join(
        _BLOCKS[int((value / 2 - low / 2) * scale + 0.5)] if _is_finite(value) else " " for value in given
    )


def _table(rows: list[tuple[str, str]]) -> list[str]:
    shown = [(terminal.printable(name), text) for name, text in rows]
    width = max(len(name) for name, _ in shown)
    return [f"{name:>{width}} {text}" for name, text in shown]


def history_lines(items: Iterable[tuple[Sequence[str], Sequence[float]]], limit: int) -> list[str]:
    """One line per metric, sorted by name; internal keys are left out."""
    rows = []
    for path, values in items:
        name = path if isinstance(path, str) else ".".join(path)
        line = sparkline(values)
        if not name.startswith("_") and line:
            rows.append((name, line))
    rows.sort()
    return _limited(rows, limit)


def _limited(rows: list[tuple[str, str]], limit: int) -> list[str]:
    if not rows or limit <= 0:
        return []
    lines = _table(rows[:limit])
    if len(rows) > limit:
        lines.append(f"+{len(rows) - limit} ...")
    return lines


def _value_text(value: Any) -> str | None:
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f"{value:.5g}" if abs(value) >= 1e6 or (value and abs(value) < 1e-4) else str(round(value, 5))
    if isinstance(value, str):
        line = terminal.printable(value[: _TEXT_WIDTH + 1].replace("\n", " "))
        return line if len(line) <= _TEXT_WIDTH else f"{line[:_TEXT_WIDTH]}..."
    return None


def _leaves(values: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in values.items():
        if not prefix and key.startswith("_"):
            continue
        if isinstance(value, dict):
            if "_type" not in value:
                yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def summary_lines(summary: dict[str, Any], limit: int) -> list[str]:
    """One line per number, text or boolean of the summary, sorted by name; internal keys are left out."""
    rows = []
    for name, value in _leaves(summary):
        text = _value_text(value)
        if text is not None:
            rows.append((name, text))
    rows.sort()
    return _limited(rows, limit)


def counts_line(progress: dict[str, Any]) -> str:
    """How many files were synced."""
    numbers = [int(progress.get(f"{kind}_files", 0)) for kind in ("wandb", "media", "artifact", "other")]
    return "Synced {} W&B file(s), {} media file(s), {} artifact file(s) and {} other file(s)".format(
        *numbers
    )


def progress_line(state: dict[str, Any]) -> str:
    """How far an upload is that takes a while."""
    rows, total = state.get("rows_uploaded", 0), state.get("rows_total", 0)
    size, whole = state.get("bytes_uploaded", 0), state.get("bytes_total", 0)
    line = f"uploading: {rows} of {total} rows, {size / 1e6:.1f} of {whole / 1e6:.1f} MB"
    left = int(state.get("artifacts_left", 0))
    if left:
        # What a server has already is not sent: the whole is known only once it was asked for everything.
        sent, known = state.get("artifact_bytes_uploaded", 0), state.get("artifact_bytes_total", 0)
        what = "1 artifact" if left == 1 else f"{left} artifacts"
        line += f", {what}: {sent / 1e6:.1f} of {known / 1e6:.1f} MB"
    return line


def unfinished_line(progress: dict[str, Any], sync_dir: str) -> str | None:
    """What the user is told of an upload that is not complete when a run ends, or None if it is."""
    if not progress or progress.get("complete", True):
        return None
    reason = f": {progress['problem']}" if progress.get("problem") else ""
    if progress.get("uploaded", False):
        return f"the run is uploaded, but not all of its artifacts{reason}\nhint: `runlane sync {sync_dir}` tries them again"
    return (
        f"the upload is not complete yet{reason}\nhint: the daemon goes on with it when this process has ended;"
        f" `runlane sync {sync_dir}` uploads what is left as well"
    )


def lost_line(of_this_process: int, of_the_run: int) -> str | None:
    """What is missing and why, or None if nothing is.

    Args:
        of_this_process: Entries that did not get out of this process.
        of_the_run: Entries that loss markers in the run's log stand for; those of this process are among them.
    """
    lost = max(of_this_process, of_the_run)
    if not lost:
        return None
    reason = (
        "memory was full and the spill file could not grow"
        if of_this_process >= of_the_run
        else "the disk of the run directory took no more"
    )
    return f"lost {lost} rows ({reason}); the run's log says which"


def shown_path(path: str) -> str:
    """`path` relative to the current directory where it lies below it."""
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else f"./{relative}"


def metric_blocks(history: list[str], summary: list[str]) -> list[str]:
    """The history and summary parts with their headings."""
    lines: list[str] = []
    for heading, part in (("Run history:", history), ("Run summary:", summary)):
        if part:
            lines += ["", heading, *part]
    return [*lines, ""] if lines else [""]
