"""Scripts that try one call after another: what each raised, what the script printed, and the run that it left."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reading import read_run

if TYPE_CHECKING:
    from world import Home, Server

AUTOMATIC = frozenset(("_step", "_runtime", "_timestamp"))

_RUNNER = """
import json, sys
sys.path.insert(0, {here!r})
import datetime, decimal, fractions, math, os, pathlib, signal, threading, uuid
import numpy as np
import runlane as wandb
from odd_values import *

def attempt(code):
    try:
        exec(code, globals())
        return None
    except BaseException as error:
        return [type(error).__name__, str(error), [kind.__name__ for kind in type(error).__mro__]]
{body}
print("OUTCOMES" + json.dumps(outcomes))
"""

_ONE_RUN = """
run = wandb.init(**{arguments!r})
outcomes = [attempt(code) for code in {codes!r}]
run.log({{"last": 1}})
run.finish()
"""

_MANY_RUNS = """
outcomes = []
for code in {codes!r}:
    outcomes.append(attempt(code))
    if wandb.run is not None:
        wandb.run.finish()
"""


@dataclass
class Raised:
    """An exception as its caller saw it."""

    kind: str
    text: str
    kinds: list[str]

    def is_a(self, kind: str) -> bool:
        """Whether `except kind` would have caught it."""
        return kind in self.kinds


@dataclass
class Attempts:
    """What came of the calls."""

    raised: list[Raised | None]
    printed: str
    document: dict[str, Any]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows without the automatic keys; the last is the valid call behind all attempts."""
        return [
            {key: value for key, value in row.items() if key not in AUTOMATIC}
            for row in self.document["rows"]
        ]

    def warnings(self, *words: str) -> list[str]:
        """The printed warnings that have all these words."""
        lines = [line for line in self.printed.splitlines() if "WARNING" in line]
        return [line for line in lines if all(word in line for word in words)]


def _outcomes(stdout: str) -> list[Raised | None]:
    line = next(line for line in stdout.splitlines() if line.startswith("OUTCOMES"))
    return [found and Raised(*found) for found in json.loads(line.removeprefix("OUTCOMES"))]


def script(body: str) -> str:
    """A script with the odd values and `attempt`; `body` sets `outcomes`."""
    return _RUNNER.format(here=str(Path(__file__).parent), body=body)


def try_calls(home: Home, server: Server, project: str, codes: list[str], **arguments: Any) -> Attempts:
    """Run each code with one open run `run`, then a valid call, and read the run back from the server."""
    given = {"project": project, "id": "bad00001", **arguments}
    result = home.python(script(_ONE_RUN.format(arguments=given, codes=codes)), env=server.env)
    document = read_run(home, server, f"{project}/{given['id']}")
    return Attempts(_outcomes(result.stdout), result.stdout + result.stderr, document)


def try_starts(home: Home, codes: list[str], env: dict[str, str] | None = None) -> Attempts:
    """Run each code, which may call `init`, offline; the active run is finished behind each."""
    body = _MANY_RUNS.format(codes=codes)
    result = home.python(script(body), env={"WANDB_MODE": "offline", **(env or {})})
    return Attempts(_outcomes(result.stdout), result.stdout + result.stderr, {})


def mismatches(cases: list[tuple[str, str, str]], raised: list[Raised | None]) -> list[tuple[Any, ...]]:
    """The cases (code, exception, part of its text) that ended otherwise."""
    return [
        (code[:80], kind, text, found and (found.kind, found.text))
        for (code, kind, text), found in zip(cases, raised, strict=True)
        if found is None or not found.is_a(kind) or text not in found.text
    ]
