"""`WBValue` and `Media`: what every type of this package is an instance of, as libraries test with `isinstance`.

A value is stored in a row of a run (`to_json(run)`) or in an artifact (`to_json(artifact)`), where it is either a file
`<name>.<log type>.json` of its own or a cell of a table. Where it came from, or went to, it remembers: what lies in an artifact is
referred to, not stored again. The shapes are those of reference/wandb/files-and-media.md 2 and 3.1.
"""

from __future__ import annotations

import sys

from runlane import terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, ClassVar, NamedTuple

    from ._files import MediaFile

    class ArtifactPlace(NamedTuple):
        """An artifact, and the name of an object in it without its suffix; None for what lies within another object."""

        artifact: Any
        name: str | None

else:
    from collections import namedtuple

    ArtifactPlace = namedtuple("ArtifactPlace", "artifact name")  # noqa: PYI024, RUF100 - `typing` is slow to import


def is_artifact(value: Any) -> bool:
    """Whether `value` is an artifact; imports nothing."""
    module = sys.modules.get("runlane.artifacts._artifact")
    return module is not None and isinstance(value, module.Artifact)


class WBValue:
    """Base of everything that is stored as more than a plain value."""

    #: Tells the conversion of logged values, without an import, that the value stores itself.
    _runlane_value: ClassVar[bool] = True
    #: The `_type` of the artifact form, and the suffix of such a file.
    _log_type: ClassVar[str | None] = None

    _artifact_source: ArtifactPlace | None = None
    _artifact_target: ArtifactPlace | None = None

    def to_json(self, run_or_artifact: Any = None) -> dict[str, Any]:
        """The value as a row of the run, or the artifact, holds it.

        Raises:
            NotImplementedError: The type has no such form.
        """
        raise NotImplementedError

    @classmethod
    def from_json(cls, json_obj: dict[str, Any], source_artifact: Any) -> Any:
        """The value whose artifact form is `json_obj`; its files are those of `source_artifact`.

        Raises:
            NotImplementedError: The type cannot be read back.
        """
        raise NotImplementedError

    @classmethod
    def with_suffix(cls, name: str, filetype: str = "json") -> str:
        """The name of an artifact's file for an object called `name`: `<name>.<log type>.<file type>`."""
        suffix = f"{cls._log_type}.{filetype}" if cls._log_type is not None else filetype
        return name if name.endswith(suffix) else f"{name}.{suffix}"

    @staticmethod
    def init_from_json(json_obj: dict[str, Any], source_artifact: Any) -> WBValue | None:
        """The value whose artifact form is `json_obj`, by its `_type`; None for a type that is not known."""
        kind = type_of(str(json_obj.get("_type")))
        if kind is None:
            return None
        value: WBValue = kind.from_json(json_obj, source_artifact)
        if value._artifact_source is None:
            value._set_artifact_source(source_artifact)
        return value

    @staticmethod
    def type_mapping() -> dict[str, type[WBValue]]:
        """The classes by the `_type` of their objects in artifacts, a user's own included; loads those of this package."""
        for log_type in _MODULES:
            type_of(log_type)
        found: dict[str, type[WBValue]] = {}
        waiting: list[type[WBValue]] = [WBValue]
        while waiting:
            one = waiting.pop()
            if one._log_type is not None and "_log_type" in one.__dict__:
                found.setdefault(one._log_type, one)
            waiting.extend(one.__subclasses__())
        return found

    def to_data_array(self) -> list[Any]:
        """The content as nested lists of plain values.

        Raises:
            NotImplementedError: The type has no such form.
        """
        raise NotImplementedError

    def _row_value(self, run: Any, key: str, step: int | str) -> dict[str, Any]:
        """The value as the row of `key` holds it; what belongs into files is in the run's files after that."""
        del key, step
        return self.to_json(run)

    # -- places in artifacts -----------------------------------------------------------------------------------------

    def _set_artifact_source(self, artifact: Any, name: str | None = None) -> None:
        """Note that the value was read from `artifact`."""
        self._artifact_source = ArtifactPlace(artifact, name)

    def _set_artifact_target(self, artifact: Any, name: str | None = None) -> None:
        """Note that the value was added to `artifact`."""
        self._artifact_target = ArtifactPlace(artifact, name)

    def _artifact_url(self, run: Any = None) -> str | None:
        """The reference to the artifact's file of this value, None where there is none that a row could use."""
        source = self._artifact_source
        if source is not None and source.name:
            return str(source.artifact.get_entry(self.with_suffix(source.name)).ref_url())
        return self._client_url("_client_id", "", run)

    def _latest_artifact_url(self, run: Any = None) -> str | None:
        """The same in whatever version of the artifact is the latest."""
        return self._client_url("_sequence_client_id", ":latest", run)

    def _client_url(self, identity: str, alias: str, run: Any) -> str | None:
        target = self._artifact_target
        if target is None or not target.name or not getattr(target.artifact, "_final", False):
            return None
        if run is not None and run.offline and not run._settings.allow_offline_artifacts:
            return None
        known = getattr(target.artifact, identity, None)
        if known is None:
            return None
        return f"wandb-client-artifact://{known}{alias}/{self.with_suffix(target.name)}"


#: Modules of this package with types that artifacts hold, and the types' names there.
_MODULES = {
    "audio-file": "audio",
    "bokeh-file": "bokeh",
    "boxes2D": "boxes",
    "classes": "classes",
    "graph-file": "graph",
    "html-file": "html",
    "image-file": "image",
    "joined-table": "joined_table",
    "mask": "masks",
    "molecule-file": "molecule",
    "object3D-file": "object3d",
    "partitioned-table": "partitioned_table",
    "plotly-file": "plotly",
    "table": "table",
    "video-file": "video",
}


def object_types() -> tuple[str, ...]:
    """The `_type` of each type of object that artifacts hold."""
    return tuple(_MODULES)


def type_of(log_type: str) -> type[WBValue] | None:
    """The class of a `_type` of artifacts' objects, which may be a user's own; None for an unknown one."""
    if log_type in _MODULES:
        __import__(f"{__package__}.{_MODULES[log_type]}")
    waiting: list[type[WBValue]] = [WBValue]
    while waiting:
        one = waiting.pop()
        # `__dict__`: a class that inherits the type of another is not what its objects are read as.
        if one.__dict__.get("_log_type") == log_type:
            return one
        waiting.extend(one.__subclasses__())
    return None


class Media(WBValue):
    """A value whose content is a file.

    The first row that has it stores the file in the run's files, under a name made of the key, the step and the content; later rows
    of the same run refer to it.
    """

    #: Directory below `media` in the run's files and in artifacts.
    _kind: ClassVar[str] = ""
    #: The content; None until a type has made it.
    _file: MediaFile | None = None
    _caption: str | None = None
    #: The URL of content that an artifact refers to.
    _reference: str | None = None
    #: The run that has the file, and what rows of it say of the file.
    _bound: tuple[Any, dict[str, Any]] | None = None
    #: The entry of `_artifact_source` that is the file.
    _source_entry: str | None = None

    def __init__(self, caption: str | None = None) -> None:
        self._caption = caption
        self._bound = None

    def __getstate__(self) -> dict[str, Any]:
        # A copy, also one in another process, is stored again: the run may be another one there.
        return {**self.__dict__, "_bound": None}

    @classmethod
    def get_media_subdir(cls) -> str:
        """Where files of this type lie in a run or artifact: `media/<kind>`."""
        return f"media/{cls._kind}"

    @staticmethod
    def path_is_reference(path: Any) -> bool:
        """Whether a path is a URL of a store, whose content is not read."""
        return isinstance(path, str) and path.startswith(("gs://", "s3://", "http://", "https://"))

    def file_is_set(self) -> bool:
        """Whether the value has its content."""
        return self._file is not None

    def _is_pending(self) -> bool:
        """Whether content is still to be made, which takes time."""
        return self._file is not None and self._file.is_pending

    def is_bound(self) -> bool:
        """Whether a run has the file."""
        return self._bound is not None

    def bind_to_run(
        self,
        run: Any,
        key: str,
        step: int | str,
        id_: int | str | None = None,
        ignore_copy_err: bool | None = None,  # noqa: ARG002, RUF100 - W&B's argument
    ) -> None:
        """Store the file with `run`, under a name made of `key`, `step` and `id_` (default: its SHA-256).

        `ignore_copy_err` is without effect.

        Raises:
            ValueError: The content is a URL.
            OSError: It cannot be written.
        """
        if self._reference is not None:
            raise ValueError(
                f"an {type(self).__name__} of a URL is part of an artifact, it cannot be added to a run"
            )
        named = () if id_ is None else (id_,)
        self._bound = (run, self._store(run, str(key), step, *named))

    def to_json(self, run_or_artifact: Any = None) -> dict[str, Any]:
        """What a row holds, after `bind_to_run`; or what an artifact holds, the file being added to it.

        Raises:
            TypeError: The value is not stored with this run.
            OSError: The file cannot be read.
        """
        if is_artifact(run_or_artifact):
            return self._in_artifact(run_or_artifact)
        if self._bound is not None and self._bound[0] is run_or_artifact:
            return self._described(self._bound[1])
        if self._bound is None and self._file is not None and self._artifact_url(run_or_artifact) is not None:
            return self._described({"sha256": self._file.sha256, "size": self._file.size})
        raise TypeError(f"{type(self).__name__}.to_json takes the run that it was logged to, or an artifact")

    def _row_value(self, run: Any, key: str, step: int | str) -> dict[str, Any]:
        if self._bound is None or self._bound[0] is not run:
            self.bind_to_run(run, key, step)
        return self.to_json(run)

    def _store(self, run: Any, key: str, step: int | str, id_: int | str | None = None) -> dict[str, Any]:
        """Write the file; returns `path`, `sha256` and `size`."""
        if self._file is None:
            raise NotImplementedError
        return self._file.store(run, self._kind, key, step, id_)

    def _described(self, file: dict[str, Any]) -> dict[str, Any]:
        """The row's value, `file` being what `_store` returned."""
        described: dict[str, Any] = {} if self._caption is None else {"caption": self._caption}
        described.update({"_type": self._log_type, "sha256": file["sha256"], "size": file["size"]})
        run = self._bound[0] if self._bound is not None else None
        for name, url in (
            ("artifact_path", self._artifact_url(run)),
            ("_latest_artifact_path", self._latest_artifact_url(run)),
        ):
            if url is not None:
                described[name] = url
        if "path" in file:
            described["path"] = file["path"]
        return described

    def _in_artifact(self, artifact: Any) -> dict[str, Any]:
        """The artifact's form; the file is an entry of it after that."""
        described: dict[str, Any] = {} if self._caption is None else {"caption": self._caption}
        if self._file is not None:
            described["path"] = self._entry_of(artifact, self._file)
            described["sha256"] = self._file.sha256
        elif self._reference is not None:
            from hashlib import sha256

            digest = sha256(self._reference.encode()).hexdigest()
            name = f"{self.get_media_subdir()}/{digest[:20]}/{self._reference.rpartition('/')[2]}"
            artifact.add_reference(self._reference, name=name)
            described.update(path=name, sha256=digest)
        described["_type"] = self._log_type
        return described

    def _entry_of(self, artifact: Any, file: MediaFile) -> str:
        """The name of the artifact's entry with the file, which is added if it is not there."""
        source = self._artifact_source
        if source is not None and self._source_entry is not None:
            if source.artifact is not artifact:
                url = source.artifact.get_entry(self._source_entry).ref_url()
                artifact.add_reference(url, name=self._source_entry)
            return self._source_entry
        path = file.local_path()
        added = artifact.get_added_local_path_name(path)
        if added is not None:
            return str(added)
        if file.is_temporary:
            name = f"{self.get_media_subdir()}/{file.name}"
        else:
            name = f"{self.get_media_subdir()}/{file.sha256[:20]}/{file.name}"
        return str(artifact.add_file(path, name=name, is_tmp=file.is_temporary).path)

    @classmethod
    def from_json(cls, json_obj: dict[str, Any], source_artifact: Any) -> Any:
        """The value whose artifact form is `json_obj`; its file is downloaded."""
        path = json_obj["path"]
        value = cls(source_artifact.get_entry(path).download(), **cls._options_of(json_obj))
        value._set_artifact_source(source_artifact)
        value._source_entry = path
        return value

    @classmethod
    def _options_of(cls, json_obj: dict[str, Any]) -> dict[str, Any]:
        """Arguments of the constructor that the artifact's form holds besides the file."""
        return {"caption": json_obj["caption"]} if json_obj.get("caption") is not None else {}

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return (
            isinstance(other, Media)
            and type(other) is type(self)
            and self._file is not None
            and other._file is not None
            and self._file.sha256 == other._file.sha256
        )

    __hash__ = object.__hash__


class BatchableMedia(Media):
    """Media of which a list is one value of a row."""

    #: The most that one value holds; further ones are left out with a warning.
    MAX_ITEMS: ClassVar[int] = 108

    @classmethod
    def seq_to_json(cls, seq: Sequence[Any], run: Any, key: str, step: int | str) -> dict[str, Any]:
        """The row's value of several objects of this type, whose files are stored with `run`."""
        raise NotImplementedError

    @classmethod
    def _bound_items(cls, seq: Sequence[Any], run: Any, key: str, step: int | str) -> list[dict[str, Any]]:
        """The objects one by one, as values of rows."""
        for one in seq:
            one.bind_to_run(run, key, step)
        return [one.to_json(run) for one in seq]

    @classmethod
    def _first_of(cls, seq: Sequence[Any], key: str) -> Sequence[Any]:
        """As many as one value holds; says once what is left out."""
        if len(seq) > cls.MAX_ITEMS:
            terminal.termwarn(
                f"`{terminal.printable(key)}` has {len(seq)} objects of type {cls.__name__}: the first {cls.MAX_ITEMS} are stored"
                "\nhint: log the others under a key, or at a step, of their own",
                repeat=False,
            )
        return seq[: cls.MAX_ITEMS]

    @staticmethod
    def captions(media_items: Sequence[Any]) -> Any:
        """Captions of a list, or False if the first has none."""
        if media_items[0]._caption is None:
            return False
        return [one._caption for one in media_items]

    def _stored_path(self) -> Any:
        """Where the file is in the run that it was stored with."""
        return self._bound[1]["path"] if self._bound is not None else None
