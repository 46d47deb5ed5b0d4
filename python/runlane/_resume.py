"""`resume="auto"`: the id of the last unfinished run, kept in `wandb-resume.json`."""

from __future__ import annotations

import os

from . import terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._settings import Settings


def stored_run_id(path: str) -> str | None:
    """The run id that the file names, or None."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(1 << 16)
    except (OSError, UnicodeDecodeError):
        return None
    import json

    try:
        run_id = json.loads(text)["run_id"]
    except (ValueError, KeyError, TypeError):
        return None
    return run_id if isinstance(run_id, str) and run_id else None


def choose_run_id(settings: Settings) -> str | None:
    """The run id that resuming asks for, None for a new one. Keeps the file in step with the setting."""
    run_id: str | None = settings.run_id
    if settings.resume == "auto":
        stored = stored_run_id(settings.resume_fname)
        if run_id is None:
            run_id = stored
        elif stored is not None and stored != run_id:
            terminal.termwarn(
                f"Tried to auto resume run with id {stored} but id {run_id} is set.",
            )
    elif settings.resume is None:
        forget(settings)
    if run_id is None and settings.resume_from is not None:
        run_id = settings.resume_from["run"]
    return run_id


def remember(settings: Settings) -> None:
    """Keep the id of the run that starts, for `resume="auto"`."""
    if settings.resume != "auto":
        return
    from ._json_text import encode

    temporary = f"{settings.resume_fname}.{os.getpid()}.runlane-tmp"
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(encode({"run_id": settings.run_id}))
        os.replace(temporary, settings.resume_fname)
    except OSError as error:
        terminal.termwarn(
            f"cannot write {settings.resume_fname}: {error.strerror}; this run cannot be resumed by resume='auto'"
        )


def forget(settings: Settings) -> None:
    """Remove the file: the run ended well, or a run starts that does not resume."""
    try:
        os.unlink(settings.resume_fname)
    except OSError:
        return
