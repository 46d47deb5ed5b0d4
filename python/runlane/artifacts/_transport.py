"""GET requests for files, on connections that are kept: one per thread and host."""

from __future__ import annotations

import http.client
import os
import threading
import urllib.error
import urllib.request
from urllib.parse import urljoin, urlsplit

from runlane.errors import CommError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from typing import Any

    from runlane.public_api._client import GraphQLClient

_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_MAX_REDIRECTS = 5
#: Of an answer that is not wanted, what is read so that the connection can go on.
_DRAINED_BYTES = 64 << 10


class Answer:
    """An answer whose body is read by the caller; leave it to give the connection back."""

    def __init__(self, response: Any, connection: http.client.HTTPConnection | None, keep: Any) -> None:
        self._response = response
        self._connection = connection
        self._keep = keep
        self.status: int = response.status
        self.headers = response.headers

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_error: object) -> None:
        response = self._response
        if self._connection is None:
            response.close()
        elif response.isclosed() and not response.will_close:
            self._keep(self._connection)
        else:
            # What is left of the body would be taken for the next answer.
            response.close()
            self._connection.close()

    def readinto(self, block: memoryview) -> int:
        """Read into a block; 0 at the end.

        Raises:
            OSError: The connection broke.
            http.client.HTTPException: The body ends before its length.
        """
        return int(self._response.readinto(block))

    def read(self, limit: int) -> bytes:
        """Read at most `limit` bytes."""
        return bytes(self._response.read(limit))

    def text(self) -> str:
        """The beginning of the body, for messages."""
        return self.read(_DRAINED_BYTES).decode("utf-8", "replace").strip()[:300]


class Transport:
    """Reads URLs that a server handed out. Any thread may use it; each has connections of its own."""

    def __init__(self, client: GraphQLClient) -> None:
        self._client = client
        self._local = threading.local()
        self._context: ssl.SSLContext | None = None

    def get(self, url: str, headers: Mapping[str, str] | None = None, foreign: bool = False) -> Answer:
        """Ask for a URL, through redirects.

        Args:
            url: Absolute, or below the server's address.
            headers: Sent beside those of the client.
            foreign: Whether the URL comes from an artifact instead of the server: the key goes along nowhere then.

        Raises:
            CommError: The URL is none that is read, or leads around in circles.
            OSError: The host cannot be reached.
            http.client.HTTPException: It does not speak HTTP.
        """
        for _ in range(_MAX_REDIRECTS + 1):
            absolute, own = self._client._handed_out(url)
            sent = dict(self._client._headers) if own and not foreign else {}
            sent.setdefault("User-Agent", self._client.user_agent)
            answer = self._ask(absolute, {**sent, **(headers or {})})
            if answer.status not in _REDIRECTS:
                return answer
            with answer:
                location = answer.headers.get("Location")
                answer.text()
            if not location:
                raise CommError(f"the server redirected from `{_shown(absolute)}` to nowhere")
            url = urljoin(absolute, location)
            if urlsplit(absolute).scheme == "https" and urlsplit(url).scheme != "https":
                raise CommError(f"`{_shown(absolute)}` redirected to an address without encryption")
        raise CommError(f"`{_shown(url)}` was redirected more than {_MAX_REDIRECTS} times")

    def _ask(self, url: str, headers: dict[str, str]) -> Answer:
        parts = urlsplit(url)
        if self._client.proxied(url):
            request = urllib.request.Request(url, headers=headers)  # noqa: S310 - scheme is checked
            try:
                return Answer(
                    self._client._opener.open(request, timeout=self._client.timeout_secs), None, None
                )
            except urllib.error.HTTPError as error:
                return Answer(error, None, None)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        place = (parts.scheme, parts.netloc)
        kept = self._connections()
        connection = kept.pop(place, None)
        if connection is not None:
            try:
                connection.request("GET", target, headers=headers)
                return Answer(
                    connection.getresponse(), connection, lambda good: kept.__setitem__(place, good)
                )
            except (OSError, http.client.HTTPException):
                # The other side closed it meanwhile, which it may do at any time.
                connection.close()
        connection = self._connect(parts.scheme, parts.netloc)
        try:
            connection.request("GET", target, headers=headers)
            return Answer(connection.getresponse(), connection, lambda good: kept.__setitem__(place, good))
        except BaseException:
            connection.close()
            raise

    def _connections(self) -> dict[tuple[str, str], http.client.HTTPConnection]:
        if getattr(self._local, "pid", None) != os.getpid():
            # A child of `fork` must not speak on its parent's connections.
            self._local.pid = os.getpid()
            self._local.kept = {}
        kept: dict[tuple[str, str], http.client.HTTPConnection] = self._local.kept
        return kept

    def _connect(self, scheme: str, netloc: str) -> http.client.HTTPConnection:
        host = netloc.rpartition("@")[2]
        if scheme == "http":
            return http.client.HTTPConnection(host, timeout=self._client.timeout_secs)
        if self._context is None:
            self._context = self._client.tls_context()
        return http.client.HTTPSConnection(host, timeout=self._client.timeout_secs, context=self._context)


def _shown(url: str) -> str:
    """A URL without what may be a secret."""
    return url.partition("?")[0]
