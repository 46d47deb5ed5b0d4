"""The code of a run in a notebook: the cells that were executed, with what they showed, and the notebook's file.

Cells may be executed in any order and changed in between, so that the notebook's file alone does not say what ran. The shell's history does:
it becomes `code/_session_history.ipynb`, one cell for each execution. What cells print, display and raise is collected
by hooks of the shell, within bounds. Nothing here is imported outside of IPython, or with code saving off.
"""

from __future__ import annotations

import os
import sys
import time

from . import _console, _redact

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._run import Run

HISTORY = "code/_session_history.ipynb"
#: What is kept of all outputs, of one, and of what one cell prints.
_OUTPUT_BYTES = 32 << 20
_ONE_OUTPUT_BYTES = 4 << 20
_PRINTED_CHARACTERS = 256 << 10
_CELLS = 10_000
_SOURCE_CHARACTERS = 1 << 20
_NOTEBOOK_BYTES = 256 << 20
#: After a cell the file is written at most this often; at the end always.
_WRITE_EVERY_SECS = 5.0
#: For what a notebook server on this host says.
_SERVER_SECS = 2.0


class Recorder:
    """What cells show, by execution count. One per process, for all its runs."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.outputs: dict[int, list[dict[str, Any]]] = {}
        self._bytes = 0
        self._printed: dict[int, int] = {}
        _console._stdout.add(self._on_text)
        _console._stderr.add(self._on_text)
        self._wrap(shell.display_pub, "publish", self._on_display)
        self._wrap(shell.displayhook, "write_format_data", self._on_result)
        shell.events.register("post_run_cell", self._after)

    def _wrap(self, target: Any, name: str, tell: Any) -> None:
        original = getattr(target, name, None)
        if original is None:
            return

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            try:
                tell(*args, **kwargs)
            except Exception:  # noqa: BLE001, S110, RUF100 - showing must not fail because of the run
                pass
            return original(*args, **kwargs)

        setattr(target, name, wrapped)

    def _cell(self) -> int:
        """The number of the running cell in the history; the shell's own count is one ahead of it in some versions."""
        return len(self.shell.history_manager.input_hist_raw) - 1

    def _on_text(self, is_error: bool, text: str) -> None:
        cell = self._cell()
        stream = "stderr" if is_error else "stdout"
        room = _PRINTED_CHARACTERS - self._printed.get(cell, 0)
        if room <= 0 or not self._takes(len(text)):
            return
        self._printed[cell] = self._printed.get(cell, 0) + len(text)
        text = text if len(text) <= room else f"{text[:room]}\n… more is not kept here\n"
        outputs = self.outputs.setdefault(cell, [])
        if outputs and outputs[-1].get("name") == stream:
            outputs[-1]["text"] += text
        else:
            outputs.append({"output_type": "stream", "name": stream, "text": text})

    def _on_display(self, data: Any, metadata: Any = None, **_: Any) -> None:
        self._add({"output_type": "display_data"}, data, metadata)

    def _on_result(self, format_dict: Any, md_dict: Any = None) -> None:
        self._add({"output_type": "execute_result", "execution_count": self._cell()}, format_dict, md_dict)

    def _add(self, output: dict[str, Any], data: Any, metadata: Any) -> None:
        bundle = _bundle(data)
        size = sum(len(str(value)) for value in bundle.values())
        if size > _ONE_OUTPUT_BYTES or not self._takes(size):
            bundle = {"text/plain": f"an output of {size} bytes, which is not kept here"}
        entry = {**output, "data": bundle, "metadata": _bundle(metadata or {})}
        self.outputs.setdefault(self._cell(), []).append(entry)

    def _takes(self, size: int) -> bool:
        if self._bytes + size > _OUTPUT_BYTES:
            return False
        self._bytes += size
        return True

    def _after(self, result: Any = None) -> None:
        error = getattr(result, "error_in_exec", None) or getattr(result, "error_before_exec", None)
        if error is None:
            return
        import traceback

        lines = traceback.format_exception(type(error), error, error.__traceback__)
        self.outputs.setdefault(self._cell(), []).append(
            {
                "output_type": "error",
                "ename": type(error).__name__,
                "evalue": str(error)[:_PRINTED_CHARACTERS],
                "traceback": [line.rstrip("\n") for line in lines[-50:]],
            }
        )

    def notebook(self) -> dict[str, Any]:
        """The history of this session as a notebook (format 4.4)."""
        history = list(self.shell.history_manager.get_range(raw=True))[-_CELLS:]
        cells = []
        for _session, count, source in history:
            if not isinstance(count, int) or count < 1:
                continue
            cells.append(
                {
                    "cell_type": "code",
                    "execution_count": count,
                    "metadata": {},
                    "outputs": self.outputs.get(count, []),
                    "source": str(source)[:_SOURCE_CHARACTERS],
                }
            )
        version = "{}.{}.{}".format(*sys.version_info[:3])
        return {
            "cells": cells,
            "metadata": {
                "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
                "language_info": {"name": "python", "file_extension": ".py", "version": version},
            },
            "nbformat": 4,
            "nbformat_minor": 4,
        }


def _bundle(data: Any) -> dict[str, Any]:
    """A MIME bundle as JSON can hold it; images become base64."""
    import base64
    import json

    found: dict[str, Any] = {}
    for kind, value in dict(data).items():
        if isinstance(value, bytes):
            found[str(kind)] = base64.b64encode(value).decode()
            continue
        try:
            json.dumps(value)
        except (TypeError, ValueError):
            continue
        found[str(kind)] = value
    return found


_recorder: Recorder | None = None


class Cells:
    """Keeps the cells and the notebook of one run."""

    def __init__(self, run: Run, shell: Any) -> None:
        global _recorder  # noqa: PLW0603, RUF100 - the hooks of a shell are there once
        if _recorder is None or _recorder.shell is not shell:
            _recorder = Recorder(shell)
        self._run = run
        self._recorder = _recorder
        self._pid = os.getpid()
        self._written_at = 0.0
        self._published: set[str] = set()
        self.notebook: str | None = None
        self._notebook_state: tuple[int, int] | None = None

    def listener(self) -> None:
        """A cell has ended, or the run is about to; a run that is finished is let go."""
        if self._run._finished:
            from . import _notebook

            _notebook.cell_listeners.remove(self.listener)
        else:
            # Without hooks of its own the run is at its end.
            self.save(at_once=getattr(self._run._cell_hooks, "_events", None) is None)

    def save(self, at_once: bool = False) -> None:
        """Write history and notebook, unless that was done a moment ago."""
        now = time.monotonic()
        if os.getpid() != self._pid or self._run._finished:
            return
        if not at_once and now - self._written_at < _WRITE_EVERY_SECS:
            return
        self._written_at = now
        import json

        text = json.dumps(self._recorder.notebook(), indent=1, default=str) + "\n"
        self._write(HISTORY, _redact.own_keys(text).encode("utf-8", "surrogatepass"))
        self._save_notebook()

    def _save_notebook(self) -> None:
        if self.notebook is None:
            return
        name = f"code/{os.path.basename(self.notebook)}"
        try:
            found = os.stat(self.notebook)
            state = (found.st_mtime_ns, found.st_size)
            if state == self._notebook_state or found.st_size > _NOTEBOOK_BYTES:
                return
            with open(self.notebook, "rb") as file:
                content = file.read(_NOTEBOOK_BYTES)
        except OSError:
            return
        self._notebook_state = state
        self._write(name, content)

    def _write(self, name: str, content: bytes) -> None:
        target = os.path.join(self._run._settings.files_dir, name)
        temporary = f"{target}.tmp"
        try:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(temporary, "wb") as file:
                file.write(content)
            os.replace(temporary, target)
        except OSError as error:
            self._run._note(f"`{name}` cannot be written: {error}")
            return
        if name not in self._published:
            # From now on the daemon sees when it changes.
            self._published.add(name)
            self._run._publish("files", {"files": [(name, "live", "wandb")]})

    def locate(self, directory: str) -> str | None:
        """Find the notebook's file; may ask a server on this host. Returns its name for the run's metadata."""
        name, path = locate(self._run._settings, self._recorder.shell, directory)
        self.notebook = path
        self.save(at_once=True)
        return name


def locate(settings: Any, shell: Any, directory: str) -> tuple[str | None, str | None]:
    """The notebook's name, and its file if it can be read here.

    In this order: the setting `notebook_name`, VS Code's variable, the variable that Jupyter gives to kernels, the sessions of
    Jupyter servers of this user, Colab's session, Kaggle's.
    """
    given = settings.notebook_name or settings.x_jupyter_name
    candidates = [
        given,
        shell.user_ns.get("__vsc_ipynb_file__"),
        os.environ.get("JPY_SESSION_NAME"),
    ]
    roots = [settings.x_jupyter_root, directory, ""]
    for candidate in candidates:
        if not candidate or not str(candidate).endswith((".ipynb", ".py")):
            continue
        for root in roots:
            path = os.path.join(root or "", str(candidate))
            if os.path.isfile(path):
                return _name(path, directory), path
    if given:
        return str(given), None
    for found in _sessions(_kernel_id()):
        path = os.path.join(found[0], found[1])
        return _name(path, directory), path if os.path.isfile(path) else None
    if "google.colab" in sys.modules:
        return _colab_name(), None
    if os.environ.get("KAGGLE_KERNEL_RUN_TYPE"):
        return "kaggle.ipynb", None
    return None, None


def _name(path: str, directory: str) -> str:
    """The notebook relative to the directory that the kernel was started in, or its bare name."""
    below = os.path.relpath(os.path.realpath(path), os.path.realpath(directory or "."))
    return os.path.basename(path) if below.startswith("..") else below


def _kernel_id() -> str | None:
    """The id of this kernel, from the name of its connection file."""
    connect = sys.modules.get("ipykernel.connect")
    if connect is None:
        return None
    try:
        name = os.path.basename(connect.get_connection_file())
    except RuntimeError:
        return None
    return str(name).removeprefix("kernel-").removesuffix(".json")


def _runtime_dir() -> str:
    given = os.environ.get("JUPYTER_RUNTIME_DIR")
    if given:
        return given
    if sys.platform == "darwin":
        return os.path.expanduser("~/Library/Jupyter/runtime")
    return os.path.join(
        os.environ.get("JUPYTER_DATA_DIR") or os.path.expanduser("~/.local/share/jupyter"), "runtime"
    )


def _sessions(kernel: str | None) -> list[tuple[str, str]]:
    """Root directory and path of the notebook that a Jupyter server of this user runs in this kernel."""
    import glob
    import json

    if kernel is None:
        return []
    deadline = time.monotonic() + 2 * _SERVER_SECS
    pattern = os.path.join(glob.escape(_runtime_dir()), "[jn]*server-*.json")
    for path in sorted(glob.glob(pattern), key=os.path.getmtime, reverse=True)[:10]:
        try:
            with open(path, encoding="utf-8") as file:
                server = json.loads(file.read(1 << 16))
            root = str(server.get("root_dir") or server.get("notebook_dir") or "")
            for session in _ask(str(server["url"]), str(server.get("token") or "")):
                if session["kernel"]["id"] == kernel:
                    return [(root, str(session["path"]))]
        except (OSError, ValueError, KeyError, TypeError):
            # A server that is gone, or is none.
            continue
        if time.monotonic() > deadline:
            break
    return []


def _ask(url: str, token: str) -> list[Any]:
    """The sessions of a server on this host.

    Raises:
        OSError: It does not answer.
        ValueError: It answers with something else.
    """
    import json
    import urllib.parse
    import urllib.request

    host = urllib.parse.urlsplit(url).hostname
    if host not in ("localhost", "127.0.0.1", "::1"):
        # The token is for the user's own server, wherever the file says that it is.
        raise ValueError(f"`{url}` is not on this host")
    headers = {"Authorization": f"token {token}"} if token else {}
    request = urllib.request.Request(f"{url}api/sessions", headers=headers)  # noqa: S310 - http(s) of loopback
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=_SERVER_SECS) as answer:
        found = json.loads(answer.read(1 << 20))
    return found if isinstance(found, list) else []


def _colab_name() -> str | None:
    """The name of a Colab notebook, from the session manager of its machine."""
    import json
    import urllib.request

    address = os.environ.get("COLAB_JUPYTER_IP", "172.28.0.12")
    try:
        with urllib.request.urlopen(f"http://{address}:9000/api/sessions", timeout=_SERVER_SECS) as answer:
            return str(json.loads(answer.read(1 << 20))[0]["name"])
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return None


def cells_of(run: Run) -> Cells | None:
    """The keeper of a run's cells, which listens from now on; None where there is no shell that can be listened to."""
    from . import _notebook

    shell = _notebook.shell()
    if shell is None or not hasattr(shell, "display_pub") or not hasattr(shell, "events"):
        return None
    cells = Cells(run, shell)
    _notebook.cell_listeners.append(cells.listener)
    return cells
