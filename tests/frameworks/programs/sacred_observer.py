"""Sacred with the observer that wandb ships."""

from sacred import Experiment
from wandb.integration.sacred import WandbObserver

experiment = Experiment("experiment", save_git_info=False)
experiment.observers.append(WandbObserver(name="sacred"))


@experiment.config
def config():
    lr = 0.1  # noqa: F841 - Sacred takes it from here
    nested = {"a": [1, 2]}  # noqa: F841


@experiment.automain
def main(lr):
    for step in range(3):
        experiment.log_scalar("loss", 1 / 2**step, step)
    with open("predictions.txt", "w") as file:
        file.write("cat dog")
    experiment.add_artifact("predictions.txt", content_type="predictions")
    return {"accuracy": 0.75}
