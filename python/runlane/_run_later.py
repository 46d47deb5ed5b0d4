"""Methods of `Run` that later versions bring. Each says so; none does nothing in silence."""

from __future__ import annotations

from ._later import refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn


class RunLater:
    """What is not part of a run yet."""

    def pin_config_keys(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Pin config keys in the web app."""
        refuse("pin_config_keys", "pinned config keys")
