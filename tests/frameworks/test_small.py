"""Libraries with small wheels, with the callbacks and plots of wandb, under `runlane exec` against our server."""

from __future__ import annotations

import sys

from frameworks_world import recorded, run_program, versions


def test_xgboost(home, server, project):
    with recorded("XGBoost `WandbCallback`", versions(sys.executable, "xgboost-cpu")) as runs:
        runs += run_program(home, server, project, "xgboost_callback.py", python=sys.executable)
        (run,) = runs
        assert run.state == "finished" and run.values("epoch") == [0, 1, 2, 3, 4, 5]
        assert len(run.values("train-logloss")) == 6 and len(run.values("train-error")) == 6
        assert run.summary["train-logloss"] == {"min": min(run.values("train-logloss"))}
        assert run.values("Feature Importance_table")[0]["_type"] == "table-file"
        ((name, type_, aliases),) = (one for one in run.artifacts if one[1] != "run_table")
        assert name.endswith("_model.json:v0") and (type_, aliases) == ("model", ["latest"])
        assert run.config["learner"]["gradient_booster"]["name"] == "gbtree"


def test_lightgbm(home, server, project):
    with recorded("LightGBM `wandb_callback`, `log_summary`", versions(sys.executable, "lightgbm")) as runs:
        runs += run_program(home, server, project, "lightgbm_callback.py", python=sys.executable)
        (run,) = runs
        assert run.state == "finished" and len(run.values("train_binary_logloss")) == 6
        assert run.config["objective"] == "binary" and run.summary["train_auc"] == {
            "max": max(run.values("train_auc"))
        }
        assert run.values("Feature Importance_table")[0]["ncols"] == 2
        ((name, type_, aliases),) = (one for one in run.artifacts if one[1] != "run_table")
        assert name.startswith("model_") and (type_, aliases) == ("model", ["best", "latest"])


def test_optuna(home, server, project):
    packages = ("optuna", "optuna-integration")
    with recorded("Optuna `WeightsAndBiasesCallback`", versions(sys.executable, *packages)) as runs:
        runs += run_program(home, server, project, "optuna_callback.py", python=sys.executable)
        study, *trials = runs
        assert [run.state for run in runs] == ["finished"] * 3
        assert [row["_step"] for row in study.rows] == [0, 1, 2, 3]
        assert study.values("loss") == [x**2 for x in study.values("x")]
        assert study.config["direction"] == ["MINIMIZE"]
        for number, run in enumerate(trials, 4):
            assert run.name.startswith(f"trial/{number}/") and len(run.values("inner")) == 3
            assert run.values("loss") == [run.config["x"] ** 2] and run.summary["trial_number"] == number


def test_sklearn_plots(home, server, project):
    with recorded("scikit-learn plots", versions(sys.executable, "scikit-learn")) as runs:
        runs += run_program(home, server, project, "sklearn_plots.py", python=sys.executable)
        classifier, regressor = runs
        assert [classifier.state, regressor.state] == ["finished", "finished"]
        assert len(classifier.rows) == 7 and len(regressor.rows) == 2
        tables = [
            value for run in runs for row in run.rows for key, value in row.items() if not key.startswith("_")
        ]
        assert len(tables) == 9 and {table["_type"] for table in tables} == {"table-file"}
        assert all(
            table["path"] in classifier.files + regressor.files and table["nrows"] > 0 for table in tables
        )
