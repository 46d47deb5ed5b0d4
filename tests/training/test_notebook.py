"""Runs in notebooks, with a real kernel: open across cells, paused between them, shown below them, finished with the kernel."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from reading import read_run
from world import Home, Server, make_home

DEADLINE_SECS = 60


@dataclass
class Cell:
    """What a cell left."""

    text: str = ""
    error: str = ""
    shown: list[dict[str, Any]] = field(default_factory=list)


class Kernel:
    """A kernel that runs cells one by one."""

    def __init__(self, home: Home, env: dict[str, str]) -> None:
        from jupyter_client.manager import KernelManager

        self.home = home
        self._manager = KernelManager()
        self._manager.start_kernel(env={**home.env, **env}, cwd=str(home.work))
        self._client = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=DEADLINE_SECS)

    def run(self, code: str, *, fails: bool = False) -> Cell:
        """Run one cell; a cell that raises fails the test."""
        cell = Cell()

        def take(message: dict[str, Any]) -> None:
            content = message["content"]
            if message["msg_type"] == "stream":
                cell.text += content["text"]
            elif message["msg_type"] in ("execute_result", "display_data"):
                cell.shown.append(content["data"])
            elif message["msg_type"] == "error":
                cell.error = f"{content['ename']}: {content['evalue']}"

        self._client.execute_interactive(
            code, timeout=DEADLINE_SECS, output_hook=take, stop_on_error=False, store_history=True
        )
        assert fails or not cell.error, cell
        return cell

    def value(self, expression: str) -> Any:
        """A value as JSON."""
        cell = self.run(f"import json; print('VALUE' + json.dumps({expression}))")
        return json.loads(cell.text.split("VALUE", 1)[1].splitlines()[0])

    def end(self, *, now: bool = False) -> None:
        """Shut down, as the menu of a notebook does."""
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=now)


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Iterator[Kernel]:
    """One kernel for all cells of this file."""
    home = make_home(tmp_path_factory.mktemp("notebook"))
    started = Kernel(home, {**server.env, "WANDB_PROJECT": "notebook", "WANDB_X_DISABLE_STATS": "true"})
    started.run("import runlane as wandb")
    yield started
    started.end(now=True)
    home.stop_daemon()


def state(server: Server, kernel: Kernel, run: str) -> dict[str, Any]:
    """The run as the server has it."""
    return read_run(kernel.home, server, f"{server.entity}/notebook/{run}")


def test_a_run_stays_open_across_cells_and_its_clock_stands_still_between_them(
    kernel: Kernel, server: Server
) -> None:
    kernel.run("run = wandb.init(id='cells')")
    kernel.run("wandb.log({'loss': 3})")
    time.sleep(1.5)
    kernel.run("wandb.log({'loss': 2})")
    kernel.run("1 / 0", fails=True)
    kernel.run("run.config['late'] = 1; run.config['late'] = 2; wandb.log({'loss': 1}); wandb.finish()")
    found = state(server, kernel, "cells")
    assert found["state"] == "finished"
    assert [row["loss"] for row in found["rows"]] == [3, 2, 1]
    first, second = found["rows"][:2]
    assert second["_timestamp"] - first["_timestamp"] > 1.4
    assert second["_runtime"] - first["_runtime"] < 1.0
    assert found["config"]["late"] == 2


def test_init_in_a_cell_finishes_the_run_before(kernel: Kernel, server: Server) -> None:
    kernel.run("wandb.init(id='before'); wandb.log({'a': 1})")
    kernel.run("wandb.init(id='after')")
    assert kernel.value("wandb.run.id") == "after"
    assert state(server, kernel, "before")["state"] == "finished"
    assert state(server, kernel, "after")["state"] == "running"


def test_a_run_at_the_end_of_a_cell_is_shown(kernel: Kernel, server: Server) -> None:
    kernel.run("wandb.init(id='shown', name='<b>best</b>')")
    (shown,) = kernel.run("wandb.run").shown
    page = f"{server.base_url}/{server.entity}/notebook/runs/shown"
    assert f'<iframe src="{page}?jupyter=true"' in shown["text/html"]
    assert f'href="{page}"' in shown["text/html"] and "<b>best" not in shown["text/html"]
    assert "notebook/shown" in shown["text/plain"]
    cell = kernel.run("print(wandb.run.display(height=700, hidden=True))")
    assert "True" in cell.text
    api = "wandb.Api().run(wandb.run.path)"
    (stored,) = kernel.run(api).shown
    assert f'src="{page}?jupyter=true"' in stored["text/html"] and "shown" in stored["text/plain"]
    assert "height:700px" in cell.shown[0]["text/html"] and "<details>" in cell.shown[0]["text/html"]


def test_magics_show_pages_and_run_cells(kernel: Kernel, server: Server) -> None:
    kernel.run("wandb.init(id='magic')")
    cell = kernel.run("%%wandb -h 300\nwandb.log({'a': 1})\nprint('ran')")
    assert "ran" in cell.text
    assert "runs/magic?jupyter=true" in cell.shown[0]["text/html"]
    assert "height:300px" in cell.shown[0]["text/html"]
    cell = kernel.run(f"%wandb {server.entity}/notebook -h 2048")
    assert f'src="{server.base_url}/{server.entity}/notebook?jupyter=true"' in cell.shown[0]["text/html"]
    assert "height:2048px" in cell.shown[0]["text/html"]
    cell = kernel.run("%wandb -w")
    assert "/notebook/workspace?jupyter=true" in cell.shown[0]["text/html"]
    assert "usage: %wandb" in kernel.run("%wandb -h tall").text
    kernel.run("wandb.finish()")
    assert "No active run" in kernel.run("%wandb").text
    cell = kernel.run("%%wandb -q\nwandb.init(id='quiet')")
    assert "runs/quiet?jupyter=true" in cell.shown[-1]["text/html"]
    kernel.run("%load_ext runlane")
    assert state(server, kernel, "magic")["rows"][0]["a"] == 1


def test_an_offline_run_says_where_it_is(kernel: Kernel) -> None:
    kernel.run("wandb.init(mode='offline', id='away')")
    (shown,) = kernel.run("wandb.run").shown
    assert "offline-run-" in shown["text/html"] and "iframe" not in shown["text/html"]
    kernel.run("wandb.finish()")


def test_the_end_of_the_kernel_finishes_its_run(server: Server, tmp_path: Any, kernel: Kernel) -> None:
    home = make_home(tmp_path)
    other = Kernel(home, {**server.env, "WANDB_PROJECT": "notebook"})
    try:
        other.run("import runlane; runlane.init(id='last'); runlane.log({'a': 1})")
        other.end()
        found = state(server, kernel, "last")
        assert (found["state"], len(found["rows"])) == ("finished", 1)
    finally:
        home.stop_daemon()


def test_pages_may_be_framed_by_notebooks_of_this_machine_only(server: Server) -> None:
    def headers(query: str) -> dict[str, str]:
        with urllib.request.urlopen(f"{server.base_url}/e/p{query}", timeout=20) as answer:
            return {name.lower(): value for name, value in answer.headers.items()}

    plain, framed = headers(""), headers("?jupyter=true")
    assert plain["x-frame-options"] == "SAMEORIGIN"
    assert plain["content-security-policy"].endswith("frame-ancestors 'self'")
    assert "x-frame-options" not in framed
    ancestors = framed["content-security-policy"].rpartition("frame-ancestors ")[2]
    assert ancestors == "'self' http://localhost:* http://127.0.0.1:* http://[::1]:*"


def test_outside_of_notebooks_nothing_of_it_is_loaded(home: Home) -> None:
    code = """
import sys
import runlane
run = runlane.init(mode="offline")
assert run._cell_hooks is None
run.finish()
assert not {"IPython", "runlane._notebook"} & set(sys.modules), sorted(sys.modules)
assert run.display() is False
print("fine")
"""
    assert "fine" in home.python(code).stdout
