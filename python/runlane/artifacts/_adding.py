"""Adding files to a draft."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager

from runlane import _core, terminal

from . import _checks, _staging
from ._entries import ArtifactDigestAlgorithm, ArtifactManifest, ArtifactManifestEntry
from ._errors import needs_draft

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO, Any

    Policy = str | None

#: Entries of one artifact, as the server allows.
MOST_ENTRIES = 1_000_000
_TEMPORARY_DIGITS = 20
#: What was left out of a directory and is named.
_NAMED = 5


class Adding:
    """The part of `Artifact` that takes files in. A draft may be filled by several threads at once."""

    if TYPE_CHECKING:
        _final: bool

        @property
        def manifest(self) -> ArtifactManifest: ...

    def _prepare_adding(self) -> None:
        #: Absolute path of an added file -> its name; of an added directory -> the prefix of its files.
        self._added: dict[str, str] = {}
        self._added_directories: dict[str, str] = {}

    @needs_draft
    def add_file(
        self,
        local_path: str,
        name: str | None = None,
        is_tmp: bool | None = False,
        skip_cache: bool | None = False,
        policy: Policy = "mutable",
        overwrite: bool = False,
    ) -> ArtifactManifestEntry:
        """Add a file. Returns when its bytes are safe; a large one is hashed while the program goes on.

        Args:
            local_path: The file.
            name: Its path in the artifact. Default: its own name.
            is_tmp: The file has a name of no meaning: what is before the first dot of `name` becomes the first 20 hex digits of its
                digest.
            skip_cache: Keep the file out of the local cache after the upload.
            policy: `mutable`: copy it now, so that it may change later. `immutable`: upload it from where it is; a change until
                then makes logging fail.
            overwrite: Take the place of another file of that name.

        Raises:
            ArtifactFinalizedError: The artifact was logged.
            ValueError: There is no such file, the name or policy is not allowed, or another content has the name.
            OSError: The file cannot be read, or not be copied.
        """
        copy = _staging.check_policy(policy)
        if isinstance(local_path, bool) or not os.path.isfile(local_path):
            raise ValueError(f"Path is not a file: {local_path!r}")
        path = os.path.abspath(os.fsdecode(local_path))
        logical = _checks.entry_path(name or os.path.basename(path))
        (staged,) = _staging.take([path], self.manifest.digest_algorithm, copy=copy)
        if is_tmp:
            logical = _temporary_name(logical, staged.digest())
        return self._add_staged(logical, staged, skip_cache=skip_cache, overwrite=overwrite, source=path)

    @needs_draft
    def add_dir(
        self,
        local_path: str,
        name: str | None = None,
        skip_cache: bool | None = False,
        policy: Policy = "mutable",
        merge: bool = False,
    ) -> None:
        """Add all files of a directory and those below it.

        Links are followed; one that leads back to a directory above it, leads nowhere, or is neither file nor directory in the end,
        is left out with a warning, as are sockets and the like.

        Args:
            local_path: The directory.
            name: Directory in the artifact that the files come to. Default: its root.
            skip_cache: As in `add_file`.
            policy: As in `add_file`.
            merge: Replace files of the artifact that have the same name and another content.

        Raises:
            ArtifactFinalizedError: The artifact was logged.
            ValueError: There is no such directory, a file's name is not allowed, or another content has it. Nothing is added then.
            OSError: A file cannot be read, or not be copied. Nothing is added then.
        """
        copy = _staging.check_policy(policy)
        if not os.path.isdir(local_path):
            raise ValueError(f"Path is not a directory: {local_path!r}")
        top = os.path.abspath(os.fsdecode(local_path))
        directory = "" if name is None else os.fspath(name)
        # A directory that is the root itself has no path of its own.
        prefix = f"{_checks.entry_path(directory)}/" if set(directory.split("/")) - {"", "."} else ""
        started = time.monotonic()
        files, left_out = _core.list_tree(top, MOST_ENTRIES - len(self.manifest))
        _tell_left_out(top, left_out)
        names = [_checks.entry_path(prefix + found) for found in files]
        staged = _staging.take(
            [f"{top}/{found}" for found in files], self.manifest.digest_algorithm, copy=copy
        )
        entries = self.manifest.entries
        made = [self._entry(logical, one, skip_cache) for logical, one in zip(names, staged, strict=True)]
        if not merge:
            for entry in made:
                known = entries.get(entry.path)
                if known is not None and (known.digest != entry.digest or known.ref is not None):
                    raise ValueError(f"Cannot add the same path twice: {entry.path!r}")
        for entry in made:
            known = entries.get(entry.path)
            if known is None or known.digest != entry.digest or known.ref is not None:
                entries[entry.path] = entry
        self._added_directories[top] = prefix
        shown = os.path.relpath(top) if top.startswith(os.getcwd() + os.sep) else top
        terminal.termlog(
            f"Adding directory to artifact ({terminal.printable(shown)})... Done. {time.monotonic() - started:.1f}s"
        )

    @contextmanager
    def new_file(
        self, name: str, mode: str = "x", encoding: str | None = None, policy: Policy = "mutable"
    ) -> Iterator[IO[Any]]:
        """Open a new file to write to; it is added when the block ends, and not if that raises.

        Args:
            name: Its path in the artifact.
            mode: As of `open`: `x` or `w`, with `b` for bytes. `w` replaces a file of that name, `a` goes on with it.
            encoding: Of text. Default: the locale's.
            policy: Without effect: the file is written where it is uploaded from.

        Raises:
            ArtifactFinalizedError: The artifact was logged.
            ValueError: The name is not allowed, or taken and the mode is `x`.
        """
        self._check_draft("new_file")
        _staging.check_policy(policy)
        logical = _checks.entry_path(name)
        known = self.manifest.entries.get(logical)
        if known is not None and "x" in mode:
            raise ValueError(f"File with name {logical!r} already exists at {known.local_path!r}")
        with _staging.scratch() as directory:
            path = os.path.join(directory, *logical.split("/"))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if known is not None and known.local_path is not None and ("a" in mode or "+" in mode):
                import shutil

                shutil.copyfile(known.local_path, path)
            with open(path, mode, encoding=None if "b" in mode else encoding) as file:
                yield file
            self._check_draft("new_file")
            staged = _staging.adopt(path, self.manifest.digest_algorithm)
            self._add_staged(logical, staged, skip_cache=True, overwrite=known is not None)

    @needs_draft
    def remove(self, item: str | os.PathLike[str] | ArtifactManifestEntry) -> None:
        """Remove an entry, or all below a directory of the artifact.

        Raises:
            ArtifactFinalizedError: The artifact was logged.
            FileNotFoundError: There is no such entry or directory.
        """
        if isinstance(item, ArtifactManifestEntry):
            self.manifest.remove_entry(item)
            return
        path = os.fspath(item).strip("/")
        if path in self.manifest.entries:
            del self.manifest.entries[path]
            return
        below = self.manifest.get_entries_in_directory(path)
        if not below:
            raise FileNotFoundError(f"No such file or directory: {path}")
        for entry in below:
            self.manifest.remove_entry(entry)

    def get_added_local_path_name(self, local_path: str) -> str | None:
        """The path in the artifact of a file that was added from `local_path`; None if it was not."""
        path = os.path.abspath(os.fsdecode(local_path))
        name = self._added.get(path)
        if name is not None and name in self.manifest.entries:
            return name
        for directory, prefix in self._added_directories.items():
            if path.startswith(directory + os.sep):
                name = prefix + path[len(directory) + 1 :]
                if name in self.manifest.entries:
                    return name
        return None

    def _check_draft(self, method: str) -> None:
        from ._errors import ArtifactFinalizedError

        if self._final:
            raise ArtifactFinalizedError(f"Artifact.{method}", self)

    def _entry(self, path: str, staged: _core.StagedFile, skip_cache: bool | None) -> ArtifactManifestEntry:
        is_xxh = self.manifest.digest_algorithm is ArtifactDigestAlgorithm.MANIFEST_XXH128
        return ArtifactManifestEntry(
            path=path,
            size=staged.size,
            extra={"alg": "XXH128"} if is_xxh else None,
            skip_cache=skip_cache,
            staged=staged,
        )

    def _add_staged(
        self,
        path: str,
        staged: _core.StagedFile,
        *,
        skip_cache: bool | None,
        overwrite: bool,
        source: str | None = None,
    ) -> ArtifactManifestEntry:
        """Add a file that lies ready; the entry that has its path then, which may have been there before."""
        entry = self._entry(path, staged, skip_cache)
        known = self.manifest.entries.get(path)
        if (
            known is not None
            and known.ref is None
            and known.size == entry.size
            and known.digest == entry.digest
        ):
            entry = known
        elif len(self.manifest) >= MOST_ENTRIES:
            raise ValueError(f"an artifact has at most {MOST_ENTRIES:,} entries")
        else:
            self.manifest.add_entry(entry, overwrite=overwrite)
        if source is not None:
            self._added[source] = path
        return entry


def _temporary_name(path: str, digest: str) -> str:
    """`path` with the beginning of its content's digest instead of what is before the first dot of its name."""
    import base64

    directory, separator, name = path.rpartition("/")
    _, dot, suffix = name.partition(".")
    return f"{directory}{separator}{base64.b64decode(digest).hex()[:_TEMPORARY_DIGITS]}{dot}{suffix}"


def _tell_left_out(top: str, left_out: list[str]) -> None:
    if not left_out:
        return
    named = ", ".join(f"`{terminal.printable(name)}`" for name in left_out[:_NAMED])
    more = f" and {len(left_out) - _NAMED} more" if len(left_out) > _NAMED else ""
    terminal.termwarn(
        f"`{terminal.printable(top)}`: {named}{more} left out: special files, links that lead nowhere or in circles"
    )
