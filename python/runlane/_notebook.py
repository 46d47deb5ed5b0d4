"""Runs in notebooks: open across cells, paused between them, shown below them.

A run that a cell starts goes on until the next `init`, `finish`, or the end of the kernel. Between cells its clock stands still and
its machine is not sampled: `pause` and `resume` go to the daemon when a cell ends and the next one begins. `%wandb` and
`%%wandb` show pages of the web app in frames, which our server allows to pages of this host.

Nothing here is imported outside of IPython.
"""

from __future__ import annotations

import os
import sys

from . import _console, _setup, terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ._run import Run

#: Height of a frame in pixels.
HEIGHT = 420
#: What the end of a cell waits for the daemon.
_REQUEST_SECS = 2.0

#: Called without arguments when a cell has ended, and when a run of a notebook is about to finish: for what is kept of cells.
cell_listeners: list[Callable[[], None]] = []


def shell() -> Any:
    """The IPython shell of this process, or None."""
    ipython = sys.modules.get("IPython")
    return None if ipython is None else ipython.get_ipython()


class CellHooks:
    """Pauses one run between cells."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._pid = os.getpid()
        self._events = getattr(shell(), "events", None)
        if self._events is not None:
            self._events.register("pre_run_cell", self._before)
            self._events.register("post_run_cell", self._after)

    def end(self) -> None:
        """Leave the run alone from now on."""
        events, self._events = self._events, None
        if events is None:
            return
        for name, function in (("pre_run_cell", self._before), ("post_run_cell", self._after)):
            try:
                events.unregister(name, function)
            except ValueError:
                # `%reset` of the shell has done so.
                continue
        tell_listeners(self._run)

    def _before(self, *_: Any) -> None:
        _console.renew()
        self._ask("resume")

    def _after(self, *_: Any) -> None:
        tell_listeners(self._run)
        self._ask("pause")

    def _ask(self, kind: str) -> None:
        if os.getpid() != self._pid or self._run._finished:
            return
        try:
            self._run._request(kind, {}, _REQUEST_SECS)
        except Exception as error:  # noqa: BLE001, RUF100 - a cell must not end with our traceback
            self._run._note(f"{kind}: the daemon does not answer: {error}")


def tell_listeners(run: Run) -> None:
    """Call what wants to know that a cell has ended."""
    for listener in list(cell_listeners):
        try:
            listener()
        except Exception as error:  # noqa: BLE001, RUF100 - as above
            run._note(f"cells are not kept: {type(error).__name__}: {error}")


# -- pages in frames ---------------------------------------------------------------------------------------------------


def frame(url: str, height: int = HEIGHT) -> str:
    """A page of the web app as HTML."""
    from html import escape

    separator = "&" if "?" in url else "?"
    source = escape(f"{url}{separator}jupyter=true", quote=True)
    return f'<iframe src="{source}" style="border:none;width:100%;height:{int(height)}px;"></iframe>'


def run_html(run: Run, height: int, hidden: bool) -> str:
    """The page of a run, or where its data is if it has none."""
    from html import escape

    url = None if run.offline or run.disabled else run.url
    if url is None:
        if run.disabled:
            return "<p>This run is disabled: nothing of it is kept.</p>"
        return (
            f"<p>Run <b>{escape(run.id)}</b> is kept on this machine: <code>{escape(run.sync_dir)}</code></p>"
        )
    return page_html(url, f"Run {run.name or run.id} of project {run.project}", height, hidden)


def page_html(url: str, name: str, height: int, hidden: bool) -> str:
    """A page with a link to it above; `hidden` behind a line that opens it."""
    from html import escape

    link = f'<a href="{escape(url, quote=True)}" target="_blank">{escape(name)}</a>'
    whole = f"<p>{link}</p>{frame(url, height)}"
    return f"<details><summary>{escape(name)}</summary>{whole}</details>" if hidden else whole


def show(html: str, text: str) -> bool:
    """Display HTML below the cell; False outside of a notebook."""
    if shell() is None or "IPython.display" not in sys.modules:
        terminal.termwarn(".display() only works in jupyter environments")
        return False
    sys.modules["IPython.display"].display({"text/html": html, "text/plain": text}, raw=True)
    return True


# -- magics ------------------------------------------------------------------------------------------------------------


def load_ipython_extension(ipython: Any) -> None:
    """Register `%wandb`, `%%wandb` and the same as `runlane`."""
    for name in ("wandb", "runlane"):
        ipython.register_magic_function(_magic, "line_cell", name)


def load_magics() -> None:
    """Register the magics, if this process has a shell for them."""
    found = shell()
    if found is not None and hasattr(found, "register_magic_function"):
        load_ipython_extension(found)


def _magic(line: str, cell: str | None = None) -> None:
    """Show a page of the web app, or the active run.

    %wandb [-h HEIGHT] [-w] [-q] [PATH]

    PATH is that of a project (`entity/project`), a run (`entity/project/runs/id`), a sweep or a report. Without it, it is the
    active run; `%%wandb` shows that one live while its cell runs.

    -h, --height HEIGHT  of the frame in pixels; 420 by default
    -w, --workspace      the workspace of the run's project instead of the run
    -q, --quiet          print nothing besides
    """
    import argparse
    import shlex

    parser = argparse.ArgumentParser("%wandb", add_help=False, exit_on_error=False)
    parser.add_argument("-h", "--height", type=int, default=HEIGHT)
    parser.add_argument("-w", "--workspace", action="store_true")
    parser.add_argument("-q", "--quiet", action="store_true")
    parser.add_argument("path", nargs="?")
    try:
        given = parser.parse_args(shlex.split(line))
    except (argparse.ArgumentError, ValueError, SystemExit) as error:
        terminal.termerror(f"%wandb: {error}\nusage: %wandb [-h HEIGHT] [-w] [-q] [PATH]")
        return
    quiet_before = terminal.set_quiet(given.quiet or terminal.is_quiet())
    try:
        shown = _show(given.path, given.height, given.workspace)
        if cell is not None:
            shell().run_cell(cell)
            if not shown:
                # The cell itself has begun the run.
                _show(given.path, given.height, given.workspace)
        elif not shown:
            terminal.termlog("No active run: call `init` first, or name a path")
    finally:
        terminal.set_quiet(quiet_before)


def url_quoted_path(path: str) -> str:
    """`path` as the path of an URL; a query stays one."""
    from urllib.parse import quote

    return quote(path.strip("/"), safe="/?=&-._~%")


def _app_url() -> str:
    """Where the web app is: as for a run that starts now."""
    settings = _setup.process().settings.copy()
    if not settings.is_set("base_url"):
        from . import _servers

        server = _servers.running_server()
        if server is not None:
            settings.base_url = server.base_url
    return str(settings.app_url) if settings.is_set("base_url") else ""


def _show(path: str | None, height: int, workspace: bool) -> bool:
    if path is not None:
        base = _app_url()
        if not base:
            terminal.termerror("%wandb: no server is configured\nhint: start one with `runlane server start`")
            return True
        url = f"{base}/{url_quoted_path(path)}"
        return show(frame(url, height), url)
    run = sys.modules[__package__].run if __package__ else None
    if run is None:
        return False
    if workspace and run.project_url:
        return show(frame(f"{run.project_url}/workspace", height), run.project_url)
    return show(run_html(run, height, hidden=False), repr(run))
