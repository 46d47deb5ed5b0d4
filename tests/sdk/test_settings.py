"""Settings: fields, types, precedence, environment and files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from runlane import _settings_files as files
from runlane import _setup
from runlane._environment import settings_from_environment
from runlane._settings import Settings
from runlane.errors import SettingsError, SettingsTypeError, UsageError


def test_defaults_are_the_documented_ones():
    settings = Settings()
    assert settings.mode == "online"
    assert settings.base_url is None
    assert settings.init_timeout == 90.0
    assert settings.reinit == "default"
    assert settings.symlink is True
    assert settings.max_end_of_run_history_metrics == 10
    assert settings.x_stats_disk_paths == ("/",)
    assert settings.root_dir == os.getcwd()


def test_unknown_field_is_an_error_that_names_a_close_one():
    with pytest.raises(SettingsError, match=r"unknown setting `modee`.*did you mean `mode`"):
        Settings(modee="offline")
    with pytest.raises(ValueError, match="extra inputs are not permitted"):
        Settings(foo=1)
    with pytest.raises(AttributeError):
        _ = Settings().foo


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("mode", "junk", SettingsError),
        ("resume", "x", SettingsError),
        ("console", "junk", SettingsError),
        ("reinit", "junk", SettingsError),
        ("run_name", 5, SettingsTypeError),
        ("project", 5, SettingsTypeError),
        ("quiet", "maybe", SettingsError),
        ("init_timeout", "soon", SettingsError),
        ("init_timeout", float("nan"), SettingsError),
        ("summary_timeout", 2.5, SettingsError),
        ("ignore_globs", "a,b", SettingsTypeError),
        ("ignore_globs", 5, SettingsTypeError),
        ("base_url", "foo", SettingsError),
        ("base_url", "http://user:key@host", SettingsError),
        ("fork_from", "abc", SettingsError),
        ("resume_from", "a?foo=5", SettingsError),
        ("resume_from", "a?_step=inf", SettingsError),
        ("x_stats_sampling_interval", 0.01, UsageError),
        ("console_chunk_max_bytes", -1, SettingsError),
        ("api_key", " " + "a" * 40, UsageError),
        ("sweep_id", "", UsageError),
        ("root_dir", 5, SettingsTypeError),
    ],
)
def test_bad_values_are_refused_and_leave_no_trace(name, value, kind):
    settings = Settings(project="kept")
    with pytest.raises(kind):
        setattr(settings, name, value)
    assert settings.given() == {"project": "kept"}


def test_choices_name_what_is_allowed():
    with pytest.raises(ValueError, match="'online', 'offline', 'shared', 'disabled', 'dryrun', 'run'"):
        Settings(mode="junk")


def test_values_are_converted():
    settings = Settings(
        init_timeout="5", quiet="yes", resume=True, run_tags="one", root_dir=Path("x"), base_url="http://h:1/"
    )
    assert settings.init_timeout == 5.0
    assert settings.quiet is True
    assert settings.resume == "auto"
    assert Settings(resume=False).resume is None
    assert settings.run_tags == ("one",)
    assert settings.root_dir == os.path.abspath("x")
    assert settings.base_url == "http://h:1"


def test_moments_exclude_each_other():
    assert Settings(fork_from="a?_step=5").fork_from == {"run": "a", "metric": "_step", "value": 5.0}
    with pytest.raises(SettingsError, match="mutually exclusive"):
        Settings(resume="must", fork_from="a?_step=5")
    with pytest.raises(SettingsError, match="an id of its own"):
        Settings(run_id="a", fork_from="a?_step=5")
    with pytest.raises(SettingsError, match="different runs"):
        Settings(run_id="b", resume_from="a?_step=5")


def test_key_is_never_shown():
    assert "secret" not in repr(Settings(api_key="secret" * 10))


def test_environment_types_and_names():
    found = settings_from_environment(
        {
            "WANDB_DIR": "/d",
            "WANDB_NAME": "n",
            "WANDB_TAGS": "a, b",
            "WANDB_HTTP_TIMEOUT": "7",
            "WANDB__LABEL": "l",
            "WANDB_X_PRIMARY": "false",
            "WANDB_CONFIG_PATHS": "a.yaml,b.yaml",
            "WANDB_X_EXTRA_HTTP_HEADERS": '{"a": "b"}',
            "WANDB_START_METHOD": "thread",
            "WANDB_SILENT": "",
            "OTHER": "x",
        }
    )
    settings = Settings()
    settings.layer(found, from_text=True)
    assert settings.given() == {
        "root_dir": "/d",
        "run_name": "n",
        "run_tags": ("a", "b"),
        "x_graphql_timeout_seconds": 7.0,
        "x_label": "l",
        "x_primary": False,
        "config_paths": ("a.yaml", "b.yaml"),
        "x_extra_http_headers": {"a": "b"},
    }


@pytest.mark.parametrize("word", ["y", "YES", "t", "True", "on", "1"])
def test_true_words(word):
    settings = Settings()
    settings.layer({"quiet": word}, from_text=True)
    assert settings.quiet is True


@pytest.mark.parametrize("word", ["n", "NO", "f", "False", "off", "0"])
def test_false_words(word):
    settings = Settings()
    settings.layer({"symlink": word}, from_text=True)
    assert settings.symlink is False


def test_disable_git_means_every_word_but_false():
    assert settings_from_environment({"WANDB_DISABLE_GIT": "no"})["disable_git"] is True
    assert settings_from_environment({"WANDB_DISABLE_GIT": "false"})["disable_git"] is False


def test_save_code_needs_both_variables():
    assert settings_from_environment({"WANDB_SAVE_CODE": "true"})["save_code"] is True
    both = settings_from_environment({"WANDB_SAVE_CODE": "true", "WANDB_DISABLE_CODE": "true"})
    assert both["save_code"] is False


def test_our_name_of_a_variable_wins():
    assert (
        settings_from_environment({"WANDB_PROJECT": "theirs", "RUNLANE_PROJECT": "ours"})["project"] == "ours"
    )
    assert (
        settings_from_environment({"RUNLANE_PROJECT": "ours", "WANDB_PROJECT": "theirs"})["project"] == "ours"
    )


def test_invalid_variable_is_an_error_at_first_use(monkeypatch):
    monkeypatch.setenv("WANDB_RESUME", "true")
    with pytest.raises(SettingsError, match="`resume` should be one of 'allow', 'must', 'never', 'auto'"):
        _setup.process()


def _write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    Path(path).write_text(text)


def test_precedence_from_defaults_to_arguments(monkeypatch, wandb, daemon):
    _write(
        files.global_path(),
        "[default]\nproject = global\nentity = global\nrun_notes = global\nrun_group = global\nhost = global\n",
    )
    _write(
        os.path.join("wandb", "settings"),
        "[default]\nproject = work\nentity = work\nrun_notes = work\nrun_group = work\n",
    )
    monkeypatch.setenv("WANDB_PROJECT", "env")
    monkeypatch.setenv("WANDB_ENTITY", "env")
    monkeypatch.setenv("WANDB_NOTES", "env")
    wandb.setup(wandb.Settings(entity="setup", run_notes="setup", project="setup"))
    run = wandb.init(
        settings={"run_notes": "settings", "project": "settings"}, project="argument", mode="offline"
    )
    sent = daemon.opened[-1]["run"]
    assert run.project == sent["project"] == "argument"
    assert sent["notes"] == "settings"
    assert sent["entity"] == "setup"
    assert sent["run_group"] == "work"
    assert sent["host"] == "global"


def test_environment_beats_files(monkeypatch):
    _write(files.global_path(), "[default]\nproject = global\nentity = global\n")
    monkeypatch.setenv("WANDB_PROJECT", "env")
    settings = _setup.process().settings
    assert (settings.project, settings.entity) == ("env", "global")


def test_config_dir_moves_the_global_file(monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "c"))
    _write(str(tmp_path / "c" / "settings"), "[default]\nproject = there\n")
    assert _setup.process().settings.project == "there"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[default]\nmode = offline\nignore_globs = a,b\n", {"mode": "offline", "ignore_globs": "a,b"}),
        ("[default]\n# comment\nproject: colon\n", {"project": "colon"}),
        ("[other]\nproject = x\n", {}),
        ("[DEFAULT]\nentity = e\n[default]\nproject = x\n", {"project": "x", "entity": "e"}),
        ("[default]\nrun_notes = 50% done\n", {"run_notes": "50% done"}),
        ("", {}),
    ],
)
def test_settings_file_dialect(tmp_path, text, expected):
    path = tmp_path / "settings"
    path.write_text(text)
    assert files.read(str(path)) == expected


def test_broken_file_is_ignored_with_a_warning(tmp_path, capsys):
    path = tmp_path / "settings"
    path.write_text("project = without section\n")
    assert files.read(str(path)) == {}
    assert f"Error reading settings at {path}" in capsys.readouterr().err


def test_root_dir_in_a_file_is_ignored_with_a_warning(tmp_path, capsys):
    path = tmp_path / "settings"
    path.write_text("[default]\nroot_dir = /x\nproject = p\n")
    assert files.read(str(path)) == {"project": "p"}
    assert "root_dir" in capsys.readouterr().err


def test_write_changes_only_what_it_is_told(tmp_path, capsys):
    path = str(tmp_path / "a" / "settings")
    assert files.write(path, {"mode": "offline", "project": "p"}) is True
    assert files.write(path, {"mode": None}) is True
    assert files.write(path, {"mode": None}) is False
    assert files.read(path) == {"project": "p"}
    assert os.stat(path).st_mode & 0o077 == 0
    assert f"Updated settings file {path}" in capsys.readouterr().err


def test_directories_and_names():
    settings = Settings(run_id="abc", mode="offline", x_start_time=1767323045.0)
    assert os.path.basename(settings.sync_dir) == f"offline-run-{settings.timespec}-abc"
    assert settings.sync_file == os.path.join(settings.sync_dir, "run-abc.wandb")
    assert settings.files_dir == os.path.join(settings.sync_dir, "files")
    os.mkdir(".wandb")
    assert Settings().wandb_dir == os.path.join(os.getcwd(), ".wandb")
    assert Settings(use_dot_wandb=False).wandb_dir == os.path.join(os.getcwd(), "wandb")


def test_urls():
    settings = Settings(base_url="https://api.example.com", entity="e f", project="p", run_id="r")
    assert settings.run_url == "https://app.example.com/e%20f/p/runs/r"
    assert Settings(base_url="http://127.0.0.1:8080").app_url == "http://127.0.0.1:8080"
    assert Settings(entity="e", project="p", run_id="r").run_url == ""


def test_variables_set_before_init_count(wandb, monkeypatch):
    wandb.setup(wandb.Settings(entity="setup"))
    monkeypatch.setenv("WANDB_PROJECT", "later")
    monkeypatch.setenv("WANDB_ENTITY", "later")
    run = wandb.init(mode="offline")
    assert (run.project, run.entity) == ("later", "setup")
