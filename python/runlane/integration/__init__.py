"""Callbacks and loggers for frameworks, under the paths that wandb gives them. None imports its framework before it is used."""
