"""TensorBoard writers tell the daemon which directories they write to; it reads the event files there.

Nothing is imported for it: a writer's module is patched when somebody else imports it, or has. The writers of PyTorch are those
of the `tensorboard` package; Keras's callback and `tf.summary` end in one function of TensorFlow.
"""

from __future__ import annotations

import functools
import os
import re
import sys

from . import _setup, _telemetry, terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

    from ._run import Run

# Module -> what in it opens a log directory: a class, or a function.
_CLASSES = {
    "tensorboard.summary.writer.event_file_writer": "EventFileWriter",
    "tensorboardX.event_file_writer": "EventFileWriter",
    "tensorflow.python.summary.writer.event_file_writer": "EventFileWriter",
}
_FUNCTIONS = {"tensorflow.python.ops.gen_summary_ops": "create_summary_file_writer"}
_MODULES = (*_CLASSES, *_FUNCTIONS)
#: A run that ends waits so long for writers that are still open.
_FLUSH_SECS = 5.0


class _Patch:
    """What is patched, and how log directories are told."""

    def __init__(self, save: bool, root_logdir: str, modules: Sequence[str], owner: Run | None) -> None:
        self.save = save
        self.root_logdir = root_logdir
        self.owner = owner
        self._modules = modules
        self._originals: list[tuple[Any, str, Any, Any]] = []
        self._writers: list[Any] = []
        self._pid = os.getpid()

    def begin(self) -> None:
        """Patch what is imported already, and have the rest patched when it is imported."""
        sys.meta_path.insert(0, self)
        for name in self._modules:
            module = sys.modules.get(name)
            # A module that another thread is importing right now has no class yet: the import is not ours to wait for.
            if module is not None:
                self.apply(module)

    def end(self) -> None:
        """Undo everything."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        for target, name, original, ours in self._originals:
            if getattr(target, name, None) is ours:
                setattr(target, name, original)
        self._originals.clear()
        self._writers.clear()

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Have a writer's module patched behind its import; the import system calls this."""
        if name not in self._modules:
            return None
        for finder in sys.meta_path:
            find = None if finder is self else getattr(finder, "find_spec", None)
            found: ModuleSpec | None = None if find is None else find(name, path, target)
            if found is not None and found.loader is not None:
                found.loader = _Loader(found.loader, self.apply)  # type: ignore[assignment]
                return found
        return None

    def apply(self, module: ModuleType) -> None:
        """Patch a writer's module."""
        name = module.__name__
        if name in _CLASSES:
            target = getattr(module, _CLASSES[name], None)
            if target is not None:
                self._replace(target, "__init__", self._telling_init(target.__init__))
        elif hasattr(module, _FUNCTIONS[name]):
            original = getattr(module, _FUNCTIONS[name])
            self._replace(module, _FUNCTIONS[name], self._telling_function(original))

    def _replace(self, target: Any, name: str, ours: Any) -> None:
        original = getattr(target, name)
        setattr(target, name, ours)
        self._originals.append((target, name, original, ours))

    def _telling_init(self, original: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(original)
        def init(writer: Any, logdir: Any, *args: Any, **kwargs: Any) -> None:
            # Before the writer makes its file: the nearest log directory has the file.
            self.tell(logdir)
            original(writer, logdir, *args, **kwargs)
            self._writers.append(writer)

        return init

    def _telling_function(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def create(*args: Any, **kwargs: Any) -> Any:
            logdir: Any = kwargs.get("logdir", args[1] if len(args) > 1 else None)
            # A tensor of TensorFlow, or a path.
            self.tell(logdir.numpy() if hasattr(logdir, "numpy") else logdir)
            return original(*args, **kwargs)

        return create

    def tell(self, logdir: Any) -> None:
        """Tell the active run of a directory. Never raises: a writer must not fail for it."""
        run = _active_run()
        # Somebody else may have wrapped what is undone.
        if run is None or _patch is not self:
            return
        try:
            record = log_directory(os.fsdecode(logdir), self.root_logdir, self.save)
            run._publish("tensorboard", record)
        except Exception as error:  # noqa: BLE001, RUF100 - whatever it is, training goes on
            run._note(f"log directory {logdir!r} not told: {error}", terminal.WARNING)
            terminal.termwarn(f"TensorBoard's log directory cannot be mirrored: {error}", repeat=False)

    def flush_writers(self) -> None:
        """Have writers that are still open write what they hold, within limits."""
        # The threads of a parent's writers do not exist in its child.
        if not self._writers or os.getpid() != self._pid:
            return
        from threading import Thread

        writers, self._writers = self._writers, []
        flusher = Thread(target=_flush_all, args=(writers,), daemon=True, name="runlane-tensorboard-flush")
        try:
            flusher.start()
        except RuntimeError:
            # From Python 3.12 on no thread starts when the interpreter is ending; without one a stuck writer would keep it.
            return
        flusher.join(_FLUSH_SECS)


class _Loader:
    """A module's loader that calls `then` with the module once it is executed."""

    def __init__(self, loader: Any, then: Callable[[ModuleType], None]) -> None:
        self._loader = loader
        self._then = then

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)  # type: ignore[no-any-return]

    def exec_module(self, module: ModuleType) -> None:
        # The module itself is to know its own loader only.
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._then(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


_patch: _Patch | None = None


def _flush_all(writers: list[Any]) -> None:
    for writer in writers:
        try:
            writer.flush()
        except Exception as error:  # noqa: BLE001, PERF203, RUF100 - a writer that is closed, or whose disk is full
            del error


def _active_run() -> Run | None:
    run = sys.modules["runlane"].__dict__.get("run")
    return None if run is None or run.disabled or run._finished else run


def _is_below(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)


def log_directory(logdir: str, root_logdir: str, save: bool) -> dict[str, Any]:
    """The record that tells the daemon of a log directory.

    Args:
        logdir: The directory, as the writer was given it.
        root_logdir: What keys are relative to; empty if nobody said.
        save: Whether the event files are uploaded, too.
    """
    host = os.uname().nodename
    record = {
        "log_dir": logdir,
        "root_dir": "",
        "save": save,
        "save_path": "",
        "any_time": False,
        "host": host,
    }
    if "://" in logdir:
        return record
    path = os.path.abspath(logdir)
    made_up = re.search(rf"-\d+_{re.escape(host)}", logdir)
    root = ""
    if made_up is not None:
        # The writer was given no directory and made one up: what follows the host's name tells runs apart.
        root = os.path.abspath(logdir[: made_up.end()])
    elif root_logdir:
        root = os.path.abspath(root_logdir)
        if not _is_below(path, root):
            terminal.termwarn(
                f"TensorBoard's log directory {logdir} is not below the root_logdir {root_logdir}: its keys get no prefix",
                repeat=False,
            )
            root = ""
    here = os.getcwd()
    inside = os.path.relpath(path, here) if _is_below(path, here) else ""
    return {**record, "log_dir": path, "root_dir": root, "save_path": inside}


def patch(
    save: bool = True,
    tensorboard_x: bool | None = None,
    pytorch: bool | None = None,
    root_logdir: str = "",
    *,
    owner: Run | None = None,
) -> None:
    """Mirror what TensorBoard writers write into the active run, from now on. `init(sync_tensorboard=True)` calls it.

    Args:
        save: Upload the event files, too.
        tensorboard_x: Leave TensorFlow 2 alone.
        pytorch: Leave TensorFlow 2 alone.
        root_logdir: Directory that keys are relative to. Default: what the log directories have in common.
        owner: The run at whose end this is undone. Default: until `unpatch`.

    Raises:
        ValueError: It is patched already.
    """
    global _patch
    if _patch is not None:
        raise ValueError(
            "TensorBoard is patched already\n"
            "hint: call `runlane.tensorboard.unpatch()` first, or leave out `sync_tensorboard=True` or one call of `patch`"
        )
    modules = tuple(_CLASSES) if tensorboard_x or pytorch else _MODULES
    _patch = _Patch(save, os.fspath(root_logdir), modules, owner)
    _patch.begin()
    for run in _setup.process().runs:
        _mark(run, by_hand=owner is None)


def unpatch() -> None:
    """Undo `patch`; without one, do nothing."""
    global _patch
    ended, _patch = _patch, None
    if ended is not None:
        ended.end()
        for run in _setup.process().runs:
            if not run.disabled:
                run._ignore_steps(False)


def _mark(run: Run, *, by_hand: bool) -> None:
    if run.disabled or run._finished:
        return
    run._ignore_steps(True)
    if by_hand:
        run._record_feature(_telemetry.TENSORBOARD_PATCH)


def run_begins(run: Run) -> None:
    """Patch for a run with `sync_tensorboard`, or note that something is patched."""
    if run.settings.sync_tensorboard:
        run._record_feature(_telemetry.TENSORBOARD_SYNC)
        if _patch is None:
            patch(owner=run)
            return
    if _patch is not None:
        _mark(run, by_hand=_patch.owner is None)


def run_ends(run: Run) -> None:
    """Have writers write what they hold; undo what was patched for the run."""
    if _patch is None:
        return
    if run is _active_run():
        _patch.flush_writers()
    if _patch.owner is run:
        unpatch()
