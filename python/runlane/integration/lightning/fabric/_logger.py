"""`WandbLogger` of Lightning Fabric."""

from __future__ import annotations

import os

import runlane
from runlane import terminal
from runlane.artifacts import Artifact
from runlane.errors import UsageError
from runlane.integration._frameworks import framework

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

_Base: Any = framework("lightning.fabric.loggers.logger", "lightning_fabric.loggers.logger").Logger
#: Its attribute `rank` is this process's number.
_rank_zero_only: Any = framework(
    "lightning.fabric.utilities.rank_zero", "lightning_fabric.utilities.rank_zero"
).rank_zero_only


#: What a version's metadata keeps of the callback that saved it.
_CHECKPOINT_OPTIONS = (
    "monitor",
    "mode",
    "save_last",
    "save_top_k",
    "save_weights_only",
    "_every_n_train_steps",
)


def _namespaced(params: Any) -> dict[str, Any]:
    """Hyperparameters as a dict: of a namespace, its variables."""
    if params is None:
        return {}
    return dict(params) if hasattr(params, "keys") else dict(vars(params))


def _checkpoints(callback: Any) -> list[tuple[float, str, float | None]]:
    """Time, path and score of the checkpoints that a callback has on the disk, oldest first."""
    scores: dict[str, Any] = dict(getattr(callback, "best_k_models", None) or {})
    for path, score in (("best_model_path", "best_model_score"), ("last_model_path", "current_score")):
        scores.setdefault(os.fspath(getattr(callback, path, None) or ""), getattr(callback, score, None))
    found = []
    for path, score in scores.items():
        if os.path.isfile(path):
            number = score.item() if hasattr(score, "item") else score
            found.append((os.path.getmtime(path), path, number))
    return sorted(found, key=lambda one: one[:2])


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
        log_model: Log checkpoints as artifacts of the type `model`: `"all"` as they are saved, True when training ends.
        experiment: An open run to log to.
        prefix: Put in front of metric names, with a dash.
        checkpoint_name: Name of those artifacts. Default: `model-<run id>`.
        log_checkpoint_on: `success`: only when training ends well; `all`: always.
        **kwargs: Arguments of `init`.

    Raises:
        UsageError: `log_model` with `offline`, or another `log_checkpoint_on`.
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
        del anonymous
        super().__init__()
        if log_model and offline:
            raise UsageError("`log_model` and `offline` exclude each other: offline, nothing can be uploaded")
        if log_checkpoint_on not in ("success", "all"):
            raise UsageError(f"`log_checkpoint_on` must be 'success' or 'all', got {log_checkpoint_on!r}")
        self._log_model = log_model
        self._checkpoint_name = checkpoint_name
        self._log_checkpoint_on = log_checkpoint_on
        self._checkpoint_callback: Any = None
        #: Path of a checkpoint -> time of the change that was logged.
        self._logged: dict[str, float] = {}
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

    def _log_media(
        self, kind: Any, key: str, items: Sequence[Any], step: int | None, options: dict[str, Any]
    ) -> None:
        if not isinstance(items, list):
            raise TypeError(f"`log_{kind.__name__.lower()}` takes a list, got {type(items).__name__}")
        for name, values in options.items():
            if len(values) != len(items):
                raise ValueError(
                    f"`{name}` must have a value for each of the {len(items)} items, got {len(values)}"
                )
        made = [
            kind(item, **{name: values[index] for name, values in options.items()})
            for index, item in enumerate(items)
        ]
        self.log_metrics({key: made}, step)  # type: ignore[dict-item, unused-ignore]

    def log_image(self, key: str, images: list[Any], step: int | None = None, **kwargs: Any) -> None:
        """Log images; each keyword is a list with an argument of `Image` for each of them."""
        self._log_media(runlane.Image, key, images, step, kwargs)

    def log_audio(self, key: str, audios: list[Any], step: int | None = None, **kwargs: Any) -> None:
        """Log sounds; each keyword is a list with an argument of `Audio` for each of them."""
        self._log_media(runlane.Audio, key, audios, step, kwargs)

    def log_video(self, key: str, videos: list[Any], step: int | None = None, **kwargs: Any) -> None:
        """Log videos; each keyword is a list with an argument of `Video` for each of them."""
        self._log_media(runlane.Video, key, videos, step, kwargs)

    def log_html(self, key: str, htmls: list[Any], step: int | None = None, **kwargs: Any) -> None:
        """Log pages; each keyword is a list with an argument of `Html` for each of them."""
        self._log_media(runlane.Html, key, htmls, step, kwargs)

    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
        """Log the checkpoints that a callback has saved: now, or when training ends."""
        keeps_all = getattr(checkpoint_callback, "save_top_k", None) == -1
        if self._log_model == "all" or (self._log_model is True and keeps_all):
            self._log_checkpoints(checkpoint_callback)
        elif self._log_model is True:
            self._checkpoint_callback = checkpoint_callback

    def _log_checkpoints(self, callback: Any) -> None:
        if _rank_zero_only.rank:
            return
        name = self._checkpoint_name or f"model-{self.experiment.id}"
        for changed, path, score in _checkpoints(callback):
            if self._logged.get(path, 0.0) >= changed:
                continue
            options = {key: getattr(callback, key) for key in _CHECKPOINT_OPTIONS if hasattr(callback, key)}
            metadata = {
                "score": score,
                "original_filename": os.path.basename(path),
                type(callback).__name__: options,
            }
            artifact = Artifact(name, type="model", metadata=metadata)
            artifact.add_file(path, name="model.ckpt")
            is_best = path == getattr(callback, "best_model_path", None)
            self.experiment.log_artifact(artifact, aliases=["best"] if is_best else [])
            self._logged[path] = changed

    @staticmethod
    def download_artifact(
        artifact: str,
        save_dir: str | os.PathLike[str] | None = None,
        artifact_type: str | None = None,
        use_artifact: bool = True,
    ) -> str:
        """Download an artifact; with `use_artifact` it becomes an input of the active run.

        Returns:
            The directory.
        """
        if runlane.run is not None and use_artifact:
            found = runlane.run.use_artifact(artifact, type=artifact_type)
        else:
            found = runlane.Api().artifact(artifact, type=artifact_type)
        return str(found.download(root=None if save_dir is None else os.fspath(save_dir)))

    def use_artifact(self, artifact: str, artifact_type: str | None = None) -> Any:
        """Record an artifact as an input of the run, and get it."""
        return self.experiment.use_artifact(artifact, type=artifact_type)

    def watch(self, model: Any, log: Any = "gradients", log_freq: int = 100, log_graph: bool = True) -> None:
        """Log histograms of a model: `Run.watch`."""
        self.experiment.watch(model, log=log, log_freq=log_freq, log_graph=log_graph)

    def unwatch(self, model: Any) -> None:
        """Undo `watch`."""
        self.experiment.unwatch(model)

    def save(self) -> None:
        """Send what waits."""

    def finalize(self, status: str) -> None:
        """Log checkpoints that wait for the end; end the run if training failed, else it stays open for what follows."""
        if self._checkpoint_callback is not None and (
            status == "success" or self._log_checkpoint_on == "all"
        ):
            self._log_checkpoints(self._checkpoint_callback)
        if status != "success" and self._experiment is not None:
            self._experiment.finish(1)
