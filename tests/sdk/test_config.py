"""Config: sources, rules of change, what is sent."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

import pytest
from runlane._config import Config
from runlane.errors import ConfigError


def _sent(daemon):
    return {path: json.loads(text) for record in daemon.of_kind("config") for path, text in record["update"]}


def _initial(daemon):
    return {key: json.loads(text) for key, text in daemon.opened[-1]["run"]["config"].items()}


def test_access_by_key_attribute_and_get(wandb):
    wandb.init(mode="offline", config={"kernel_sizes": [3], "n": {"a": 1}})
    assert (
        wandb.config["kernel_sizes"] == wandb.config.kernel_sizes == wandb.config.get("kernel_sizes") == [3]
    )
    assert wandb.config.get("absent", 7) == 7
    assert wandb.config["n"]["a"] == 1
    assert "kernel_sizes" in wandb.config
    assert "absent" not in wandb.config
    assert dict(wandb.config) == vars(wandb.config)["_items"] == {"kernel_sizes": [3], "n": {"a": 1}}
    with pytest.raises(KeyError):
        wandb.config["absent"]
    with pytest.raises(AttributeError, match="absent"):
        _ = wandb.config.absent


def test_new_keys_are_sent_by_item_attribute_and_update(offline, daemon):
    offline.config["batch_size"] = 32
    offline.config.epochs = 4
    offline.config.update({"lr": 0.1, "channels": 16})
    assert _sent(daemon) == {"batch_size": 32, "epochs": 4, "lr": 0.1, "channels": 16}


def test_changing_a_value_raises_and_changes_nothing(wandb, daemon):
    run = wandb.init(mode="offline", config={"a": 1, "nan": float("nan")})
    with pytest.raises(
        ConfigError, match=r'Attempted to change value of key "a" from 1 to 2\n.*allow_val_change=True'
    ):
        run.config["a"] = 2
    with pytest.raises(ConfigError):
        run.config.update({"new": 1, "a": 2})
    run.config["a"] = 1
    run.config["nan"] = float("nan")
    assert run.config["a"] == 1
    assert "new" not in run.config
    assert "new" not in _sent(daemon)
    run.config.update({"a": 2}, allow_val_change=True)
    assert run.config["a"] == 2


def test_allow_val_change_of_init(wandb):
    run = wandb.init(mode="offline", config={"a": 1}, allow_val_change=True)
    run.config["a"] = 2
    assert run.config.a == 2


def test_setdefaults_sets_only_what_is_missing(wandb):
    run = wandb.init(mode="offline", config={"a": 1})
    run.config.setdefaults({"a": 5, "b": 6})
    assert dict(run.config) == {"a": 1, "b": 6}


def test_keys_are_normalized_and_underscore_keys_hidden(wandb):
    run = wandb.init(mode="offline", config={"--lr": 1, "_private": 2})
    assert list(run.config.keys()) == ["lr"]
    assert run.config["_private"] == 2


def test_locked_keys_are_kept_with_a_warning(capsys):
    config = Config()
    config.update_locked({"lr": 1, "n": {"a": 1}}, user="sweep")
    config.update({"lr": 2, "other": 3})
    assert (config["lr"], config["other"]) == (1, 3)
    assert "Config item 'lr' was locked by 'sweep' (ignored update)." in capsys.readouterr().err
    config.update_locked({"n": {"b": 2}}, user="sweep")
    assert config["n"] == {"a": 1, "b": 2}


class _Opaque:
    def __str__(self):
        return "opaque text"


class _Broken:
    def __str__(self):
        raise RuntimeError("no text")


@dataclasses.dataclass
class _Point:
    x: int
    y: float


def test_values_are_made_plain(offline, daemon):
    import numpy as np

    offline.config.update(
        {
            "tuple": (1, 2),
            "set": {2, 1},
            "array": np.arange(40),
            "scalar": np.float32(0.5),
            "opaque": _Opaque(),
            "point": _Point(1, 2.0),
            "path": Path("/a/b"),
            "function": json.dumps,
        }
    )
    assert _sent(daemon) == {
        "tuple": [1, 2],
        "set": [1, 2],
        "array": list(range(40)),
        "scalar": 0.5,
        "opaque": "opaque text",
        "point": {"x": 1, "y": 2.0},
        "path": "/a/b",
        "function": "json.dumps",
    }


def test_keys_within_a_value_become_strings_as_wandb_writes_them(offline, daemon):
    offline.config["id2label"] = {0: "cat", 1: {True: 1, None: 2, 1.5: 3, (1, 2): 4}}
    assert offline.config["id2label"] == {"0": "cat", "1": {"true": 1, "None": 2, "1.5": 3, "1,2": 4}}
    assert _sent(daemon)["id2label"] == offline.config["id2label"]


@pytest.mark.parametrize("value", [object(), _Broken()])
def test_value_that_cannot_be_stored_is_refused_at_once(value, offline, daemon):
    with pytest.raises(TypeError):
        offline.config["bad"] = value
    assert "bad" not in offline.config
    assert _sent(daemon) == {}
    offline.config["good"] = 1


def test_cycle_is_a_value_error(offline):
    cycle = {}
    cycle["self"] = cycle
    with pytest.raises(ValueError, match="nested deeper than 64"):
        offline.config["cycle"] = cycle


def test_namespace_and_flags(wandb, daemon):
    wandb.init(mode="offline", config=argparse.Namespace(epochs=3, lr=None))
    assert _initial(daemon) == {"epochs": 3, "lr": None}

    class _Flags:
        def flag_values_dict(self):
            return {"model": "m"}

    wandb.config.update(_Flags())
    assert wandb.config.model == "m"


@pytest.mark.parametrize("value", [5, ["a"], {1: 2}])
def test_config_that_is_no_mapping_of_strings(value, wandb, daemon):
    with pytest.raises(TypeError):
        wandb.init(mode="offline", config=value)
    assert daemon.opened == []


def test_include_and_exclude_keys(wandb, daemon):
    wandb.init(mode="offline", config={"a": 1, "b": 2}, config_include_keys=["a"]).finish()
    assert _initial(daemon) == {"a": 1}
    wandb.init(mode="offline", config={"a": 1, "b": 2}, config_exclude_keys=["a"]).finish()
    assert _initial(daemon) == {"b": 2}
    with pytest.raises(wandb.UsageError, match="at most only one of exclude or include"):
        wandb.init(mode="offline", config={}, config_include_keys=["a"], config_exclude_keys=["b"])


def test_files_in_their_order(wandb, daemon, monkeypatch):
    Path("config-defaults.yaml").write_text(
        "wandb_version: 1\nepochs: {desc: rounds, value: 1}\nbatch_size: {value: 32}\nseed: {value: 7}\n"
    )
    Path("named.yaml").write_text("batch_size: {value: 128}\n")
    monkeypatch.setattr(sys, "argv", ["train.py", "--configs", "named.yaml"])
    wandb.init(mode="offline", config={"epochs": 200, "batch_size": 64})
    assert _initial(daemon) == {"epochs": 200, "batch_size": 128, "seed": 7}


def test_yaml_file_as_config(wandb, daemon):
    Path("c.yaml").write_text("lr: 0.1\nname: {value: x, desc: y}\n")
    wandb.init(mode="offline", config="c.yaml")
    assert _initial(daemon) == {"lr": 0.1, "name": "x"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "error reading config file"),
        ("- a\n", "must be a mapping"),
        ("wandb_version: 2\n", "unknown wandb_version"),
    ],
)
def test_wrong_yaml_is_a_config_error(text, message, wandb):
    Path("c.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        wandb.init(mode="offline", config="c.yaml")


def test_missing_yaml_is_a_config_error(wandb):
    with pytest.raises(ConfigError, match=r"config file nofile\.yaml doesn't exist"):
        wandb.init(mode="offline", config="nofile.yaml")


def test_empty_defaults_file_is_skipped_with_a_warning(wandb, capsys):
    Path("config-defaults.yaml").write_text("")
    wandb.init(mode="offline")
    assert "empty config file (config-defaults.yaml)" in capsys.readouterr().err


def test_sweep_parameters_are_locked(wandb, daemon, monkeypatch, capsys):
    Path("sweep.yaml").write_text("wandb_version: 1\nlr: {value: 0.5}\n")
    monkeypatch.setenv("WANDB_SWEEP_ID", "s1")
    monkeypatch.setenv("WANDB_RUN_ID", "sweeprun")
    monkeypatch.setenv("WANDB_SWEEP_PARAM_PATH", "sweep.yaml")
    run = wandb.init(mode="offline", project="mine", id="mine", config={"lr": 0.1})
    assert (run.id, run.project, run.sweep_id) == ("sweeprun", "uncategorized", "s1")
    assert _initial(daemon) == {"lr": 0.5}
    assert "Ignoring project passed to wandb.init when running a sweep." in capsys.readouterr().err


def test_assigning_a_dict_to_the_module_updates_the_run(wandb, daemon):
    wandb.init(mode="offline")
    wandb.config = {"epochs": 100}
    assert wandb.config.epochs == 100
    assert _sent(daemon) == {"epochs": 100}


def test_dict_assigned_before_init_goes_into_the_run(wandb, daemon):
    wandb.config = {"epochs": 100, "lr": 1}
    wandb.init(mode="offline", config={"lr": 2})
    assert _initial(daemon) == {"epochs": 100, "lr": 2}
