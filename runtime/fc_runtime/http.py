"""
An HTTP request as a handler gets it the WSGI way, and what it answers (spec 4.A).

Bodies are not in here: the request's is the event, the answer's is `Result.payload`.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from fc_worker import messages as m

from fc_runtime.errors import InvalidFunctionError

MAX_REQUEST_BYTES: Final = 100 * 1024  # of all that is in a request; it travels in one header
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """
    A request, all but its body.

    Args:
        method: as it came, ``GET``.
        path: decoded, and without what leads to the function; ``PATH_INFO``.
        request_uri: as it came, undecoded, with that and with the query; ``fc.request_uri``.
        client_ip: ``REMOTE_ADDR``.
        host: ``HTTP_HOST``, unless the headers say it.
        queries: name to values, decoded. FC tells them beside the text in *request_uri*, which
            is what a WSGI handler gets.
        headers: name to values, in their order; names in any case.

    Raises:
        InvalidFunctionError: no such types, or more than 100 KiB in all.
    """

    method: str = "GET"
    path: str = "/"
    request_uri: str = "/"
    client_ip: str = ""
    host: str = ""
    queries: Mapping[str, Sequence[str]] = field(default_factory=dict)
    headers: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def as_sent(self) -> str:
        """FC's ``x-fc-http-params``, before base64 and without what no handler gets to see."""
        texts = {
            "method": self.method,
            "path": self.path,
            "requestURI": self.request_uri,
            "clientIP": self.client_ip,
            "host": self.host,
        }
        for name, value in texts.items():
            if not isinstance(value, str):
                raise InvalidFunctionError("http", type(value).__name__, f"a text as its {name}")
        headers: dict[str, list[str]] = {}
        if not isinstance(self.headers, Mapping):
            raise InvalidFunctionError("http", type(self.headers).__name__, "a mapping of headers")
        for name, values in self.headers.items():
            if (
                not isinstance(name, str)
                or isinstance(values, str)
                or not isinstance(values, Sequence)
                or not all(isinstance(value, str) for value in values)
            ):
                raise InvalidFunctionError("http", name, "headers: names to lists of texts")
            headers[name] = list(values)
        sent = json.dumps({**texts, "headersMap": headers}, separators=(",", ":"))
        if len(sent) > MAX_REQUEST_BYTES:
            raise InvalidFunctionError(
                "http", f"{len(sent)} bytes", f"at most {MAX_REQUEST_BYTES} of path and headers"
            )
        return sent


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """
    What a handler answered to an `HttpRequest`, all but the body.

    Headers are in the handler's order, a name as often as it was given; no name is empty or holds
    anything but a token's characters, no value holds a control character but a tab.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()


def parse_response(status: object, text: object) -> HttpResponse:
    """
    From what a worker says, which may be anything: a number, and names and values in turn, one a
    line. Raises ValueError.
    """
    if type(status) is not int or not 100 <= status <= 599:
        raise ValueError("an HTTP status that is none")
    if type(text) is not str or len(text) > m.MAX_HTTP_HEADER_BYTES:
        raise ValueError("HTTP headers that are none, or too long")
    if not text:
        return HttpResponse(status)
    lines = text.split("\n")
    if len(lines) % 2 or len(lines) > 2 * m.MAX_HTTP_HEADERS:
        raise ValueError("HTTP headers without values, or too many")
    pairs = tuple(zip(lines[::2], lines[1::2], strict=True))
    for name, value in pairs:
        if not _NAME.fullmatch(name) or _CONTROL.search(value):
            raise ValueError("an HTTP header that is none")
    return HttpResponse(status, pairs)
