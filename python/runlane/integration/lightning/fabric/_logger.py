"""`WandbLogger` of Lightning Fabric."""

from __future__ import annotations

import os

import runlane
from runlane import terminal
from runlane._later import refuse
from runlane.errors import UsageError
from runlane.integration._frameworks import framework

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, NoReturn

_Base: Any = framework("lightning.fabric.loggers.logger", "lightning_fabric.loggers.logger").Logger
#: Its attribute `rank` is this process's number.
_rank_zero_only: Any = framework(
    "lightning.fabric.utilities.rank_zero", "lightning_fabric.utilities.rank_zero"
).rank_zero_only


def _namespaced(params: Any) -> dict[str, Any]:
    """Hyperparameters as a dict: of a namespace, its variables."""
    if params is None:
        return {}
    return dict(params) if hasattr(params, "keys") else dict(vars(params))


class WandbLogger(_Base):  # type: ignore[misc, unused-ignore]
    """Logs metrics, hyperparameters and files of a `Fabric` to a run; the first rank alone writes.

    Args:
        name: Display name of the run.
        save_dir: Directory in which `wandb/` is made; `dir` is another name of it.
        version: Id of the run, to go on with it; `id` is another name of it.
        offline: Keep the run on this machine.
        dir: As `save_dir`.
        id: As `version`.
        anonymous: Accepted without effect.
        project: Project of the run. Default: that of the environment, or `lightning_fabric`.
        log_model: Refused unless False: models are artifacts, which come later.
        experiment: An open run to log to.
        prefix: Put in front of metric names, with a dash.
        checkpoint_name: Accepted without effect.
        log_checkpoint_on: Accepted without effect.
        **kwargs: Arguments of `init`.

    Raises:
        NotYetError: `log_model` is asked for.
        UsageError: `log_model` with `offline`.
    """

    LOGGER_JOIN_CHAR = "-"

    def __init__(
        self,
        name: str | None = None,
        save_dir: str | os.PathLike[str] = ".",
        version: str | None = None,
        offline: bool = False,
        dir: str | os.PathLike[str] | None = None,  # noqa: A002 - wandb's name
        id: str | None = None,  # noqa: A002 - wandb's name
        anonymous: bool | None = None,
        project: str | None = None,
        log_model: str | bool = False,
        experiment: Any = None,
        prefix: str = "",
        checkpoint_name: str | None = None,
        log_checkpoint_on: str = "success",
        **kwargs: Any,
    ) -> None:
        del anonymous, checkpoint_name, log_checkpoint_on
        super().__init__()
        if log_model and offline:
            raise UsageError("`log_model` and `offline` exclude each other: offline, nothing can be uploaded")
        if log_model:
            refuse("WandbLogger(log_model=…)", "artifacts")
        place = os.fspath(dir if dir is not None else save_dir)
        self._offline = offline
        self._prefix = prefix
        self._experiment = experiment
        self._arguments: dict[str, Any] = {
            "name": name,
            "project": project or os.environ.get("WANDB_PROJECT", "lightning_fabric"),
            "dir": place,
            "id": version or id,
            "resume": "allow",
            **kwargs,
        }
        if offline:
            self._arguments["mode"] = "offline"

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        if self._experiment is not None:
            # A worker process joins the run instead of starting one.
            state["_attach_id"] = self._experiment._attach_id
            state["_arguments"] = {**self._arguments, "id": self._experiment.id}
            state["_experiment"] = None
        return state

    @property
    def experiment(self) -> Any:
        """The run; it starts when it is first asked for. In other ranks than the first, something that does nothing."""
        if _rank_zero_only.rank:
            from runlane._disabled import NOTHING

            return NOTHING
        if self._experiment is None:
            attach_id = self.__dict__.get("_attach_id")
            if runlane.run is not None:
                terminal.termwarn(
                    "there is an active run: `WandbLogger` logs to it; call `wandb.finish()` before for one of its own",
                    repeat=False,
                )
                self._experiment = runlane.run
            elif attach_id is not None:
                self._experiment = runlane.attach(attach_id)
            else:
                os.makedirs(self._arguments["dir"], exist_ok=True)
                self._experiment = runlane.init(**self._arguments)
            self._experiment.define_metric("trainer/global_step")
            self._experiment.define_metric("*", step_metric="trainer/global_step", step_sync=True)
        return self._experiment

    @property
    def name(self) -> str:
        """The project, as Lightning wants it: what the runs of one experiment have in common."""
        return str(self._arguments["project"])

    @property
    def version(self) -> str | None:
        """The run's id, once there is one."""
        known = self._arguments["id"] if self._experiment is None else self._experiment.id
        return None if known is None else str(known)

    @property
    def root_dir(self) -> str:
        """The directory in which `wandb/` is made."""
        return str(self._arguments["dir"])

    @property
    def log_dir(self) -> str:
        """The same."""
        return self.root_dir

    def log_hyperparams(self, params: Any, *_args: Any, **_kwargs: Any) -> None:
        """Put hyperparameters (a mapping or namespace) into the run's config."""
        self.experiment.config.update(_namespaced(params), allow_val_change=True)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log a row; `step` becomes `trainer/global_step`."""
        front = f"{self._prefix}{self.LOGGER_JOIN_CHAR}" if self._prefix else ""
        row: dict[str, Any] = {f"{front}{key}": value for key, value in metrics.items()}
        if step is not None:
            row["trainer/global_step"] = step
        self.experiment.log(row)

    def log_table(
        self,
        key: str,
        columns: Sequence[str] | None = None,
        data: Any = None,
        dataframe: Any = None,
        step: int | None = None,
    ) -> None:
        """Log a table."""
        self.log_metrics({key: runlane.Table(columns=columns, data=data, dataframe=dataframe)}, step)  # type: ignore[dict-item, unused-ignore]

    log_text = log_table

    def _media(self, kind: str) -> NoReturn:
        refuse(f"WandbLogger.log_{kind}", "media types")

    def log_image(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Comes with media types."""
        self._media("image")

    def log_audio(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Comes with media types."""
        self._media("audio")

    def log_video(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Comes with media types."""
        self._media("video")

    def log_html(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Comes with media types."""
        self._media("html")

    def watch(self, model: Any, log: Any = "gradients", log_freq: int = 100, log_graph: bool = True) -> None:
        """Log histograms of a model: `Run.watch`."""
        self.experiment.watch(model, log=log, log_freq=log_freq, log_graph=log_graph)

    def unwatch(self, model: Any) -> None:
        """Undo `watch`."""
        self.experiment.unwatch(model)

    def save(self) -> None:
        """Send what waits."""

    def finalize(self, status: str) -> None:
        """End the run if training failed; else it stays open for what follows, and ends with the process."""
        if status != "success" and self._experiment is not None:
            self._experiment.finish(1)
