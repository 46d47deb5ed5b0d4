"""The code of a run in a notebook, with a real kernel: what was executed, in order, with what it showed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from world import Home

DEADLINE_SECS = 60


class Kernel:
    """A kernel that runs cells one by one."""

    def __init__(self, home: Home, env: dict[str, str]) -> None:
        from jupyter_client.manager import KernelManager

        self._manager = KernelManager()
        self._manager.start_kernel(env={**home.env, **env}, cwd=str(home.work))
        self._client = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=DEADLINE_SECS)

    @property
    def id(self) -> str:
        """The id in the name of the connection file."""
        return Path(self._manager.connection_file).stem.removeprefix("kernel-")

    def run(self, code: str) -> list[dict[str, Any]]:
        """Run a cell; what it showed."""
        shown: list[dict[str, Any]] = []

        def take(message: dict[str, Any]) -> None:
            if message["msg_type"] in ("stream", "execute_result", "display_data", "error"):
                shown.append(message["content"])

        self._client.execute_interactive(
            code, timeout=DEADLINE_SECS, output_hook=take, stop_on_error=False, store_history=True
        )
        return shown

    def stop(self) -> None:
        """End the process."""
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)


class Sessions(BaseHTTPRequestHandler):
    """A Jupyter server's list of sessions."""

    kernel = ""
    asked: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        """Answer to the right token only."""
        self.asked.append(self.headers.get("Authorization"))
        answer = [
            {"kernel": {"id": "another"}, "path": "other.ipynb"},
            {"kernel": {"id": self.kernel}, "path": "nb/analysis.ipynb"},
        ]
        body = json.dumps(answer).encode()
        self.send_response(200 if self.path == "/base/api/sessions" else 404)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Be quiet."""


@pytest.fixture
def kernel(home: Home) -> Iterator[Kernel]:
    runtime = home.root / "jupyter"
    runtime.mkdir()
    server = HTTPServer(("127.0.0.1", 0), Sessions)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    about = {
        "root_dir": str(home.work),
        "token": "t0ken",
        "url": f"http://127.0.0.1:{server.server_port}/base/",
    }
    (runtime / "jpserver-1.json").write_text(json.dumps(about))
    (runtime / "jpserver-2.json").write_text("{")
    (runtime / "nbserver-3.json").write_text(json.dumps({**about, "url": "http://example.org/"}))
    made = Kernel(home, {"JUPYTER_RUNTIME_DIR": str(runtime)})
    Sessions.kernel = made.id
    yield made
    made.stop()
    server.shutdown()
    server.server_close()


def test_executed_cells_are_kept_in_order_with_what_they_showed(home: Home, kernel: Kernel) -> None:
    notebook = home.work / "nb" / "analysis.ipynb"
    notebook.parent.mkdir()
    notebook.write_text('{"cells": []}')
    kernel.run("early = 1")
    kernel.run(
        "import runlane as wandb\n"
        "run = wandb.init(mode='offline', project='p', save_code=True)\nprint('in the first cell')"
    )
    kernel.run(
        "from IPython.display import display, HTML\ndisplay(HTML('<b>shown</b>'))\nprint('a'); print('b')\n1 + 1"
    )
    kernel.run("raise ValueError('no')")
    kernel.run("class Big:\n    def _repr_png_(self):\n        return b'\\x89PNG' + bytes(10)\nBig()")
    kernel.run("early = 2")
    notebook.write_text('{"cells": ["changed"]}')
    kernel.run("run.finish()")
    (directory,) = home.run_dirs()
    history = json.loads((directory / "files" / "code" / "_session_history.ipynb").read_text())
    assert (history["nbformat"], history["metadata"]["language_info"]["name"]) == (4, "python")
    cells = history["cells"]
    assert [cell["execution_count"] for cell in cells] == [1, 2, 3, 4, 5, 6, 7]
    assert cells[0]["source"] == "early = 1"
    assert cells[6]["source"] == "run.finish()"
    texts = ["".join(out.get("text", "") for out in cell["outputs"]) for cell in cells]
    assert "in the first cell\n" in texts[1]
    kinds = [out["output_type"] for out in cells[2]["outputs"]]
    assert kinds == ["display_data", "stream", "execute_result"]
    assert cells[2]["outputs"][0]["data"]["text/html"] == "<b>shown</b>"
    assert texts[2] == "a\nb\n"
    assert cells[2]["outputs"][2]["data"]["text/plain"] == "2"
    assert cells[3]["outputs"][0]["ename"] == "ValueError"
    assert cells[4]["outputs"][0]["data"]["image/png"] == "iVBORwAAAAAAAAAAAAA="
    # The session's server named the notebook, and was asked with its token.
    assert (directory / "files" / "code" / "analysis.ipynb").read_text() == '{"cells": ["changed"]}'
    assert set(Sessions.asked) == {"token t0ken"}
    manifest = json.loads((directory / "files" / "runlane-code.json").read_text())
    assert manifest["notebook"] == "nb/analysis.ipynb"


def test_without_code_saving_no_cell_is_kept(home: Home, kernel: Kernel) -> None:
    kernel.run("import runlane as wandb\nrun = wandb.init(mode='offline', project='p')")
    kernel.run("run.finish()")
    (directory,) = home.run_dirs()
    assert not (directory / "files" / "code").exists()
    assert not (directory / "files" / "runlane-code.json").exists()
