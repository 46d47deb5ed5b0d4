"""`WandbCallback` of Stable-Baselines3."""

from __future__ import annotations

import os

from runlane import terminal
from runlane.errors import UsageError
from runlane.integration import gym
from runlane.integration._frameworks import active_run, framework

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal

_Base: Any = framework("stable_baselines3.common.callbacks").BaseCallback


class WandbCallback(_Base):  # type: ignore[misc, unused-ignore]
    """Keeps an algorithm's settings in the run's config, its model in the run's files, and its gradients in the rows.

    Args:
        verbose: As in Stable-Baselines3; above 1 it says when a model is saved.
        model_save_path: Folder that the model is saved in, as `model.zip`; it is a file of the run. Default: not saved.
        model_save_freq: Save every so many calls, besides at the end; 0 for the end alone.
        gradient_save_freq: Log gradients every so many backward passes; 0 for never.
        log: What `gradient_save_freq` logs: `gradients`, `parameters`, `all` or None.

    Raises:
        Error: There is no active run.
        UsageError: `model_save_freq` without `model_save_path`.
    """

    def __init__(
        self,
        verbose: int = 0,
        model_save_path: str | None = None,
        model_save_freq: int = 0,
        gradient_save_freq: int = 0,
        log: Literal["gradients", "parameters", "all"] | None = "all",
    ) -> None:
        super().__init__(verbose)
        self._run = active_run("WandbCallback")
        if self._run._settings.monitor_gym:
            # Its own recorder of videos may be imported since `init`.
            gym.monitor()
        if log not in ("gradients", "parameters", "all", None):
            terminal.termwarn("`log` must be one of None, 'gradients', 'parameters' or 'all': taking 'all'")
            log = "all"
        if model_save_freq and model_save_path is None:
            raise UsageError("`model_save_freq` needs `model_save_path`, the folder that models are saved in")
        self.model_save_path = model_save_path
        self.model_save_freq = model_save_freq
        self.gradient_save_freq = gradient_save_freq
        self.log = log
        if model_save_path is not None:
            os.makedirs(model_save_path, exist_ok=True)
            self.path = os.path.join(model_save_path, "model.zip")

    def _init_callback(self) -> None:
        config: dict[str, Any] = {"algo": type(self.model).__name__}
        for name, value in self.model.__dict__.items():
            if name not in self._run.config:
                config[name] = value if type(value) in (int, float, str) else str(value)
        if self.gradient_save_freq > 0:
            self._run.watch(self.model.policy, log=self.log, log_freq=self.gradient_save_freq)
        self._run.config.setdefaults(config)

    def _on_step(self) -> bool:
        if self.model_save_freq > 0 and self.n_calls % self.model_save_freq == 0:
            self.save_model()
        return True

    def _on_training_end(self) -> None:
        if self.model_save_path is not None:
            self.save_model()

    def save_model(self) -> None:
        """Save the model as a file of the run."""
        self.model.save(self.path)
        self._run.save(self.path, base_path=self.model_save_path)
        if self.verbose > 1:
            self.logger.info(f"Saved a model checkpoint to {self.path}")
