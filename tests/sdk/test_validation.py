"""Names, ids and texts that init must accept or refuse."""

from __future__ import annotations

import pytest
from runlane import _validation as check
from runlane.errors import UsageError

_BAD_IDS = [
    "",
    " ",
    "a b",
    " a",
    "a\n",
    "a/b",
    "a\\b",
    "a#b",
    "a?b",
    "a%b",
    "a:b",
    "a,b",
    "a;b",
    "a'b",
    ".",
    "..",
    "x" * 129,
    "a\0",
]


@pytest.mark.parametrize("value", _BAD_IDS)
def test_bad_run_id_is_a_usage_error_that_lists_the_rule(value, wandb, daemon):
    with pytest.raises(UsageError, match=r"hint: a run ID.* has"):
        wandb.init(id=value, mode="offline")
    assert daemon.opened == []


@pytest.mark.parametrize("value", ["a", "pgbn9y21", "my-run_1.2", "x" * 128, "läuf"])
def test_good_run_id(value):
    assert check.run_id(value) == value


_BAD_NAMES = [
    "a/b",
    "a\\b",
    "a#b",
    "a?b",
    "a%b",
    "a:b",
    "x" * 129,
    "a\tb",
    "..",
    "a\u200bb",
    "a\u202eb",
    "\ud800",
    "\uff50roject",
    "p\u0430ypal",
]


@pytest.mark.parametrize("value", _BAD_NAMES)
@pytest.mark.parametrize("argument", ["project", "entity"])
def test_bad_project_or_entity_is_a_usage_error_and_nothing_is_sent(argument, value, wandb, daemon):
    with pytest.raises(UsageError, match="hint: "):
        wandb.init(mode="offline", **{argument: value})
    assert daemon.opened == []


@pytest.mark.parametrize("value", ["cat-classification", "β-VAE", "модель v2", "日本語", "a.b_c"])
def test_good_project(value):
    assert check.project(value) == value


@pytest.mark.parametrize("argument", ["name", "notes", "group", "job_type", "project", "entity", "id"])
def test_wrong_type_is_a_type_error(argument, wandb):
    with pytest.raises(TypeError, match="must be a string, got int"):
        wandb.init(mode="offline", **{argument: 5})


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("name", "x" * 1025),
        ("notes", "x" * 65537),
        ("group", "x" * 129),
        ("tags", ["x" * 65]),
        ("tags", [""]),
        ("tags", ["t"] * 101),
    ],
)
def test_too_long_is_a_value_error(argument, value, wandb):
    with pytest.raises(ValueError, match=r"limit|between|at most"):
        wandb.init(mode="offline", **{argument: value})


@pytest.mark.parametrize("value", [5, ["a", 5]])
def test_tags_of_a_wrong_type(value, wandb):
    with pytest.raises(TypeError, match="`tags` must be"):
        wandb.init(mode="offline", tags=value)


def test_single_string_is_one_tag(wandb):
    assert wandb.init(mode="offline", tags="abc").tags == ("abc",)


def test_refused_assignment_keeps_the_old_value(offline, daemon):
    offline.tags = ("a",)
    with pytest.raises(ValueError, match="empty"):
        offline.tags = [""]
    with pytest.raises(TypeError):
        offline.name = 5
    assert offline.tags == ("a",)
    assert offline.name is None
    assert [record for record in daemon.of_kind("run") if "display_name" in record] == []


@pytest.mark.parametrize("key", ["", "short", "a" * 39, "a" * 40 + "\n", "ä" * 40, "a.b"])
def test_text_that_cannot_be_a_key(key):
    problem = check.key_format_problem(key)
    assert problem is not None
    assert not key or key not in problem


@pytest.mark.parametrize("key", ["a" * 40, "local-" + "A1_-" * 11, "aaa.bbb.ccc"])
def test_text_that_can_be_a_key(key):
    assert check.key_format_problem(key) is None
