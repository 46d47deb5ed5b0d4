"""Layers of an image: boxes and masks, whose class names the run's config holds."""

from __future__ import annotations

import json

from .base import Media

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar


class Layer(Media):
    """Boxes or a mask of an image, named by a key."""

    #: Where the class names lie in the config.
    _labels_kind: ClassVar[str] = ""
    #: Class names by number.
    _class_labels: dict[Any, str]

    def __init__(self, key: str) -> None:
        super().__init__()
        self._key = key
        self._class_labels = {}

    def bind_to_run(
        self,
        run: Any,
        key: str,
        step: int | str,
        id_: int | str | None = None,
        ignore_copy_err: bool | None = None,  # noqa: ARG002, RUF100 - W&B's argument
    ) -> None:
        """Store the file with `run`, and its class names in the run's config.

        Raises:
            OSError: It cannot be written.
        """
        super().bind_to_run(run, key, step, id_)
        if self._has_labels():
            # The spelling is part of the format.
            name = f"{key}_wandb_delimeter_{self._key}"
            labels = {str(number): text for number, text in self._class_labels.items()}
            value = {"type": self._labels_kind, "key": name, "value": labels}
            run._media.tell_config(("_wandb", self._labels_kind, name), json.dumps(value, ensure_ascii=False))

    def _has_labels(self) -> bool:
        return True
