"""Callbacks of the gradient boosting libraries, called as those call them. With the libraries themselves: tests/frameworks."""

from __future__ import annotations

import json
import sys
import types
from collections import OrderedDict, namedtuple

import numpy as np
import pytest
import runlane
from runlane.integration import catboost, lightgbm

Env = namedtuple("Env", "model params iteration begin_iteration end_iteration evaluation_result_list")


@pytest.fixture
def xgboost(monkeypatch):
    """Our module, with a stand-in for the library: what its base class of callbacks does."""

    class TrainingCallback:
        def __init__(self):
            self.ready = True

    library = types.ModuleType("xgboost")
    library.callback = types.SimpleNamespace(TrainingCallback=TrainingCallback)
    monkeypatch.setitem(sys.modules, "xgboost", library)
    from runlane.integration import xgboost as ours

    monkeypatch.delitem(ours.__dict__, "WandbCallback", raising=False)
    yield ours
    ours.__dict__.pop("WandbCallback", None)


class Booster:
    """What the callback asks of a booster."""

    def __init__(self, scores=None, attributes=None, kinds=("weight", "gain")):
        self.scores, self.attributes, self.kinds = scores or {}, attributes or {}, kinds

    def save_config(self):
        return json.dumps({"version": [3, 2, 0], "learner": {"objective": "x"}})

    def get_score(self, importance_type):
        if importance_type not in self.kinds:
            raise ValueError("gblinear only has `weight` defined for feature importance")
        return self.scores

    def attr(self, name):
        return self.attributes.get(name)


def test_xgboost_rounds(xgboost, recorder):
    callback = xgboost.WandbCallback()
    assert callback.ready and xgboost.WandbCallback is type(callback)
    model = Booster({"a": 2.5, "b": 1.0}, {"best_score": "0.25", "best_iteration": "1"})
    assert callback.before_training(model) is model
    losses = OrderedDict(train={"logloss": [], "auc": [], "custom": []}, val={"ndcg": [], "error": []})
    for epoch in range(2):
        for metrics in losses.values():
            for values in metrics.values():
                values.append(epoch + 0.5)
        assert callback.after_iteration(model, epoch, losses) is False
    assert callback.after_training(model) is model
    assert recorder.config_updates == [{"version": [3, 2, 0], "learner": {"objective": "x"}}]
    names = ["train-logloss", "train-auc", "train-custom", "val-ndcg", "val-error"]
    assert recorder.rows[:2] == [{**dict.fromkeys(names, epoch + 0.5), "epoch": epoch} for epoch in range(2)]
    assert recorder.metrics == {
        "train-logloss": "min",
        "train-auc": "max",
        "val-ndcg": "max",
        "val-error": "min",
    }
    assert recorder.chart("Feature Importance") == [["a", 2.5], ["b", 1.0]]
    assert recorder.rows[-1] == {"best_score": 0.25, "best_iteration": 1}


def test_xgboost_without_extras_and_of_other_boosters(xgboost, recorder, capsys):
    plain = xgboost.WandbCallback(log_feature_importance=False, define_metric=False)
    plain.after_iteration(Booster(), 0, {"train": {"rmse": [1.0]}})
    plain.after_training(Booster({"a": 1}))
    assert recorder.rows == [{"train-rmse": 1.0, "epoch": 0}] and recorder.metrics == {}
    # A cross-validation has packed boosters, without a configuration, and (mean, deviation) of each metric.
    folds = types.SimpleNamespace()
    both = xgboost.WandbCallback()
    both.before_training(folds)
    both.after_iteration(folds, 0, {"test": {"logloss": [(0.5, 0.1)]}})
    both.after_training(folds)
    assert recorder.rows[1:] == [{"test-logloss": 0.5, "test-logloss-std": 0.1, "epoch": 0}]
    # A linear booster has weights alone, for each class of several.
    both.after_training(Booster({"a": [1.0, -2.0], "b": 0.5}, kinds=("weight",)))
    assert recorder.chart("Feature Importance") == [["a", 3.0], ["b", 0.5]]
    both.after_training(Booster(kinds=()))
    assert "no importance of features is logged" in capsys.readouterr().err
    function = xgboost.wandb_callback()
    function(types.SimpleNamespace(evaluation_result_list=[("train-rmse", 2.0)]))
    assert recorder.rows[-1] == {"train-rmse": 2.0}


def test_lightgbm_iterations(recorder):
    callback = lightgbm.wandb_callback()
    assert (callback.order, callback.before_iteration) == (20, False)
    for iteration in range(2):
        results = [
            ("train", "binary_logloss", 0.5 - iteration, False),
            ("val", "auc", 0.5 + iteration, True),
            ("val", "odd", 1.0, True),
        ]
        callback(Env(None, {"num_leaves": 4, "metric": ["auc"]}, iteration, 0, 2, results))
    assert recorder.config_updates == [{"num_leaves": 4, "metric": ["auc"]}]
    assert recorder.metrics == {"train_binary_logloss": "min", "val_auc": "max"}
    assert recorder.rows[1] == {"train_binary_logloss": -0.5, "val_auc": 1.5, "val_odd": 1.0, "iteration": 1}
    bare = lightgbm.wandb_callback(log_params=False, define_metric=False)
    bare(Env(None, {"a": 1}, 0, 0, 1, [("valid", "l2", 0.5, False, 0.1)]))
    bare(Env(None, None, 1, 0, 1, [("cv_agg", "valid l2", 0.4, False, 0.2)]))
    bare(Env(None, None, 2, 0, 1, None))
    assert len(recorder.config_updates) == 1 and "valid_l2" not in recorder.metrics
    assert recorder.rows[2:] == [
        {"valid_l2": 0.5, "valid_l2_stdv": 0.1, "iteration": 0},
        {"valid_l2": 0.4, "valid_l2_stdv": 0.2, "iteration": 1},
        {"iteration": 2},
    ]


def test_lightgbm_summary(recorder):
    booster = types.SimpleNamespace(
        best_iteration=3,
        best_score={"val": OrderedDict(l2=0.5)},
        feature_name=lambda: ["a", "b"],
        feature_importance=lambda: np.array([5, 7]),
    )
    lightgbm.log_summary(types.SimpleNamespace(booster_=booster))
    assert recorder.summary == {"best_iteration": 3, "best_score": {"val": {"l2": 0.5}}}
    assert recorder.chart("Feature Importance") == [["a", 5], ["b", 7]]
    lightgbm.log_summary(booster, feature_importance=False)
    assert len(recorder.rows) == 1
    with pytest.raises(TypeError, match=r"must be a lightgbm\.Booster, got int"):
        lightgbm.log_summary(5)


def test_catboost_iterations_and_summary(recorder):
    callback = catboost.WandbCallback(metric_period=2)
    info = types.SimpleNamespace(
        iteration=4, metrics={"learn": {"Logloss": [0.5, 0.4]}, "validation": {"AUC": [0.7], "none": []}}
    )
    assert callback.after_iteration(info) is True
    assert recorder.rows == [{"learn-Logloss": 0.4, "validation-AUC": 0.7, "iteration@metric-period-2": 4}]
    model = types.SimpleNamespace(
        get_best_iteration=lambda: None,
        get_best_score=lambda: {"learn": {"Logloss": 0.4}},
        get_all_params=lambda: {"depth": 2},
        feature_names_=["0", "1"],
        get_feature_importance=lambda: np.array([40.0, 60.0]),
    )
    catboost.log_summary(model)
    assert recorder.config_updates == [{"depth": 2}]
    assert recorder.summary == {"best_iteration": None, "best_score": {"learn": {"Logloss": 0.4}}}
    assert recorder.chart("Feature Importance") == [["1", 60.0], ["0", 40.0]]
    catboost.log_summary(model, log_all_params=False, log_feature_importance=False)
    assert len(recorder.config_updates) == 1 and len(recorder.rows) == 2
    with pytest.raises(TypeError, match="must be a CatBoostClassifier or CatBoostRegressor, got int"):
        catboost.log_summary(5)


def test_models_become_artifacts(xgboost, recorder, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "data"))
    recorder.dir, recorder.id, logged = str(tmp_path), "run1", []
    recorder.log_artifact = lambda artifact, aliases=None: logged.append(
        (artifact.name, artifact.type, list(artifact.manifest.entries), aliases)
    )
    written = []

    def save_model(path, **options):
        written.append(options)
        with open(path, "w") as file:
            file.write("model")

    booster = Booster()
    booster.save_model = save_model
    xgboost.WandbCallback(log_model=True, log_feature_importance=False).after_training(booster)
    model = types.SimpleNamespace(
        save_model=save_model,
        best_iteration=3,
        best_score={},
        feature_importance=list,
        get_best_iteration=lambda: 3,
        get_best_score=dict,
    )
    lightgbm.log_summary(model, feature_importance=False, save_model_checkpoint=True)
    catboost.log_summary(
        model, log_all_params=False, log_feature_importance=False, save_model_checkpoint=True
    )
    # The names are those that wandb 0.31.0 gives.
    assert logged == [
        ("run1_model.json", "model", ["run1_model.json"], None),
        ("model_run1", "model", ["model_ckpt_3.txt"], ["best"]),
        ("model_run1", "model", ["model"], ["best"]),
    ]
    assert written == [{}, {"num_iteration": 3}, {}]


def test_a_run_is_needed(xgboost, monkeypatch):
    monkeypatch.setitem(runlane.__dict__, "run", None)
    for use in (
        xgboost.WandbCallback,
        lightgbm.wandb_callback,
        catboost.WandbCallback,
        lambda: catboost.log_summary(None),
    ):
        with pytest.raises(runlane.Error, match=r"You must call `wandb.init\(\)` before"):
            use()


def test_a_missing_library_is_named(monkeypatch, recorder):
    monkeypatch.setitem(sys.modules, "xgboost", None)
    from runlane.integration import xgboost as ours

    monkeypatch.delitem(ours.__dict__, "WandbCallback", raising=False)
    with pytest.raises(runlane.UsageError, match="this needs `xgboost`, which is not installed"):
        _ = ours.WandbCallback
    assert runlane.lightgbm.log_summary is lightgbm.log_summary
    assert runlane.catboost.WandbCallback is catboost.WandbCallback
