"""Keras 3 on torch with the callbacks that wandb ships: metrics of epochs and batches, and the older callback."""

import os

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy
import wandb
from wandb.integration.keras import WandbCallback, WandbEvalCallback, WandbMetricsLogger, WandbModelCheckpoint


def fit(callback, **options):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
    rate = keras.optimizers.schedules.ExponentialDecay(0.1, decay_steps=2, decay_rate=0.5)
    model.compile(optimizer=keras.optimizers.SGD(rate), loss="mse", metrics=["mae"])
    x, y = numpy.ones((32, 4)), numpy.zeros((32, 1))
    model.fit(
        x, y, validation_data=(x, y), batch_size=8, epochs=3, verbose=0, callbacks=[callback], **options
    )


class Predictions(WandbEvalCallback):
    """Logs what the model makes of one row."""

    def __init__(self):
        super().__init__(["x", "y"], ["epoch", "prediction"])

    def add_ground_truth(self, logs=None):
        self.data_table.add_data("ones", 0.0)

    def add_model_predictions(self, epoch, logs=None):
        self.pred_table.add_data(epoch, float(self.model.predict(numpy.ones((1, 4)), verbose=0)[0][0]))


def main():
    run = wandb.init(name="metrics", config={"bs": 8})
    fit(WandbMetricsLogger(log_freq=2))
    run.finish()
    run = wandb.init(name="models")
    fit(WandbModelCheckpoint("model.keras", save_best_only=True, monitor="val_loss"))
    run.finish()
    run = wandb.init(name="predictions")
    fit(Predictions())
    run.finish()
    run = wandb.init(name="older")
    fit(WandbCallback(log_batch_frequency=2))
    run.finish()


main()
