"""XGBoost with the callback that wandb ships."""

import numpy
import wandb
import xgboost
from wandb.integration.xgboost import WandbCallback


def main():
    random = numpy.random.default_rng(1)
    x = random.normal(size=(200, 4))
    data = xgboost.DMatrix(x, label=(x[:, 0] > 0).astype(int), feature_names=list("abcd"))
    with wandb.init(name="xgb"):
        xgboost.train(
            {"objective": "binary:logistic", "eval_metric": ["logloss", "error"], "max_depth": 2},
            data,
            num_boost_round=6,
            evals=[(data, "train")],
            verbose_eval=False,
            callbacks=[WandbCallback(log_model=True)],
        )


main()
