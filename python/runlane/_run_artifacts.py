"""Outputs of a run: `log_artifact` and its relatives."""

from __future__ import annotations

import os

from . import _telemetry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._settings import Settings
    from .artifacts import Artifact
    from .artifacts._logging import HandOver

_UNSPECIFIED = "unspecified"


class RunArtifacts:
    """The part of `Run` that makes versions of artifacts. Nothing here waits for the network, or for files to be hashed."""

    _artifacts: HandOver | None = None

    if TYPE_CHECKING:
        _settings: Settings

        @property
        def id(self) -> str: ...
        @property
        def group(self) -> str: ...
        @property
        def offline(self) -> bool: ...
        def _check_open(self, method: str) -> None: ...
        def _publish(self, kind: str, payload: dict[str, Any]) -> None: ...
        def _record_feature(self, number: int) -> None: ...

    def log_artifact(
        self,
        artifact_or_path: Artifact | str | os.PathLike[str],
        name: str | None = None,
        type: str | None = None,  # noqa: A002 - wandb's name
        aliases: list[str] | None = None,
        tags: list[str] | None = None,
    ) -> Artifact:
        """Make a version of an artifact, as an output of the run. Returns at once; the upload goes on meanwhile.

        Args:
            artifact_or_path: An artifact; or a file, a directory or a URI, of which one is made.
            name: Name of one that is made. Default: `run-<id>-<file name>`.
            type: Type of one that is made. Default: `unspecified`.
            aliases: Names that lead to this version from now on, besides `latest`.
            tags: Tags of the version.

        Returns:
            The artifact. It cannot be changed any more; `wait` waits until it is stored, and tells if it could not be.

        Raises:
            UsageError: The run is finished.
            TypeError: It is neither artifact nor path, or an argument has a wrong type.
            ValueError: There is no such file or directory, or a name, type, alias or tag is not allowed.
        """
        self._check_open("log_artifact")
        artifact = self._made(artifact_or_path, name, type, "log_artifact")
        return self._log_version(artifact, aliases, tags)

    def upsert_artifact(
        self,
        artifact_or_path: Artifact | str | os.PathLike[str],
        name: str | None = None,
        type: str | None = None,  # noqa: A002 - wandb's name
        aliases: list[str] | None = None,
        distributed_id: str | None = None,
    ) -> Artifact:
        """Add this process's part to an artifact that several processes make; `finish_artifact` makes a version of all parts.

        Args:
            artifact_or_path: As in `log_artifact`.
            name: As in `log_artifact`.
            type: As in `log_artifact`.
            aliases: As in `log_artifact`.
            distributed_id: What the parts have in common. Default: the run's group.

        Raises:
            TypeError: There is neither group nor `distributed_id`; or as in `log_artifact`.
            ValueError: As in `log_artifact`.
        """
        self._check_open("upsert_artifact")
        return self._log_part(
            artifact_or_path, name, type, aliases, distributed_id, method="upsert_artifact", finalize=False
        )

    def finish_artifact(
        self,
        artifact_or_path: Artifact | str | os.PathLike[str],
        name: str | None = None,
        type: str | None = None,  # noqa: A002 - wandb's name
        aliases: list[str] | None = None,
        distributed_id: str | None = None,
    ) -> Artifact:
        """Add a last part to an artifact that several processes make, and make a version of all parts.

        Arguments and errors are those of `upsert_artifact`.
        """
        self._check_open("finish_artifact")
        return self._log_part(
            artifact_or_path, name, type, aliases, distributed_id, method="finish_artifact", finalize=True
        )

    def log_model(
        self, path: str | os.PathLike[str], name: str | None = None, aliases: list[str] | None = None
    ) -> None:
        """Log a file or directory as an artifact of the type `model`.

        Args:
            path: The file or directory.
            name: Name of the artifact. Default: `run-<id>-<file name>`.
            aliases: As in `log_artifact`.

        Raises:
            ValueError: There is no such file or directory, or the name or an alias is not allowed.
        """
        self._check_open("log_model")
        self._log_version(self._model_draft(path, name), aliases)

    def log_code(
        self,
        root: Any = ".",
        name: str | None = None,
        include_fn: Any = None,
        exclude_fn: Any = None,
    ) -> Artifact | None:
        """Log source files as an artifact of the type `code`. API keys of this process are taken out of the copies.

        Args:
            root: Directory that is searched, and that names in the artifact are relative to.
            name: Name of the artifact. Default: `source-<project>-<program>`.
            include_fn: Takes a path, or a path and the root, and says whether the file is wanted. Default: Python files,
                `requirements…` and `Dockerfile…`.
            exclude_fn: The same for files that are left out. Default: those in the folders of runs.

        Returns:
            The artifact, or None with a warning if there are no such files.

        Raises:
            TypeError: `root` is no path, or a filter no function.
            ValueError: The name is not allowed.
        """
        self._check_open("log_code")
        from . import _code_files as code
        from ._json_text import encode

        draft = code.draft(
            self._settings,
            root,
            name,
            include_fn or code.default_include,
            exclude_fn or code.default_exclude,
        )
        if draft is None:
            return None
        self._log_version(draft)
        self._publish("config", {"update": [(("_wandb", "code_path"), encode(draft._name))], "remove": []})
        return draft

    # -- for the rest of the package ---------------------------------------------------------------------------------

    def _log_internal_artifact(self, artifact: Artifact) -> None:
        """Log an artifact that this library has made; what goes wrong is told, and never raised."""
        self._log_version(artifact)

    def _log_draft(self, artifact: Artifact, aliases: Any, *, use: bool, by_user: bool) -> Artifact:
        """Log a draft that is to be an input of the run as well (`use`), or that no run made (`by_user`)."""
        return self._log_version(artifact, aliases, use=use, by_user=by_user)

    def _model_draft(self, path: Any, name: str | None) -> Artifact:
        return self._made(path, name, "model", "log_model")

    def _made(self, given: Any, name: str | None, type_: str | None, method: str) -> Artifact:
        """The artifact that is given, or one of the file, directory or URI that is given."""
        from .artifacts import Artifact

        if isinstance(given, Artifact):
            return given
        if isinstance(given, bool) or not isinstance(given, (str, os.PathLike)):
            raise TypeError(f"You must pass an instance of wandb.Artifact or a valid file path to {method}")
        path = os.fsdecode(given)
        is_uri = "://" in path and not os.path.exists(path)
        base = path.rstrip("/").rpartition("/")[2] if is_uri else os.path.basename(os.path.abspath(path))
        artifact = Artifact(name or f"run-{self.id}-{base}", type_ or _UNSPECIFIED)
        if os.path.isfile(path):
            artifact.add_file(path)
        elif os.path.isdir(path):
            artifact.add_dir(path)
        elif is_uri:
            artifact.add_reference(path)
        else:
            raise ValueError("path must be a file, directory or external reference like s3://bucket/path")
        return artifact

    def _log_part(
        self,
        given: Any,
        name: str | None,
        type_: str | None,
        aliases: Any,
        distributed_id: str | None,
        *,
        method: str,
        finalize: bool,
    ) -> Artifact:
        common = distributed_id or self.group
        if not common:
            verb = method.partition("_")[0]
            raise TypeError(f"Cannot {verb} artifact unless run is in a group or distributed_id is provided")
        artifact = self._made(given, name, type_, method)
        artifact.distributed_id = common
        return self._log_version(artifact, aliases, finalize=finalize)

    def _log_version(
        self,
        artifact: Artifact,
        aliases: Any = None,
        tags: Any = None,
        *,
        finalize: bool = True,
        use: bool = False,
        by_user: bool = False,
    ) -> Artifact:
        from ._ids import random_id
        from .artifacts import _checks, _drafts, _logging

        names = _checks.aliases([aliases] if isinstance(aliases, str) else aliases, _checks.ALIASES)
        labels = _checks.tags([tags] if isinstance(tags, str) else tags, _checks.TAGS)
        if artifact._saving is not None:
            # Each record is an upload of its own, which its client id tells from others.
            artifact._client_id = random_id(len(artifact._client_id))
            _drafts.remember(artifact)
        facts = _logging.facts_of(
            self,  # type: ignore[arg-type]
            artifact,
            sorted({*names, _logging.LATEST}),
            labels,
            finalize=finalize,
            use=use,
            by_user=by_user,
        )
        artifact.finalize()
        saving = _logging.Saving(self, artifact._client_id, artifact._name)  # type: ignore[arg-type]
        if not self.offline:
            artifact._saving = saving
        if artifact._incremental:
            self._record_feature(_telemetry.ARTIFACT_INCREMENTAL)
        if self._artifacts is None:
            self._artifacts = _logging.HandOver()
        self._artifacts.submit(
            artifact,
            lambda: _logging.publish(self, artifact, saving, facts),  # type: ignore[arg-type]
        )
        return artifact
