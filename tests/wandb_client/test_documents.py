"""Every GraphQL document of the real client fits our schema, and what comes later says so."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import ask, ask_answer, get
from driven import OwnServer
from graphql import (
    FieldNode,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    NonNullTypeNode,
    OperationDefinitionNode,
    build_client_schema,
    get_introspection_query,
    parse,
    type_from_ast,
    validate,
)
from world import Server

#: Documents put together at run time of more than names; all belong to launch, or are in the Go program as well.
PUT_TOGETHER = [
    "sdk/artifacts/_gqlutils.py: ['mutation', 'UseArtifact']",
    "sdk/launch/api.py: ['mutation', 'pushToRunQueueByName']",
    "sdk/launch/api.py: ['mutation', 'pushToRunQueue']",
    "sdk/launch/api.py: ['mutation', 'createLaunchAgent']",
]
#: Root fields of changes that need what does not exist yet.
LATER = re.compile(
    r"Trigger|GenericWebhook|CustomChart|RunQueue|ResourceConfig|LaunchAgent|[sS]weep|createAgent|agentHeartbeat|ProjectMember"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of this file's own: among the documents are some that create users and teams."""
    made = OwnServer(tmp_path_factory.mktemp("documents") / "own")
    yield made.start()
    made.stop()


@pytest.fixture(scope="module")
def documents(wandb_python: str) -> list[dict[str, str]]:
    script = Path(__file__).with_name("documents_of_wandb.py")
    done = subprocess.run([wandb_python, str(script)], capture_output=True, text=True, check=True, timeout=60)
    found = json.loads(done.stdout)
    assert sorted(found["skipped"]) == sorted(PUT_TOGETHER)
    return found["documents"]


@pytest.fixture(scope="module")
def schema(server: Server) -> GraphQLSchema:
    return build_client_schema(ask(server, get_introspection_query(descriptions=False)))


def operation_of(text: str) -> OperationDefinitionNode:
    (operation,) = (one for one in parse(text).definitions if isinstance(one, OperationDefinitionNode))
    return operation


def test_every_document_of_wandb_is_valid(documents: list[dict[str, str]], schema: GraphQLSchema) -> None:
    assert len(documents) > 150
    assert {one["where"] for one in documents} >= {"bin/wandb-core", "apis/public/runs.py"}
    faults = [
        f"{one['where']}: {one['text'].split('(')[0].strip()}: {error.message}"
        for one in documents
        for error in validate(schema, parse(one["text"]))
    ]
    assert faults == []


def made_up(kind: Any) -> Any:
    """A value of an input type."""
    if isinstance(kind, GraphQLNonNull):
        return made_up(kind.of_type)
    if isinstance(kind, GraphQLList):
        return []
    if isinstance(kind, GraphQLEnumType):
        return next(iter(kind.values))
    if isinstance(kind, GraphQLInputObjectType):
        needed = {
            name: field for name, field in kind.fields.items() if isinstance(field.type, GraphQLNonNull)
        }
        return {name: made_up(field.type) for name, field in needed.items()}
    values = {
        "Int": 1,
        "Int64": 1,
        "Float": 1.0,
        "Boolean": False,
        "JSONString": "{}",
        "Duration": 1,
        "JSON": {},
    }
    return values.get(kind.name, "none")


def test_every_document_of_wandb_is_answered(
    documents: list[dict[str, str]], schema: GraphQLSchema, server: Server
) -> None:
    """Reads of what is not there are empty; a change that comes later names the operation and what it needs."""
    later = 0
    for one in documents:
        operation = operation_of(one["text"])
        variables = {
            given.variable.name.value: made_up(type_from_ast(schema, given.type))  # type: ignore[arg-type]
            for given in operation.variable_definitions or ()
            if isinstance(given.type, NonNullTypeNode)
        }
        status, answer = ask_answer(server, one["text"], variables)
        assert operation.name is not None
        name = operation.name.value
        messages = [error["message"] for error in answer.get("errors", [])]
        assert status == 200, (name, messages)
        (root,) = (field for field in operation.selection_set.selections if isinstance(field, FieldNode))
        if operation.operation.value == "mutation" and LATER.search(root.name.value):
            later += 1
            (message,) = messages
            assert re.fullmatch(
                rf"operation `{name}`: `{root.name.value}` needs [a-z ]+, which come with a later version of runlane",
                message,
            ), message
        elif operation.operation.value == "query":
            assert messages == [], name
    assert later > 20


def test_what_is_unknown_is_named_and_counted(server: Server) -> None:
    text = "query AskedInVain { viewer { id shoeSize } }"
    for _ in range(3):
        status, answer = ask_answer(server, text, {})
        assert status == 400
        (error,) = answer["errors"]
        assert error["message"] == 'operation `AskedInVain`: Unknown field "shoeSize" on type "User".'
    rows = get(server, "/api/server/unknown-operations")["operations"]
    (row,) = [row for row in rows if row["operation"] == "AskedInVain"]
    assert row["count"] == 3
    assert "shoeSize" in row["message"]
