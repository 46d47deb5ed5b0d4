"""Work of a starting run that nobody has to wait for: host facts and the list of installed packages."""

from __future__ import annotations

from _thread import allocate_lock, start_new_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._run import Run

#: The work begins this much later, so that its imports do not compete with what follows `init`; a finish starts it.
_DELAY_SECS = 0.25
#: A finish waits this long for the facts; what is later is dropped.
_FINISH_WAIT_SECS = 5.0


class StartupWork:
    """One thread that gathers and publishes, and then ends. It never keeps the process alive.

    Locks stand for events: `threading` need not be imported for it, and starting costs no handshake.
    """

    def __init__(self, run: Run, writer_id: str) -> None:
        self._run = run
        self._writer_id = writer_id
        self._wanted = allocate_lock()
        self._done = allocate_lock()
        self._wanted.acquire()
        self._done.acquire()
        start_new_thread(self._work, ())

    def _work(self) -> None:
        try:
            self._wanted.acquire(timeout=_DELAY_SECS)
            self._gather()
        except Exception as error:  # noqa: BLE001, RUF100 - facts about the host must never harm the run
            self._run._note(f"host facts are incomplete: {type(error).__name__}: {error}")
        finally:
            self._done.release()

    def _gather(self) -> None:
        # What the end needs is loaded now: a program may have used up its descriptors by then.
        from . import _durability, _finish, _host_facts, _requirements

        del _durability, _finish

        run, settings = self._run, self._run.settings
        if not (settings.x_disable_meta or settings.x_disable_machine_info):
            run._publish("environment", _host_facts.slow_facts(settings, self._writer_id))
        if settings.x_save_requirements:
            name = _requirements.write(settings.files_dir)
            if name is not None:
                run._publish("files", {"files": [(name, "now", "wandb")]})

    def wait(self) -> None:
        """Have the work done now, and wait for it, within limits."""
        if self._wanted.locked():
            self._wanted.release()
        if self._done.acquire(timeout=_FINISH_WAIT_SECS):
            self._done.release()
