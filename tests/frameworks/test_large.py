"""Large frameworks with their own wandb integrations, under `runlane exec` against our server: `make test-frameworks`."""

from __future__ import annotations

from pathlib import Path

import pytest
from frameworks_world import FRAMEWORKS, Stored, recorded, run_program, versions

PEER = Path(FRAMEWORKS).parent.parent / "peer"
pytestmark = pytest.mark.timeout(600)


def alone(runs: list[Stored]) -> Stored:
    """The only run, which ended well."""
    assert [run.state for run in runs] == ["finished"]
    return runs[0]


def same_as_wandb(home, server, project, runs, program, *words, ignore=(), **options):
    """The real client stores rows of the same steps and keys, and config values, for the same program."""
    theirs = run_program(
        home, server, f"{project}-wandb", program, *words, python=FRAMEWORKS, peer=PEER, **options
    )
    for ours, other in zip(runs, theirs, strict=True):
        assert ours.shape == other.shape
        mine, their = (
            {key: value for key, value in run.config.items() if key not in ignore} for run in (ours, other)
        )
        assert mine == their
        assert (ours.name, ours.state) == (other.name, other.state)


def test_transformers_trainer(home, server, project):
    with recorded('Transformers `Trainer(report_to="wandb")`', versions(FRAMEWORKS, "transformers")) as runs:
        runs += run_program(home, server, project, "transformers_trainer.py", python=FRAMEWORKS)
        run = alone(runs)
        assert run.name == "tiny"
        assert {"train/loss", "train/learning_rate", "eval/loss", "train/global_step"} <= run.keys
        assert [row["train/global_step"] for row in run.rows if "train/loss" in row] == [5, 10, 15, 20]
        assert [row["train/global_step"] for row in run.rows if "eval/loss" in row] == [10, 20]
        assert (
            run.config["n_embd"] == 8
            and run.config["max_steps"] == 20
            and run.config["model/num_parameters"] > 0
        )
        assert run.summary["train_loss"] > 0 or run.summary["train/total_flos"] > 0
        same_as_wandb(home, server, project, runs, "transformers_trainer.py")


@pytest.mark.parametrize("package", ["lightning.pytorch", "pytorch_lightning"])
def test_lightning_trainer(home, server, project, package):
    name = package.replace(".pytorch", "").replace("_", "-")
    with recorded(f"`{package}` `WandbLogger`", versions(FRAMEWORKS, name)) as runs:
        runs += run_program(home, server, project, "lightning_trainer.py", package, python=FRAMEWORKS)
        run = alone(runs)
        assert {"train/loss", "val/loss", "epoch", "trainer/global_step"} <= run.keys
        assert len(run.values("val/loss")) == 5 and len(run.values("train/loss")) == 10
        assert run.config["width"] == 4 and run.summary["done"] is True
        assert any(key.startswith("gradients/") for key in run.keys)
        same_as_wandb(home, server, project, runs, "lightning_trainer.py", package)


def test_lightning_spawns_workers_that_log_to_the_run(home, server, project):
    with recorded("Lightning `ddp_spawn`, 2 processes", versions(FRAMEWORKS, "lightning")) as runs:
        runs += run_program(home, server, project, "lightning_spawn.py", python=FRAMEWORKS)
        run = alone(runs)
        assert (
            len(run.values("train/loss")) == 4
            and run.config["opened"] == "before"
            and run.summary["done"] is True
        )


def test_lightning_fabric(home, server, project):
    with recorded("Lightning Fabric `WandbLogger`", versions(FRAMEWORKS, "lightning")) as runs:
        runs += run_program(home, server, project, "fabric_logger.py", python=FRAMEWORKS)
        run = alone(runs)
        assert run.values("trainer/global_step") == [0, 10, 20, 30, 40] and len(run.values("p-loss")) == 5
        assert run.config == {"lr": 0.1, "nested": {"a": [1, 2]}}
        same_as_wandb(home, server, project, runs, "fabric_logger.py")


_LAUNCH = "-m accelerate.commands.launch --cpu --num_processes 1 --num_machines 1 --mixed_precision no --dynamo_backend no"
_TORCHRUN = "-m torch.distributed.run --standalone --nproc_per_node 2"
LAUNCHERS = {"one process": "", "`accelerate launch`": _LAUNCH, "2 processes by `torchrun`": _TORCHRUN}


@pytest.mark.parametrize("how", LAUNCHERS)
def test_accelerate_makes_one_run(home, server, project, how):
    with recorded(f'Accelerate `log_with="wandb"`, {how}', versions(FRAMEWORKS, "accelerate")) as runs:
        launcher = tuple(LAUNCHERS[how].split())
        runs += run_program(
            home, server, project, "accelerate_tracker.py", python=FRAMEWORKS, launcher=launcher
        )
        run = alone(runs)
        assert [(row["_step"], row["step"]) for row in run.rows] == [(0, 0), (2, 1), (4, 2), (6, 3), (8, 4)]
        assert run.config == {"lr": 0.1, "size": 2 if "2" in how else 1} and run.summary["done"] is True
        if not launcher:
            same_as_wandb(home, server, project, runs, "accelerate_tracker.py")


def test_keras_callbacks(home, server, project):
    with recorded(
        "Keras `WandbMetricsLogger`, `WandbCallback` (torch backend)", versions(FRAMEWORKS, "keras")
    ) as runs:
        runs += run_program(home, server, project, "keras_callbacks.py", python=FRAMEWORKS)
        metrics, models, predictions, older = runs
        assert [run.state for run in runs] == ["finished"] * 4
        assert [type_ for _, type_, _ in models.artifacts] == ["model"] * len(models.artifacts)
        assert sorted(alias for *_, aliases in models.artifacts for alias in aliases)[0] == "epoch_0"
        assert [type_ for _, type_, _ in predictions.artifacts] == ["evaluation"] * 3
        # These are the numbers of the real callback, which needs TensorFlow.
        assert metrics.values("batch/batch_step") == [0, 2, 4, 6, 8, 10]
        assert metrics.values("epoch/epoch") == [0, 1, 2]
        assert metrics.values("epoch/learning_rate") == pytest.approx([0.025, 0.00625, 0.0015625])
        assert {
            "epoch/loss",
            "epoch/val_loss",
            "epoch/mae",
            "batch/loss",
            "batch/learning_rate",
        } <= metrics.keys
        assert older.values("epoch") == [0, 1, 2] and len(older.values("loss")) == 9
        assert (
            older.summary["best_val_loss"] == min(older.values("val_loss"))
            and "model-best.keras" in older.files
        )


def test_stable_baselines3(home, server, project):
    with recorded(
        "Stable-Baselines3 `WandbCallback`, TensorBoard", versions(FRAMEWORKS, "stable-baselines3")
    ) as runs:
        runs += run_program(home, server, project, "sb3_ppo.py", python=FRAMEWORKS)
        run = alone(runs)
        assert [row["global_step"] for row in run.rows if "rollout/ep_rew_mean" in row] == [64, 128, 192, 256]
        assert {"train/loss", "train/entropy_loss", "time/fps"} <= run.keys
        assert any(key.startswith("gradients/") for key in run.keys)
        assert (
            run.config["algo"] == "PPO" and run.config["n_steps"] == 64 and run.config["env"] == "CartPole-v1"
        )
        assert "model.zip" in run.files
        (theirs,) = run_program(home, server, f"{project}-wandb", "sb3_ppo.py", python=FRAMEWORKS, peer=PEER)
        # The real client puts gradients into whichever row of the event file comes next; ours have rows of their own.
        assert run.keys == theirs.keys and set(run.config) == set(theirs.config)
        assert run.values("train/loss") == theirs.values("train/loss")


def test_trl(home, server, project):
    with recorded('TRL `SFTTrainer(report_to="wandb")`', versions(FRAMEWORKS, "trl")) as runs:
        runs += run_program(home, server, project, "trl_sft.py", python=FRAMEWORKS)
        run = alone(runs)
        assert [row["train/global_step"] for row in run.rows if "train/loss" in row] == [5, 10]
        assert {"train/mean_token_accuracy", "train/num_tokens"} <= run.keys


def test_trl_logs_completions_as_tables(home, server, project):
    with recorded("TRL `GRPOTrainer(log_completions=True)`", versions(FRAMEWORKS, "trl")) as runs:
        runs += run_program(home, server, project, "trl_grpo.py", python=FRAMEWORKS)
        run = alone(runs)
        tables = run.values("completions")
        assert [table["_type"] for table in tables] == ["table-file"] * len(tables) and tables
        assert all(table["path"] in run.files and table["nrows"] == 2 for table in tables[:2])
        assert {"train/reward", "train/loss"} <= run.keys
        same_as_wandb(home, server, project, runs, "trl_grpo.py")


def test_ignite(home, server, project):
    with recorded("PyTorch-Ignite `WandBLogger`", versions(FRAMEWORKS, "pytorch-ignite")) as runs:
        runs += run_program(home, server, project, "ignite_logger.py", python=FRAMEWORKS)
        run = alone(runs)
        assert len(run.values("training/loss")) == 8 and run.config == {"lr": 0.1}
        same_as_wandb(home, server, project, runs, "ignite_logger.py")


def test_timm(home, server, project):
    with recorded("timm `update_summary(log_wandb=True)`", versions(FRAMEWORKS, "timm")) as runs:
        runs += run_program(home, server, project, "timm_summary.py", python=FRAMEWORKS)
        run = alone(runs)
        assert run.values("eval_top1") == [50.0, 51.0, 52.0] and run.config["opt_kwargs"] == {"eps": 1e-8}
        same_as_wandb(home, server, project, runs, "timm_summary.py")


def test_sacred(home, server, project):
    with recorded("Sacred `WandbObserver`", versions(FRAMEWORKS, "sacred")) as runs:
        runs += run_program(home, server, project, "sacred_observer.py", python=FRAMEWORKS)
        run = alone(runs)
        assert run.values("loss") == [1.0, 0.5, 0.25] and run.values("accuracy") == [0.75]
        assert run.config["lr"] == 0.1 and run.config["nested"] == {"a": [1, 2]}
        assert run.artifacts == [("predictions.txt:v0", "predictions", ["latest"])]
        same_as_wandb(home, server, project, runs, "sacred_observer.py", ignore=("seed",))
