"""What an artifact consists of: its manifest, and the entries of that."""

from __future__ import annotations

import enum
import os

from runlane import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from concurrent.futures import Executor
    from typing import Any

    from ._artifact import Artifact

POLICY = "wandb-storage-policy-v1"
LAYOUT = "V2"
#: The member of an entry's `extra` that names its algorithm if that is not MD5.
_ALGORITHM_KEY = "alg"


class ArtifactDigestAlgorithm(str, enum.Enum):
    """How the content of an artifact is hashed; the values are the names on the wire."""

    MANIFEST_MD5 = "MANIFEST_MD5"
    MANIFEST_XXH128 = "MANIFEST_XXH128"

    @property
    def short(self) -> str:
        """`MD5` or `XXH128`, as in entries."""
        return self.value[len("MANIFEST_") :]


class ArtifactManifestEntry:
    """One path of an artifact: a file, or a reference to one elsewhere.

    Attributes:
        path: Where it is in the artifact, `/`-separated.
        ref: URI of what a reference stands for, else None.
        birth_artifact_id: Id of the version whose upload stored the file, once that is known.
        size: Bytes; None if unknown.
        extra: What else is kept with the entry, such as an ETag.
        skip_cache: Whether the file stays out of the local cache after its upload.
    """

    __slots__ = (
        "_digest",
        "_local_path",
        "_parent",
        "_staged",
        "birth_artifact_id",
        "extra",
        "path",
        "ref",
        "size",
        "skip_cache",
    )
    __hash__ = None  # type: ignore[assignment]

    def __init__(
        self,
        *,
        path: str | os.PathLike[str],
        digest: str | None = None,
        ref: str | None = None,
        birth_artifact_id: str | None = None,
        size: int | None = None,
        extra: Mapping[str, Any] | None = None,
        local_path: str | None = None,
        skip_cache: bool | None = False,
        birthArtifactID: str | None = None,  # noqa: N803 - its name in manifests
        staged: _core.StagedFile | None = None,
    ) -> None:
        if digest is None and staged is None:
            raise TypeError("an entry needs a `digest`")
        if size is None and local_path is not None:
            size = os.path.getsize(local_path)
        if size is not None and size < 0:
            raise ValueError(f"the size of entry `{path}` must not be negative, got {size}")
        self.path = path if type(path) is str else os.fspath(path)
        self.ref = ref
        self.birth_artifact_id = birth_artifact_id or birthArtifactID
        self.size = size
        self.extra: dict[str, Any] = dict(extra) if extra else {}
        self.skip_cache = bool(skip_cache)
        self._digest = digest
        self._local_path = local_path
        self._staged = staged
        self._parent: Artifact | None = None

    @property
    def digest(self) -> str:
        """Base64 of the content's MD5 or XXH3-128; of a reference its ETag, checksum or URI. Waits while a large file is hashed.

        Raises:
            OSError: The file cannot be read any more.
        """
        if self._digest is None:
            assert self._staged is not None, "an entry without a digest has a file"
            self._digest = self._staged.digest()
        return self._digest

    @property
    def is_hashed(self) -> bool:
        """Whether reading `digest` does not wait."""
        return self._digest is not None or self._staged is None or self._staged.is_hashed

    @property
    def local_path(self) -> str | None:
        """Where the content lies on this host until it is uploaded, absolute; None for references and stored entries."""
        return self._local_path if self._staged is None else self._staged.path

    @property
    def name(self) -> str:
        """Another name of `path`."""
        return self.path

    def digest_algorithm(self) -> ArtifactDigestAlgorithm:
        """How the content is hashed: MD5 unless the entry says otherwise."""
        if self.extra.get(_ALGORITHM_KEY) == "XXH128":
            return ArtifactDigestAlgorithm.MANIFEST_XXH128
        return ArtifactDigestAlgorithm.MANIFEST_MD5

    def parent_artifact(self) -> Artifact:
        """The version that the entry was read from.

        Raises:
            NotImplementedError: It is part of a draft.
        """
        if self._parent is None:
            raise NotImplementedError(f"entry `{self.path}` belongs to no stored artifact")
        return self._parent

    def download(
        self, root: str | None = None, skip_cache: bool | None = None, executor: Executor | None = None
    ) -> str:
        """Fetch the content; see `Artifact.download`.

        Returns:
            Path of the file.

        Raises:
            NotImplementedError: It is part of a draft.
        """
        self.parent_artifact()
        from ._download import entry_download

        return str(entry_download(self, root, skip_cache, executor))

    def ref_target(self) -> str:
        """URI of what the reference stands for, followed to its end.

        Raises:
            ValueError: The entry is no reference.
        """
        if self.ref is None:
            raise ValueError("Only reference entries support ref_target().")
        if self._parent is None:
            return self.ref
        from ._download import entry_ref_target

        return str(entry_ref_target(self))

    def ref_url(self) -> str:
        """URI by which another artifact can refer to this entry.

        Raises:
            NotImplementedError: It is part of a draft.
        """
        self.parent_artifact()
        from ._download import entry_ref_url

        return str(entry_ref_url(self))

    def to_json(self) -> dict[str, Any]:
        """The entry as a dict, members without a value left out."""
        members = {
            "path": self.path,
            "digest": self.digest,
            "ref": self.ref,
            "birthArtifactID": self.birth_artifact_id,
            "size": self.size,
            "extra": dict(self.extra),
            "local_path": self.local_path,
            "skip_cache": self.skip_cache,
        }
        return {name: value for name, value in members.items() if value is not None}

    def manifest_json(self) -> dict[str, Any]:
        """What the manifest says of the entry."""
        members: dict[str, Any] = {"digest": self.digest}
        if self.ref is not None:
            members["ref"] = self.ref
        if self.birth_artifact_id is not None:
            members["birthArtifactID"] = self.birth_artifact_id
        if self.size is not None:
            members["size"] = self.size
        if self.extra:
            members["extra"] = dict(self.extra)
        return members

    def draft_copy(self) -> ArtifactManifestEntry:
        """The entry in a draft made of a stored version: known to the server, without a file of its own here."""
        return ArtifactManifestEntry(
            path=self.path,
            digest=self.digest,
            ref=self.ref,
            birth_artifact_id=self.birth_artifact_id,
            size=self.size,
            extra=self.extra,
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ArtifactManifestEntry):
            return NotImplemented
        return self.to_json() == other.to_json()

    def __repr__(self) -> str:
        members = self.to_json()
        if not members["extra"]:
            del members["extra"]
        if "birthArtifactID" in members:
            members["birth_artifact_id"] = members.pop("birthArtifactID")
        return f"ArtifactManifestEntry({', '.join(f'{name}={value!r}' for name, value in members.items())})"


class ArtifactManifest:
    """Paths of an artifact and what lies there.

    Attributes:
        entries: Path to entry, in the order of adding.
        digest_algorithm: How new entries are hashed.
        storage_region: Where the server is asked to keep the files; None for its default.
        storage_layout: How the server lays files out: `V2`, or `V1` in old manifests.
    """

    def __init__(
        self,
        digest_algorithm: ArtifactDigestAlgorithm = ArtifactDigestAlgorithm.MANIFEST_MD5,
        *,
        entries: Mapping[str, ArtifactManifestEntry] | None = None,
        storage_region: str | None = None,
        storage_layout: str = LAYOUT,
    ) -> None:
        self.digest_algorithm = digest_algorithm
        self.entries: dict[str, ArtifactManifestEntry] = dict(entries or {})
        self.storage_region = storage_region
        self.storage_layout = storage_layout

    @classmethod
    def version(cls) -> int:
        """The version of the format."""
        return 1

    @classmethod
    def from_manifest_json(
        cls,
        manifest_json: Mapping[str, Any],
        digest_algorithm: ArtifactDigestAlgorithm = ArtifactDigestAlgorithm.MANIFEST_MD5,
    ) -> ArtifactManifest:
        """Read a manifest; members that are not known are ignored.

        Raises:
            ValueError: It is no manifest of version 1; the message names the member or entry.
        """
        if not isinstance(manifest_json, dict) or "version" not in manifest_json:
            raise ValueError("Invalid manifest format. Must contain version field.")
        if manifest_json["version"] != cls.version():
            raise ValueError(f"Invalid manifest version: {manifest_json['version']!r}.")
        policy = manifest_json.get("storagePolicy", POLICY)
        if policy != POLICY:
            raise ValueError(f"Failed to find storage policy {policy!r}")
        config = manifest_json.get("storagePolicyConfig") or {}
        contents = manifest_json.get("contents")
        if not (isinstance(config, dict) and isinstance(contents, dict)):
            raise ValueError(  # noqa: TRY004 - what is read is no argument
                "Invalid manifest format. `contents` and `storagePolicyConfig` must be objects."
            )
        region = config.get("storageRegion")
        return cls(
            digest_algorithm,
            entries={path: _read_entry(path, members) for path, members in contents.items()},
            storage_region=region if isinstance(region, str) else None,
            storage_layout=str(config.get("storageLayout") or "V1"),
        )

    @classmethod
    def copy_of(cls, other: ArtifactManifest) -> ArtifactManifest:
        """The manifest of a draft that begins with the entries of a stored version."""
        return cls(
            other.digest_algorithm,
            entries={path: entry.draft_copy() for path, entry in other.entries.items()},
            storage_region=other.storage_region,
        )

    def to_manifest_json(self) -> dict[str, Any]:
        """The manifest as it is stored. Waits while files are hashed."""
        config = {"storageLayout": self.storage_layout}
        if self.storage_region:
            config["storageRegion"] = self.storage_region
        return {
            "version": self.version(),
            "storagePolicy": POLICY,
            "storagePolicyConfig": config,
            "contents": {path: entry.manifest_json() for path, entry in self.entries.items()},
        }

    def digest(self) -> str:
        """Hex MD5 or XXH3-128 over the sorted paths and their digests. Waits while files are hashed."""
        pairs = [(path, entry.digest) for path, entry in self.entries.items()]
        return _core.manifest_digest(pairs, self.digest_algorithm.short)

    def size(self) -> int:
        """Sum of the sizes that are known, in bytes."""
        return sum(entry.size or 0 for entry in self.entries.values())

    def add_entry(self, entry: ArtifactManifestEntry, overwrite: bool = False) -> None:
        """Add an entry.

        Raises:
            ValueError: Another content has the path, and `overwrite` is false.
        """
        found = self.entries.get(entry.path)
        if found is not None and not overwrite and (found.digest != entry.digest or found.ref != entry.ref):
            raise ValueError(f"Cannot add the same path twice: {entry.path!r}")
        self.entries[entry.path] = entry

    def remove_entry(self, entry: ArtifactManifestEntry) -> None:
        """Remove the entry with the path of `entry`.

        Raises:
            FileNotFoundError: There is none.
        """
        if self.entries.pop(entry.path, None) is None:
            raise FileNotFoundError(f"Cannot remove missing entry: {entry.path!r}")

    def get_entry_by_path(self, path: str) -> ArtifactManifestEntry | None:
        """The entry at `path`, or None."""
        return self.entries.get(path)

    def get_entries_in_directory(self, directory: str) -> list[ArtifactManifestEntry]:
        """The entries below a directory."""
        prefix = f"{directory}/"
        return [entry for path, entry in self.entries.items() if path.startswith(prefix)]

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[ArtifactManifestEntry]:
        return iter(self.entries.values())

    def __repr__(self) -> str:
        return f"ArtifactManifest(entries={self.entries!r})"


def _read_entry(path: str, members: Any) -> ArtifactManifestEntry:
    digest = members.get("digest") if isinstance(members, dict) else None
    if not isinstance(digest, str) or not isinstance(members, dict):
        raise ValueError(f"Invalid manifest format. Entry {path!r} has no digest.")  # noqa: TRY004 - as above
    size = members.get("size")
    extra = members.get("extra") or {}
    ref, birth = members.get("ref"), members.get("birthArtifactID")
    if (
        (size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 0))
        or not isinstance(extra, dict)
        or not all(text is None or isinstance(text, str) for text in (ref, birth))
    ):
        raise ValueError(f"Invalid manifest format. Entry {path!r} has a member of a wrong type.")
    return ArtifactManifestEntry(
        path=path, digest=digest, ref=ref, birth_artifact_id=birth, size=size, extra=extra
    )


def sorted_entries(entries: Iterable[ArtifactManifestEntry]) -> list[ArtifactManifestEntry]:
    """Entries in the order of their paths, as manifests have them."""
    return sorted(entries, key=lambda entry: entry.path)
