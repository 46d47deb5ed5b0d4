"""How long a version is kept."""

from __future__ import annotations

from enum import Enum

#: What is sent instead of seconds: as the collection or project says, and for good.
INHERITED_SECS = -1
OFF_SECS = -2


class ArtifactTTL(Enum):
    """`INHERIT`: the version is kept as long as its collection or project says."""

    INHERIT = 0
