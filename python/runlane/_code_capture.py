"""What is kept of the code of a run without being asked for each piece: program, repository, how to run it again.

Runs in the background thread of the run's start. It happens only with code saving on: the setting `save_code`, or, where nobody set
that, the account's switch at the server.

`runlane-code.json` says how the files belong together; the server makes the commands of the run's page from it:
`version` 1, `directory` (the current directory, relative to the root of the code), `program` (relative to that directory), `module`
(`python -m`) or `notebook`, `python` (its version), `code` (see `_git_state.Capture.take`, null without a repository) and `left_out` (untracked files
that were not taken: `path`, `bytes`, `reason`).
"""

from __future__ import annotations

import os
import sys

from . import _code_files, _git, terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._run import Run
    from ._settings import Settings

MANIFEST = "runlane-code.json"


def gather(run: Run, directory: str, notebook: str | None = None) -> None:
    """Save program and repository as files of the run, which was started in `directory` or is that of a notebook."""
    settings = run._settings
    files_dir = settings.files_dir
    program = settings.program if settings.program and os.path.isfile(settings.program) else None
    root = None if settings.disable_git else settings.git_root
    names = []
    if program is not None:
        name = program_name(program, root or directory)
        if _code_files.copy(program, files_dir, name):
            names.append("/".join((_code_files.FOLDER, *name.split(os.sep))))
    manifest: dict[str, Any] = {
        "version": 1,
        "directory": _below(directory, root) or ".",
        "program": os.path.relpath(program, directory) if program else None,
        "module": None if notebook else _module(),
        "notebook": notebook,
        "python": "{}.{}.{}".format(*sys.version_info[:3]),
        "code": None,
        "left_out": [],
    }
    # A repository that the program does not lie in says nothing of it.
    if root is not None and _below(directory, root) is not None:
        manifest["code"], found, manifest["left_out"] = _repository(settings, root)
        names += found
    if _write_manifest(os.path.join(files_dir, MANIFEST), manifest):
        names.append(MANIFEST)
    run._publish("files", {"files": [(name, "now", "wandb") for name in names]})
    if settings.code_dir:
        run.log_code(os.path.join(directory, settings.code_dir))


def program_name(program: str, root: str) -> str:
    """The program's place below the root of the code, or its bare name."""
    return _below(program, root) or os.path.basename(program)


def _below(path: str, root: str | None) -> str | None:
    """A path relative to the root; None if it is not below it, `.` without a root."""
    if root is None:
        return "."
    below = os.path.relpath(os.path.realpath(path), os.path.realpath(root))
    return None if below == ".." or below.startswith("../") else below


def _module() -> str | None:
    """The module of `python -m`."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    name = getattr(spec, "name", None)
    if not name:
        return None
    return str(name).removesuffix(".__main__")


def _repository(
    settings: Settings, root: str
) -> tuple[dict[str, Any] | None, list[str], list[dict[str, Any]]]:
    from . import _git_state

    scratch = os.path.join(settings._tmp_code_dir, "git")
    leave_out = [settings.wandb_dir, settings.sync_dir]
    taken, state = _git_state.capture(root, settings.files_dir, scratch, settings.git_remote, leave_out)
    for warning in taken.warnings:
        terminal.termwarn(warning, repeat=False)
    if taken.left_out:
        named = ", ".join(f"`{item['path']}`" for item in taken.left_out[:3])
        more = f" and {len(taken.left_out) - 3} more" if len(taken.left_out) > 3 else ""
        terminal.termwarn(
            f"untracked files that are not saved with the code (size, kind or a name of secrets): {named}{more}",
            repeat=False,
        )
    if state is not None:
        remote = settings.git_remote_url or _git.remote_url(root, settings.git_remote)
        state["remote"] = _anywhere(_git.without_credentials(remote), root) if remote else None
    return state, taken.files, taken.left_out


def _anywhere(remote: str, root: str) -> str:
    """A remote that is a relative path, for whoever is in another directory."""
    is_path = "://" not in remote and ":" not in remote.partition("/")[0]
    return os.path.normpath(os.path.join(root, remote)) if is_path else remote


def _write_manifest(path: str, manifest: dict[str, Any]) -> bool:
    import json

    try:
        with open(path, "w", encoding="utf-8") as file:
            json.dump(manifest, file, indent=1)
            file.write("\n")
    except (OSError, ValueError):
        return False
    return True
