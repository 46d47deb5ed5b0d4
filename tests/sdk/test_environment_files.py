"""The files that describe an environment, and the addresses of remotes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from runlane import Settings, _environment_files, _git


def settings_in(tmp_path: Path, **given: Any) -> Settings:
    """Settings whose files directory exists."""
    (tmp_path / "files").mkdir(exist_ok=True)
    return Settings(x_files_dir=str(tmp_path / "files"), **given)


def conda_prefix(tmp_path: Path) -> Path:
    """A prefix as conda leaves it, with records that cannot be read among the good ones."""
    prefix = tmp_path / "envs" / "my env"
    (prefix / "conda-meta").mkdir(parents=True)
    for name, version, channel in (
        ("python", "3.11.7", "https://conda.anaconda.org/conda-forge/linux-64"),
        ("numpy", "1.26.4", "https://user:hush@example.org/t/x/private/linux-64"),
        ("zlib", "1.3", "https://repo.anaconda.com/pkgs/main/linux-64"),
    ):
        record = {"name": name, "version": version, "build": "h1_0", "channel": channel, "subdir": "linux-64"}
        (prefix / "conda-meta" / f"{name}.json").write_text(json.dumps(record))
    (prefix / "conda-meta" / "broken.json").write_text("{")
    (prefix / "conda-meta" / "odd.json").write_text("[]")
    (prefix / "conda-meta" / "history").write_text("")
    os.mkfifo(prefix / "conda-meta" / "pipe.json")
    return prefix


def test_conda_packages_are_written_as_conda_exports_them(tmp_path: Path) -> None:
    prefix = conda_prefix(tmp_path)
    text = _environment_files.conda_environment(
        str(prefix), [("torch", "2.5.0", "pip"), ("numpy", "1.26.4", "conda"), ("x", "1", "uv")]
    )
    assert text is not None
    assert "hush" not in text
    assert yaml.safe_load(text) == {
        "name": "my env",
        "channels": ["https://example.org/t/x/private", "conda-forge", "defaults"],
        "dependencies": [
            "numpy=1.26.4=h1_0",
            "python=3.11.7=h1_0",
            "zlib=1.3=h1_0",
            {"pip": ["torch==2.5.0", "x==1"]},
        ],
        "prefix": str(prefix),
    }
    assert _environment_files.write(settings_in(tmp_path), str(tmp_path), str(prefix)) == [
        "conda-environment.yaml"
    ]
    assert _environment_files.conda_environment(str(tmp_path), []) is None


def test_a_uv_project_is_saved_without_passwords(tmp_path: Path) -> None:
    prefix, project = tmp_path / "venv", tmp_path / "project"
    (project / "src").mkdir(parents=True)
    prefix.mkdir()
    (project / "uv.lock").write_text('source = "https://me:hush@index.example/simple"\n')
    (project / "pyproject.toml").write_text("[project]\n")
    (prefix / "pyvenv.cfg").write_text("home = /usr\n")
    settings = settings_in(tmp_path)
    assert _environment_files.write(settings, str(project / "src"), str(prefix)) == []
    (prefix / "pyvenv.cfg").write_text("home = /usr\nuv = 0.9.1\n")
    assert _environment_files.write(settings, str(project / "src"), str(prefix)) == [
        "uv.lock",
        "pyproject.toml",
    ]
    assert (tmp_path / "files" / "uv.lock").read_text() == 'source = "https://index.example/simple"\n'
    off = settings_in(tmp_path, disable_code=True)
    assert _environment_files.write(off, str(project / "src"), str(prefix)) == []
    outside = settings_in(tmp_path, git_root=str(project / "src"))
    assert _environment_files.write(outside, str(project / "src"), str(prefix)) == []


@pytest.mark.parametrize(
    ("remote", "kept"),
    [
        ("https://user:hush@host/x.git", "https://host/x.git"),
        ("ssh://git:hush@host:22/x.git", "ssh://git@host:22/x.git"),
        ("ssh://host/x.git", "ssh://host/x.git"),
        ("git@host:x/y.git", "git@host:x/y.git"),
        ("/srv/git/x.git", "/srv/git/x.git"),
    ],
)
def test_remotes_keep_what_is_needed_to_reach_them(remote: str, kept: str) -> None:
    assert _git.without_credentials(remote) == kept
