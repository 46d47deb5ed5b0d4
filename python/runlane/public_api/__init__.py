"""The Public API: reading (and later changing) what is stored at a server."""

from __future__ import annotations

from ._api import Api
from ._files import File, Files
from ._runs import Runs
from ._stored_run import Run

__all__ = ("Api", "File", "Files", "Run", "Runs")
