"""Objects in artifacts: tables, images and their like, each a file `<name>.<type>.json` with what it needs beside it."""

from __future__ import annotations

import json

from . import _checks, _staging
from ._errors import needs_draft, needs_logged

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from typing import Any

    from runlane import _core
    from runlane.data_types.base import WBValue

    from ._entries import ArtifactManifest, ArtifactManifestEntry
    from ._versions import Version

_SUFFIX = ".json"


class Objects:
    """The part of `Artifact` that takes objects in and gives them back."""

    if TYPE_CHECKING:
        _final: bool
        _version: Version | None

        @property
        def manifest(self) -> ArtifactManifest: ...
        def add_reference(self, uri: Any, name: Any = None) -> Any: ...
        def _add_staged(
            self,
            path: str,
            staged: _core.StagedFile,
            *,
            skip_cache: bool | None,
            overwrite: bool,
            source: str | None = None,
        ) -> ArtifactManifestEntry: ...

    @needs_draft
    def add(
        self, obj: WBValue, name: str | os.PathLike[str], overwrite: bool = False
    ) -> ArtifactManifestEntry:
        """Add an object, such as a table or an image; `get` gives it back.

        An object that is in another artifact already is added as a reference to it.

        Args:
            obj: The object.
            name: Its name in the artifact; the file is called `<name>.<type>.json`.
            overwrite: Replace an object of that name and type, instead of leaving it.

        Raises:
            ArtifactFinalizedError: The artifact was logged.
            TypeError: Objects of this type cannot be in artifacts.
            ValueError: The name is not allowed.
        """
        _check_addable(obj)
        logical = _checks.entry_path(name)
        path = obj.with_suffix(logical)
        present = self.manifest.entries.get(path)
        if present is not None:
            if not overwrite:
                return present
            del self.manifest.entries[path]
        try:
            entry = self._referred(obj, path)
            # Rows and further artifacts refer to where the bytes are.
            referred = entry is not None
            entry = entry or self._written(obj, path)
        except BaseException:
            if present is not None:
                self.manifest.entries[path] = present
            raise
        if not referred:
            obj._set_artifact_target(self, logical)
        return entry

    def _written(self, obj: WBValue, path: str) -> ArtifactManifestEntry:
        write = getattr(obj, "_write_artifact_form", None)
        with _staging.scratch_file() as target:
            if write is not None:
                with open(target, "wb") as binary:
                    write(self, binary)
            else:
                form = obj.to_json(self)
                with open(target, "w", encoding="utf-8") as file:
                    json.dump(form, file, sort_keys=True)
            staged = _staging.adopt(target, self.manifest.digest_algorithm)
        return self._add_staged(path, staged, skip_cache=False, overwrite=False)

    def _referred(self, obj: WBValue, path: str) -> ArtifactManifestEntry | None:
        """The object as a reference, if it is in another artifact; None if it is not."""
        source, target = obj._artifact_source, obj._artifact_target
        if source is not None and source.name and source.artifact is not self:
            ref = source.artifact.get_entry(obj.with_suffix(source.name)).ref_url()
        elif target is not None and target.name and target.artifact is not self and target.artifact._final:
            stored = target.artifact
            ref_path = obj.with_suffix(target.name)
            if stored._version is not None:
                ref = stored.get_entry(ref_path).ref_url()
            else:
                ref = f"wandb-client-artifact://{stored._client_id}/{ref_path}"
        else:
            return None
        (entry,) = self.add_reference(ref, path)
        return entry  # type: ignore[no-any-return]

    @needs_logged
    def get(self, name: str) -> WBValue | None:
        """The object that was added as `name`; None if there is none. Its files are downloaded.

        Raises:
            ArtifactNotLoggedError: The artifact is a draft.
            CommError: The server cannot be reached.
            ValueError: The object cannot be read.
        """
        from runlane.data_types.base import WBValue

        from ._reading_references import followed, is_artifact_reference

        entry = self._object_entry(name)
        if entry is None:
            return None
        if is_artifact_reference(entry.ref):
            artifact, target = followed(self, entry)  # type: ignore[arg-type]
            return artifact.get(target.path)
        with open(entry.download(), encoding="utf-8") as file:
            form = json.load(file)
        value = WBValue.init_from_json(form, self)
        if value is None:
            raise ValueError(f"`{entry.path}` is of the type {form.get('_type')!r}, which is not known")
        value._set_artifact_source(self, name)
        return value

    def __getitem__(self, name: str) -> WBValue | None:
        """As `get`.

        Raises:
            ArtifactNotLoggedError: The artifact is a draft.
        """
        return self.get(name)

    def __setitem__(self, name: str, item: WBValue) -> ArtifactManifestEntry:
        """As `add`."""
        return self.add(item, name)

    def _object_entry(self, name: str) -> ArtifactManifestEntry | None:
        """The entry of the object that was added as `name`, or that has this path."""
        from runlane.data_types.base import _MODULES

        logical = name.strip("/")
        for kind in _MODULES:
            suffix = f"{kind}{_SUFFIX}"
            path = logical if logical.endswith(f".{suffix}") else f"{logical}.{suffix}"
            entry = self.manifest.entries.get(path)
            if entry is not None:
                return entry
        return None


def _check_addable(obj: Any) -> None:
    from runlane.data_types.base import _MODULES, WBValue

    if not isinstance(obj, WBValue) or obj._log_type not in _MODULES:
        raise TypeError(
            f"Found object of type {obj.__class__}, expected a table, an image or another object that artifacts can hold"
        )
