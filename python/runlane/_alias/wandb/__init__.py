"""`import wandb` under `runlane exec`: runlane under the name wandb."""

from runlane._wandb_names import install

install(__name__)
