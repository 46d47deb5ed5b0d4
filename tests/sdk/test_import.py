"""Importing the package loads next to nothing; public names appear when they are used."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "python"


def _loaded(code):
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE)}
    script = f"import sys\nbefore = set(sys.modules)\n{code}\nprint(*sorted(set(sys.modules) - before))"
    return set(
        subprocess.run(
            [sys.executable, "-S", "-c", script], env=environment, capture_output=True, text=True, check=True
        ).stdout.split()
    )


def test_import_loads_only_the_package_itself():
    assert _loaded("import runlane") <= {"runlane", "__future__"}


def test_names_that_need_no_run_load_no_heavy_module():
    loaded = _loaded(
        "import runlane\nrunlane.errors, runlane.UsageError, runlane.Settings(mode='offline').wandb_dir"
    )
    assert not loaded & {
        "json",
        "re",
        "typing",
        "logging",
        "dataclasses",
        "inspect",
        "numpy",
        "yaml",
        "click",
        "threading",
    }


def test_every_public_name_resolves(wandb):
    for name in wandb.__all__:
        assert hasattr(wandb, name), name
    assert not hasattr(wandb, "no_such_name")
    assert set(wandb.__all__) <= set(dir(wandb))


def test_version_is_that_of_the_crates(wandb):
    text = (PACKAGE.parent / "Cargo.toml").read_text()
    assert re.search(r'^version = "(.+)"', text, re.MULTILINE).group(1) == wandb.__version__


@pytest.mark.parametrize(
    "path", ["sdk.wandb_run.Run", "wandb_run.Run", "sdk.wandb_config.Config", "apis.public.Api"]
)
def test_attribute_paths_of_wandb(wandb, path):
    found = wandb
    for part in path.split("."):
        found = getattr(found, part)
    assert found is getattr(wandb, path.rpartition(".")[2])


def test_env_module(wandb, monkeypatch):
    monkeypatch.setenv("WANDB_ENTITY", "before")
    wandb.env.set_entity("someone")
    wandb.env.set_project("something")
    assert (os.environ["WANDB_ENTITY"], os.environ["WANDB_PROJECT"]) == ("someone", "something")
    del os.environ["WANDB_PROJECT"]
