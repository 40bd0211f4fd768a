"""
A request to an HTTP trigger, as a value: what came, checked against FC's limits (spec 4.C).

Nothing here waits. Names of headers are lower case and values bytes, as ASGI has them; what they
become is the business of the two ways a handler is called, `http_event` and `http_wsgi`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, quote_from_bytes, unquote

from fc_runtime.service.errors import invalid
from fc_runtime.service.gateway.bodies import Scope

METHODS: Final = frozenset({"GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS"})
MAX_HEADER_BYTES: Final = 8 * 1024  # names and values of all of them
MAX_TARGET_BYTES: Final = 4 * 1024  # path and query
# FC names the first two; the body is here as a whole, however it was sent.
_DROPPED: Final = frozenset({b"connection", b"keep-alive", b"transfer-encoding"})
_OURS: Final = b"x-fc-"
_AS_IT_IS: Final = "%/:@!$&'()*+,;=-._~"  # of a path that is encoded already

Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class HttpCall:
    """
    Args:
        raw_path: URL-encoded ASCII: of the function, without what led to it. Begins with a slash.
        query: after the question mark, as it came.
        request_uri: as it came: path with what led to the function, and query.
        headers: those that a function gets to see, in order.
        client_ip: empty where it is not known (a Unix socket).
        host: the header, empty if there was none.
        protocol: such as ``HTTP/1.1``.
    """

    method: str
    raw_path: str
    query: str
    request_uri: str
    headers: Headers
    client_ip: str
    host: str
    protocol: str

    @property
    def path(self) -> str:
        """Decoded; what is not UTF-8 is replaced, so that it can stand in JSON."""
        return unquote(self.raw_path, errors="replace")

    @property
    def path_as_sent(self) -> str:
        """Decoded; what is not UTF-8 is kept as ``surrogateescape`` has it."""
        return unquote(self.raw_path, errors="surrogateescape")

    def queries(self) -> Iterator[tuple[str, str]]:
        """Decoded, in order; what is not UTF-8 is replaced."""
        return iter(parse_qsl(self.query, keep_blank_values=True, errors="replace"))

    def header(self, name: bytes) -> str:
        """The first of that name, or nothing."""
        return next((text(value) for key, value in self.headers if key == name), "")


def check_limits(scope: Scope) -> None:
    """Raises ApiError 400 beyond FC's limits for headers, and for path and query."""
    if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEADER_BYTES:
        raise invalid(f"request headers exceed {MAX_HEADER_BYTES} bytes")
    if len(raw_path_of(scope)) + len(scope["query_string"]) > MAX_TARGET_BYTES:
        raise invalid(f"path and query of the request exceed {MAX_TARGET_BYTES} bytes")


def call_of(
    scope: Scope,
    raw_path: str,
    headers: Iterable[tuple[bytes, bytes]] | None = None,
    raw_query: bytes | None = None,
) -> HttpCall:
    """
    The call that *scope* asks for, of a function that sees *raw_path*.

    Args:
        headers, raw_query: instead of those that were sent: a token's claims may be among them.
    """
    if headers is None:
        headers = scope["headers"]
    query = encoded(scope["query_string"] if raw_query is None else raw_query)
    whole = raw_path_of(scope)
    kept = (pair for pair in headers if pair[0] not in _DROPPED and not pair[0].startswith(_OURS))
    client = scope.get("client")
    return HttpCall(
        method=scope["method"],
        raw_path=raw_path or "/",
        query=query,
        request_uri=f"{whole}?{query}" if query else whole,
        headers=tuple(kept),
        client_ip=client[0] if client else "",
        host=host_of(scope),
        protocol=f"HTTP/{scope['http_version']}",
    )


def raw_path_of(scope: Scope) -> str:
    """As it was sent, as ASCII: a byte that should have been encoded is encoded now."""
    raw = scope.get("raw_path")
    return encoded(raw if raw is not None else scope["path"].encode())


def host_of(scope: Scope) -> str:
    """The ``Host`` header, with its port; "" if there is none."""
    return sent_header(scope, b"host")


def sent_header(scope: Scope, name: bytes) -> str:
    """Also of those that a function does not see; the first, or nothing."""
    for key, value in scope["headers"]:
        if key == name:
            return text(value)
    return ""


def encoded(raw: bytes) -> str:
    """As ASCII; what is encoded already stays as it is."""
    return raw.decode() if raw.isascii() else quote_from_bytes(raw, safe=_AS_IT_IS + "?")


def text(value: bytes) -> str:
    """Of a header: UTF-8 where it is, else Latin-1, which anything is."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
