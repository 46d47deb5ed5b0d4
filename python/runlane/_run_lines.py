"""What the user reads when a run has started."""

from __future__ import annotations

from . import terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._run import Run


def started(settings_files: list[str], run: Run, offline_reason: str | None) -> None:
    """Say where the run is: its directory, its page, and why it is not online if nobody asked for that."""
    settings = run._settings
    if not terminal.is_quiet():
        from . import __version__, _settings_files

        _settings_files.announce(settings_files)
        terminal.termlog(f"Tracking run with runlane version {__version__}")
        terminal.termlog(f"Run data is saved locally in {terminal.styled(settings.sync_dir, '1;35')}")
    if settings._offline:
        terminal.termlog(
            offline_reason or "Nothing is uploaded: the mode is `offline`. Look at the run with `runlane ui`."
        )
        return
    if run._answer.get("detached"):
        terminal.termwarn(
            f"The server at {settings.base_url} does not answer: the run goes on from local state and is uploaded when it does."
        )
    name = terminal.styled(terminal.printable(run.name or run.id), "33")
    terminal.termlog(f"{'Resuming' if run.resumed else 'Syncing'} run {name}")
    url, project_url = run.url, run.project_url
    if project_url:
        terminal.termlog(f"{terminal.emoji('⭐️')}View project at {terminal.styled(project_url, '4;34')}")
    if url:
        terminal.termlog(f"{terminal.emoji('🚀')}View run at {terminal.styled(url, '4;34')}")
