"""Thousands of runs in a server's database within seconds: one run is made over the API, its row is the pattern of the others.

Rows are written directly, as no client does; they hold what the API would have stored.
"""

from __future__ import annotations

import csv
import io
import json
import random
import sqlite3
import subprocess
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OPTIMIZERS = ("adam", "sgd", "lion", "adamw")
STATES = ("finished", "finished", "finished", "crashed", "running")


def documents(index: int, keys: int) -> tuple[str, str]:
    """Config and summary of one run, `keys` of both together, nested ones and lists among them."""
    draw = random.Random(index)
    config: dict[str, Any] = {
        "lr": draw.choice([0.1, 0.01, 0.001]),
        "optimizer": draw.choice(OPTIMIZERS),
        "model": {"depth": draw.randrange(2, 48), "width": 2 ** draw.randrange(5, 12)},
        "layers": [draw.randrange(1, 9) for _ in range(4)],
    }
    while len(config) < keys // 2:
        place = len(config)
        config[f"param_{place}"] = draw.random() if place % 3 else f"choice-{draw.randrange(20)}"
    summary: dict[str, Any] = {
        "_step": draw.randrange(100_000),
        "_runtime": draw.random() * 1e5,
        "_timestamp": 1.7e9 + index,
        "val": {"loss": draw.random(), "acc": draw.random() if index % 10 else float("nan")},
    }
    while len(summary) < keys - keys // 2:
        summary[f"metric/{len(summary)}"] = draw.gauss(0, 1)
    wrapped = {key: {"value": value} for key, value in config.items()}
    return json.dumps(wrapped), json.dumps(summary)


def rows(pattern: dict[str, Any], runs: int, keys: int) -> Iterator[dict[str, Any]]:
    """Rows like `pattern`, a second apart."""
    for index in range(runs):
        config, summary = documents(index, keys)
        created = pattern["created_at_micros"] + 1_000_000 * (index + 1)
        yield {
            **{name: value for name, value in pattern.items() if name != "id"},
            "name": f"seeded{index}",
            "display_name": f"run-{index}",
            "tags": json.dumps([f"tag{index % 7}"] if index % 3 else []),
            "state": STATES[index % len(STATES)],
            "group_name": f"group-{index % 40}",
            "config": config,
            "summary": summary,
            "created_at_micros": created,
            "heartbeat_at_micros": created,
        }


def seed_sqlite(database: Path, name: str, runs: int, keys: int) -> None:
    """Add runs beside the run `name`, in a database that a server may have open."""
    connection = sqlite3.connect(database, timeout=60)
    connection.row_factory = sqlite3.Row
    try:
        pattern = dict(connection.execute("SELECT * FROM runs WHERE name = ?", (name,)).fetchone())
        names = [column for column in pattern if column != "id"]
        marks = ", ".join("?" * len(names))
        statement = f"INSERT INTO runs ({', '.join(names)}) VALUES ({marks})"
        with connection:
            connection.executemany(
                statement, ([row[column] for column in names] for row in rows(pattern, runs, keys))
            )
    finally:
        connection.close()


def seed_postgres(psql: Path, url: str, name: str, runs: int, keys: int) -> None:
    """As `seed_sqlite`, by `COPY`."""
    command = [str(psql), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", url]
    found = subprocess.run(
        [*command, "-c", f"SELECT row_to_json(runs) FROM runs WHERE name = '{name}'"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    pattern = json.loads(found)
    names = [column for column in pattern if column != "id"]
    copy = f"COPY runs ({', '.join(names)}) FROM STDIN WITH (FORMAT csv)"
    text = io.StringIO()
    writer = csv.writer(text)
    for row in rows(pattern, runs, keys):
        writer.writerow([row[column] for column in names])
    subprocess.run([*command, "-c", copy], input=text.getvalue(), text=True, check=True)
    subprocess.run([*command, "-c", "ANALYZE runs"], check=True, stdout=subprocess.DEVNULL)
