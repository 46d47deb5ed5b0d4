"""An independent reader of the transaction log, for tests only: written from the description of the format.

It shares no code with the reader under test. Payloads are decoded by Google's protobuf with a schema of our own that has only
the fields that the tests compare; what it does not know it skips.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_BLOCK = 32 << 10
_HEADER = bytes.fromhex("3a572642e1be00")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4

_FIELD = descriptor_pb2.FieldDescriptorProto
_KINDS = {
    "i": _FIELD.TYPE_INT64,
    "u": _FIELD.TYPE_UINT64,
    "w": _FIELD.TYPE_UINT32,
    "s": _FIELD.TYPE_STRING,
    "b": _FIELD.TYPE_BOOL,
}
# Message: {field: (number, kind)}; a kind is one of the letters above or a message, `*` before it means repeated.
_SCHEMA = {
    "Record": {
        "num": (1, "i"),
        "history": (2, "History"),
        "summary": (3, "Summary"),
        "config": (5, "Anything"),
        "stats": (7, "Anything"),
        "artifact": (8, "Artifact"),
        "output_raw": (13, "Output"),
        "control": (16, "Control"),
        "run": (17, "Run"),
        "exit": (18, "Exit"),
        "header": (21, "Anything"),
    },
    "Anything": {},
    "History": {"item": (1, "*Item"), "step": (2, "Step")},
    "Step": {"num": (1, "i")},
    "Summary": {"update": (1, "*Item")},
    "Item": {"key": (1, "s"), "nested_key": (2, "*s"), "value_json": (16, "s")},
    "Output": {"line": (3, "s")},
    "Artifact": {
        "run_id": (1, "s"),
        "project": (2, "s"),
        "entity": (3, "s"),
        "type": (4, "s"),
        "name": (5, "s"),
        "digest": (6, "s"),
        "description": (7, "s"),
        "metadata": (8, "s"),
        "user_created": (9, "b"),
        "use_after_commit": (10, "b"),
        "aliases": (11, "*s"),
        "manifest": (12, "Manifest"),
        "distributed_id": (13, "s"),
        "finalize": (14, "b"),
        "client_id": (15, "s"),
        "sequence_client_id": (16, "s"),
        "base_id": (17, "s"),
        "ttl_duration_seconds": (18, "i"),
        "tags": (19, "*s"),
        "digest_algorithm": (20, "s"),
        "incremental_beta1": (100, "b"),
    },
    "Manifest": {
        "version": (1, "w"),
        "storage_policy": (2, "s"),
        "storage_policy_config": (3, "*Pair"),
        "contents": (4, "*Entry"),
        "manifest_file_path": (5, "s"),
    },
    "Entry": {
        "path": (1, "s"),
        "digest": (2, "s"),
        "ref": (3, "s"),
        "size": (4, "i"),
        "mimetype": (5, "s"),
        "local_path": (6, "s"),
        "birth_artifact_id": (7, "s"),
        "skip_cache": (8, "b"),
        "extra": (16, "*Pair"),
    },
    "Pair": {"key": (1, "s"), "value_json": (2, "s")},
    "Run": {"run_id": (1, "s")},
    "Exit": {"exit_code": (1, "i")},
    "Control": {
        "writer": (2000, "u"),
        "seq": (2001, "u"),
        "writer_info": (2002, "Writer"),
        "loss": (2003, "Loss"),
    },
    "Writer": {
        "label": (1, "s"),
        "rank": (2, "w"),
        "world_size": (3, "w"),
        "host": (5, "s"),
        "pid": (6, "w"),
    },
    "Loss": {
        "stream": (1, "s"),
        "writer": (2, "u"),
        "first_seq": (3, "u"),
        "last_seq": (4, "u"),
        "count": (5, "u"),
        "reason": (6, "s"),
    },
}


def _record_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="log.proto", package="log", syntax="proto3")
    for name, fields in _SCHEMA.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            label = _FIELD.LABEL_REPEATED if kind.startswith("*") else _FIELD.LABEL_OPTIONAL
            kind = kind.removeprefix("*")
            added = message.field.add(name=field, number=number, label=label)
            if kind in _KINDS:
                added.type = _KINDS[kind]
            else:
                added.type, added.type_name = _FIELD.TYPE_MESSAGE, f".log.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("log.Record"))


Record = _record_class()


def payloads(data: bytes) -> Iterator[bytes]:
    """The payloads of a log's whole records; what follows damage in a block is skipped."""
    assert data[: len(_HEADER)] == _HEADER[: len(data)], f"header {data[:7].hex()}"
    at, parts = len(_HEADER), None
    while at < len(data):
        left = _BLOCK - at % _BLOCK
        if left < 7:
            at += left
            continue
        head = data[at : at + 7]
        length, kind = int.from_bytes(head[4:6], "little"), head[6] if len(head) == 7 else 0
        body = data[at + 7 : at + 7 + length]
        if len(head) < 7 or length + 7 > left or len(body) < length:
            at, parts = at + left, None
            continue
        if kind not in (_FULL, _FIRST, _MIDDLE, _LAST) or zlib.crc32(head[6:] + body) != int.from_bytes(
            head[:4], "little"
        ):
            at, parts = at + left, None
            continue
        at += 7 + length
        if kind == _FULL:
            parts = None
            yield body
        elif kind == _FIRST:
            parts = [body]
        elif parts is not None:
            parts.append(body)
            if kind == _LAST:
                yield b"".join(parts)
                parts = None


def records(path: Path) -> Iterator[Any]:
    """The records of a log, in order. Fails if their numbers are not dense from 1."""
    for number, payload in enumerate(payloads(path.read_bytes()), 1):
        record = Record.FromString(payload)
        assert record.num == number, f"record {record.num} stands at place {number} of {path}"
        yield record


def rows(path: Path) -> list[dict[str, Any]]:
    """The history rows of a log: flat, nested keys joined by dots, `_step` included."""
    return [row_of(record) for record in records(path) if record.HasField("history")]


def row_of(record: Any) -> dict[str, Any]:
    """The row of one history record."""
    return {
        ".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.history.item
    }


def losses(path: Path) -> list[Any]:
    """The loss markers of a log, in order."""
    return [
        record.control.loss
        for record in records(path)
        if record.HasField("control") and record.control.HasField("loss")
    ]


def log_of(run_dir: Path) -> Path:
    """The log in a run directory."""
    (log,) = run_dir.glob("run-*.wandb")
    return log
