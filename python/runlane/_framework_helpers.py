"""What frameworks take from wandb's inner modules: the printer, and the context that counts features."""

from __future__ import annotations

from contextlib import contextmanager

from . import terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

_LEVELS = {"debug": 0, "info": terminal.INFO, "warn": terminal.WARNING, "warning": terminal.WARNING}
_LEVELS |= {"error": terminal.ERROR, "critical": terminal.ERROR}


class Printer:
    """Prints lines as this package does: `runlane: …` on standard error, or not at all with the setting `silent`."""

    supports_html = False
    loading_symbol = ""

    def display(self, text: str | Sequence[str], *, level: str | int | None = None, **_options: Any) -> None:
        """Print one line, or several.

        Args:
            text: The lines.
            level: `info`, `warn`, `error`, or a number of `logging`. `debug` is not printed. Default: `info`.
        """
        number = (
            _LEVELS.get(level.lower(), terminal.INFO) if isinstance(level, str) else level or terminal.INFO
        )
        for line in [text] if isinstance(text, str) else text:
            if number >= terminal.INFO:
                terminal.at_severity(number, line)

    def progress_update(self, text: str, percent_done: float | None = None) -> None:
        """Accepted without effect: progress is the daemon's."""

    def progress_close(self, text: str | None = None) -> None:
        """Accepted without effect."""

    def error(self, text: str) -> str:
        """`text` as an error looks."""
        return terminal.styled(text, "31")

    def name(self, text: str) -> str:
        """`text` as a name looks."""
        return terminal.styled(text, "33")

    def code(self, text: str) -> str:
        """`text` as code looks."""
        return terminal.styled(text, "1")

    def files(self, text: str) -> str:
        """`text` as paths look."""
        return terminal.styled(text, "35;1")

    def secondary_text(self, text: str) -> str:
        """`text` as what matters less looks."""
        return terminal.styled(text, "2")

    def link(self, link: str, text: str | None = None) -> str:
        """An address."""
        return terminal.styled(link, "4;34") if text is None else f"{text} ({link})"

    def emoji(self, name: str) -> str:
        """Nothing: a name is no symbol."""
        del name
        return ""

    def sparklines(self, series: Sequence[float]) -> str | None:
        """Nothing."""
        del series
        return None

    def grid(self, rows: Sequence[Sequence[str]], title: str | None = None) -> str:
        """Rows of text, one a line, under a title."""
        lines = [" ".join(row) for row in rows]
        return "\n".join([title, *lines] if title else lines)

    def panel(self, columns: Sequence[str]) -> str:
        """Columns of text, one below the other."""
        return "\n".join(columns)


def new_printer(settings: object = None) -> Printer:
    """A printer for this process."""
    del settings
    return Printer()


class _Anything:
    """Takes any attribute: flags of features that nobody counts."""

    def __getattr__(self, name: str) -> _Anything:
        if name.startswith("__"):
            raise AttributeError(name)
        return self


@contextmanager
def telemetry_context(run: Any = None, obj: Any = None) -> Iterator[Any]:
    """Accept what a framework says about the features in use (`with context() as tel: tel.feature.keras = True`)."""
    del run
    yield _Anything() if obj is None else obj
