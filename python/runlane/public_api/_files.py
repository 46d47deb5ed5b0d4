"""Files of a stored run."""

from __future__ import annotations

import os
import shutil

from runlane.errors import CommError

from . import _queries as queries
from ._attributes import Attributes
from ._errors import InvalidArgumentError
from ._paging import Loaded, SizedPages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

    from ._api import Api
    from ._stored_run import Run

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def _size_text(size: int) -> str:
    shown, unit = float(size), 0
    while shown >= 1024 and unit < len(_UNITS) - 1:
        shown, unit = shown / 1024, unit + 1
    return f"{shown:.1f}{_UNITS[unit]}"


class File(Attributes):
    """One file. Attributes: `id`, `name`, `url`, `direct_url`, `mimetype`, `md5` (base64), `updated_at`."""

    def __init__(self, run: Run, attrs: dict[str, Any]) -> None:
        super().__init__(attrs)
        self._run = run
        self.name = str(attrs["name"])

    @property
    def size(self) -> int:
        """Bytes."""
        return int(self._attrs.get("sizeBytes") or 0)

    @property
    def path_uri(self) -> str:
        """Where the file is in a bucket (`s3://…`); empty for a server that keeps files itself."""
        from urllib.parse import urlsplit

        parts = urlsplit(str(self._attrs.get("directUrl") or ""))
        host = parts.hostname or ""
        bucket, _, rest = host.partition(".s3.")
        return f"s3://{bucket}{parts.path}" if rest.endswith("amazonaws.com") and bucket else ""

    def download(
        self, root: str = ".", replace: bool = False, exist_ok: bool = False, api: Api | None = None
    ) -> TextIO:
        """Save the file below `root` and open it for reading.

        Args:
            root: Directory; the file's own directories are made in it.
            replace: Overwrite an existing file.
            exist_ok: Keep an existing file instead of raising.
            api: Another `Api` to download with.

        Raises:
            ValueError: The file exists, or its name leaves `root`.
            CommError: The server cannot be read; also the errors above are of this class.
        """
        base = os.path.abspath(root)
        target = os.path.abspath(os.path.join(base, self.name))
        if not target.startswith(base.rstrip(os.sep) + os.sep):
            raise InvalidArgumentError(
                f"the file name `{self.name}` leaves the directory it is downloaded to"
            )
        if os.path.exists(target) and not replace:
            if exist_ok:
                return open(target)
            raise InvalidArgumentError(
                "File already exists, pass replace=True to overwrite or exist_ok=True to leave it as is and don't error."
                f" ({target})"
            )
        address = self._attrs.get("directUrl") or self._attrs.get("url")
        if not address:
            raise CommError(f"the server has no address for the file `{self.name}`")
        os.makedirs(os.path.dirname(target), exist_ok=True)
        temporary = f"{target}.{os.getpid()}.runlane-tmp"
        try:
            with (api or self._run._api)._client.download(address) as response, open(temporary, "wb") as file:
                shutil.copyfileobj(response, file, 1 << 20)
            os.replace(temporary, target)
        except BaseException:
            if os.path.exists(temporary):
                os.unlink(temporary)
            raise
        return open(target)

    def delete(self) -> None:
        """Delete the file at the server.

        Raises:
            CommError: The server cannot be reached, or refused it.
        """
        variables = {"files": [self._attrs["id"]], "projectId": self._run._project_id()}
        self._run._api._client.execute(queries.DELETE_FILES, variables)

    def __repr__(self) -> str:
        kind = self._attrs.get("mimetype") or ""
        return f"<File {self.name} ({kind}) {_size_text(self.size)}>"


class Files(SizedPages["File"]):
    """The files of a run: all, those of some names, or those that match an SQL pattern (`%.json`)."""

    def __init__(
        self,
        run: Run,
        names: list[str] | None = None,
        per_page: int = 50,
        pattern: str | None = None,
    ) -> None:
        if names and pattern:
            raise InvalidArgumentError(
                "Querying for files by both names and pattern is not supported."
                " Please provide either a list of names or a pattern to match."
            )
        super().__init__(per_page)
        self._run = run
        self._names = list(names or [])
        self._pattern = pattern

    def _fetch(self, cursor: str | None) -> Loaded:
        variables = {
            "project": self._run.project,
            "entity": self._run.entity,
            "name": self._run.id,
            "fileCursor": cursor,
            "fileLimit": self.per_page,
            "fileNames": self._names,
            "pattern": self._pattern,
        }
        found = self._run._query(queries.FILES, variables)
        files = found["files"]
        if not self._names and self._pattern is None:
            self._total = int(found.get("fileCount") or 0)
        items = [File(self._run, edge["node"]) for edge in files["edges"]]
        last = files["edges"][-1]["cursor"] if files["edges"] else None
        return Loaded(items, last, bool(files["pageInfo"]["hasNextPage"]))

    def __len__(self) -> int:
        """How many files there are; with names or a pattern, those that match."""
        if self._names or self._pattern is not None:
            self._load_until(None)
            return len(self.objects)
        return super().__len__()

    def __repr__(self) -> str:
        return f"<Files {'/'.join(self._run.path)} ({len(self)})>"


def upload(run: Run, path: str, root: str) -> File:
    """Send a file to a run; see `Run.upload_file`."""
    full = os.path.abspath(path)
    name = os.path.relpath(full, os.path.abspath(root)).replace(os.sep, "/")
    if not os.path.isfile(full):
        raise CommError(f"cannot upload `{path}`: no such file", FileNotFoundError(path))
    if name.startswith("../"):
        raise InvalidArgumentError(f"the file `{path}` is not below the root `{root}`")
    client = run._api._client
    variables = {"entity": run.entity, "project": run.project, "run": run.id, "files": [name]}
    created = client.execute(queries.CREATE_RUN_FILES, variables)["createRunFiles"]
    headers = dict(header.split(":", 1) for header in created.get("uploadHeaders") or [])
    for file in created["files"]:
        if file.get("uploadUrl"):
            client.upload(file["uploadUrl"], full, headers)
    if run._api._has_feature("MARK_RUN_FILES_UPLOADED"):
        client.execute(queries.MARK_UPLOADED, variables)
    return run.file(name)
