"""The Public API: reading and changing what is stored at a server."""

from __future__ import annotations

from ._api import Api
from ._artifact_collections import ArtifactCollection, ArtifactType
from ._artifact_lists import (
    ArtifactCollections,
    ArtifactFiles,
    Artifacts,
    ArtifactTypes,
    ProjectArtifactCollections,
    RunArtifacts,
)
from ._console_logs import ConsoleLogLine, ConsoleLogs
from ._errors import IncompleteRunHistoryError, RunNotFoundError
from ._exports import DownloadHistoryResult
from ._files import File, Files
from ._history import HistoryScan
from ._later import LATER, later_class
from ._projects import Project, Projects
from ._runs import Runs
from ._stored_run import Run
from ._summary import HTTPSummary
from ._users import Member, Team, User

__all__ = (
    "Api",
    "ArtifactCollection",
    "ArtifactCollections",
    "ArtifactFiles",
    "ArtifactType",
    "ArtifactTypes",
    "Artifacts",
    "ConsoleLogLine",
    "ConsoleLogs",
    "DownloadHistoryResult",
    "File",
    "Files",
    "HTTPSummary",
    "HistoryScan",
    "IncompleteRunHistoryError",
    "Member",
    "Project",
    "ProjectArtifactCollections",
    "Projects",
    "Run",
    "RunArtifacts",
    "RunNotFoundError",
    "Runs",
    "Team",
    "User",
)


def __getattr__(name: str) -> type:
    if name in LATER:
        found = globals()[name] = later_class(name)
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
