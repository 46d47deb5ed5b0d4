"""The state of a repository as files: patches from a commit that others can fetch to the work tree as it stands.

Everything is asked of `git`, from a background thread, within bounds of time and bytes. The repository is only read: no lock
is taken, its index is not refreshed, nothing is fetched, and objects that have to be made lie in a scratch directory.

What is written (names as W&B has them where W&B writes the same):

* `diff.patch`: from HEAD to the work tree, binary files included.
* `diff_<commit>.patch`: the same from a commit of the remote, if HEAD is not (known to be) there.
* `untracked.patch`: files that git neither tracks nor ignores, within limits; W&B leaves them out.
* `snapshot.bundle`: the tree of HEAD as one commit without a past, if no remote has anything of it.
"""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, BinaryIO

DIFF = "diff.patch"
UNTRACKED = "untracked.patch"
BUNDLE = "snapshot.bundle"

#: One `git` may take so long, all together so long.
_COMMAND_SECS = 4.0
_TOTAL_SECS = 15.0
_PATCH_BYTES = 64 << 20
_BUNDLE_BYTES = 128 << 20
#: Lists of files, commits and the like.
_TEXT_BYTES = 8 << 20
_UNTRACKED_FILES = 2_000
_UNTRACKED_FILE_BYTES = 4 << 20
_UNTRACKED_BYTES = 32 << 20
#: Bytes of arguments of one call.
_ARGUMENT_BYTES = 64 << 10
#: Left-out files that are named.
_NAMED = 100

#: Files that hold secrets more often than code; they are never taken along unless git tracks them.
_SECRET_NAMES = frozenset(
    ".netrc _netrc .pypirc .npmrc .pgpass .htpasswd .git-credentials credentials credentials.json service-account.json"
    " id_rsa id_dsa id_ecdsa id_ed25519 secrets.json secrets.yaml secrets.yml secrets.toml".split()
)
_SECRET_ENDINGS = (".pem", ".key", ".p12", ".pfx", ".jks", ".keystore", ".kdbx", ".gpg", ".asc")
#: The tree without files, by the length of the repository's object names.
_EMPTY_TREES = {
    "sha1": "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    "sha256": "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
}
#: Variables that lead git elsewhere or change what it prints.
_FOREIGN = (
    "GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_COMMON_DIR GIT_NAMESPACE"
    " GIT_EXTERNAL_DIFF GIT_DIFF_OPTS GIT_PREFIX GIT_TRACE GIT_LITERAL_PATHSPECS GIT_GLOB_PATHSPECS GIT_ICASE_PATHSPECS"
).split()
_DIFF = ("diff --binary --no-color --no-ext-diff --no-textconv --ignore-submodules=all --unified=3").split()
_PREFIXES = ("--src-prefix=a/", "--dst-prefix=b/")
#: Submodules that are looked into, and how deep.
_SUBMODULES = 100
_SUBMODULE_DEPTH = 5
_CONFIG = (
    "core.fsmonitor=false core.quotePath=true diff.noprefix=false diff.mnemonicPrefix=false diff.suppressBlankEmpty=false"
    " diff.orderFile=/dev/null diff.renames=true submodule.recurse=false"
).split()


class GitError(Exception):
    """`git` is missing, failed, or took too long or too much."""


class _Repository:
    """Calls of `git` in one work tree, until a deadline."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._deadline = time.monotonic() + _TOTAL_SECS
        self._env = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
        self._env |= {
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_PAGER": "cat",
            "LC_ALL": "C",
        }

    def to_file(
        self,
        arguments: Sequence[str | bytes],
        file: BinaryIO,
        limit: int,
        env: dict[str, str] | None = None,
        below: str = "",
    ) -> int:
        """Write what git prints, in a directory below the root, to a file; the number of bytes.

        Raises:
            GitError: git is missing, fails, or passes the limit of time or bytes.
        """
        size = 0
        for chunk in self._chunks(arguments, env, below):
            size += len(chunk)
            if size > limit:
                raise GitError(f"it has more than {limit >> 20} MiB")
            file.write(chunk)
        return size

    def text(self, *arguments: str | bytes, env: dict[str, str] | None = None, below: str = "") -> bytes:
        """What git prints.

        Raises:
            GitError: git is missing, fails, or passes the limit of time or bytes.
        """
        import io

        buffer = io.BytesIO()
        self.to_file(arguments, buffer, _TEXT_BYTES, env, below)
        return buffer.getvalue()

    def line(self, *arguments: str, env: dict[str, str] | None = None) -> str | None:
        """The first line that git prints; None if there is none, or git fails."""
        try:
            text = self.text(*arguments, env=env)
        except GitError:
            return None
        lines = text.decode(errors="replace").splitlines()
        return lines[0].strip() or None if lines else None

    def _chunks(
        self, arguments: Sequence[str | bytes], env: dict[str, str] | None, below: str
    ) -> Iterator[bytes]:
        deadline = min(self._deadline, time.monotonic() + _COMMAND_SECS)
        if time.monotonic() >= self._deadline:
            raise GitError(f"git takes more than {_TOTAL_SECS:.0f} s")
        settings = [word for pair in _CONFIG for word in ("-c", pair)]
        try:
            process = subprocess.Popen(  # noqa: S603 - the words are ours, names of files stand behind `--`
                ["git", *settings, *arguments],  # noqa: S607 - the git that the user would get
                cwd=os.path.join(self.root, below),
                env={**self._env, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise GitError(
                "git is not installed"
                if isinstance(error, FileNotFoundError)
                else f"git cannot be started: {error.strerror}"
            ) from error
        assert process.stdout is not None
        try:
            yield from _until(process.stdout, deadline)
            status = process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired as error:
            raise GitError(f"git takes more than {_COMMAND_SECS:.0f} s") from error
        finally:
            if process.poll() is None:
                # git starts others, which outlive it.
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            process.stdout.close()
        if status != 0:
            raise GitError(f"`git {os.fsdecode(arguments[0])}` fails with status {status}")


def _until(stream: Any, deadline: float) -> Iterator[bytes]:
    """Chunks of a pipe up to its end.

    Raises:
        GitError: The end does not come in time.
    """
    import select

    descriptor = stream.fileno()
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1e3):
            raise GitError(f"git takes more than {_COMMAND_SECS:.0f} s")
        chunk = os.read(descriptor, 1 << 16)
        if not chunk:
            return
        yield chunk


class Capture:
    """One state of a work tree, written below a directory.

    Args:
        root: The work tree.
        files_dir: Where the files go.
        scratch: A directory for what is needed meanwhile.
        remote: Name of the remote.
        leave_out: Directories (absolute) whose untracked files are none of the code: the runs'.
    """

    def __init__(
        self, root: str, files_dir: str, scratch: str, remote: str, leave_out: Sequence[str]
    ) -> None:
        self._git = _Repository(root)
        self._root = os.path.realpath(root)
        self._files_dir = files_dir
        self._scratch = scratch
        self._remote = remote
        self._leave_out = [os.path.realpath(path) + os.sep for path in leave_out]
        self.files: list[str] = []
        self.warnings: list[str] = []
        self.left_out: list[dict[str, Any]] = []

    def take(self) -> dict[str, Any] | None:
        """Write the files; their names are in `files`.

        Returns:
            How the tree is made again: `base` (commit to check out, None for an empty tree), `source` (`remote`, `bundle` or
            `none`), `patches` in their order, `head`, `submodules`. None if that cannot be said.
        """
        try:
            return self._take()
        except GitError as error:
            self.warnings.append(f"the state of the repository is not saved: {error}")
            return None

    def _take(self) -> dict[str, Any]:
        git = self._git
        # Says at once whether there is a git that reads this repository.
        object_format = git.text("rev-parse", "--show-object-format").decode().strip()
        head = git.line("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        state: dict[str, Any] = {
            "head": head,
            "submodules": os.path.exists(os.path.join(self._root, ".gitmodules")),
        }
        base = self._base(head) if head else None
        patches = []
        diff = self._patch(DIFF, head or _EMPTY_TREES[object_format])
        upstream = None
        if head:
            fork = base if base and base != head else self._tracked(head)
            if fork and fork != head:
                upstream = self._patch(f"diff_{fork}.patch", fork)
        if head is None:
            state |= {"source": "none", "base": None}
            patches.append(diff)
        elif base is None:
            state |= {"source": "bundle", "base": self._bundle(head, object_format)}
            patches.append(diff)
        else:
            state |= {"source": "remote", "base": base}
            patches.append(diff if base == head else upstream)
        patches.append(self._untracked())
        state["patches"] = [name for name in patches if name is not None]
        return state

    def _base(self, head: str) -> str | None:
        """The newest commit below HEAD that the remote has, as far as this repository knows."""
        git = self._git
        if git.line("config", "--get", f"remote.{self._remote}.url") is None:
            return None
        listed = git.text(
            "rev-list", "--boundary", "--topo-order", head, "--not", f"--remotes={self._remote}"
        )
        commits = listed.decode().split()
        if not commits:
            return head
        boundary = [commit[1:] for commit in commits if commit.startswith("-")]
        return boundary[0] if boundary else None

    def _tracked(self, head: str) -> str | None:
        """The commit of the branch that HEAD's branch follows, as W&B takes it for its second patch."""
        name = self._git.line("rev-parse", "--abbrev-ref", "--symbolic-full-name", "HEAD@{upstream}")
        if name is None or not name.startswith(f"{self._remote}/"):
            return None
        commit = self._git.line("rev-parse", "--verify", "--quiet", "HEAD@{upstream}^{commit}")
        return commit if commit != head else None

    def _patch(self, name: str, base: str) -> str | None:
        """Write the patch from a tree to the work tree; None if there is no difference.

        Raises:
            GitError: It is too large, or git fails.
        """
        found = self._write(name, [*_DIFF, *_PREFIXES, base, "--"], _PATCH_BYTES)
        for path, commit in self._submodules("", base):
            # What git prints of submodules by itself leaves binary files out.
            prefixes = [f"--{side}-prefix={letter}/{path}/" for side, letter in (("src", "a"), ("dst", "b"))]
            arguments = [*_DIFF, *prefixes, commit, "--"]
            try:
                found = self._write(name, arguments, _PATCH_BYTES, below=path) or found
            except GitError as error:
                self.warnings.append(f"changes of the submodule `{path}` are not saved: {error}")
        return found

    def _submodules(self, parent: str, base: str, depth: int = 0) -> Iterator[tuple[str, str]]:
        """Paths of the submodules that are checked out, and the commits that `base` has them at."""
        where = os.path.join(self._root, parent)
        if depth >= _SUBMODULE_DEPTH or not os.path.exists(os.path.join(where, ".gitmodules")):
            return
        words = ("config", "--null", "--file", ".gitmodules", "--get-regexp", r"^submodule\..*\.path$")
        try:
            listed = self._git.text(*words, below=parent).decode(errors="replace").split("\0")
            for entry in listed[:_SUBMODULES]:
                path = entry.partition("\n")[2]
                if not path or not os.path.exists(os.path.join(where, path, ".git")):
                    continue
                found = (
                    self._git.text("ls-tree", base, "--", path, below=parent).decode(errors="replace").split()
                )
                if len(found) >= 3 and found[1] == "commit":
                    inner = os.path.join(parent, path)
                    yield inner, found[2]
                    yield from self._submodules(inner, found[2], depth + 1)
        except GitError as error:
            self.warnings.append(f"submodules are not looked at: {error}")

    def _write(
        self,
        name: str,
        arguments: Sequence[str],
        limit: int,
        env: dict[str, str] | None = None,
        below: str = "",
    ) -> str | None:
        """Write what git prints into a file of the run, behind what this capture has put there; None if that is nothing.

        Raises:
            GitError: It is too much, or git fails: the file is as before.
        """
        path = os.path.join(self._files_dir, name)
        is_new = name not in self.files
        before = 0 if is_new else os.path.getsize(path)
        try:
            with open(path, "wb" if is_new else "ab") as file:
                try:
                    size = self._git.to_file(arguments, file, limit - before, env, below)
                except GitError:
                    file.flush()
                    file.truncate(before)
                    raise
        except OSError as error:
            raise GitError(f"`{name}` cannot be written: {error.strerror}") from error
        except GitError as error:
            if is_new:
                _remove(path)
            raise GitError(f"`{name}`: {error}") from error
        if size == 0:
            if is_new:
                _remove(path)
            return None
        if is_new:
            self.files.append(name)
        return name

    # -- untracked files ---------------------------------------------------------------------------------------------

    def _untracked(self) -> str | None:
        """Write the untracked files as a patch that adds them; problems cost them alone."""
        try:
            listed = self._git.text("ls-files", "-z", "--others", "--exclude-standard")
            names = self._wanted([name for name in listed.split(b"\0") if name])
            return self._add_patch(names) if names else None
        except GitError as error:
            self.warnings.append(f"untracked files are not saved: {error}")
            return None

    def _wanted(self, names: list[bytes]) -> list[bytes]:
        wanted: list[bytes] = []
        total = 0
        root = os.fsencode(self._root)
        for name in names:
            path = os.path.join(root, name)
            if any((os.fsdecode(path) + os.sep).startswith(directory) for directory in self._leave_out):
                continue
            size, problem = _problem(path)
            if problem is None and (total + size > _UNTRACKED_BYTES or len(wanted) >= _UNTRACKED_FILES):
                problem = "limit"
            if problem is None:
                total += size
                wanted.append(name)
            else:
                self._leave(name, size, problem)
        return wanted

    def _leave(self, name: bytes, size: int, reason: str) -> None:
        if len(self.left_out) < _NAMED:
            text = name.decode(errors="replace")
            self.left_out.append({"path": text, "bytes": size, "reason": reason})
        elif len(self.left_out) == _NAMED:
            self.left_out.append({"path": "…", "bytes": 0, "reason": "more"})

    def _add_patch(self, names: list[bytes]) -> str | None:
        """The patch that adds files: an index of its own says that they are to come, and what is missing is the patch."""
        env = self._scratch_store()
        env["GIT_INDEX_FILE"] = os.path.join(self._scratch, "index")
        for chunk in _chunked(names):
            words = ["--literal-pathspecs", "add", "--intent-to-add", "--force", "--"]
            self._git.text(*words, *chunk, env=env)
        arguments = [*_DIFF, *_PREFIXES, "--no-renames"]
        return self._write(UNTRACKED, arguments, _PATCH_BYTES, env)

    def _scratch_store(self) -> dict[str, str]:
        """Variables with which git reads the repository's objects, and writes new ones elsewhere."""
        common = self._git.line("rev-parse", "--git-path", "objects")
        objects = os.path.join(self._scratch, "objects")
        os.makedirs(objects, exist_ok=True)
        return {
            "GIT_OBJECT_DIRECTORY": objects,
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": os.path.join(self._root, common or ".git/objects"),
        }

    # -- without a remote --------------------------------------------------------------------------------------------

    def _bundle(self, head: str, object_format: str) -> str:
        """Write the tree of HEAD as a commit without parents into a bundle; returns that commit.

        The past is left out: it is not what ran, and may hold what was removed for a reason.

        Raises:
            GitError: It is too large, or git fails.
        """
        objects = self._scratch_store()["GIT_ALTERNATE_OBJECT_DIRECTORIES"]
        store = os.path.join(self._scratch, "store.git")
        self._git.text("init", "--quiet", "--bare", f"--object-format={object_format}", store)
        env = {"GIT_DIR": store, "GIT_ALTERNATE_OBJECT_DIRECTORIES": objects}
        # The same tree gives the same commit, whoever makes it and when.
        who = {"NAME": "runlane", "EMAIL": "", "DATE": "1970-01-01T00:00:00Z"}
        for role in ("AUTHOR", "COMMITTER"):
            env |= {f"GIT_{role}_{name}": value for name, value in who.items()}
        commit = self._git.line("commit-tree", f"{head}^{{tree}}", "-m", f"Snapshot of {head}", env=env)
        if commit is None:
            raise GitError("a snapshot of the tree cannot be made")
        self._git.text("update-ref", "refs/heads/snapshot", commit, env=env)
        self._git.text("symbolic-ref", "HEAD", "refs/heads/snapshot", env=env)
        arguments = ["bundle", "create", "--quiet", "-", "HEAD", "refs/heads/snapshot"]
        self._write(BUNDLE, arguments, _BUNDLE_BYTES, env)
        return commit


def _problem(path: bytes) -> tuple[int, str | None]:
    """The size of an untracked file, and why it is left out, if it is."""
    if path.endswith(b"/"):
        return 0, "repository"
    try:
        found = os.lstat(path)
    except OSError:
        return 0, "unreadable"
    name = os.fsdecode(os.path.basename(path)).lower()
    secret = name in _SECRET_NAMES or name.endswith(_SECRET_ENDINGS)
    if secret or name == ".env" or name.startswith(".env."):
        return found.st_size, "secret"
    if stat.S_ISLNK(found.st_mode):
        return found.st_size, None
    if not stat.S_ISREG(found.st_mode):
        return 0, "irregular"
    if found.st_size > _UNTRACKED_FILE_BYTES:
        return found.st_size, "size"
    return found.st_size, None if os.access(path, os.R_OK) else "unreadable"


def _chunked(names: list[bytes]) -> Iterator[list[bytes]]:
    chunk: list[bytes] = []
    size = 0
    for name in names:
        if chunk and size + len(name) > _ARGUMENT_BYTES:
            yield chunk
            chunk, size = [], 0
        chunk.append(name)
        size += len(name) + 1
    if chunk:
        yield chunk


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return


def capture(
    root: str, files_dir: str, scratch: str, remote: str, leave_out: Sequence[str]
) -> tuple[Capture, dict[str, Any] | None]:
    """Write the state of a work tree below `files_dir`; see `Capture`."""
    os.makedirs(scratch, exist_ok=True)
    taken = Capture(root, files_dir, scratch, remote, leave_out)
    try:
        return taken, taken.take()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
