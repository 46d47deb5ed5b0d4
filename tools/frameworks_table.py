#!/usr/bin/env python3
"""Prints what the tests of frameworks noted, as a table, and writes it to `.cache/frameworks-table.md`.

frameworks_table.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

HEAD = "| framework | version | result | runs | rows | keys |\n|---|---|---|---|---|---|\n"


def main() -> None:
    """Read the notes and print the table."""
    folder = Path(sys.argv[1])
    lines = sorted(path.read_text(encoding="utf-8") for path in folder.iterdir()) if folder.is_dir() else []
    text = HEAD + "".join(lines)
    folder.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
