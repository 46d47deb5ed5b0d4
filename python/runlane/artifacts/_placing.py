"""Files below the root of a download: names that a manifest may have, and writing without leaving the root.

A manifest comes from whoever logged the artifact, so its names are not trusted: none may lead out of the root, neither by itself nor
through a link that lies below the root, and no two may become one file. Directories are opened one by one without following links;
files appear by a rename, which replaces a link instead of writing through it.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import sys
import unicodedata

from ._cache import free_bytes, is_full
from ._errors import DownloadError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ._digests import Hasher

#: What most file systems take as one component, and what system calls take as a path.
_COMPONENT_BYTES = 255
_PATH_BYTES = 4095
_BLOCK_BYTES = 1 << 20
_DEVICES = frozenset(
    ["CON", "PRN", "AUX", "NUL", *(f"{kind}{number}" for kind in ("COM", "LPT") for number in range(10))]
)
_TEMPORARY = (".runlane-", ".tmp")
_FICLONE = 0x40049409


def check_path(path: str, windows: bool = os.name == "nt") -> None:
    """Check the name of an entry before it becomes a path.

    Args:
        path: As it stands in the manifest, with `/` between components.
        windows: Whether names of devices, drives and streams have a meaning here.

    Raises:
        DownloadError: It would not stay below the root, or cannot be a file's name.
    """
    reason = _path_fault(path, windows)
    if reason is not None:
        raise DownloadError(f"the artifact has an entry `{path!a:.200}` that cannot be written: {reason}")


def _path_fault(path: str, windows: bool) -> str | None:
    if not path:
        return "its name is empty"
    if "\0" in path:
        return "its name has a NUL character"
    if path.startswith("/"):
        return "its name is an absolute path"
    for component in path.split("/"):
        if component in ("", ".", ".."):
            return f"its name has the component {component!r}, which leads elsewhere"
        try:
            length = len(component.encode())
        except UnicodeEncodeError:
            return "its name is not valid Unicode"
        if length > _COMPONENT_BYTES:
            return f"a component of its name has {length} bytes, the limit is {_COMPONENT_BYTES}"
        if windows:
            if any(sign in component for sign in '<>:"\\|?*') or component[-1] in ". ":
                return f"this system has no file name {component!r}"
            if component.partition(".")[0].rstrip().upper() in _DEVICES:
                return f"{component!r} is a device on this system"
    return None


def check_conflicts(paths: Iterable[str], folds: tuple[bool, bool] = (False, False)) -> None:
    """Check that no two entries want the same place.

    Args:
        paths: Names of entries.
        folds: Whether the file system takes names that differ only in case, or only in Unicode normalization, as one.

    Raises:
        DownloadError: One entry would replace another, or lie in one.
    """
    files: dict[str, str] = {}
    # Of each directory by its folded name: how it is written, and an entry in it.
    directories: dict[str, tuple[str, str]] = {}
    for path in paths:
        own = _folded(path, folds)
        if files.setdefault(own, path) != path:
            raise _one_name(files[own], path)
        parent = path.rpartition("/")[0]
        while parent:
            folded = _folded(parent, folds)
            known = directories.setdefault(folded, (parent, path))
            if known[0] != parent:
                raise _one_name(known[1], path)
            if known[1] != path:
                # What it lies in was looked at with the other.
                break
            parent = parent.rpartition("/")[0]
    for own, path in files.items():
        if own in directories:
            raise DownloadError(
                f"the entry `{path}` of the artifact is a file, but the entry `{directories[own][1]}` needs a directory there"
            )


def _one_name(one: str, other: str) -> DownloadError:
    return DownloadError(
        f"the entries `{one}` and `{other}` of the artifact are one file name on this file system"
        "\nhint: download with `path_prefix`, or to a file system that tells them apart"
    )


def _folded(path: str, folds: tuple[bool, bool]) -> str:
    case, normal = folds
    if normal and not path.isascii():
        path = unicodedata.normalize("NFC", path)
    return path.casefold() if case else path


def could_fold(paths: Iterable[str]) -> bool:
    """Whether some file system would take two of these names, or two of their directories, as one."""
    seen: dict[str, str] = {}
    for path in paths:
        while path:
            folded = _folded(path, (True, True))
            known = seen.get(folded)
            if known is not None:
                if known != path:
                    return True
                # Its directories were looked at with the other.
                break
            seen[folded] = path
            path = path.rpartition("/")[0]
    return False


def folding(directory: str) -> tuple[bool, bool]:
    """Whether the file system of a directory folds case, and Unicode normalization; found out with files of its own."""
    stem = f".runlane-{secrets.token_hex(8)}"

    def same(written: str, asked: str) -> bool:
        path = os.path.join(directory, written)
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except OSError:
            return False
        try:
            return os.path.lexists(os.path.join(directory, asked))
        finally:
            os.unlink(path)

    return same(f"{stem}-A.tmp", f"{stem}-a.tmp"), same(f"{stem}-\u00e9.tmp", f"{stem}-e\u0301.tmp")


def is_temporary(name: str) -> bool:
    """Whether a file name is one of those that downloads give to files that are not complete."""
    return name.startswith(_TEMPORARY[0]) and name.endswith(_TEMPORARY[1])


class Root:
    """The directory that entries are written below. Any thread may use it."""

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)
        self._clones = sys.platform == "linux"

    def target(self, path: str) -> str:
        """Where an entry lies."""
        return os.path.join(self.path, *path.split("/"))

    def check_length(self, path: str) -> None:
        """Check that an entry's place can be opened by its path.

        Raises:
            DownloadError: It cannot: the path is too long.
        """
        length = len(os.fsencode(self.target(path)))
        if length > _PATH_BYTES:
            raise DownloadError(
                f"cannot write the entry `{path:.200}` below `{self.path}`: its path has {length} bytes, the limit is {_PATH_BYTES}"
            )

    def stat(self, path: str) -> os.stat_result | None:
        """What lies at an entry's place, if it is a plain file that was reached through no link."""
        try:
            directory = self._open_directory(path, make=False)
        except (OSError, DownloadError):
            return None
        try:
            found = os.stat(path.rpartition("/")[2], dir_fd=directory, follow_symlinks=False)
        except OSError:
            return None
        finally:
            os.close(directory)
        return found if stat.S_ISREG(found.st_mode) else None

    def _open_directory(self, path: str, make: bool) -> int:
        """The descriptor of the directory that an entry lies in.

        Raises:
            DownloadError: A link is in the way.
            OSError: The directory is not there, or cannot be made.
        """
        if make:
            os.makedirs(self.path, exist_ok=True)
        here = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for component in path.split("/")[:-1]:
            above = here
            try:
                here = self._step(above, component, make)
            except OSError as error:
                if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                    raise
                kind = "a link" if self._is_link(above, component) else "a file"
                raise DownloadError(
                    f"cannot write the entry `{path}` below `{self.path}`: `{component}` is {kind} there, not a directory"
                    "\nhint: remove it, or download to another directory"
                ) from error
            finally:
                os.close(above)
        return here

    @staticmethod
    def _step(above: int, component: str, make: bool) -> int:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return os.open(component, flags, dir_fd=above)
        except FileNotFoundError:
            if not make:
                raise
        try:
            os.mkdir(component, dir_fd=above)
        except FileExistsError:
            # Another thread or process made it just now; what it is shows when it is opened.
            pass
        return os.open(component, flags, dir_fd=above)

    @staticmethod
    def _is_link(above: int, component: str) -> bool:
        try:
            return stat.S_ISLNK(os.stat(component, dir_fd=above, follow_symlinks=False).st_mode)
        except OSError:
            return False

    def write(self, path: str) -> Place:
        """Begin to write an entry.

        Raises:
            DownloadError: A link is in the way, or there is no space.
            OSError: The directory cannot be made or written to.
        """
        with explained(path, self.path):
            directory = self._open_directory(path, make=True)
            try:
                return Place(self, path, directory)
            except BaseException:
                os.close(directory)
                raise

    def files(self) -> Iterator[str]:
        """The names of all files below the root, with `/` between components. Links count as files; temporary files do not."""
        folders = [self.path]
        while folders:
            folder = folders.pop()
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif not is_temporary(entry.name):
                        yield os.path.relpath(entry.path, self.path).replace(os.sep, "/")

    def keep_only(self, paths: set[str]) -> None:
        """Remove every file that is none of these, and every directory that holds none of them."""
        kept = {""}
        for path in paths:
            while path := path.rpartition("/")[0]:
                kept.add(path)
        for folder, directories, names in os.walk(self.path, topdown=False):
            below = os.path.relpath(folder, self.path).replace(os.sep, "/")
            prefix = "" if below == "." else f"{below}/"
            for name in (
                *names,
                *(each for each in directories if os.path.islink(os.path.join(folder, each))),
            ):
                if prefix + name not in paths:
                    os.unlink(os.path.join(folder, name))
            if below != "." and below not in kept:
                os.rmdir(folder)


class Place:
    """One entry being written: to a temporary file beside its place, which `finish` renames. Left unfinished, it is removed."""

    def __init__(self, root: Root, path: str, directory: int) -> None:
        self._root = root
        self._path = path
        self._directory = directory
        self._temporary = f"{_TEMPORARY[0]}{os.getpid()}-{secrets.token_hex(6)}{_TEMPORARY[1]}"
        self._done = False
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self.descriptor = os.open(self._temporary, flags, 0o666, dir_fd=directory)

    def __enter__(self) -> Place:
        return self

    def __exit__(self, *_error: object) -> None:
        os.close(self.descriptor)
        if not self._done:
            try:
                os.unlink(self._temporary, dir_fd=self._directory)
            except OSError:
                # The directory was removed meanwhile, and the file with it.
                self._done = True
        os.close(self._directory)

    def copy_from(self, source: int, hasher: Hasher | None) -> None:
        """Take the contents of an open file, hashing them if a hasher is given.

        The blocks are shared where the file system can do that (each file keeps its contents when the other is changed), and copied
        elsewhere. Never a hard link: whoever edits the downloaded file would change the cache.

        Raises:
            DownloadError: There is no space.
        """
        with explained(self._path, self._root.path):
            cloned = self._clone(source)
            if not cloned and hasher is None:
                self._copy_unseen(source)
                return
            if hasher is None:
                return
            block = bytearray(_BLOCK_BYTES)
            view = memoryview(block)
            position = 0
            while count := os.preadv(source, [block], position):
                position += count
                hasher.update(view[:count])
                if not cloned:
                    write_all(self.descriptor, view[:count])

    def _clone(self, source: int) -> bool:
        if not self._root._clones:
            return False
        import fcntl

        try:
            fcntl.ioctl(self.descriptor, _FICLONE, source)
        except OSError:
            # Another file system, or one that cannot: it will be so for the other files too.
            self._root._clones = False
            return False
        return True

    def _copy_unseen(self, source: int) -> None:
        if hasattr(os, "copy_file_range"):
            position = 0
            try:
                while count := os.copy_file_range(source, self.descriptor, 1 << 30, position):
                    position += count
            except OSError as error:
                if position or is_full(error):
                    raise
            else:
                return
        position = 0
        while block := os.pread(source, _BLOCK_BYTES, position):
            position += len(block)
            write_all(self.descriptor, block)

    def finish(self) -> None:
        """Rename the file to its name, over what is there.

        Raises:
            DownloadError: A directory is in the way.
        """
        name = self._path.rpartition("/")[2]
        with explained(self._path, self._root.path):
            os.rename(self._temporary, name, src_dir_fd=self._directory, dst_dir_fd=self._directory)
        self._done = True


def write_all(descriptor: int, block: memoryview | bytes) -> None:
    """Write a whole block, however many calls it takes."""
    view = memoryview(block)
    while view:
        view = view[os.write(descriptor, view) :]


class explained:  # noqa: N801 - used as a function
    """Turns an `OSError` of writing an entry into one that says which, where, and what to do."""

    def __init__(self, path: str, root: str) -> None:
        self._path = path
        self._root = root

    def __enter__(self) -> None:
        return

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if not isinstance(error, OSError):
            return
        text = f"cannot write the entry `{self._path}` below `{self._root}`: {error.strerror or error}"
        if is_full(error):
            left = free_bytes(self._root)
            told = "" if left is None else f" ({left} bytes are free)"
            text += f"{told}\nhint: free some space, or download to another disk with `root=`"
        raise DownloadError(text, error) from error
