"""The drafts of this process by their client ids, for references to artifacts that are not stored yet."""

from __future__ import annotations

from weakref import WeakValueDictionary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._artifact import Artifact

_known: WeakValueDictionary[str, Artifact] = WeakValueDictionary()


def remember(artifact: Artifact) -> None:
    """Let references find the draft as long as it lives."""
    _known[artifact._client_id] = artifact


def draft_of(client_id: str) -> Artifact | None:
    """The artifact that was made here with this client id."""
    return _known.get(client_id)
