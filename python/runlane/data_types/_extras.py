"""Optional packages: loaded when a type needs them, with one clear error where they are missing."""

from __future__ import annotations

from importlib import import_module

from runlane.errors import MissingPackageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Modules whose package has another name.
_PACKAGES = {"PIL": "pillow"}


def load(module: str, what: str) -> Any:
    """The optional module `module`, which `what` needs.

    Raises:
        MissingPackageError: It is not installed, or cannot be loaded.
    """
    try:
        return import_module(module)
    except ImportError as error:
        root = module.partition(".")[0]
        package = _PACKAGES.get(root, root)
        raise MissingPackageError(
            f"{what} needs the package `{package}`: {error}\nhint: pip install {package}, or"
            " pip install 'runlane[media]' for all types of media"
        ) from error
