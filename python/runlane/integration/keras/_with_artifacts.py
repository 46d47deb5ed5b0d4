"""Callbacks that log artifacts: models after epochs or batches, and tables of predictions."""

from __future__ import annotations

import glob
import os
from abc import abstractmethod

from runlane import Table
from runlane.artifacts import Artifact
from runlane.integration._frameworks import active_run

from ._base import Callback, ModelCheckpoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class WandbModelCheckpoint(ModelCheckpoint):  # type: ignore[misc, unused-ignore]
    """Saves a model as Keras's `ModelCheckpoint` does, and logs each saved one as an artifact `run_<run id>_model` of the type `model`.

    The versions have the aliases `latest` and `epoch_<n>` or `epoch_<n>_batch_<m>`.

    Args:
        filepath: Where the model is saved; may have fields such as `{epoch:02d}`.
        *args: As of `ModelCheckpoint`.
        **kwargs: As of `ModelCheckpoint`.

    Raises:
        Error: There is no active run.
    """

    def __init__(self, filepath: str | os.PathLike[str], *args: Any, **kwargs: Any) -> None:
        self._run = active_run("WandbModelCheckpoint")
        super().__init__(os.fspath(filepath), *args, **kwargs)

    def _save_model(self, epoch: int, batch: int | None, logs: Mapping[str, Any] | None) -> None:
        # What Keras calls whenever a model may be due; whether it wrote one is seen by the files.
        before = _stamps(self._pattern(epoch, batch, logs))
        super()._save_model(epoch, batch, logs)
        pattern = self._pattern(epoch, batch, logs)
        if _stamps(pattern) == before:
            return
        artifact = Artifact(f"run_{self._run.id}_model", type="model")
        if os.path.isdir(pattern):
            artifact.add_dir(pattern)
        else:
            for path in _files(pattern):
                artifact.add_file(path)
        when = f"epoch_{epoch}" if batch is None else f"epoch_{epoch}_batch_{batch}"
        self._run.log_artifact(artifact, aliases=[when])

    def _pattern(self, epoch: int, batch: int | None, logs: Mapping[str, Any] | None) -> str:
        return str(self._get_file_path(epoch, batch, logs))


def _files(path: str) -> list[str]:
    """The file, or those that its name is the beginning of: weights of TensorFlow are several."""
    found = [path] if os.path.isfile(path) else glob.glob(f"{glob.escape(path)}*")
    return sorted(one for one in found if os.path.isfile(one))


def _stamps(path: str) -> dict[str, int]:
    if os.path.isdir(path):
        return {path: max(os.stat(one).st_mtime_ns for one, _, _ in os.walk(path))}
    return {one: os.stat(one).st_mtime_ns for one in _files(path)}


class WandbEvalCallback(Callback):  # type: ignore[misc, unused-ignore]
    """Base of callbacks that log a model's predictions as tables.

    A subclass fills `data_table` in `add_ground_truth` and `pred_table` in `add_model_predictions`. The first is logged once as
    the artifact `val`, the second after each epoch as `run_<run id>_pred`; rows of the second refer to those of the first by
    `data_table_ref`.

    Args:
        data_table_columns: Names of the columns of the data.
        pred_table_columns: Names of the columns of the predictions.
        *args: Ignored.
        **kwargs: Ignored.

    Raises:
        Error: There is no active run.
    """

    def __init__(
        self, data_table_columns: list[str], pred_table_columns: list[str], *args: Any, **kwargs: Any
    ) -> None:
        del args, kwargs
        super().__init__()
        self._run = active_run("WandbEvalCallback")
        self.data_table_columns = data_table_columns
        self.pred_table_columns = pred_table_columns
        self.data_table: Any = None
        self.pred_table: Any = None
        self.data_table_ref: Any = None

    @abstractmethod
    def add_ground_truth(self, logs: Mapping[str, Any] | None = None) -> None:
        """Add the rows of the data to `data_table`.

        Raises:
            NotImplementedError: The subclass has none.
        """
        raise NotImplementedError(f"{type(self).__name__}.add_ground_truth")

    @abstractmethod
    def add_model_predictions(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Add the rows of an epoch's predictions to `pred_table`.

        Raises:
            NotImplementedError: The subclass has none.
        """
        raise NotImplementedError(f"{type(self).__name__}.add_model_predictions")

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Make and log the table of the data."""
        self.init_data_table(column_names=self.data_table_columns)
        self.add_ground_truth(logs)
        self.log_data_table()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Make and log the table of an epoch's predictions."""
        self.init_pred_table(column_names=self.pred_table_columns)
        self.add_model_predictions(epoch, logs)
        self.log_pred_table()

    def init_data_table(self, column_names: list[str]) -> None:
        """Begin the table of the data."""
        self.data_table = Table(columns=column_names, allow_mixed_types=True)

    def init_pred_table(self, column_names: list[str]) -> None:
        """Begin a table of predictions."""
        self.pred_table = Table(columns=column_names)

    def log_data_table(self, name: str = "val", type: str = "dataset", table_name: str = "val_data") -> None:  # noqa: A002 - wandb's name
        """Log the table of the data as an artifact that the run uses; `data_table_ref` is the table as it is stored."""
        artifact = Artifact(name, type=type)
        artifact.add(self.data_table, table_name)
        if self._run.offline:
            self._run.log_artifact(artifact)
            self.data_table_ref = self.data_table
            return
        self._run.use_artifact(artifact)
        self.data_table_ref = artifact.wait().get(table_name)

    def log_pred_table(
        self,
        type: str = "evaluation",  # noqa: A002 - wandb's name
        table_name: str = "eval_data",
        aliases: list[str] | None = None,
    ) -> None:
        """Log the table of predictions as an artifact `run_<run id>_pred`."""
        artifact = Artifact(f"run_{self._run.id}_pred", type=type)
        artifact.add(self.pred_table, table_name)
        self._run.log_artifact(artifact, aliases=aliases)
