"""The samples in a transaction log, read by a description of their own."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from logs import payloads

_FIELD = descriptor_pb2.FieldDescriptorProto


def _record_class() -> type:
    file = descriptor_pb2.FileDescriptorProto(name="samples.proto", package="samples", syntax="proto3")
    item = file.message_type.add(name="Item")
    item.field.add(name="key", number=1, label=_FIELD.LABEL_OPTIONAL, type=_FIELD.TYPE_STRING)
    item.field.add(name="value_json", number=16, label=_FIELD.LABEL_OPTIONAL, type=_FIELD.TYPE_STRING)
    stats = file.message_type.add(name="Stats")
    stats.field.add(
        name="item",
        number=3,
        label=_FIELD.LABEL_REPEATED,
        type=_FIELD.TYPE_MESSAGE,
        type_name=".samples.Item",
    )
    time = file.message_type.add(name="Time")
    time.field.add(name="seconds", number=1, label=_FIELD.LABEL_OPTIONAL, type=_FIELD.TYPE_INT64)
    time.field.add(name="nanos", number=2, label=_FIELD.LABEL_OPTIONAL, type=_FIELD.TYPE_INT32)
    stats.field.add(
        name="timestamp",
        number=2,
        label=_FIELD.LABEL_OPTIONAL,
        type=_FIELD.TYPE_MESSAGE,
        type_name=".samples.Time",
    )
    record = file.message_type.add(name="Record")
    record.field.add(
        name="stats",
        number=7,
        label=_FIELD.LABEL_OPTIONAL,
        type=_FIELD.TYPE_MESSAGE,
        type_name=".samples.Stats",
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("samples.Record"))


_Record = _record_class()


def timed_samples_of(log: Path) -> Iterator[tuple[float, dict[str, float]]]:
    """The `stats` records of a log, in order: seconds since 1970, and values; no key stands in one twice."""
    for payload in payloads(log.read_bytes()):
        record = _Record.FromString(payload)
        if record.HasField("stats"):
            sample = {item.key: json.loads(item.value_json) for item in record.stats.item}
            twice = [
                key for key, count in Counter(item.key for item in record.stats.item).items() if count > 1
            ]
            assert not twice, f"keys that stand in a sample twice: {twice}"
            at = record.stats.timestamp
            yield at.seconds + at.nanos / 1e9, sample


def samples_of(log: Path) -> Iterator[dict[str, float]]:
    """As `timed_samples_of`, without the times."""
    for _at, sample in timed_samples_of(log):
        yield sample
