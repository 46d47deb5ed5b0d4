"""`Artifact`: a versioned set of files. A draft collects them; `log_artifact` makes a version of it."""

from __future__ import annotations

from runlane import terminal
from runlane._ids import random_id

from . import _checks
from ._adding import Adding
from ._download import Downloading
from ._drafts import remember
from ._entries import ArtifactDigestAlgorithm, ArtifactManifest
from ._objects import Objects
from ._references import References
from ._stored import Stored

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Any, Literal

    from ._logging import Saving
    from ._ttl import ArtifactTTL
    from ._versions import Version

_CLIENT_ID_CHARACTERS = 128


class Artifact(Stored, Downloading, Adding, References, Objects):
    """A versioned set of files and references, with a name and a type.

    Made as a draft: files are added, then `run.log_artifact` makes it a version, and it cannot be changed any more. Files are safe in
    the staging directory when `add_file` returns; they are hashed and uploaded while the program goes on. `wait` waits for the version.

    Args:
        name: 1 to 128 of letters, digits, `-`, `_` and `.`, the first no dash.
        type: What it is, such as `dataset` or `model`; without `/` and `:`. Names that begin with `wandb-` are reserved.
        description: For people, in Markdown.
        metadata: A JSON object, at most 100 keys and 1 MiB; it is copied. Numbers and arrays of numpy, dates and sets are converted.
        incremental: The entries are added to those of the newest version, instead of taking their place.
        use_as: Without effect.
        storage_region: Where the server is to keep the files.
        digest_algorithm: `MD5`, or `XXH128`, which is faster and known to wandb 0.29 and newer.

    Raises:
        TypeError: An argument has a wrong type.
        ValueError: An argument breaks a rule; the message says which.
    """

    _version: Version | None

    def __init__(
        self,
        name: str,
        type: str,  # noqa: A002 - wandb's name
        description: str | None = None,
        metadata: dict[str, Any] | None = None,
        incremental: bool = False,
        use_as: str | None = None,
        storage_region: str | None = None,
        digest_algorithm: Literal["MD5", "XXH128"] = "MD5",
    ) -> None:
        checked = _checks.artifact_name(name)
        self._prepare(checked, _checks.artifact_type(type, checked))
        self._describe(description, metadata)
        if use_as is not None:
            terminal.termwarn(
                "`use_as` argument is deprecated and does not affect the behaviour of `wandb.Artifact()`"
            )
        if incremental:
            terminal.termwarn("Using experimental arg `incremental`")
        if storage_region is not None and not _checks.text("storage_region", storage_region):
            raise ValueError("`storage_region` must not be empty")
        algorithm = _algorithm(digest_algorithm)
        if algorithm is ArtifactDigestAlgorithm.MANIFEST_XXH128:
            terminal.termwarn(
                "Creating an artifact with the XXH128 digest algorithm. Calling `artifact.verify()` for this artifact on wandb"
                " versions before 0.29.0 will fail."
            )
        self._incremental = bool(incremental)
        self._manifest = ArtifactManifest(algorithm, storage_region=storage_region)
        remember(self)

    def _prepare(self, name: str, type_: str) -> None:
        """Give every field its value at the beginning."""
        self._name = name
        self._type = type_
        self._description: str | None = None
        self._metadata: dict[str, Any] = {}
        self._ttl: timedelta | ArtifactTTL | None = None
        self._ttl_changed = False
        self._aliases: list[str] = []
        self._tags: list[str] = []
        self._client_id = random_id(_CLIENT_ID_CHARACTERS)
        self._sequence_client_id = random_id(_CLIENT_ID_CHARACTERS)
        self._base_id: str | None = None
        self._distributed_id: str | None = None
        self._incremental = False
        self._use_as: str | None = None
        self._manifest: ArtifactManifest | None = None
        self._final = False
        self._saving: Saving | None = None
        self._version = None
        self._prepare_adding()

    def _describe(self, description: str | None, metadata: dict[str, Any] | None) -> None:
        self._description = None if description is None else _checks.text("description", description)
        self._metadata = _checks.metadata(metadata)

    @property
    def manifest(self) -> ArtifactManifest:
        """What is in the artifact. That of a stored version is read from the server.

        Raises:
            CommError: The server cannot be reached.
        """
        if self._manifest is None:
            self._manifest = self._load_manifest()
        return self._manifest

    @property
    def digest(self) -> str:
        """Hex digest of all paths and contents. Of a draft it changes with what is added, and waits while files are hashed."""
        return self.manifest.digest() if self._version is None else str(self._version.attrs["digest"])

    @property
    def digest_algorithm(self) -> ArtifactDigestAlgorithm:
        """How the artifact is hashed."""
        if self._version is None:
            return self.manifest.digest_algorithm
        return ArtifactDigestAlgorithm(self._version.attrs.get("digestAlgorithm") or "MANIFEST_MD5")

    @property
    def size(self) -> int:
        """Sum of the sizes of the entries in bytes, those of references included where they are known."""
        return self.manifest.size() if self._version is None else int(self._version.attrs["size"] or 0)

    @property
    def incremental(self) -> bool:
        """Whether the entries are added to those of the newest version."""
        return self._incremental

    @property
    def use_as(self) -> str | None:
        """Deprecated: always None for a draft."""
        terminal.termwarn("The use_as property of Artifact is deprecated.", repeat=False)
        return self._use_as

    @property
    def distributed_id(self) -> str | None:
        """What the parts of an artifact have in common that several processes make."""
        return self._distributed_id

    @distributed_id.setter
    def distributed_id(self, distributed_id: str | None) -> None:
        self._distributed_id = (
            None if distributed_id is None else _checks.text("distributed_id", distributed_id)
        )

    def finalize(self) -> None:
        """Allow no more changes of the contents; logging the artifact does so."""
        self._final = True


def _algorithm(name: Any) -> ArtifactDigestAlgorithm:
    try:
        return ArtifactDigestAlgorithm(f"MANIFEST_{_checks.text('digest_algorithm', name).upper()}")
    except ValueError:
        raise ValueError(f"`digest_algorithm` must be MD5 or XXH128, got {name!r}") from None


def internal(
    name: str,
    type_: str,
    *,
    incremental: bool = False,
    description: str | None = None,
    metadata: dict[str, Any] | None = None,
) -> Artifact:
    """A draft that this library makes: its name and type may be reserved ones."""
    made = Artifact.__new__(Artifact)
    made._prepare(_checks.artifact_name(name), type_)
    made._describe(description, metadata)
    made._incremental = incremental
    made._manifest = ArtifactManifest()
    remember(made)
    return made
