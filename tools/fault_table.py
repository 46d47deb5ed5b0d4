#!/usr/bin/env python3
"""Prints the table of the fault tests from the lines that they left: `tools/fault_table.py DIR`.

Exits with 1 if a line is malformed or there is none.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

COLUMNS = ("id", "fault", "bound", "worst", "trials")
HEADINGS = ("id", "fault", "bound", "worst measured", "trials")
WORDS = ("id", "fault", "bound", "worst")


def lines_of(path: Path) -> list[dict[str, str]]:
    """The lines of one file as texts by column.

    Raises:
        ValueError: A line is not what a fault test writes.
    """
    found = []
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        place = f"{path}:{number}"
        try:
            line = json.loads(text)
        except ValueError as error:
            raise ValueError(f"{place}: not JSON: {error}") from error
        if not isinstance(line, dict) or set(line) != set(COLUMNS):
            raise ValueError(f"{place}: the members must be {', '.join(COLUMNS)}: {text}")
        if not all(isinstance(line[name], str) and line[name] for name in WORDS):
            raise ValueError(f"{place}: {', '.join(WORDS)} must be texts: {text}")
        if type(line["trials"]) is not int or line["trials"] < 1:
            raise ValueError(f"{place}: `trials` must be a positive number: {text}")
        found.append({name: str(line[name]) for name in COLUMNS})
    return found


def order(line: dict[str, str]) -> tuple[str, int, str, str]:
    """By row of reliability.md: letters, then the number as a number."""
    parts = re.fullmatch(r"(\D*)(\d*)(.*)", line["id"])
    letters, number, rest = parts.groups() if parts else (line["id"], "", "")
    return letters, int(number or 0), rest, line["fault"]


def main() -> int:
    """Print the table."""
    if len(sys.argv) != 2:
        print("usage: tools/fault_table.py DIR", file=sys.stderr)
        return 2
    try:
        lines = [line for path in Path(sys.argv[1]).glob("*.jsonl") for line in lines_of(path)]
    except ValueError as error:
        print(f"fault table: {error}", file=sys.stderr)
        return 1
    if not lines:
        print(f"fault table: no lines in `{sys.argv[1]}`", file=sys.stderr)
        return 1
    rows = [HEADINGS, *(tuple(line[name] for name in COLUMNS) for line in sorted(lines, key=order))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
        if row is HEADINGS:
            print("  ".join("-" * width for width in widths))
    return 0


if __name__ == "__main__":
    sys.exit(main())
