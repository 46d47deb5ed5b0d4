"""Files of a stored run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

from . import _queries as queries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, TextIO

    from ._stored_run import Run


class File:
    """One file; attributes are read from the server's answer, None where there is no such file."""

    def __init__(self, run: Run, attributes: dict[str, Any]) -> None:
        self._run = run
        self._attributes = attributes
        self.name = str(attributes["name"])

    @property
    def id(self) -> str | None:
        """The server's id."""
        return self._attributes.get("id")

    @property
    def size(self) -> int | None:
        """Bytes; None if the run has no such file."""
        size = self._attributes.get("sizeBytes")
        return None if size is None else int(size)

    @property
    def mimetype(self) -> str | None:
        """Type of the content."""
        return self._attributes.get("mimetype")

    @property
    def md5(self) -> str | None:
        """MD5 of the content, base64."""
        return self._attributes.get("md5")

    @property
    def updated_at(self) -> str | None:
        """When it was last written."""
        return self._attributes.get("updatedAt")

    @property
    def url(self) -> str | None:
        """Where it can be downloaded."""
        return self._attributes.get("url")

    @property
    def direct_url(self) -> str | None:
        """Where it can be downloaded without a redirect."""
        return self._attributes.get("directUrl") or self.url

    def download(self, root: str = ".", replace: bool = False, exist_ok: bool = False) -> TextIO:
        """Save the file below `root` and open it for reading.

        Args:
            root: Directory; the file's own directories are made in it.
            replace: Overwrite an existing file.
            exist_ok: Keep an existing file instead of raising.

        Raises:
            ValueError: The file exists; or its name leaves `root`; or the run has no such file.
            CommError: The server cannot be read.
        """
        base = os.path.abspath(root)
        target = os.path.abspath(os.path.join(base, self.name))
        if not target.startswith(base.rstrip(os.sep) + os.sep):
            raise ValueError(f"the file name `{self.name}` leaves the directory it is downloaded to")
        if os.path.exists(target) and not replace:
            if exist_ok:
                return open(target)
            raise ValueError(
                f"File already exists, pass replace=True to overwrite or exist_ok=True to leave it as is: {target}"
            )
        address = self.direct_url
        if not address:
            raise ValueError(f"run {'/'.join(self._run.path)} has no file `{self.name}`")
        os.makedirs(os.path.dirname(target), exist_ok=True)
        temporary = f"{target}.{os.getpid()}.runlane-tmp"
        with self._run._api._client.download(address) as response, open(temporary, "wb") as file:
            shutil.copyfileobj(response, file, 1 << 20)
        os.replace(temporary, target)
        return open(target)

    def __repr__(self) -> str:
        return f"<File {self.name} ({self.mimetype}) {self.size} B>"


class Files(Sequence):  # type: ignore[type-arg]
    """The files of a run, loaded page by page."""

    def __init__(self, run: Run, names: list[str] | None, per_page: int, pattern: str | None) -> None:
        self._run = run
        self._names = names or []
        self._per_page = per_page
        self._pattern = pattern
        self._loaded: list[File] = []
        self._cursor: str | None = None
        self._more = True

    def _load_page(self) -> None:
        variables = {
            "project": self._run.project,
            "entity": self._run.entity,
            "name": self._run.id,
            "fileCursor": self._cursor,
            "fileLimit": self._per_page,
            "fileNames": self._names,
            "pattern": self._pattern,
        }
        files = self._run._query(queries.FILES, variables)["files"]
        self._loaded += [File(self._run, edge["node"]) for edge in files["edges"]]
        self._more = bool(files["pageInfo"]["hasNextPage"]) and bool(files["edges"])
        if files["edges"]:
            self._cursor = files["edges"][-1]["cursor"]

    def _load_all(self) -> None:
        while self._more:
            self._load_page()

    def __len__(self) -> int:
        self._load_all()
        return len(self._loaded)

    def __getitem__(self, index: Any) -> Any:
        self._load_all()
        return self._loaded[index]

    def __iter__(self) -> Iterator[File]:
        position = 0
        while True:
            while self._more and position >= len(self._loaded):
                self._load_page()
            if position >= len(self._loaded):
                return
            yield self._loaded[position]
            position += 1
