"""Artifacts: versioned sets of files, and what they raise. Names are fetched when they are first used."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._artifact import Artifact as Artifact
    from ._entries import ArtifactDigestAlgorithm as ArtifactDigestAlgorithm
    from ._entries import ArtifactManifest as ArtifactManifest
    from ._entries import ArtifactManifestEntry as ArtifactManifestEntry
    from ._errors import ArtifactFinalizedError as ArtifactFinalizedError
    from ._errors import ArtifactNotLoggedError as ArtifactNotLoggedError
    from ._errors import ArtifactStatusError as ArtifactStatusError
    from ._errors import TooFewItemsError as TooFewItemsError
    from ._errors import TooManyItemsError as TooManyItemsError
    from ._errors import WaitTimeoutError as WaitTimeoutError
    from ._ttl import ArtifactTTL as ArtifactTTL

#: Public name -> module that defines it.
_NAMES = {
    "Artifact": "_artifact",
    "ArtifactDigestAlgorithm": "_entries",
    "ArtifactFinalizedError": "_errors",
    "ArtifactManifest": "_entries",
    "ArtifactManifestEntry": "_entries",
    "ArtifactNotLoggedError": "_errors",
    "ArtifactStatusError": "_errors",
    "ArtifactTTL": "_ttl",
    "TooFewItemsError": "_errors",
    "TooManyItemsError": "_errors",
    "WaitTimeoutError": "_errors",
}


def __getattr__(name: str) -> Any:
    module = _NAMES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return globals().setdefault(name, getattr(import_module(f".{module}", __name__), name))


def __dir__() -> list[str]:
    return sorted(_NAMES)
