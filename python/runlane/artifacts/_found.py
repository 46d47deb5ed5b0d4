"""What is known of the target of a reference."""

from __future__ import annotations

from ._entries import ArtifactManifestEntry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Found:
    """One object that a reference stands for.

    Args:
        ref: Its URI.
        digest: What changes when it does: a checksum, an ETag, or the URI where nothing is known.
        size: Bytes, if known.
        name: Its path below what was referred to, or the last part of the URI.
        is_below: Whether that was a directory or prefix.
        extra: What is kept with the entry.
    """

    def __init__(
        self,
        ref: str,
        digest: str,
        *,
        size: int | None = None,
        name: str,
        is_below: bool = False,
        extra: dict[str, Any] | None = None,
    ) -> None:
        self.ref = ref
        self.digest = digest
        self.size = size
        self.name = name
        self.is_below = is_below
        self.extra = extra or {}

    def entry(self, name: str | None) -> ArtifactManifestEntry:
        """The entry, called `name`, or below it."""
        path = self.name if name is None else f"{name}/{self.name}" if self.is_below else name
        return ArtifactManifestEntry(
            path=path, digest=self.digest, ref=self.ref, size=self.size, extra=self.extra
        )
