"""Every SDK test runs in a clean world: own home and directory, no variables, no server, an in-memory daemon."""

from __future__ import annotations

import os
import sys

import fake_core
import pytest

# Modules that hold classes made from the native part.
_ON_CORE = ("_core", "_console", "_run", "_attaching", "_disabled", "_finish", "_init")


def _forget_native_part() -> dict[str, object]:
    """Take the modules on the native part, and names that came from them, out of the package."""
    import runlane

    taken = {}
    for name in _ON_CORE:
        runlane.__dict__.pop(name, None)
        module = sys.modules.pop(f"runlane.{name}", None)
        if module is not None:
            taken[f"runlane.{name}"] = module
    for name in runlane._NAMES:
        runlane.__dict__.pop(name, None)
    return taken


@pytest.fixture(scope="package", autouse=True)
def in_memory_core():
    """The native part is an in-memory stand-in in this package's tests, and the real one for everybody else's."""
    import runlane

    real = _forget_native_part()
    fake_core.install()
    yield
    _forget_native_part()
    for name, module in real.items():
        sys.modules[name] = module
        runlane.__dict__[name.partition(".")[2]] = module


@pytest.fixture(autouse=True)
def world(tmp_path, monkeypatch, in_memory_core):
    """Home, directory and environment of one test; the library's state is fresh and torn down afterwards."""
    for name in list(os.environ):
        if name.startswith(("WANDB", "RUNLANE", "SLURM_")) or name in (
            "NETRC",
            "XDG_RUNTIME_DIR",
            "NO_COLOR",
        ):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    work = tmp_path / "work"
    home.mkdir()
    work.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(sys, "argv", ["train.py"])
    monkeypatch.chdir(work)
    from runlane import _credentials, _exit_hooks, _preinit, _setup, terminal

    fake_core.daemon.__init__()
    _setup._process = None
    if _exit_hooks._tracker is not None:
        # A command line of another test ended with its own status.
        _exit_hooks._tracker.code = None
    _credentials.forget()
    _preinit.take_config()
    terminal._state.once.clear()
    terminal.termsetup(None)
    yield work
    _setup.teardown()
    _setup._process = None


@pytest.fixture
def wandb():
    """The module under the name that users give it."""
    import runlane

    return runlane


@pytest.fixture
def daemon():
    """What the in-memory daemon was told."""
    return fake_core.daemon


@pytest.fixture
def offline(wandb):
    """An open offline run."""
    run = wandb.init(mode="offline", project="p")
    yield run
    run.finish()
