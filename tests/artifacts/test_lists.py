"""Types, collections and versions of the Public API: lists, page by page, and changes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fake_server import FakeServer
from runlane.errors import CommError
from runlane.public_api import Api, ArtifactCollection

PLACE = {"id": "P", "internalId": "UHJvamVjdEludGVybmFsSWQ6MTI=", "name": "p", "entity": {"name": "e"}}


def collection(name: str, kind: str = "ArtifactSequence") -> dict[str, Any]:
    return {
        "__typename": kind,
        "id": f"id-{name}",
        "name": name,
        "description": "about it",
        "createdAt": "2026-01-02T03:04:05",
        "updatedAt": None,
        "project": PLACE,
        "type": {"name": "dataset"},
        "tags": {"edges": [{"node": {"name": "t1"}}]},
    }


def paged(nodes: list[Any], variables: dict[str, Any], **members: Any) -> dict[str, Any]:
    first = int(variables.get("cursor") or 0)
    last = first + int(variables["perPage"])
    return {
        "totalCount": len(nodes),
        "edges": [{"node": node, **members} for node in nodes[first:last]],
        "pageInfo": {"hasNextPage": last < len(nodes), "endCursor": str(last)},
    }


@pytest.fixture
def filled(stored: FakeServer) -> FakeServer:
    names = ["c1", "c2", "c3"]
    types = [{"id": f"T{name}", "name": name, "description": None} for name in ("dataset", "model")]
    stored.answers["ProjectArtifactTypes"] = lambda variables: {
        "project": {"artifactTypes": paged(types, variables)}
    }
    stored.answers["ProjectArtifactType"] = lambda variables: {
        "project": {"artifactType": next((each for each in types if each["name"] == variables["type"]), None)}
    }
    stored.answers["ProjectArtifactCollections"] = lambda variables: {
        "project": {"artifactCollections": paged([collection(name) for name in names], variables)}
    }
    stored.answers["ArtifactTypeArtifactCollections"] = lambda variables: {
        "project": {
            "artifactType": {"artifactCollections": paged([collection(name) for name in names], variables)}
        }
    }
    stored.answers["ProjectArtifactCollection"] = lambda variables: {
        "project": {
            "artifactType": {
                "artifactCollection": collection(variables["name"]) if variables["name"] in names else None
            }
        }
    }
    return stored


def sent(stored: FakeServer, operation: str) -> list[dict[str, Any]]:
    return [variables.get("input", variables) for name, variables in stored.inputs if name == operation]


def test_types_and_collections_are_listed(filled: FakeServer, api: Api) -> None:
    assert [each.name for each in api.artifact_types("e/p")] == ["dataset", "model"]
    assert [each.name for each in api.project("p", "e").artifacts_types()] == ["dataset", "model"]
    kind = api.artifact_type("dataset", "e/p")
    assert (kind.name, kind.id, repr(kind)) == ("dataset", "Tdataset", "<ArtifactType dataset>")
    listed = kind.collections(per_page=2)
    assert len(listed) == 3
    assert [each.name for each in listed] == ["c1", "c2", "c3"]
    assert [each.name for each in api.artifact_collections("e/p", "dataset", per_page=1)] == [
        "c1",
        "c2",
        "c3",
    ]
    ordered = api.project("p", "e").collections(filters={"name": "c1"}, order="-name")
    assert len(ordered) == 3
    asked = sent(filled, "ProjectArtifactCollections")[-1]
    assert (asked["filters"], asked["order"]) == ('{"name": "c1"}', "-name")
    assert listed[1].created_at == "2026-01-02T03:04:05"


@pytest.mark.parametrize(
    "ask",
    [
        lambda api: api.artifact_type("nope", "e/p"),
        lambda api: api.artifact_collection("dataset", "e/p/nope"),
        lambda api: api.artifact_type("dataset", "e/p").collection("nope"),
    ],
)
def test_what_is_not_there_is_a_value_error(filled: FakeServer, api: Api, ask: Any) -> None:
    with pytest.raises(ValueError, match="Could not find artifact") as caught:
        ask(api)
    assert isinstance(caught.value, CommError)


def test_whether_a_collection_exists(filled: FakeServer, api: Api) -> None:
    assert api.artifact_collection_exists("e/p/c1", "dataset")
    assert not api.artifact_collection_exists("e/p/c9", "dataset")


def test_a_collection_is_changed_by_save(filled: FakeServer, api: Api) -> None:
    for name in ("UpdateArtifactSequence", "UpdateArtifactSequenceType"):
        filled.answers[name] = {"result": {"artifactCollection": collection("c1")}}
    for name in ("AddArtifactCollectionTags", "DeleteArtifactCollectionTags"):
        filled.answers[name] = {"result": {"success": True, "tags": []}}
    found = api.artifact_collection("dataset", "e/p/c1")
    assert (found.is_sequence(), found.tags, found.description) == (True, ["t1"], "about it")
    found.name, found.description = "c1-new", "other"
    found.tags.append("t2")
    found.type = "model"
    found.save()
    assert sent(filled, "UpdateArtifactSequence") == [
        {"artifactSequenceID": "id-c1", "name": "c1-new", "description": "other"}
    ]
    assert sent(filled, "UpdateArtifactSequenceType") == [
        {"artifactSequenceID": "id-c1", "destinationArtifactTypeName": "model"}
    ]
    assert sent(filled, "AddArtifactCollectionTags") == [
        {
            "entityName": "e",
            "projectName": "p",
            "artifactCollectionName": "c1-new",
            "tags": [{"tagName": "t2"}],
        }
    ]
    found.tags = []
    found.save()
    assert len(sent(filled, "UpdateArtifactSequence")) == 1
    assert [tag["tagName"] for tag in sent(filled, "DeleteArtifactCollectionTags")[0]["tags"]] == ["t1", "t2"]
    with pytest.raises(ValueError, match="artifact name"):
        found.name = "no/name"


def test_a_portfolio_keeps_its_type_and_loses_only_links(filled: FakeServer, api: Api) -> None:
    filled.answers["UpdateArtifactPortfolio"] = {
        "result": {"artifactCollection": collection("c1", "ArtifactPortfolio")}
    }
    filled.answers["DeleteArtifactPortfolio"] = {"result": {"artifactCollection": {"state": "DELETED"}}}
    found = ArtifactCollection(api, "e", "p", "c1", "dataset", attrs=collection("c1", "ArtifactPortfolio"))
    with pytest.raises(ValueError, match="type of `c1` cannot be changed"):
        found.change_type("model")
    found.description = "other"
    found.save()
    assert sent(filled, "UpdateArtifactPortfolio") == [
        {"artifactPortfolioID": "id-c1", "name": "c1", "description": "other"}
    ]
    found.delete()
    assert sent(filled, "DeleteArtifactPortfolio") == [{"id": "id-c1"}]


def test_aliases_of_a_collection_are_read_page_by_page(filled: FakeServer, api: Api) -> None:
    def answer(variables: dict[str, Any]) -> dict[str, Any]:
        return {
            "artifactCollection": {
                "aliases": paged([{"alias": "a"}, {"alias": "b"}], {"perPage": 1, **variables})
            }
        }

    filled.answers["ArtifactCollectionAliases"] = answer
    assert api.artifact_collection("dataset", "e/p/c1").aliases == ["a", "b"]


def versions_of(stored: FakeServer, tags: list[list[str]]) -> None:
    made = []
    for index, each in reversed(list(enumerate(tags))):
        version = stored.add({"x": str(index).encode()})
        version.collection, version.index, version.tags, version.aliases = "c1", index, each, [f"a{index}"]
        made.append(version)

    def answer(variables: dict[str, Any]) -> dict[str, Any]:
        page = paged([version.attrs for version in made], variables)
        for edge in page["edges"]:
            edge["version"] = f"v{edge['node']['versionIndex']}"
        return {"project": {"artifactType": {"artifactCollection": {"artifacts": page}}}}

    stored.answers["ProjectArtifacts"] = answer


def test_versions_are_listed_newest_first_as_the_server_gives_them(filled: FakeServer, api: Api) -> None:
    versions_of(filled, [[], ["x"], [], ["x", "y"], []])
    listed = api.artifacts("dataset", "e/p/c1", order="+createdAt", per_page=2)
    assert [each.name for each in listed] == ["c1:v4", "c1:v3", "c1:v2", "c1:v1", "c1:v0"]
    assert len(listed) == 5
    assert listed[0].aliases == ["a4"]
    asked = sent(filled, "ProjectArtifacts")[0]
    assert (json.loads(asked["filters"]), asked["order"]) == ({"state": "COMMITTED"}, "+createdAt")
    tagged = api.artifacts("dataset", "e/p/c1", per_page=1, tags=["x"])
    assert [each.version for each in tagged] == ["v3", "v1"]
    assert [each.version for each in api.artifacts("dataset", "e/p/c1", tags=["x", "y"])] == ["v3"]
    assert next(iter(api.artifact_versions("dataset", "e/p/c1"))).version == "v4"
    assert api.artifact_collection("dataset", "e/p/c1").artifacts()[0].version == "v4"


@pytest.fixture
def run(filled: FakeServer, api: Api) -> Any:
    from runlane.public_api import Run

    attrs = {"id": "UnVu", "name": "r", "state": "finished", "displayName": "r"}
    return Run(api, "e", "p", "r", attrs, full=True)


def test_what_a_run_logged_and_used_is_listed(filled: FakeServer, run: Any) -> None:
    version = filled.add({"x": b"1"})
    hidden = {**version.attrs, "artifactSequence": {"name": "secret", "project": None}}
    for name in ("RunOutputArtifacts", "RunInputArtifacts"):
        filled.answers[name] = lambda variables: {
            "project": {"run": {"artifacts": paged([version.attrs, hidden], variables)}}
        }
    logged = run.logged_artifacts()
    assert ([each.name for each in logged], len(logged)) == ([f"{version.collection}:v0"], 2)
    assert [each.name for each in run.used_artifacts(per_page=5)] == [f"{version.collection}:v0"]
    assert sent(filled, "RunInputArtifacts")[0]["perPage"] == 5


def test_a_stored_version_becomes_input_and_output_of_a_stored_run(
    filled: FakeServer, api: Api, run: Any
) -> None:
    from runlane.artifacts import Artifact

    version = filled.add({"x": b"1"})
    filled.answers["UseArtifact"] = {"useArtifact": {"artifact": {"id": version.id}}}
    filled.answers["CreateArtifact"] = {
        "createArtifact": {"artifact": {"id": version.id, "state": "COMMITTED"}}
    }
    artifact = api.artifact(f"e/p/{version.collection}:v0")
    assert run.use_artifact(artifact, use_as="input") is artifact
    assert sent(filled, "UseArtifact") == [
        {
            "entityName": "e",
            "projectName": "p",
            "runName": "r",
            "artifactID": version.id,
            "usedAs": "input",
            "artifactEntityName": "e",
            "artifactProjectName": "p",
        }
    ]
    filled.features.clear()
    api.flush()
    run.use_artifact(artifact)
    assert set(sent(filled, "UseArtifact")[1]) == {"entityName", "projectName", "runName", "artifactID"}
    run.log_artifact(artifact, aliases=["x"], tags=["t"])
    created = sent(filled, "CreateArtifact")[0]
    assert [each["alias"] for each in created["aliases"]] == ["x", "latest"]
    assert (created["digest"], created["runName"], created["tags"]) == ("d" * 32, "r", [{"tagName": "t"}])
    version.project = "other"
    with pytest.raises(ValueError, match="different project"):
        run.log_artifact(api.artifact(f"e/other/{version.collection}:v0"))
    for wrong in (Artifact("x", "dataset"), "x:v0", None):
        with pytest.raises(ValueError, match=r"existing artifacts|must pass an Artifact"):
            run.use_artifact(wrong)
