"""LightGBM with the callback that wandb ships."""

import lightgbm
import numpy
import wandb
from wandb.integration.lightgbm import log_summary, wandb_callback


def main():
    random = numpy.random.default_rng(1)
    x = random.normal(size=(200, 4))
    data = lightgbm.Dataset(x, label=(x[:, 0] > 0).astype(int), feature_name=list("abcd"))
    with wandb.init(name="lgbm"):
        model = lightgbm.train(
            {
                "objective": "binary",
                "metric": ["binary_logloss", "auc"],
                "verbose": -1,
                "seed": 1,
                "num_threads": 1,
            },
            data,
            num_boost_round=6,
            valid_sets=[data],
            valid_names=["train"],
            callbacks=[wandb_callback()],
        )
        log_summary(model, save_model_checkpoint=True)


main()
