"""Settings that follow from others: directories, file names, URLs, facts of the process."""

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def url_quoted(text: str) -> str:
    """`text` as one segment of a URL's path."""
    if text.isascii() and text.replace("-", "a").replace("_", "a").replace(".", "a").isalnum():
        return text
    from urllib.parse import quote

    return quote(text, safe="")


class DerivedSettings:
    """Read-only values computed from the fields; the fields themselves are in the subclass."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    @property
    def root_dir(self) -> str:
        """Parent of the `wandb` directory, absolute."""
        return os.path.abspath(self._values.get("root_dir") or os.getcwd())

    @property
    def wandb_dir(self) -> str:
        """The directory that holds the run directories."""
        hidden = os.path.join(self.root_dir, ".wandb")
        use_hidden = self._values.get("use_dot_wandb")
        if use_hidden is None:
            use_hidden = os.path.isdir(hidden)
        return hidden if use_hidden else os.path.join(self.root_dir, "wandb")

    @property
    def _offline(self) -> bool:
        return self.mode in ("offline", "dryrun", "disabled")

    @property
    def _noop(self) -> bool:
        return bool(self.mode == "disabled")

    @property
    def _shared(self) -> bool:
        # A shared run that found no server is offline, and shared nevertheless: its directories are joined by `sync`.
        return bool(self.mode == "shared" or self.x_shared)

    @property
    def run_mode(self) -> str:
        """First part of the run directory's name."""
        return "offline-run" if self.mode in ("offline", "dryrun") else "run"

    @property
    def timespec(self) -> str:
        """Local start time as it stands in the run directory's name."""
        return time.strftime("%Y%m%d_%H%M%S", time.localtime(self.x_start_time or time.time()))

    @property
    def sync_dir(self) -> str:
        """The run directory."""
        suffix = f"-{self.x_sync_dir_suffix}" if self.x_sync_dir_suffix else ""
        return os.path.join(self.wandb_dir, f"{self.run_mode}-{self.timespec}-{self.run_id}{suffix}")

    @property
    def sync_file(self) -> str:
        """The transaction log."""
        return os.path.join(self.sync_dir, f"run-{self.run_id}.wandb")

    @property
    def files_dir(self) -> str:
        """The run's files."""
        return self.x_files_dir or os.path.join(self.sync_dir, "files")

    @property
    def tmp_dir(self) -> str:
        """Scratch space of the run."""
        return os.path.join(self.sync_dir, "tmp")

    @property
    def _tmp_code_dir(self) -> str:
        return os.path.join(self.sync_dir, "tmp", "code")

    @property
    def log_dir(self) -> str:
        """The run's debug logs."""
        return os.path.join(self.sync_dir, "logs")

    @property
    def log_user(self) -> str:
        """The debug log that this process writes."""
        return os.path.join(self.log_dir, "debug.log")

    @property
    def log_internal(self) -> str:
        """The debug log that the daemon writes."""
        return os.path.join(self.log_dir, "debug-internal.log")

    @property
    def log_symlink_user(self) -> str:
        """Link to the newest run's `debug.log`."""
        return os.path.join(self.wandb_dir, "debug.log")

    @property
    def log_symlink_internal(self) -> str:
        """Link to the newest run's `debug-internal.log`."""
        return os.path.join(self.wandb_dir, "debug-internal.log")

    @property
    def sync_symlink_latest(self) -> str:
        """Link to the newest run directory."""
        return os.path.join(self.wandb_dir, "latest-run")

    @property
    def resume_fname(self) -> str:
        """The file that `resume="auto"` keeps its run id in."""
        return os.path.join(self.wandb_dir, "wandb-resume.json")

    @property
    def settings_workspace(self) -> str:
        """The workspace's settings file."""
        return os.path.join(self.wandb_dir, "settings")

    @property
    def app_url(self) -> str:
        """Where the web app is; empty without a server."""
        if self.app_url_override:
            return str(self.app_url_override).rstrip("/")
        base = str(self.base_url or "")
        scheme, separator, rest = base.partition("://")
        return f"{scheme}{separator}app.{rest[4:]}" if rest.startswith("api.") else base

    @property
    def project_url(self) -> str:
        """The project's page; empty while server, entity or project are unknown."""
        if not (self.app_url and self.entity and self.project):
            return ""
        return f"{self.app_url}/{url_quoted(self.entity)}/{url_quoted(self.project)}"

    @property
    def run_url(self) -> str:
        """The run's page; empty while server, entity or project are unknown."""
        return (
            f"{self.project_url}/runs/{url_quoted(self.run_id)}" if self.project_url and self.run_id else ""
        )

    @property
    def sweep_url(self) -> str:
        """The sweep's page; empty without a sweep."""
        return (
            f"{self.project_url}/sweeps/{url_quoted(self.sweep_id)}"
            if self.project_url and self.sweep_id
            else ""
        )

    @property
    def is_local(self) -> bool:
        """Whether the server is a self-hosted one."""
        host = str(self.base_url or "").partition("://")[2]
        return not host.startswith(("api.wandb.ai", "api.forge.coreweave.com"))

    @property
    def deployment(self) -> str:
        """`local` or `cloud`."""
        return "local" if self.is_local else "cloud"

    @property
    def _jupyter(self) -> bool:
        return in_notebook()

    @property
    def _python(self) -> str:
        return "{}.{}.{}".format(*sys.version_info[:3])

    @property
    def _platform(self) -> str:
        return f"{os.uname().sysname}-{os.uname().machine}".lower()

    @property
    def _args(self) -> list[str]:
        return sys.argv[1:]


def in_notebook() -> bool:
    """Whether this process is a notebook's kernel."""
    ipython = sys.modules.get("IPython")
    if ipython is None:
        return False
    shell = ipython.get_ipython()
    return shell is not None and "IPKernelApp" in getattr(shell, "config", {})
