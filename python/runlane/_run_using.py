"""Inputs of a run, and links: `use_artifact`, `use_model`, `link_artifact`, `link_model`."""

from __future__ import annotations

import os

from . import terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ._run import Run
    from ._settings import Settings
    from .artifacts import Artifact
    from .public_api import Api

_MODEL_PROJECT = "model-registry"


def run_api(run: Run) -> Api:
    """The Public API at the run's server, with the run's key, entity and project. One object for each run.

    Raises:
        UsageError: The run has no server.
    """
    from .public_api import Api

    known: Api | None = run.__dict__.get("_public_api")
    if known is None:
        settings = run._settings
        fields: Mapping[str, Any] = (run._open_arguments or ({}, {}))[0]
        overrides = {
            "base_url": fields.get("base_url")
            or (settings.base_url if settings.is_set("base_url") else None),
            "entity": run.entity or None,
            "project": run.project or None,
        }
        known = run.__dict__["_public_api"] = Api(overrides=overrides, api_key=fields.get("api_key"))
    return known


class RunUsing:
    """The part of `Run` that is about artifacts which are stored already."""

    if TYPE_CHECKING:
        _settings: Settings

        @property
        def id(self) -> str: ...
        @property
        def entity(self) -> str: ...
        @property
        def project(self) -> str: ...
        def _check_open(self, method: str) -> None: ...
        def _publish(self, kind: str, payload: Mapping[str, Any]) -> None: ...
        def _log_draft(self, artifact: Artifact, aliases: Any, *, use: bool, by_user: bool) -> Artifact: ...
        def _model_draft(self, path: Any, name: str | None) -> Artifact: ...

    def use_artifact(
        self,
        artifact_or_name: str | Artifact,
        type: str | None = None,  # noqa: A002 - wandb's name
        aliases: list[str] | None = None,
        use_as: str | None = None,
    ) -> Artifact:
        """Record an artifact as an input of the run, and get it. Waits for the server.

        Args:
            artifact_or_name: `name:version`, `project/name:version` or `entity/project/name:version`, where the version may be
                an alias and is `latest` by default; or an artifact. A draft is logged first, which is waited for.
            type: What its type must be.
            aliases: Aliases for a draft.
            use_as: What it is used as. wandb deprecates it.

        Raises:
            TypeError: The run is offline.
            ValueError: There is no such version, it is of another type, or what is given is neither name nor artifact.
            CommError: The server cannot be reached.
        """
        from .artifacts import Artifact

        self._check_open("use_artifact")
        if use_as is not None:
            terminal.termwarn(
                "`use_as` argument is deprecated and does not affect the behaviour of `run.use_artifact`",
                repeat=False,
            )
        if self._settings._offline:
            raise TypeError("Cannot use artifact when in offline mode.")
        if isinstance(artifact_or_name, str):
            found = run_api(self).artifact(artifact_or_name, type)  # type: ignore[arg-type]
        elif isinstance(artifact_or_name, Artifact):
            found = artifact_or_name
            if type is not None and found.type != type:
                raise ValueError(f"type {type!r} specified but this artifact is of type {found.type!r}")
        else:
            raise ValueError(  # noqa: TRY004 - as in wandb
                'You must pass an artifact name (e.g. "pedestrian-dataset:v1"), an instance of `runlane.Artifact`, or'
                " `runlane.Api().artifact()` to `use_artifact`"
            )
        if found.is_draft():
            names = [aliases] if isinstance(aliases, str) else aliases
            # Kept with the draft: the daemon records the use when the version is complete.
            self._log_draft(found, names, use=True, by_user=True).wait()
        else:
            self._record_use(found, use_as)
        found._use_as = use_as
        self._publish(
            "use_artifact", {"id": found.id, "type": found.type, "name": found.name, "use_as": use_as}
        )
        return found

    def _use_of_config(self, artifact: Artifact) -> None:
        """An artifact in the config is an input of the run; offline that is noted in the config only."""
        if not self._settings._offline:
            self.use_artifact(artifact)

    def _record_use(self, artifact: Artifact, use_as: str | None) -> None:
        from .public_api._run_artifacts import record_use

        record_use(run_api(self), self.entity, self.project, self.id, artifact, use_as)  # type: ignore[arg-type]

    def use_model(self, name: str) -> str:
        """Record a model as an input of the run, and download it.

        Args:
            name: As in `use_artifact`.

        Returns:
            The file, if the model has one; else the directory.

        Raises:
            RuntimeError: The run is offline.
            AssertionError: The type of the artifact does not contain `model`.
            ValueError, CommError: As of `use_artifact` and `Artifact.download`.
        """
        self._check_open("use_model")
        if self._settings._offline:
            raise RuntimeError("`use_model` not supported in offline mode.")
        artifact = run_api(self).artifact(name)  # type: ignore[arg-type]
        if "model" not in artifact.type.lower():
            raise AssertionError(
                f"`{name}` is of type {artifact.type!r}: you can only use this method for 'model' artifacts, whose type contains"
                " the substring 'model'"
            )
        directory = self.use_artifact(artifact).download()
        entries = list(artifact.manifest.entries)
        return os.path.join(directory, *entries[0].split("/")) if len(entries) == 1 else directory

    def link_artifact(
        self, artifact: Artifact, target_path: str, aliases: list[str] | None = None
    ) -> Artifact:
        """Link an artifact to another collection, which is made if it does not exist. Waits for the server.

        Args:
            artifact: The version; a draft is logged first, which is waited for.
            target_path: `collection`, `project/collection` or `entity/project/collection`; what is left out is the run's.
            aliases: Aliases in that collection.

        Returns:
            The version as a member of that collection.

        Raises:
            NotImplementedError: The run is offline.
            ValueError: The path is none.
            CommError: The server cannot be reached, or refused it.
        """
        from .artifacts import Artifact, _linking

        self._check_open("link_artifact")
        if not isinstance(artifact, Artifact):
            raise TypeError(f"`artifact` must be an artifact, got {artifact.__class__.__name__}")
        if self._settings._offline:
            raise NotImplementedError("an artifact cannot be linked while the run is offline")
        _linking.target(target_path, self.entity, self.project)
        if artifact.is_draft():
            if artifact._saving is None:
                self._log_draft(artifact, None, use=False, by_user=False)
            artifact.wait()
        return _linking.link(artifact, target_path, aliases, self.entity, self.project)

    def link_model(
        self,
        path: str | os.PathLike[str],
        registered_model_name: str,
        name: str | None = None,
        aliases: list[str] | None = None,
    ) -> Artifact | None:
        """Log a model and link it to a collection of the project `model-registry`. Waits for the server.

        Files that were logged under this name already become no new version.

        Args:
            path: A file or directory.
            registered_model_name: The collection in `model-registry`, without entity and project.
            name: The artifact's name. Default: `run-<run id>-<base name of path>`.
            aliases: Aliases in that collection.

        Returns:
            The version as a member of that collection.

        Raises:
            ValueError: `registered_model_name` has more than one part.
            NotImplementedError: The run is offline.
            CommError: The server cannot be reached, or refused it.
        """
        self._check_open("link_model")
        if "/" in registered_model_name or ":" in registered_model_name:
            raise ValueError(
                f"`registered_model_name` must be only the name of the registered model, without entity, project and version;"
                f" got {registered_model_name!r}"
            )
        if self._settings._offline:
            raise NotImplementedError("a model cannot be linked while the run is offline")
        draft = self._model_draft(path, name)
        return self.link_artifact(draft, f"{self.entity}/{_MODEL_PROJECT}/{registered_model_name}", aliases)
