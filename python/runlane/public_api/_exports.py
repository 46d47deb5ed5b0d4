"""The Parquet files of a stored run's history."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from runlane.errors import CommError

from . import _queries as queries
from ._errors import IncompleteRunHistoryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._stored_run import Run


@dataclass(frozen=True)
class DownloadHistoryResult:
    """What was downloaded.

    Args:
        paths: The files.
        contains_live_data: Whether the run has rows that are in no file yet.
        errors: Why a file could not be downloaded; None if all could.
    """

    paths: list[Path]
    contains_live_data: bool
    errors: dict[Path, str] | None = None


def download(run: Run, directory: Path | str, require_complete: bool) -> DownloadHistoryResult:
    """Download the files; see `Run.download_history_exports`."""
    variables = {"entity": run.entity, "project": run.project, "runName": run.id, "liveKeys": ["_step"]}
    found = run._query(queries.PARQUET_HISTORY, variables).get("parquetHistory") or {}
    is_live = bool(found.get("liveData"))
    if is_live and require_complete:
        raise IncompleteRunHistoryError(
            f"run {'/'.join(run.path)} has rows that are in no history export yet"
            "\nhint: pass require_complete_history=False, or use `scan_history()` or `history_frame()`"
        )
    place = Path(directory)
    place.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    errors: dict[Path, str] = {}
    for number, url in enumerate(found.get("parquetUrls") or []):
        path = place / f"{run.entity}_{run.project}_{run.id}_{number}.runhistory.parquet"
        temporary = path.with_name(f"{path.name}.{os.getpid()}.runlane-tmp")
        try:
            with run._api._client.download(url) as response, open(temporary, "wb") as file:
                shutil.copyfileobj(response, file, 1 << 20)
            os.replace(temporary, path)
            paths.append(path)
        except (CommError, OSError) as error:
            temporary.unlink(missing_ok=True)
            errors[path] = str(error)
    return DownloadHistoryResult(paths, is_live, errors or None)
