"""Bad config (reliability.md 7.2): sources, files, keys, changes and values. A refused update leaves config as before."""

from __future__ import annotations

from attempts import mismatches, try_calls, try_starts
from world import Home, Server

FILES: dict[str, bytes] = {
    "unclosed.yaml": b"a: [",
    "tabs.yaml": b"a:\n\t- 1\n",
    "list.yaml": b"- a\n",
    "text.yaml": b"just text\n",
    "binary.yaml": b"\xff\xfe\x00",
    "nul.yaml": b"a: \x00\n",
    "version.yaml": b"wandb_version: 2\n",
    "number-keys.yaml": b"1: 2\n",
    "code.yaml": b"a: !!python/object/apply:os.system ['touch hacked']\n",
    "twice.yaml": b"a: {value: 1}\na: {value: 2}\n",
    "bomb.yaml": b"a: &a [x, x, x, x, x, x, x, x, x]\n"
    + b"".join(
        b"%c: &%c [%s]\n" % (letter, letter, b", ".join([b"*%c" % (letter - 1)] * 9))
        for letter in b"bcdefghi"
    ),
}

SOURCES: list[tuple[str, str, str]] = [
    ("wandb.init(config=5)", "TypeError", "config must be"),
    ("wandb.init(config=['a'])", "TypeError", "config must be"),
    ("wandb.init(config={1: 2})", "TypeError", "keys must be strings, got int: 1"),
    ("wandb.init(config={None: 2})", "TypeError", "keys must be strings"),
    ("wandb.init(config={'a': object()})", "TypeError", "`a`"),
    ("wandb.init(config={'a': [Broken()]})", "TypeError", "`a`"),
    ("wandb.init(config={'a': cycle()})", "ValueError", "`a`"),
    ("wandb.init(config={'a': deep(66)})", "ValueError", "64"),
    (
        "wandb.init(config={'a': 1}, config_include_keys=['a'], config_exclude_keys=['b'])",
        "UsageError",
        "only one of",
    ),
    ("wandb.init(config='missing.yaml')", "ConfigError", "missing.yaml doesn't exist"),
    ("wandb.init(config='.')", "ConfigError", "cannot read config file ."),
    ("wandb.init(config='unclosed.yaml')", "ConfigError", "unclosed.yaml"),
    ("wandb.init(config='tabs.yaml')", "ConfigError", "tabs.yaml"),
    ("wandb.init(config='list.yaml')", "ConfigError", "list.yaml must be a mapping"),
    ("wandb.init(config='text.yaml')", "ConfigError", "text.yaml must be a mapping"),
    ("wandb.init(config='binary.yaml')", "ConfigError", "binary.yaml"),
    ("wandb.init(config='nul.yaml')", "ConfigError", "nul.yaml"),
    ("wandb.init(config='version.yaml')", "ConfigError", "wandb_version"),
    ("wandb.init(config='number-keys.yaml')", "ConfigError", "keys must be strings, got 1"),
    ("wandb.init(config='code.yaml')", "ConfigError", "code.yaml"),
    ("wandb.init(config='bomb.yaml')", "ValueError", "too large"),
    ("wandb.init(settings={'config_paths': ['missing.yaml']})", "ConfigError", "missing.yaml"),
]


def test_bad_sources_are_named_and_start_nothing(home: Home) -> None:
    for name, content in FILES.items():
        (home.work / name).write_bytes(content)
    found = try_starts(home, [code for code, _, _ in SOURCES])
    assert mismatches(SOURCES, found.raised) == []
    assert home.run_dirs() == []
    assert not (home.work / "hacked").exists()


CHANGES: list[tuple[str, str, str]] = [
    ("run.config['a'] = 2", "ConfigError", "allow_val_change=True"),
    ("run.config.a = 2", "ConfigError", '"a" from 1 to 2'),
    ("run.config.update({'new': 1, 'a': 2})", "ConfigError", "allow_val_change=True"),
    ("run.config.update({'new': 1, 'bad': object()})", "TypeError", "`bad`"),
    ("run.config.update({'new': 1, 2: 3})", "TypeError", "keys must be strings"),
    ("run.config.update(5)", "TypeError", "config must be"),
    ("run.config['bad'] = object()", "TypeError", "`bad`"),
    ("run.config['bad'] = {'deep': [Broken()]}", "TypeError", "`bad`"),
    ("run.config['bad'] = cycle()", "ValueError", "`bad`"),
    ("run.config[1] = 2", "TypeError", "keys must be strings"),
    ("run.config['bad'] = 'x' * (11 << 20)", "ValueError", "too large"),
    ("run.config.setdefaults({'new': object()})", "TypeError", "`new`"),
    ("del run.config['a']", "ConfigError", "deleted"),
    ("wandb.config = 5", "TypeError", "config must be"),
]


def test_refused_updates_leave_config_as_before(home: Home, server: Server, project: str) -> None:
    found = try_calls(
        home, server, project, [*(code for code, _, _ in CHANGES), "run.config['good'] = 3"], config={"a": 1}
    )
    assert mismatches(CHANGES, found.raised[:-1]) == []
    assert found.raised[-1] is None
    stored = {key: value for key, value in found.document["config"].items() if key != "_wandb"}
    assert stored == {"a": 1, "good": 3}


def test_values_that_json_has_no_word_for(home: Home, server: Server, project: str) -> None:
    codes = [
        "run.config.update({'nan': math.nan, 'inf': [-math.inf], 'zero': -0.0, 'one': 1.0, 'exact': 2**53 + 1})",
        "run.config.update({'lone': 'a\\ud800', 'nul\\0key': 'b\\0'})",
    ]
    found = try_calls(home, server, project, codes)
    assert found.raised == [None, None]
    config = found.document["config"]
    assert str(config["zero"]) == "-0.0" and type(config["one"]) is float and config["exact"] == 2**53 + 1
    assert str(config["nan"]).lower() == "nan" and str(config["inf"][0]).lower() in ("-inf", "-infinity")
    assert (config["lone"], config["nul\0key"]) == ("a\ufffd", "b\0")
