"""The classes of the Public API beside those of the real wandb 0.31.0: names, kinds and signatures."""

from __future__ import annotations

import json

from world import Home, Server

CLASSES = (
    "Api Run Runs Project Projects File Files User Team Member ConsoleLogs ConsoleLogLine HistoryScan DownloadHistoryResult"
    " ArtifactCollection ArtifactType"
).split()
# Lists of artifacts, which have the same machinery.
LISTS = (
    "ArtifactCollections ArtifactFiles ArtifactTypes Artifacts ProjectArtifactCollections RunArtifacts"
).split()

# What is left out, and why: the machinery of wandb's lists, and a file format that its summary had long ago.
LEFT = {
    "Runs": {"convert_objects", "update_variables"},
    "Projects": {"convert_objects", "update_variables", "QUERY"},
    "Files": {"convert_objects", "update_variables"},
    "ConsoleLogs": {"convert_objects", "update_variables"},
    "HTTPSummary": {"open_h5", "read_h5", "write_h5"},
    **{name: {"convert_objects", "update_variables", "QUERY"} for name in LISTS},
}

# Runs in either client: what each class has, and how it is called.
DESCRIBE = """
import importlib, inspect, json
module = importlib.import_module({module!r})
found = {{"module": [name for name in dir(module) if name[0].isupper() and not name.isupper()]}}
classes = {{name: getattr(module, name) for name in {classes!r}}}
classes["HTTPSummary"] = importlib.import_module({summary!r}).HTTPSummary
classes["Artifact"] = importlib.import_module({module!r}.partition(".")[0]).Artifact
for name, cls in classes.items():
    members = found[name] = {{}}
    for member in dir(cls):
        if member.startswith("_"):
            continue
        value = inspect.getattr_static(cls, member)
        if isinstance(value, (classmethod, staticmethod)) or inspect.isfunction(value):
            signature = inspect.signature(getattr(cls, member))
            members[member] = [[p.name, int(p.kind), repr(p.default) if p.default is not p.empty else None]
                               for p in signature.parameters.values() if p.name != "self"]
        else:
            members[member] = "builtin" if inspect.isroutine(value) else "value"
print("FOUND" + json.dumps(found))
"""


def _described(home: Home, server: Server, module: str, summary: str, python: str | None = None):
    code = DESCRIBE.format(module=module, summary=summary, classes=[*CLASSES, *LISTS])
    output = home.python(code, env=server.env, **({"python": python} if python else {})).stdout
    line = next(line for line in output.splitlines() if line.startswith("FOUND"))
    return json.loads(line.removeprefix("FOUND"))


def test_every_public_name_of_the_peer_is_there_with_its_signature(
    home: Home, server: Server, wandb_python: str
) -> None:
    theirs = _described(home, server, "wandb.apis.public", "wandb.apis.public.summary", wandb_python)
    ours = _described(home, server, "runlane.public_api", "runlane.public_api")
    names = {*ours.pop("module"), *_later_names()}
    assert {name for name in theirs.pop("module") if name not in names} == set()
    differences = []
    for cls, members in theirs.items():
        for member, signature in members.items():
            if member in LEFT.get(cls, ()):
                assert member not in ours[cls], f"{cls}.{member} is there: take it off the list"
            elif ours[cls].get(member) == "builtin" and isinstance(signature, list):
                # A method of dict, which the summary is.
                assert cls == "HTTPSummary"
            elif member not in ours[cls]:
                differences.append(f"{cls}.{member} is missing")
            elif isinstance(signature, list) != isinstance(ours[cls][member], list):
                differences.append(f"{cls}.{member}: {ours[cls][member]} instead of {signature}")
            elif isinstance(signature, list) and not _takes(ours[cls][member], signature):
                differences.append(f"{cls}.{member}{ours[cls][member]} instead of {signature}")
    assert differences == []


def _later_names() -> set[str]:
    from runlane.public_api._later import LATER

    return set(LATER)


def _takes(ours: list[list[object]], theirs: list[list[object]]) -> bool:
    """Whether every call of theirs is one of ours: the same parameters first, and others that need not be given."""
    more = ours[len(theirs) :]
    return ours[: len(theirs)] == theirs and all(default is not None for _, _, default in more)
