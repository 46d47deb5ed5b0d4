"""Print every GraphQL document of the installed wandb as a JSON list of {"where", "text"}; runs in wandb's own interpreter.

Three sources: module constants, strings inside functions (f-strings and `.format` with fragments of the same module), and the Go
program, which carries its documents as plain text.
"""

from __future__ import annotations

import ast
import importlib
import json
import re
import sys
from pathlib import Path

import wandb

ROOT = Path(wandb.__file__).parent
DOCUMENT = re.compile(r"\s*(?:query|mutation)\s+\w*\s*[({]")
GO_DOCUMENT = re.compile(rb"(?:query|mutation) \w+ ?[({]")

# Names in f-strings that are chosen at run time, and what they may be.
CHOICES = [
    {"fragment": "RUN_FRAGMENT", "fragment_name": "RUN_FRAGMENT_NAME"},
    {"fragment": "LIGHTWEIGHT_RUN_FRAGMENT", "fragment_name": "LIGHTWEIGHT_RUN_FRAGMENT_NAME"},
]
# What a placeholder of the sweeps' documents stands for.
PROJECT = "project { id name entity { id name } }"
WORDS = {"node": ["history", "events"]}


class OpenError(Exception):
    """A part of the text is made at run time of more than names."""


def texts_of(node: ast.AST, names: dict[str, object]) -> list[str]:
    """What a string expression may be."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value.replace("_PROJECT_QUERY_", PROJECT)]
    if isinstance(node, ast.JoinedStr):
        found = []
        for choice in CHOICES:
            for word in WORDS["node"]:
                known = {
                    **names,
                    **{name: names.get(target) for name, target in choice.items()},
                    "node": word,
                }
                found.append("".join(part_of(part, known) for part in node.values))
        return sorted(set(found))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        (template,) = texts_of(node.func.value, names)
        found = []
        for branch in ("body", "orelse"):
            for word in WORDS["node"]:
                words = [getattr(one, branch) if isinstance(one, ast.IfExp) else one for one in node.args]
                found.append(template.format(*(part_of(one, {**names, "node": word}) for one in words)))
        return sorted(set(found))
    raise OpenError(ast.dump(node)[:80])


def part_of(node: ast.AST, names: dict[str, object]) -> str:
    if isinstance(node, ast.FormattedValue):
        node = node.value
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.Name) and isinstance(names.get(node.id), str):
        return str(names[node.id])
    raise OpenError(ast.dump(node)[:80])


def strings(tree: ast.AST) -> list[ast.AST]:
    """String expressions, whole ones only."""
    found: list[ast.AST] = []

    def walk(node: ast.AST) -> None:
        is_format = (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "format"
            and isinstance(node.func.value, ast.Constant)
        )
        if (
            is_format
            or isinstance(node, ast.JoinedStr)
            or (isinstance(node, ast.Constant) and isinstance(node.value, str))
        ):
            found.append(node)
            return
        for child in ast.iter_child_nodes(node):
            walk(child)

    walk(tree)
    return found


def first_text(node: ast.AST) -> str:
    """The beginning of a string expression."""
    if isinstance(node, ast.Call):
        node = node.func.value  # type: ignore[attr-defined]
    if isinstance(node, ast.JoinedStr):
        node = node.values[0] if node.values else node
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def of_python() -> tuple[list[dict], list[str]]:
    documents, skipped = [], []
    for path in sorted(ROOT.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if not re.search(r"(query|mutation)\s+\w*\s*[({]", source):
            continue
        nodes = [node for node in strings(ast.parse(source)) if DOCUMENT.match(first_text(node))]
        if not nodes:
            continue
        where = str(path.relative_to(ROOT))
        module = ".".join(("wandb", *path.relative_to(ROOT).with_suffix("").parts))
        try:
            names = vars(importlib.import_module(module))
        except ImportError:
            names = {}
        for node in nodes:
            try:
                texts = texts_of(node, names)
            except OpenError:
                skipped.append(f"{where}: {first_text(node).split('(')[0].split()[:2]}")
                continue
            documents += [{"where": where, "text": text} for text in texts]
    return documents, skipped


def is_followed_by_fragment(program: bytes, start: int, end: int) -> bool:
    """Whether a fragment that the document uses and lacks comes next; other texts may follow without a gap."""
    text = program[start:end]
    used = set(re.findall(rb"\.\.\.\s*(\w+)", text)) - {b"on"}
    lacking = used - set(re.findall(rb"fragment (\w+) on", text))
    following = re.match(rb"\s*fragment (\w+) on", program[end : end + 200])
    return following is not None and following[1] in lacking


def of_go() -> list[dict]:
    program = (ROOT / "bin" / "wandb-core").read_bytes()
    documents = []
    for match in GO_DOCUMENT.finditer(program):
        end, depth, opened = match.start(), 0, False
        while True:
            byte = program[end : end + 1]
            depth += (byte == b"{") - (byte == b"}")
            opened |= byte == b"{"
            end += 1
            if opened and depth == 0:
                if not is_followed_by_fragment(program, match.start(), end):
                    break
                opened = False
        documents.append({"where": "bin/wandb-core", "text": program[match.start() : end].decode()})
    return documents


if __name__ == "__main__":
    documents, skipped = of_python()
    json.dump({"documents": documents + of_go(), "skipped": skipped}, sys.stdout)
