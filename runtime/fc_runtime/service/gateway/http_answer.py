"""
What an HTTP trigger answers: status, headers and body, by the rules of spec 4.C, whoever made it.

A function's headers are dropped where FC drops them, and refused where they would break the
response: too many bytes, or what is no header at all. Those that the platform adds come after.

Decided where FC's documents are silent or this is not FC: ``Content-Disposition: attachment``,
which FC forces on its default domain, is off unless the setting asks for it; redirects pass, which
FC's default domain refuses. Both protect a domain that all users share, and this one is yours.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Final

from fc_runtime.service.deployment import EXPOSED
from fc_runtime.service.errors import ApiError
from fc_runtime.service.gateway.http_call import MAX_HEADER_BYTES
from fc_runtime.service.gateway.replies import COMMON_ERROR

_DROPPED: Final = frozenset(
    # transfer-encoding is the server's business, as content-length is
    "connection content-length date keep-alive server upgrade transfer-encoding".split()
)
_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # a token (RFC 9110, 5.6.2)
_BAD_VALUE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_BODILESS: Final = frozenset({204, 205, 304})

_OF_THE_FUNCTION: Final = frozenset({b"Content-Type", EXPOSED[0]})

Pairs = list[tuple[str, str]]
Wire = list[tuple[bytes, bytes]]


@dataclass(slots=True)
class Answer:
    """
    Args:
        headers: of the function, in order; several of one name stay several.
        error_type: ``X-Fc-Error-Type`` of what the platform found wrong; else empty.
        platform: headers that are ours, and under no rule.
    """

    status: int
    headers: Pairs
    body: bytes
    error_type: str = ""
    platform: Wire = field(default_factory=list)


def bad_response(message: str) -> Answer:
    """502 ``BadResponse``: the function returned what cannot be answered with."""
    told = json.dumps({"errorMessage": message, "errorType": "BadResponse"})
    return Answer(502, [("Content-Type", "application/json")], told.encode(), "BadResponse")


def failed(payload: bytes) -> Answer:
    """502: the function came to no good end; *payload* is FC's error body (spec 5.A, 5.B)."""
    return Answer(502, [("Content-Type", "application/json")], payload)


def refused(error: ApiError, request_id: str) -> Answer:
    """The function was not called: the body of the API's errors (spec 5.D)."""
    body = json.dumps(error.body(request_id)).encode()
    headers = [("Content-Type", "application/json"), *error.headers.items()]
    return Answer(error.status, headers, body, COMMON_ERROR.decode())


def accepted(answer: Answer) -> Answer:
    """*answer* with what FC lets through of its headers; or a `bad_response` that says why not."""
    if not 200 <= answer.status <= 599:
        return bad_response(f"status code {answer.status} is none of a final response, 200 to 599")
    kept: Pairs = []
    for name, value in answer.headers:
        lower = name.lower()
        if lower in _DROPPED or lower.startswith("x-fc-"):
            continue
        if not _NAME.fullmatch(name):
            return bad_response(f"{name[:80]!r} is no name for a response header")
        if _BAD_VALUE.search(value):
            return bad_response(f"response header {name[:80]}: control characters in its value")
        kept.append((name, value))
    size = sum(len(name) + len(_bytes(value)) for name, value in kept)
    if size > MAX_HEADER_BYTES:
        return bad_response(f"response headers of {size} bytes exceed {MAX_HEADER_BYTES} bytes")
    answer.headers = kept
    return answer


def on_the_wire(answer: Answer, *, attachment: bool) -> tuple[int, Wire, bytes]:
    """
    Status, headers and body as ASGI wants them.

    Args:
        attachment: force ``Content-Disposition: attachment``, as FC's default domain does.
    """
    headers = list(answer.headers)
    if attachment:
        headers = [pair for pair in headers if pair[0].lower() != "content-disposition"]
        headers.append(("Content-Disposition", "attachment"))
    if answer.error_type:
        headers.append(("X-Fc-Error-Type", answer.error_type))
    body = answer.body
    if answer.status in _BODILESS:
        body = b""
    if answer.status not in (204, 304):
        headers.append(("Content-Length", str(len(body))))
    sent = [(name.lower().encode(), _bytes(value)) for name, value in headers]
    return answer.status, sent + answer.platform, body


def of_platform(headers: Wire) -> Wire:
    """Of those that an invocation through the API is answered with, what holds here too."""
    return [pair for pair in headers if pair[0] not in _OF_THE_FUNCTION]


def _bytes(value: str) -> bytes:
    """Latin-1 where that is enough, as WSGI means it; else UTF-8."""
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode("utf-8", "replace")
