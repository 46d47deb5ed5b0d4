"""A stored version: what is read of it, what a change sends, and where it leads."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from fake_server import FakeServer, StoredVersion
from runlane.artifacts import Artifact, ArtifactNotLoggedError, ArtifactTTL
from runlane.errors import CommError, NotYetError, UnsupportedError
from runlane.public_api import Api

Fetch = Callable[[StoredVersion], Artifact]


@pytest.fixture
def version(stored: FakeServer) -> StoredVersion:
    made = stored.add({"a.txt": b"alpha", "b.txt": b"b"})
    made.aliases, made.tags = ["latest", "best"], ["one", "two"]
    made.metadata, made.description = {"k": [1, None]}, "what it is"
    made.index = 3
    return made


def sent(stored: FakeServer, operation: str) -> list[dict[str, Any]]:
    return [variables.get("input", variables) for name, variables in stored.inputs if name == operation]


def update_answers(stored: FakeServer, version: StoredVersion) -> None:
    def update(variables: dict[str, Any]) -> dict[str, Any]:
        import json

        given = variables["input"]
        version.description = given["description"]
        version.metadata = json.loads(given["metadata"])
        gone = {tag["tagName"] for tag in given["tagsToDelete"]}
        version.tags = [tag for tag in version.tags if tag not in gone]
        version.tags += [tag["tagName"] for tag in given["tagsToAdd"]]
        return {"result": {"artifact": version.attrs}}

    stored.answers["UpdateArtifact"] = update
    stored.answers["AddAliases"] = stored.answers["DeleteAliases"] = {"result": {"success": True}}


def test_what_a_stored_version_tells(stored: FakeServer, version: StoredVersion, api: Api) -> None:
    artifact = api.artifact("e/p/data1:best", type="dataset")
    assert (artifact.name, artifact.version, artifact.qualified_name) == (
        "data1:best",
        "v3",
        "e/p/data1:best",
    )
    assert (artifact.entity, artifact.project, artifact.type, artifact.state) == (
        "e",
        "p",
        "dataset",
        "COMMITTED",
    )
    assert (artifact.source_name, artifact.source_version, artifact.source_qualified_name) == (
        "data1:v3",
        "v3",
        "e/p/data1:v3",
    )
    assert (artifact.aliases, artifact.tags) == (["latest", "best"], ["one", "two"])
    assert (artifact.metadata, artifact.description) == ({"k": [1, None]}, "what it is")
    assert (artifact.size, artifact.file_count, artifact.digest, artifact.commit_hash) == (
        6,
        2,
        "d" * 32,
        "c0ffee",
    )
    assert (artifact.created_at, artifact.updated_at, artifact.linked_at) == (
        *("2026-01-02T03:04:05",) * 2,
        None,
    )
    assert (artifact.ttl, artifact.history_step, artifact.is_link, artifact.is_draft()) == (
        None,
        None,
        False,
        False,
    )
    assert artifact.url == f"{stored.url}/e/p/artifacts/dataset/data1/v3"
    assert repr(artifact) == f"<Artifact {version.id}>"
    assert artifact.source_artifact is artifact
    assert artifact.json_encode() == {
        "_type": "artifactVersion",
        "_version": "v0",
        "id": version.id,
        "version": "v3",
        "sequenceName": "data1",
        "usedAs": None,
    }
    assert artifact.wait() is artifact


def test_without_a_version_the_latest_is_meant(version: StoredVersion, api: Api) -> None:
    assert api.artifact("e/p/data1").version == api.artifact("p/data1:v3").version == "v3"
    assert api.artifact_exists("e/p/data1")
    assert not api.artifact_exists("e/p/data1:v9")
    assert not api.artifact_exists("e/p/data1", type="model")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("e/p/data1:v9", "artifact 'data1:v9' not found in 'e/p'"),
        ("e/other/data1:v3", "not found in 'e/other'"),
        ("", "You must specify name="),
        ("a/b/c/d", "Invalid artifact path"),
        ("a//c", "Invalid artifact path"),
    ],
)
def test_what_is_not_there_is_named(version: StoredVersion, api: Api, name: str, text: str) -> None:
    with pytest.raises(ValueError, match=text) as caught:
        api.artifact(name)
    assert isinstance(caught.value, CommError)


def test_another_type_is_refused(version: StoredVersion, api: Api) -> None:
    with pytest.raises(ValueError, match=r"type .model. specified but this artifact is of type .dataset."):
        api.artifact("e/p/data1:v3", type="model")


def test_registries_come_later(api: Api) -> None:
    with pytest.raises(NotYetError, match="registries"):
        api.artifact("wandb-registry-model/x:v0")


@pytest.mark.usefixtures("world")
def test_a_draft_has_nothing_of_this() -> None:
    draft = Artifact("data", "dataset")
    for name in (
        "entity project version qualified_name url aliases tags commit_hash file_count created_at updated_at history_step"
        " linked_artifacts source_artifact collection source_collection source_entity source_project linked_at ttl"
    ).split():
        with pytest.raises(
            ArtifactNotLoggedError, match=r"used prior to logging artifact.* Artifact\.wait\(\)"
        ):
            getattr(draft, name)
    for call in (
        draft.delete,
        draft.unlink,
        draft.logged_by,
        draft.used_by,
        draft.new_draft,
        draft.wait,
        draft.download,
        draft.checkout,
        draft.verify,
        draft.files,
        draft.file,
    ):
        with pytest.raises(ArtifactNotLoggedError):
            call()
    with pytest.raises(ArtifactNotLoggedError, match=r"'Artifact\.get_entry'"):
        draft.get_path("x")
    assert (draft.id, draft.name, draft.source_name, draft.state) == (None, "data", "data", "PENDING")
    assert draft.is_draft() and not draft.is_link


def test_save_sends_what_was_changed(stored: FakeServer, version: StoredVersion, fetch: Fetch) -> None:
    update_answers(stored, version)
    artifact = fetch(version)
    artifact.aliases.append("new")
    artifact.aliases.remove("best")
    artifact.tags = ["two", "three"]
    artifact.metadata["more"] = 2
    artifact.description = "later"
    artifact.ttl = timedelta(days=1)
    artifact.save()
    place = {"entityName": "e", "projectName": "p", "artifactCollectionName": "data1"}
    assert sent(stored, "AddAliases") == [{"artifactID": version.id, "aliases": [{**place, "alias": "new"}]}]
    assert sent(stored, "DeleteAliases") == [
        {"artifactID": version.id, "aliases": [{**place, "alias": "best"}]}
    ]
    assert sent(stored, "UpdateArtifact") == [
        {
            "artifactID": version.id,
            "description": "later",
            "metadata": '{"k": [1, null], "more": 2}',
            "tagsToAdd": [{"tagName": "three"}],
            "tagsToDelete": [{"tagName": "one"}],
            "ttlDurationSeconds": 86400,
        }
    ]
    assert (artifact.aliases, artifact.tags) == (["latest", "new"], ["two", "three"])
    artifact.save()
    assert len(sent(stored, "AddAliases")) == 1
    assert "ttlDurationSeconds" not in sent(stored, "UpdateArtifact")[1]


@pytest.mark.parametrize(
    ("ttl", "seconds"), [(None, -2), (ArtifactTTL.INHERIT, -1), (timedelta(hours=1), 3600)]
)
def test_the_time_to_live_is_sent(
    stored: FakeServer, version: StoredVersion, fetch: Fetch, ttl: Any, seconds: int
) -> None:
    update_answers(stored, version)
    artifact = fetch(version)
    artifact.ttl = ttl
    assert artifact.ttl is ttl
    artifact.save()
    assert sent(stored, "UpdateArtifact")[0]["ttlDurationSeconds"] == seconds


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("ttl", 5, TypeError),
        ("ttl", timedelta(0), ValueError),
        ("aliases", ["a/b"], ValueError),
        ("aliases", "one", TypeError),
        ("tags", ["a/b"], ValueError),
        ("metadata", [1], TypeError),
        ("metadata", {str(number): 1 for number in range(101)}, ValueError),
        ("description", 5, TypeError),
    ],
)
def test_what_cannot_be_is_refused_where_it_is_given(
    version: StoredVersion, fetch: Fetch, name: str, value: Any, error: type[Exception]
) -> None:
    artifact = fetch(version)
    before = getattr(artifact, name)
    with pytest.raises(error):
        setattr(artifact, name, value)
    assert getattr(artifact, name) == before


def test_deleting_tells_the_server_whether_aliases_go_too(
    stored: FakeServer, version: StoredVersion, fetch: Fetch
) -> None:
    stored.answers["DeleteArtifact"] = {"result": {"artifact": {"id": version.id}}}
    artifact = fetch(version)
    artifact.delete(delete_aliases=True)
    assert sent(stored, "DeleteArtifact") == [{"artifactID": version.id, "deleteAliases": True}]
    assert artifact.state == "DELETED"


def link_of(version: StoredVersion) -> dict[str, Any]:
    """The membership of a version in the portfolio `e/q/port`, as `v7`."""
    place = {"id": "Q", "internalId": "UHJvamVjdEludGVybmFsSWQ6MTI=", "name": "q", "entity": {"name": "e"}}
    return {
        "versionIndex": 7,
        "createdAt": "2026-02-02T02:02:02",
        "aliases": [{"alias": "prod"}],
        "artifactCollection": {"__typename": "ArtifactPortfolio", "name": "port", "project": place},
        "artifact": version.attrs,
    }


@pytest.fixture
def linked(stored: FakeServer, version: StoredVersion, fetch: Fetch) -> Artifact:
    """The version, just linked to `e/q/port`."""
    artifact = fetch(version)
    by_name = stored.by_name

    def answer(variables: dict[str, Any]) -> dict[str, Any]:
        if variables["name"] == "port:v7":
            return {"project": {"artifactCollectionMembership": link_of(version)}}
        return by_name(variables)

    stored.answers["ArtifactMembershipByName"] = answer
    stored.answers["LinkArtifact"] = {"result": {"versionIndex": 7}}
    return artifact.link("q/port", aliases=["prod"])


def test_a_link_is_the_version_in_another_collection(
    stored: FakeServer, version: StoredVersion, linked: Artifact
) -> None:
    assert sent(stored, "LinkArtifact") == [
        {
            "artifactID": version.id,
            "artifactPortfolioName": "port",
            "entityName": "e",
            "projectName": "q",
            "aliases": [{"artifactCollectionName": "port", "alias": "prod"}],
        }
    ]
    assert (linked.name, linked.source_name, linked.is_link, linked.aliases) == (
        "port:v7",
        "data1:v3",
        True,
        ["prod"],
    )
    assert (linked.project, linked.source_project, linked.linked_at) == ("q", "p", "2026-02-02T02:02:02")
    assert linked.source_artifact.qualified_name == "e/p/data1:v3"
    with pytest.raises(ValueError, match="TTL of the linked artifact `port:v7` cannot be set"):
        linked.ttl = None


def test_saving_a_link_names_its_own_collection(
    stored: FakeServer, version: StoredVersion, linked: Artifact
) -> None:
    update_answers(stored, version)
    stored.answers["IsProjectReadOnly"] = {"project": {"readOnly": False}}
    linked.aliases = ["prod", "more"]
    linked.save()
    assert sent(stored, "AddAliases")[0]["aliases"] == [
        {"entityName": "e", "projectName": "q", "artifactCollectionName": "port", "alias": "more"}
    ]
    assert len(sent(stored, "UpdateArtifact")) == 1
    stored.answers["IsProjectReadOnly"] = {"project": {"readOnly": True}}
    linked.save()
    assert len(sent(stored, "UpdateArtifact")) == 1


@pytest.mark.parametrize("method", ["unlink", "delete"])
def test_a_link_is_taken_away_alone(stored: FakeServer, linked: Artifact, method: str) -> None:
    node = {
        "__typename": "ArtifactPortfolio",
        "id": "PORT",
        "name": "port",
        "description": None,
        "createdAt": "2026-02-02T02:02:02",
        "updatedAt": None,
        "project": link_of(StoredVersion(1, {}))["artifactCollection"]["project"],
        "type": {"name": "dataset"},
        "tags": {"edges": []},
    }
    stored.answers["ProjectArtifactCollection"] = {"project": {"artifactType": {"artifactCollection": node}}}
    stored.answers["UnlinkArtifact"] = {"result": {"success": True}}
    getattr(linked, method)()
    assert sent(stored, "UnlinkArtifact") == [{"artifactID": linked.id, "artifactPortfolioID": "PORT"}]
    assert linked.collection.project_internal_id == 12
    assert not linked.collection.is_sequence()


def test_the_source_cannot_be_unlinked(version: StoredVersion, fetch: Fetch) -> None:
    with pytest.raises(ValueError, match="is not a linked artifact and cannot be unlinked"):
        fetch(version).unlink()


@pytest.mark.parametrize("path", ["", "a/b/c/d", "port:v0", "//port", "q/bad name!"])
def test_wrong_targets_are_refused_before_anything_is_sent(
    stored: FakeServer, version: StoredVersion, fetch: Fetch, path: str
) -> None:
    artifact = fetch(version)
    with pytest.raises(ValueError):
        artifact.link(path)
    assert sent(stored, "LinkArtifact") == []


def test_links_that_the_caller_may_see_are_listed(
    stored: FakeServer, version: StoredVersion, fetch: Fetch
) -> None:
    own = {name: value for name, value in version.membership.items() if name != "artifact"}
    hidden = {**link_of(version), "artifactCollection": {"name": "x", "project": None}}
    nodes = [own, link_of(version), hidden]
    stored.answers["FetchLinkedArtifacts"] = {
        "artifact": {"artifactMemberships": {"edges": [{"node": node} for node in nodes]}}
    }
    assert [each.qualified_name for each in fetch(version).linked_artifacts] == ["e/q/port:v7"]


def test_a_draft_of_a_version_sends_nothing_again(version: StoredVersion, fetch: Fetch) -> None:
    draft = fetch(version).new_draft()
    assert draft.is_draft()
    assert (draft.name, draft.type, draft.metadata, draft.description) == (
        "data1",
        "dataset",
        {"k": [1, None]},
        "what it is",
    )
    assert draft._base_id == version.id
    entry = draft.manifest.entries["a.txt"]
    assert (entry.local_path, entry.birth_artifact_id) == (None, version.id)
    draft.remove("a.txt")
    assert set(fetch(version).manifest.entries) == {"a.txt", "b.txt"}


def test_files_are_listed_with_their_count(stored: FakeServer, version: StoredVersion, fetch: Fetch) -> None:
    stored.page = 1
    files = fetch(version).files(per_page=1)
    assert len(files) == 2
    assert [(file.name, file.size) for file in files] == [("a.txt", 5), ("b.txt", 1)]
    with files[0].download() as opened:
        assert opened.read() == "alpha"
    with pytest.raises(UnsupportedError, match="file of an artifact cannot be deleted"):
        files[0].delete()
    assert [file.name for file in fetch(version).files(["b.txt"])] == ["b.txt"]
    stored.features.remove("TOTAL_COUNT_IN_FILE_CONNECTION")
    assert len(fetch(version).files()) == 2


def test_older_servers_are_asked_for_nothing_that_they_lack(
    stored: FakeServer, version: StoredVersion, api: Api
) -> None:
    stored.features.clear()
    api.artifact("e/p/data1:v3")
    queries: list[str] = []
    plain = stored.answer
    stored.answer = lambda query, variables: (queries.append(query), plain(query, variables))[1]  # type: ignore[method-assign]
    api.artifact("e/p/data1:v3")
    assert "digestAlgorithm" not in queries[0]
    with pytest.raises(UnsupportedError, match="neither filters nor sorts"):
        api.artifact_collections("e/p", "dataset", order="name")


def test_a_config_holds_artifacts_as_values_of_their_own(version: StoredVersion, fetch: Fetch) -> None:
    from runlane._config import Config

    artifact, used = fetch(version), []
    config = Config()
    config["before"] = artifact
    config.use_inputs(used.append)
    config["after"] = artifact
    assert used == [artifact, artifact]
    assert config["before"] == config["after"] == artifact.json_encode()
    for nested in ({"a": artifact}, [artifact]):
        with pytest.raises(ValueError, match="`nested`: an artifact must be a value of its own"):
            config["nested"] = nested
    assert "nested" not in config
