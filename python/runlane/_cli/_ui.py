"""`ui`: look at runs. Starts the local server if none runs, uploads offline runs as they grow, opens the browser."""

from __future__ import annotations

import json
import subprocess
import threading
import time
import urllib.error
import urllib.request
import webbrowser

import click

from runlane import _servers, _setup
from runlane.public_api._client import SafeRedirects

from ._core_process import SyncProcess, binary
from ._destination import sync_request
from ._local_runs import below
from ._server import server_arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_START_SECS = 20.0
_POLL_SECS = 0.1
#: How often new run directories are looked for.
_SCAN_SECS = 2.0


def _start_detached(options: list[str]) -> subprocess.CompletedProcess[str]:
    command = [binary(), *server_arguments("start", ["--detach", *options])]
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - absolute path


def ensure_server() -> tuple[_servers.LocalServer, bool]:
    """The running local server, and whether it was started now.

    Raises:
        ClickException: It cannot be started.
    """
    running = _servers.running_server()
    if running is not None:
        return running, False
    started = _start_detached([])
    if started.returncode != 0 and "in use" in started.stderr + started.stdout:
        # Somebody else has the usual port; any other will do for looking.
        started = _start_detached(["--port", "0"])
    if started.returncode != 0:
        raise click.ClickException(
            f"the server could not be started: {started.stderr.strip() or started.stdout.strip()}"
        )
    deadline = time.monotonic() + _START_SECS
    while time.monotonic() < deadline:
        running = _servers.running_server()
        if running is not None:
            return running, True
        time.sleep(_POLL_SECS)
    raise click.ClickException(
        f"the server was started, but did not register itself in {_servers.registry_path()}"
    )


def sign_in_link(server: _servers.LocalServer) -> str:
    """A one-time link that signs the browser in; the plain address where the server gives none."""
    import base64

    credentials = base64.b64encode(f"api:{server.api_key or ''}".encode()).decode()
    request = urllib.request.Request(  # noqa: S310 - the address of our own server
        f"{server.base_url}/api/login-links",
        data=b"{}",
        headers={
            "Authorization": f"Basic {credentials}",
            "Content-Type": "application/json",
            "Origin": server.base_url,
        },
    )
    # The key goes nowhere else, whatever answers at that address.
    opener = urllib.request.build_opener(SafeRedirects())
    try:
        with opener.open(request, timeout=10) as response:
            url = json.loads(response.read())["url"]
    except (OSError, ValueError, KeyError, urllib.error.URLError) as error:
        click.echo(f"no sign-in link: {error}", err=True)
        return server.base_url
    return str(url) if "://" in str(url) else server.base_url + str(url)


class _Follower:
    """Uploads the offline runs below a directory, new ones included."""

    def __init__(self, server: _servers.LocalServer, directory: str, follow: bool) -> None:
        self._server = server
        self._directory = directory
        self._follow = follow
        self._known: set[str] = set()
        self._processes: list[SyncProcess] = []
        self._threads: list[threading.Thread] = []

    def scan(self) -> int:
        """Start uploading logs that are new; how many."""
        logs = [log for log in below(self._directory) if log not in self._known]
        if not logs:
            return 0
        self._known.update(logs)
        settings = _setup.process().settings.copy()
        settings.base_url = self._server.base_url
        request = sync_request(
            settings, self._server.api_key or "", logs, follow=self._follow, mark_synced=False
        )
        process = SyncProcess(request)
        self._processes.append(process)
        thread = threading.Thread(target=process.watch, args=(self._show,), daemon=True)
        thread.start()
        self._threads.append(thread)
        return len(logs)

    @staticmethod
    def _show(event: dict[str, Any]) -> None:
        if event.get("state") == "failed":
            click.echo(f"{event.get('log')}: {event.get('error')}", err=True)

    def wait(self) -> None:
        """Wait until everything known is uploaded."""
        for thread in self._threads:
            thread.join()

    def stop(self) -> None:
        """End all uploads."""
        for process in self._processes:
            process.stop()


@click.command()
@click.argument("directory", required=False, default=".", type=click.Path(exists=True, file_okay=False))
@click.option("--open/--no-open", "open_browser", default=True, help="Open the browser.")
@click.option(
    "--follow/--no-follow", default=True, help="Keep running, and show new rows and runs as they come."
)
def ui(directory: str, open_browser: bool, follow: bool) -> None:
    """Look at the runs below DIRECTORY in the browser.

    Runs that still go on stay live. Nothing in the run directories is marked as synced. The server goes on running; stop it
    with `runlane server stop`.
    """
    server, started = ensure_server()
    click.echo(
        f"{'Started a server' if started else 'A server runs'} at {server.base_url} (data in {server.data_dir})"
    )
    follower = _Follower(server, directory, follow)
    try:
        count = follower.scan()
        click.echo(f"{count} offline run(s) below {directory}")
        url = sign_in_link(server)
        click.echo(f"Open {url}")
        if open_browser:
            webbrowser.open(url)
        if not follow:
            follower.wait()
            return
        click.echo("Press Ctrl-C to stop following; the server goes on.")
        while True:
            time.sleep(_SCAN_SECS)
            follower.scan()
    except KeyboardInterrupt:
        click.echo("")
    finally:
        follower.stop()
