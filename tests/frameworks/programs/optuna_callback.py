"""Optuna with its own callback: one run for a study, then one for each trial; and runs from within the objective."""

import optuna
import wandb
from optuna_integration.wandb import WeightsAndBiasesCallback


def main():
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.RandomSampler(seed=1)
    study = optuna.create_study(sampler=sampler, study_name="study")
    callback = WeightsAndBiasesCallback(metric_name="loss", wandb_kwargs={"name": "one", "tags": ["a"]})
    study.optimize(lambda trial: trial.suggest_float("x", -1, 1) ** 2, n_trials=4, callbacks=[callback])
    assert isinstance(wandb.run, wandb.sdk.wandb_run.Run)
    wandb.finish()

    callback = WeightsAndBiasesCallback(metric_name="loss", wandb_kwargs={"group": "many"}, as_multirun=True)

    @callback.track_in_wandb()
    def objective(trial):
        x = trial.suggest_float("x", -1, 1)
        for step in range(3):
            wandb.log({"inner": x * step})
        return x**2

    study.optimize(objective, n_trials=2, callbacks=[callback])


main()
