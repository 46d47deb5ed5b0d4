"""GraphQL over HTTP with the standard library: one request per call, so that any thread may use a client."""

from __future__ import annotations

import base64
import json
import os
import random
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from urllib.parse import urlsplit

from runlane.errors import AuthenticationError, CommError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from http.client import HTTPMessage, HTTPResponse
    from typing import IO, Any

    from runlane._settings import Settings

#: Answers that may become good by asking again.
_RETRIED = frozenset((408, 429, 500, 502, 503, 504))
_MAX_ATTEMPTS = 6
_FIRST_DELAY_SECS = 0.25
_LONGEST_DELAY_SECS = 5.0
_ERROR_BODY_BYTES = 64 * 1024


#: What a request may carry to another host that the server sends it to.
_PUBLIC_HEADERS = frozenset(("Accept", "Content-type", "User-agent"))


class SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but sends credentials and headers of the user's own to no other host, and nothing in plain text."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if old.scheme == "https" and new.scheme != "https":
            raise urllib.error.HTTPError(
                req.full_url, code, "redirected to an address without encryption", headers, fp
            )
        redirected = super().redirect_request(req, fp, code, msg, headers, newurl)
        if redirected is not None and (old.scheme, old.netloc) != (new.scheme, new.netloc):
            for name in set(redirected.headers) - _PUBLIC_HEADERS:
                redirected.remove_header(name)
        return redirected


def _given_proxies(settings: Settings | None) -> dict[str, str]:
    if settings is None:
        return {}
    proxies = {"http": settings.http_proxy, "https": settings.https_proxy}
    return {scheme: str(url) for scheme, url in proxies.items() if url}


def _tls_context(insecure: bool) -> ssl.SSLContext:
    import ssl

    context = ssl.create_default_context()
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _opener(settings: Settings | None) -> urllib.request.OpenerDirector:
    handlers: list[urllib.request.BaseHandler] = [SafeRedirects()]
    given = _given_proxies(settings)
    if given:
        handlers.append(urllib.request.ProxyHandler({**urllib.request.getproxies(), **given}))
    if settings is not None and settings.insecure_disable_ssl:
        handlers.append(urllib.request.HTTPSHandler(context=_tls_context(True)))
    return urllib.request.build_opener(*handlers)


def _version() -> str:
    from runlane._core import __version__

    return str(__version__)


def _error_text(body: bytes) -> str:
    """What a server's error answer says, for people."""
    try:
        content = json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace").strip()[:500]
    if not isinstance(content, dict):
        return str(content)[:500]
    error = content.get("error")
    if isinstance(error, dict):
        return str(error.get("message") or error)
    if error:
        return str(error)
    errors = content.get("errors")
    if isinstance(errors, list):
        return "; ".join(
            str(item.get("message", item)) if isinstance(item, dict) else str(item) for item in errors
        )
    return str(content.get("message") or content)[:500]


class GraphQLClient:
    """A server's GraphQL endpoint, and downloads from it.

    Args:
        base_url: The server.
        api_key: Sent as Basic authentication, to this server only.
        timeout_secs: Limit of one request.
        settings: Proxies, TLS and extra headers.
    """

    def __init__(
        self, base_url: str, api_key: str | None, timeout_secs: float, settings: Settings | None = None
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.timeout_secs = timeout_secs
        self._opener = _opener(settings)
        self._proxies = _given_proxies(settings)
        self._insecure = bool(settings is not None and settings.insecure_disable_ssl)
        self.user_agent = f"runlane Public Client {_version()}"
        self._headers = {"User-Agent": self.user_agent}
        self._headers |= {
            str(name): str(value)
            for name, value in ((settings.x_extra_http_headers if settings else None) or {}).items()
        }
        if api_key:
            self._headers["Authorization"] = "Basic " + base64.b64encode(f"api:{api_key}".encode()).decode()

    def execute(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Run one operation and return its data.

        Raises:
            AuthenticationError: The server rejected the key.
            CommError: The server cannot be reached, or answered with an error; `exc` is the cause.
        """
        body = json.dumps({"query": query, "variables": dict(variables)}).encode()
        headers = {**self._headers, "Content-Type": "application/json", "Accept": "application/json"}
        request = urllib.request.Request(f"{self.base_url}/graphql", data=body, headers=headers)  # noqa: S310 - scheme is checked
        with self._send(request) as response:
            raw = response.read()
        try:
            answer = json.loads(raw)
        except ValueError as error:
            raise CommError(
                f"the server at {self.base_url} did not answer with JSON: {raw[:200]!r}", error
            ) from error
        if answer.get("errors"):
            raise CommError(f"the server at {self.base_url} refused the request: {_error_text(raw)}")
        data = answer.get("data")
        if not isinstance(data, dict):
            raise CommError(f"the server at {self.base_url} answered without data")
        return data

    def download(self, url: str) -> HTTPResponse:
        """Open a URL that the server handed out; the key goes along only below the server's own address.

        Raises:
            CommError: The URL cannot be read.
        """
        absolute, same = self._handed_out(url)
        request = urllib.request.Request(absolute, headers=self._headers if same else {})  # noqa: S310 - scheme is checked
        return self._send(request)

    def upload(self, url: str, path: str, headers: Mapping[str, str]) -> None:
        """Send a file to a URL that the server handed out; the key goes along only below the server's own address.

        Raises:
            CommError: The file could not be sent.
        """
        absolute, own = self._handed_out(url)
        size = os.path.getsize(path)
        sent = {**(self._headers if own else {}), **headers, "Content-Length": str(size)}
        sent.setdefault("Content-Type", "application/octet-stream")
        for attempt in range(_MAX_ATTEMPTS):
            with open(path, "rb") as file:
                # An empty file as bytes: a file object of length 0 would be sent in chunks.
                body: Any = file if size else b""
                request = urllib.request.Request(absolute, data=body, headers=sent, method="PUT")  # noqa: S310 - scheme is checked
                try:
                    self._send(request, attempts=1).close()
                except CommError as error:
                    status = getattr(error.exc, "code", None)
                    if attempt + 1 == _MAX_ATTEMPTS or (status is not None and status not in _RETRIED):
                        raise
                    self._wait(attempt + 1)
                else:
                    return

    def proxied(self, url: str) -> bool:
        """Whether requests to a URL go through a proxy."""
        parts = urlsplit(url)
        if parts.scheme in self._proxies:
            return True
        return parts.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(
            parts.hostname or ""
        )

    def tls_context(self) -> ssl.SSLContext:
        """How connections to hosts with `https` are made."""
        return _tls_context(self._insecure)

    def _handed_out(self, url: str) -> tuple[str, bool]:
        """A URL of the server's as an absolute one, and whether it is below the server's own address.

        Raises:
            CommError: Its scheme is none that is used.
        """
        absolute = url if "://" in url else self.base_url + url
        parts, own = urlsplit(absolute), urlsplit(self.base_url)
        if parts.scheme not in ("http", "https"):
            raise CommError(
                f"the server handed out a URL with scheme {parts.scheme!r}; only http and https are read"
            )
        return absolute, (parts.scheme, parts.netloc) == (own.scheme, own.netloc)

    @staticmethod
    def _wait(attempt: int) -> None:
        """Let some time go by before another attempt, longer each time."""
        longest = min(_LONGEST_DELAY_SECS, _FIRST_DELAY_SECS * 2 ** (attempt - 1))
        time.sleep(longest * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret

    def _send(self, request: urllib.request.Request, attempts: int = _MAX_ATTEMPTS) -> HTTPResponse:
        last: Exception | None = None
        for attempt in range(attempts):
            if attempt:
                self._wait(attempt)
            try:
                response: HTTPResponse = self._opener.open(request, timeout=self.timeout_secs)
            except urllib.error.HTTPError as error:
                with error:
                    text = _error_text(error.read(_ERROR_BODY_BYTES))
                if error.code in (401, 403):
                    raise AuthenticationError(
                        f"the server at {self.base_url} rejected the credentials: {text}", error
                    ) from error
                last = CommError(f"the server at {self.base_url} answered {error.code}: {text}", error)
                if error.code not in _RETRIED:
                    raise last from error
            except (OSError, HTTPException) as error:
                last = CommError(f"cannot reach the server at {self.base_url}: {error}", error)
                if attempt >= 2:
                    raise last from error
            else:
                return response
        assert last is not None
        raise last
