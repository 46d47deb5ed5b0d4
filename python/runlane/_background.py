"""Work of a starting run that nobody has to wait for: host facts and the list of installed packages."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._run import Run

#: A finish waits this long for the facts; what is later is dropped.
_FINISH_WAIT_SECS = 5.0


class StartupWork:
    """One daemon thread that gathers and publishes, and then ends."""

    def __init__(self, run: Run, writer_id: str) -> None:
        import threading

        self._run = run
        self._writer_id = writer_id
        self._thread = threading.Thread(target=self._work, name="runlane-startup", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            self._gather()
        except Exception as error:  # noqa: BLE001, RUF100 - facts about the host must never harm the run
            self._run._note(f"host facts are incomplete: {type(error).__name__}: {error}")

    def _gather(self) -> None:
        from . import _host_facts, _requirements

        run, settings = self._run, self._run.settings
        if not (settings.x_disable_meta or settings.x_disable_machine_info):
            run._publish("environment", _host_facts.slow_facts(settings, self._writer_id))
        if settings.x_save_requirements:
            name = _requirements.write(settings.files_dir)
            if name is not None:
                run._publish("files", {"files": [(name, "now", "wandb")]})

    def wait(self) -> None:
        """Wait until the work is done, within limits."""
        self._thread.join(_FINISH_WAIT_SECS)
