"""
How a function of FC3 is called over HTTP: the request is its event, JSON of version ``v1``, and
what it returns is the response (spec 4.B).

Inferred, where the documents are silent: which types are text (those that say so, JSON, XML,
JavaScript and forms, with all their ``+json`` kin; and what names no type but is UTF-8); a reply
without a ``Content-Type`` gets ``application/json``; a list as a header's value sets it as often.
"""

import base64
import binascii
import json
from datetime import UTC, datetime
from typing import Any, Final

from fc_runtime.service.gateway.http_answer import Answer, bad_response
from fc_runtime.service.gateway.http_call import HttpCall, text

VERSION: Final = "v1"
DEFAULT_TYPE: Final = "application/json"
_TEXT_TYPES: Final = frozenset(
    {
        "application/ecmascript",
        "application/graphql",
        "application/javascript",
        "application/json",
        "application/x-www-form-urlencoded",
        "application/xml",
        "application/yaml",
    }
)


def event_of(
    call: HttpCall,
    body: bytes,
    *,
    account_id: str,
    domain_prefix: str,
    request_id: str,
    now: datetime,
) -> bytes:
    """
    The event, as UTF-8.

    Args:
        domain_prefix: the name of the trigger, or the first label of a custom domain.
        now: when the request came, with its time zone.
    """
    told, is_base64 = _body_of(call, body)
    at = now.astimezone(UTC)
    event = {
        "version": VERSION,
        "rawPath": call.raw_path,
        "body": told,
        "isBase64Encoded": is_base64,
        "headers": _joined((canonical(name), text(value)) for name, value in call.headers),
        "queryParameters": _joined(call.queries()),
        "requestContext": {
            "accountId": account_id,
            "domainName": without_port(call.host),
            "domainPrefix": domain_prefix,
            "http": {
                "method": call.method,
                "path": call.path,
                "protocol": call.protocol,
                "sourceIp": call.client_ip,
                "userAgent": call.header(b"user-agent"),
            },
            "requestId": request_id,
            "time": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "timeEpoch": str(int(at.timestamp() * 1000)),
        },
    }
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()


def answer_of(payload: bytes) -> Answer:
    """
    The response that *payload*, which a function returned, stands for.

    A JSON object with a whole number as ``statusCode`` is a response object; anything else is the
    body of a default reply: 200, ``application/json``. A response object that cannot be answered
    with is a 502 ``BadResponse`` that says why.
    """
    told = _response_object(payload)
    if told is None:
        return Answer(200, [("Content-Type", DEFAULT_TYPE)], payload)
    headers: list[tuple[str, str]] = []
    for name, value in told.get("headers", {}).items():
        headers.extend((name, one) for one in (value if isinstance(value, list) else (value,)))
    body = told.get("body", "")
    if told.get("isBase64Encoded", False):
        try:
            content = base64.b64decode(body, validate=True)
        except (binascii.Error, ValueError) as error:
            return bad_response(f"isBase64Encoded is true, but the body is no base64: {error}")
    else:
        content = body.encode("utf-8", "replace")  # a lone surrogate has no bytes
    if not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(("Content-Type", DEFAULT_TYPE))
    return Answer(told["statusCode"], headers, content)


def canonical(name: bytes) -> str:
    """``content-type`` as ``Content-Type``."""
    return "-".join(part.capitalize() for part in name.decode("latin-1").split("-"))


def without_port(host: str) -> str:
    """Of a Host header: ``[::1]:9000`` is ``[::1]``."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host


def _response_object(payload: bytes) -> dict[str, Any] | None:
    if b'"statusCode"' not in payload:  # not all that is returned needs to be read as JSON
        return None
    try:
        told = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict) or type(told.get("statusCode")) is not int:
        return None
    headers = told.get("headers", {})
    fits = (
        isinstance(headers, dict)
        and all(_is_value(value) for value in headers.values())
        and isinstance(told.get("body", ""), str)
        and isinstance(told.get("isBase64Encoded", False), bool)
    )
    return told if fits else None


def _is_value(value: object) -> bool:
    if isinstance(value, list):
        return all(isinstance(one, str) for one in value)
    return isinstance(value, str)


def _body_of(call: HttpCall, body: bytes) -> tuple[str, bool]:
    if not body:
        return "", False
    kind = call.header(b"content-type").partition(";")[0].strip().lower()
    if not kind or _is_text(kind):
        try:
            return body.decode(), False
        except UnicodeDecodeError:
            pass  # of another character set: the function gets the bytes as they came
    return base64.b64encode(body).decode(), True


def _is_text(kind: str) -> bool:
    return kind.startswith("text/") or kind in _TEXT_TYPES or kind.endswith(("+json", "+xml"))


def _joined(pairs: Any) -> dict[str, str]:
    """Several of one name are one, with commas."""
    found: dict[str, str] = {}
    for name, value in pairs:
        found[name] = f"{found[name]},{value}" if name in found else value
    return found
