"""Work of a starting run that nobody has to wait for: the code, host facts, the list of installed packages."""

from __future__ import annotations

import os
from _thread import allocate_lock, start_new_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ._notebook_code import Cells
    from ._run import Run

#: The work begins this much later, so that its imports do not compete with what follows `init`; a finish starts it.
_DELAY_SECS = 0.25
#: A finish waits this long for the facts, which have a limit of their own (git's 15 s); what is later is dropped.
_FINISH_WAIT_SECS = 20.0


class StartupWork:
    """One thread that gathers and publishes, and then ends. It never keeps the process alive.

    Locks stand for events: `threading` need not be imported for it, and starting costs no handshake.
    """

    def __init__(self, run: Run, writer_id: str) -> None:
        self._run = run
        self._writer_id = writer_id
        try:
            # Where the program was started: by the time that the thread looks it may be elsewhere.
            self._directory = os.getcwd()
        except OSError:
            self._directory = ""
        self._cells = self._keep_cells()
        self._wanted = allocate_lock()
        self._done = allocate_lock()
        self._wanted.acquire()
        self._done.acquire()
        start_new_thread(self._work, ())

    def _keep_cells(self) -> Cells | None:
        """In a notebook with code saving on, what cells show is collected from now on."""
        if not self._run._settings._jupyter or not self._saves_code():
            return None
        try:
            from . import _notebook_code

            return _notebook_code.cells_of(self._run)
        except Exception as error:  # noqa: BLE001, RUF100 - a shell of another kind must not keep a run from starting
            self._run._note(f"cells are not kept: {type(error).__name__}: {error}")
            return None

    def _saves_code(self) -> bool:
        """Whether code is saved: an explicit setting wins over the account's switch, `disable_code` over both."""
        settings = self._run._settings
        if settings.disable_code:
            return False
        account = self._run._answer.get("code_saving_enabled")
        return bool(account if settings.save_code is None else settings.save_code)

    def _work(self) -> None:
        try:
            self._wanted.acquire(timeout=_DELAY_SECS)
            self._gather()
        except Exception as error:  # noqa: BLE001, RUF100 - facts about the host must never harm the run
            self._run._note(f"host facts are incomplete: {type(error).__name__}: {error}")
        finally:
            self._done.release()

    def _steps(self) -> list[Callable[[], None]]:
        """What there is to gather, the most fleeting first: files of the user's may change at any time."""
        settings = self._run.settings
        steps: list[Callable[[], None]] = []
        if self._directory and self._saves_code():
            steps.append(self._code)
        if not (settings.x_disable_meta or settings.x_disable_machine_info):
            steps.append(self._host)
        if settings.x_save_requirements:
            steps.append(self._packages)
        return steps

    def _code(self) -> None:
        from . import _code_capture

        notebook = None if self._cells is None else self._cells.locate(self._directory)
        if notebook is not None and not self._run._settings.x_disable_meta:
            self._run._publish("environment", {"writer_id": self._writer_id, "program": notebook})
        _code_capture.gather(self._run, self._directory, notebook)

    def _host(self) -> None:
        from . import _host_facts

        self._run._publish("environment", _host_facts.slow_facts(self._run._settings, self._writer_id))

    def _packages(self) -> None:
        from . import _environment_files, _requirements

        settings = self._run._settings
        name = _requirements.write(settings.files_dir)
        names = [] if name is None else [name]
        names += _environment_files.write(settings, self._directory)
        if names:
            self._run._publish("files", {"files": [(name, "now", "wandb") for name in names]})

    def _gather(self) -> None:
        # What the end needs is loaded now: a program may have used up its descriptors by then.
        from . import _durability, _finish

        del _durability, _finish
        for step in self._steps():
            try:
                step()
            except Exception as error:  # noqa: BLE001, RUF100 - one part that fails must not cost the others
                self._run._note(f"facts about the run are incomplete: {type(error).__name__}: {error}")

    def wait(self) -> None:
        """Have the work done now, and wait for it, within limits."""
        if self._wanted.locked():
            self._wanted.release()
        if self._done.acquire(timeout=_FINISH_WAIT_SECS):
            self._done.release()
