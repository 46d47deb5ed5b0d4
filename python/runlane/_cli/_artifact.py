"""`runlane artifact`: put files into an artifact, get them back, list what there is, keep the cache small."""

from __future__ import annotations

import os

import click

from runlane.errors import Error
from runlane.terminal import printable, termlog, termwarn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runlane.artifacts import Artifact
    from runlane.public_api import Api, ArtifactCollection


@click.group()
def artifact() -> None:
    """Upload, download and manage artifacts: versioned files and directories."""


def _project_of(api: Api, name: str) -> tuple[str, str, str]:
    """Entity, project and name of `[[entity/]project/]name`; asks for a project if none is known."""
    parts = name.split("/")
    entity = parts[-3] if len(parts) == 3 else api.default_entity or ""
    project = parts[-2] if len(parts) > 1 else api.settings["project"]
    if len(parts) > 3 or not all(parts):
        raise Error(f"`{name}` is no name of an artifact: expected NAME, PROJECT/NAME or ENTITY/PROJECT/NAME")
    if not project:
        project = click.prompt("Enter the name of the project you want to use")
    return entity, project, parts[-1]


@artifact.command()
@click.argument("path")
@click.option("-n", "--name", help="PROJECT/NAME of the artifact (default: the base name of PATH).")
@click.option("-d", "--description", help="What the artifact is.")
@click.option("-t", "--type", "type_", default="dataset", show_default=True, help="The type of the artifact.")
@click.option(
    "-a",
    "--alias",
    "aliases",
    multiple=True,
    default=["latest"],
    show_default=True,
    help="An alias for this version; can be given several times.",
)
@click.option("--id", "run_id", help="Upload with the run of this id.")
@click.option("--resume", is_flag=True, default=None, help="Resume the last run of this directory.")
@click.option(
    "--skip_cache", is_flag=True, default=False, help="Do not add the files to the local artifact cache."
)
@click.option(
    "--policy",
    default="mutable",
    show_default=True,
    type=click.Choice(["mutable", "immutable"]),
    help="immutable: upload the files in place instead of a copy of them.",
)
def put(
    path: str,
    name: str | None,
    description: str | None,
    type_: str,
    aliases: tuple[str, ...],
    run_id: str | None,
    resume: bool | None,
    skip_cache: bool,
    policy: str,
) -> None:
    """Upload PATH as a version of an artifact.

    PATH is a file, a directory, or a URL such as s3://bucket/data, which is stored as a reference.
    """
    import runlane
    from runlane.public_api import Api

    is_reference = "://" in path
    if not is_reference and not os.path.exists(path):
        raise Error(f"Path argument must be a file or directory: `{path}`")
    base = os.path.basename(path.rstrip("/"))
    entity, project, collection = _project_of(Api(), base if name is None else name)
    made = runlane.Artifact(name=collection, type=type_, description=description)
    full = f"{entity}/{project}/{collection}:{aliases[0] if aliases else 'latest'}"
    if is_reference:
        termlog(f'Logging reference artifact from {path} to: "{full}" ({type_})')
        made.add_reference(path)
    elif os.path.isdir(path):
        termlog(f'Uploading directory {path} to: "{full}" ({type_})')
        made.add_dir(path, skip_cache=skip_cache, policy=policy)
    else:
        termlog(f'Uploading file {path} to: "{full}" ({type_})')
        made.add_file(path, skip_cache=skip_cache, policy=policy)
    with runlane.init(
        entity=entity,
        project=project,
        config={"path": path},
        job_type="cli_put",
        id=run_id,
        resume="allow" if run_id else resume,
        force=True,
    ) as run:
        run.log_artifact(made, aliases=list(aliases))
    made.wait()
    termlog("Artifact uploaded, use this artifact in a run by adding:\n", prefix=False)
    termlog(f'    artifact = run.use_artifact("{made.qualified_name}")\n', prefix=False)


@artifact.command()
@click.argument("path")
@click.option("--root", help="Directory to download to (default: ./artifacts/NAME:VERSION).")
@click.option("--type", "type_", help="What the type of the artifact must be.")
def get(path: str, root: str | None, type_: str | None) -> None:
    """Download the artifact ENTITY/PROJECT/NAME[:VERSION]; the version is `latest` by default."""
    from runlane.public_api import Api

    api = Api()
    found = api.artifact(path if ":" in path.rpartition("/")[2] else f"{path}:latest", type=type_)
    termlog(f"Downloading {found.type} artifact {found.qualified_name}")
    place = found.download(root)
    termlog(f"Artifact downloaded to {place}")


def _row(collection: ArtifactCollection, newest: Artifact | None) -> str:
    from runlane.artifacts._sizes import size_text

    if newest is None:
        return f"{collection.type:<15s}{'':<15s}{'':>15s} {collection.name} (no versions)"
    return f"{collection.type:<15s}{newest.updated_at:<15s}{size_text(newest.size):>15s} {newest.name:<20s}"


@artifact.command("ls")
@click.argument("path")
@click.option("-t", "--type", "type_", help="Only artifacts of this type.")
def list_artifacts(path: str, type_: str | None) -> None:
    """List the artifacts of the project ENTITY/PROJECT: type, last change, size and newest version."""
    from runlane.public_api import Api

    api = Api()
    types = [api.artifact_type(type_, path)] if type_ is not None else api.artifact_types(path)
    for each in types:
        for collection in each.collections():
            newest = next(iter(collection.artifacts(per_page=1)), None)
            click.echo(printable(_row(collection, newest)).rstrip())


@artifact.group()
def cache() -> None:
    """Manage the local artifact cache."""


@cache.command()
@click.argument("target_size")
@click.option(
    "--remove-temp/--no-remove-temp",
    default=False,
    help="Also remove files of downloads that did not end, whether or not some are still going on.",
)
def cleanup(target_size: str, remove_temp: bool) -> None:
    """Remove the files that were used longest ago until the cache has at most TARGET_SIZE, such as 10GB or 500MiB."""
    from runlane.artifacts._cache import Cache
    from runlane.artifacts._sizes import parse_size, size_text

    try:
        target = parse_size(target_size)
    except ValueError as error:
        raise Error(str(error)) from error
    kept = Cache()
    temporary = 0 if remove_temp else kept.temporary_bytes()
    if temporary:
        termwarn(
            f"Cache contains {size_text(temporary)} of temporary files. Run `runlane artifact cache cleanup --remove-temp`"
            " to remove them."
        )
    termlog(f"Reclaimed {size_text(kept.cleanup(target, remove_temp))} of space")
