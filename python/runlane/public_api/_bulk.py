"""Whole histories from a server of ours: packed columns, frame by frame (`core/history/src/packed.rs` has the layout)."""

from __future__ import annotations

import json
from contextlib import contextmanager
from http.client import HTTPException
from urllib.parse import quote, urlencode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.client import HTTPResponse
    from typing import Any

    from ._stored_run import Run

#: Connections in a row that may break off without a row.
MAX_ATTEMPTS = 3
_MAGIC = b"RLH1"
_END = 2
#: A frame is about 4 MiB, or one row: rows are limited far below this.
_MAX_FRAME_BYTES = 512 << 20


class BrokenOffError(OSError):
    """The connection ended before the history did."""


def _exactly(response: HTTPResponse, count: int) -> bytes:
    try:
        found = response.read(count)
    except (OSError, HTTPException) as error:
        raise BrokenOffError(f"reading the history broke off: {error}") from error
    if len(found) != count:
        raise BrokenOffError("reading the history broke off: the server closed the connection")
    return found


def _read(response: HTTPResponse) -> Iterator[bytes]:
    if _exactly(response, len(_MAGIC)) != _MAGIC:
        raise BrokenOffError("the server did not answer with a history")
    while True:
        length = int.from_bytes(_exactly(response, 4), "little")
        if not 1 <= length <= _MAX_FRAME_BYTES:
            raise BrokenOffError(f"the server announced a frame of {length} bytes")
        frame = _exactly(response, length)
        yield frame
        if frame[0] == _END:
            return


@contextmanager
def frames(
    run: Run,
    keys: list[str] | None = None,
    min_step: int | None = None,
    max_step: int | None = None,
    stream: str = "history",
) -> Iterator[Iterator[bytes]]:
    """The frames of a run's rows, the last of which ends them; the connection is closed on the way out.

    Raises:
        CommError: The server cannot be reached, or refused the request.
        BrokenOffError: While iterating, the connection ended too early.
    """
    query: dict[str, Any] = {"stream": stream}
    if keys is not None:
        query["keys"] = json.dumps(keys)
    if min_step is not None:
        query["min_step"] = min_step
    if max_step is not None:
        query["max_step"] = max_step
    path = "/".join(quote(part, safe="") for part in run.path)
    with run._api._client.download(f"/api/runs/{path}/history?{urlencode(query)}") as response:
        yield _read(response)
