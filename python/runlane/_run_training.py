"""What a training loop tells its run besides values: models to watch, alerts, a machine about to be taken away."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Literal

    from ._watch.watcher import Watcher


class RunTraining:
    """Methods of `Run` for training loops."""

    _watcher: Watcher | None

    if TYPE_CHECKING:

        def _publish(self, kind: str, payload: Any) -> None: ...
        def _check_open(self, method: str) -> None: ...

    def _log(self, data: Any, step: int | None = None, commit: bool | None = None) -> None:
        """`log`, as some libraries call it."""
        self.log(data, step, commit)  # type: ignore[attr-defined]

    def watch(
        self,
        models: Any,
        criterion: Any = None,
        log: Literal["gradients", "parameters", "all"] | None = "gradients",
        log_freq: int = 1000,
        idx: int | None = None,
        log_graph: bool = False,
    ) -> None:
        """Log histograms of a torch model's gradients and parameters, and its graph.

        A histogram has 64 bins of equal width between the smallest and the largest value; NaN and infinities are left out, equal
        values make one bin. They are rows' values `gradients/<parameter>` and `parameters/<parameter>`, logged with
        `commit=False`: they belong to the row of the next `log`. They are computed on the model's device.

        Args:
            models: A `torch.nn.Module`, or a list or tuple of them.
            criterion: Accepted as wandb does, without effect.
            log: Which tensors; None for the graph alone.
            log_freq: Take a gradient at every `log_freq`-th backward pass that reaches it, parameters at every `log_freq`-th forward
                pass of the model.
            idx: Number of the first model: keys of model 0 have no prefix, those of model i the prefix `graph_<i>`. Default: models are
                counted over the whole process.
            log_graph: Store the modules of the model, in the order in which they are called first, as `graph_<i>` of the summary.

        Raises:
            TypeError: A model is no torch module, or a number is none.
            ValueError: `log` is none of these words, or parameters of the same names are watched under the same prefix already.
        """
        del criterion
        from ._watch import watch

        watch(self, models, log, log_freq, idx, log_graph)  # type: ignore[arg-type]

    def unwatch(self, models: Sequence[Any] | Any = None) -> None:
        """Stop what `watch` began.

        Args:
            models: The models. Default: all that the run watches.
        """
        if self._watcher is not None:
            from ._watch import unwatch

            unwatch(self, models)  # type: ignore[arg-type]

    def alert(self, title: str, text: str, level: Any = None, wait_duration: Any = None) -> None:
        """Store an alert; the run's page shows it.

        Args:
            title: Short title; the waiting time is counted per title.
            text: What happened.
            level: `INFO`, `WARN` or `ERROR`, or a member of `AlertLevel`. Default: INFO.
            wait_duration: Seconds, or a timedelta, before the title may be sent again. Default: 60 s.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: The level or waiting time is not allowed.
        """
        self._check_open("alert")
        from ._run_alerts import alert_record

        self._publish("alert", alert_record(title, text, level, wait_duration))

    def mark_preempting(self) -> None:
        """Say that this machine is about to be taken away; the server knows within a second or so.

        The run's state becomes `preempting`; if the process then dies, or ends with another exit code than 0, `preempted`.
        """
        self._check_open("mark_preempting")
        self._publish("preempting", {})

    def display(self, height: int = 420, hidden: bool = False) -> bool:
        """Show the run's page below the cell of a notebook.

        Args:
            height: Of the frame, in pixels.
            hidden: Show a line that opens it.

        Returns:
            Whether this is a notebook.
        """
        from . import _notebook

        return _notebook.show(self.to_html(height, hidden), repr(self))

    def to_html(self, height: int = 420, hidden: bool = False) -> str:
        """The run's page as a frame of `height` pixels; where its data is if it has no page."""
        from . import _notebook

        return _notebook.run_html(self, height, hidden)  # type: ignore[arg-type]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """What a notebook shows of a run that ends a cell."""
        del include, exclude
        return {"text/html": self.to_html(hidden=False), "text/plain": repr(self)}
