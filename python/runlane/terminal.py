"""Lines for the user's terminal: `runlane: …` on standard error.

Printing never raises and never blocks training: a closed or broken stream loses the line, not the run. Every line also
goes to the debug log of the active run, so that `silent` hides nothing for good.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

INFO, WARNING, ERROR = 20, 30, 40

_LABELS = {INFO: "", WARNING: "WARNING ", ERROR: "ERROR "}
_COLORS = {WARNING: "33", ERROR: "31"}


class _State:
    """What `termsetup` decides, for the whole process."""

    silent = False
    quiet = False
    shown = {INFO: True, WARNING: True, ERROR: True}  # noqa: RUF012 - one instance only
    colors: bool | None = None
    emoji: bool | None = None
    once: set[str] = set()  # noqa: RUF012 - one instance only
    sinks: list[Callable[[int, str], None]] = []  # noqa: RUF012 - one instance only


_state = _State()


def termsetup(settings: object) -> None:
    """Take over how much is printed, and how, from `settings`."""
    _state.silent = bool(getattr(settings, "silent", False))
    _state.quiet = bool(getattr(settings, "quiet", False))
    _state.colors = getattr(settings, "show_colors", None)
    _state.emoji = getattr(settings, "show_emoji", None)
    for level, name in ((INFO, "show_info"), (WARNING, "show_warnings"), (ERROR, "show_errors")):
        _state.shown[level] = bool(getattr(settings, name, True))


def add_sink(sink: Callable[[int, str], None]) -> None:
    """Send every line to `sink(level, text)` as well."""
    _state.sinks.append(sink)


def remove_sink(sink: Callable[[int, str], None]) -> None:
    """Undo `add_sink`."""
    if sink in _state.sinks:
        _state.sinks.remove(sink)


def is_silent() -> bool:
    """Whether nothing at all is printed."""
    return _state.silent


def is_quiet() -> bool:
    """Whether only what matters is printed."""
    return _state.silent or _state.quiet


def set_quiet(quiet: bool) -> bool:
    """Print less, or as much as before; returns how it was."""
    before, _state.quiet = _state.quiet, quiet
    return before


def is_interactive() -> bool:
    """Whether a person can be asked on this terminal."""
    try:
        return sys.stdin.isatty() and sys.stderr.isatty()
    except (AttributeError, ValueError, OSError):
        return False


def colors_enabled() -> bool:
    """Whether text may carry ANSI colors."""
    if _state.colors is not None:
        return _state.colors
    if os.environ.get("NO_COLOR"):
        return False
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError, OSError):
        return False


def styled(text: str, codes: str) -> str:
    """`text` in ANSI style `codes`, or plain where colors are off."""
    return f"\x1b[{codes}m{text}\x1b[0m" if colors_enabled() else text


def printable(text: str) -> str:
    """`text` of a user for the terminal: control characters, which could act on it, are shown escaped."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "backslashreplace").decode("ascii")
        for char in text
    )


def emoji(symbol: str) -> str:
    """`symbol` and a space where the terminal can show it, else nothing."""
    if _state.emoji is False:
        return ""
    encoding = (getattr(sys.stderr, "encoding", None) or "ascii").lower().replace("-", "")
    if _state.emoji is None and not encoding.startswith("utf"):
        return ""
    return f"{symbol} "


def _print(level: int, string: str, newline: bool, repeat: bool, prefix: bool) -> None:
    if not repeat:
        if string in _state.once:
            return
        _state.once.add(string)
    for sink in tuple(_state.sinks):
        sink(level, string)
    if _state.silent or not _state.shown[level]:
        return
    name = styled("runlane", "1;34")
    label = styled(_LABELS[level].strip(), _COLORS[level]) + " " if level in _COLORS else ""
    lines = [f"{name}: {label}{line}" if prefix else line for line in string.split("\n")]
    try:
        sys.stderr.write("\n".join(lines) + ("\n" if newline else ""))
        sys.stderr.flush()
    except UnicodeEncodeError:
        encoding = getattr(sys.stderr, "encoding", None) or "ascii"
        safe = "\n".join(lines).encode(encoding, "replace").decode(encoding)
        sys.stderr.write(safe + ("\n" if newline else ""))
        sys.stderr.flush()
    except (AttributeError, ValueError, OSError):
        # sys.stderr is None, closed or broken: nobody can read the line.
        return


def termlog(string: str = "", newline: bool = True, repeat: bool = True, prefix: bool = True) -> None:
    """Print an informational line; with `repeat=False` once per process."""
    _print(INFO, string, newline, repeat, prefix)


def termwarn(string: str, newline: bool = True, repeat: bool = True, prefix: bool = True) -> None:
    """Print a warning; with `repeat=False` once per process."""
    _print(WARNING, string, newline, repeat, prefix)


def termerror(string: str, newline: bool = True, repeat: bool = True, prefix: bool = True) -> None:
    """Print an error; with `repeat=False` once per process."""
    _print(ERROR, string, newline, repeat, prefix)


def at_severity(severity: int, text: str) -> None:
    """Print a line of the daemon: 20 is information, 30 a warning, 40 an error."""
    level = ERROR if severity >= ERROR else WARNING if severity >= WARNING else INFO
    _print(level, text, newline=True, repeat=True, prefix=True)
