"""
The document, and where it is to be had: ``GET /_fc/openapi.json``, by anybody.

Made once, of the operations that the routes are made of.
"""

import json
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fc_runtime.service.api.openapi.bodies import BODIES, PATH, TEXT
from fc_runtime.service.api.openapi.invocations import invocations
from fc_runtime.service.api.openapi.replies import REPLIES
from fc_runtime.service.api.openapi.told import (
    LISTS,
    QUERY,
    Told,
    query_of,
    reply_of,
    told,
    why_refused,
)
from fc_runtime.service.api.operations import Operation

LOCATION: Final = "/_fc/openapi.json"
_PARAMETER: Final = re.compile(r"\{([a-z]+)(?::path)?\}")
_ERRORS: Final[Mapping[int, str]] = {
    400: "Refused",
    403: "NotAllowed",
    404: "NotFound",
    409: "Conflict",
    412: "Changed",
    429: "Throttled",
    500: "Broken",
    501: "NotHere",
    502: "BadReply",
    503: "Busy",
}
_MEANINGS: Final[Mapping[str, str]] = {
    "Refused": "What was sent is not what is needed: the message says which part",
    "NotAllowed": "The signature is missing or wrong",
    "NotFound": "The function, service, version … is not there: the code says which",
    "Conflict": "It is there already, or still in use",
    "Changed": "If-Match is not the ETag of what is there",
    "Throttled": "All instances are busy and the queue is full: see Retry-After",
    "Broken": "A bug of the daemon's; its log says more",
    "NotHere": "Function Compute has it, this daemon has not: the message says why",
    "BadReply": "The function answered what cannot be passed on",
    "Busy": "No room, or about to end: the same may do later",
}


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    """Raises KeyError for an operation of which nothing is told."""
    paths: dict[str, dict[str, Any]] = {}
    names: set[str] = set()
    for operation in operations:
        for prefix in operation.prefixes:
            path = prefix + _PARAMETER.sub(r"{\1}", operation.path)
            name = f"{operation.name}_{prefix.removeprefix('/')}"
            while name in names:  # the same under another verb or path
                name += f"_{operation.verb.lower()}"
            names.add(name)
            paths.setdefault(path, {})[operation.verb.lower()] = _operation(operation, prefix, name)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "fc-runtime: Function Compute's own API",
            "version": version("fc-runtime"),
            "description": "All three generations of the API. HTTP triggers answer what their "
            "functions answer and are not described.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"fc": []}, {}],
        "paths": {**paths, **invocations(_parameters, _refusals)},
        "components": {
            "schemas": {**REPLIES, **BODIES},
            "responses": {name: _refusal(says) for name, says in _MEANINGS.items()},
            "headers": {"RequestId": {"required": True, "schema": {"type": "string"}}},
            "securitySchemes": {
                "fc": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "FC ID:SIGNATURE, or ACS3-HMAC-SHA256 …; none with --no-auth",
                }
            },
        },
    }


def route(operations: Sequence[Operation]) -> Route:
    content = json.dumps(document(operations), separators=(",", ":")).encode()

    async def answer(_request: Request) -> Response:
        return Response(content, media_type="application/json")

    return Route(LOCATION, answer, methods=["GET"])


def _operation(operation: Operation, prefix: str, name: str) -> dict[str, Any]:
    what = told(operation)
    described: dict[str, Any] = {
        "operationId": name,
        "tags": [prefix.removeprefix("/")],
        "parameters": _parameters(operation.path),
    }
    if what is None:  # the body is read before, and may be no JSON
        described["description"] = f"Always refused. {why_refused(operation)}"
        return {**described, "responses": _refusals({501})}
    described["parameters"] += [_in_query(each) for each in query_of(what, prefix)]
    if 412 in what.statuses:
        described["parameters"].append({"name": "If-Match", "in": "header", "schema": TEXT})
    if what.body is not None:
        described["requestBody"] = {
            "required": "required" in BODIES[what.body],
            "content": _json(what.body),
        }
    described["responses"] = {**_answer(what, prefix), **_refusals(_statuses(operation, what))}
    return described


def _answer(what: Told, prefix: str) -> dict[str, Any]:
    headers = {"X-Fc-Request-Id": {"$ref": "#/components/headers/RequestId"}}
    reply = reply_of(what, prefix)
    if reply is None:
        return {"204": {"description": "Done", "headers": headers}}
    return {"200": {"description": reply, "headers": headers, "content": _json(reply)}}


def _statuses(operation: Operation, what: Told) -> set[int]:
    return {*what.statuses, *([404] if "{" in operation.path else [])}


def _refusals(statuses: set[int]) -> dict[str, Any]:
    """Of those, and of what may become of any request."""
    return {
        str(status): {"$ref": f"#/components/responses/{_ERRORS[status]}"}
        for status in sorted({400, 403, 500, *statuses})
    }


def _refusal(says: str) -> dict[str, Any]:
    headers = {"X-Fc-Request-Id": {"$ref": "#/components/headers/RequestId"}}
    return {"description": says, "headers": headers, "content": _json("Error")}


def _parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": PATH[name]}
        for name in _PARAMETER.findall(path)
    ]


def _in_query(name: str) -> dict[str, Any]:
    if name in LISTS:
        listed = {"application/json": {"schema": {"type": "array", "items": _item(name)}}}
        return {"name": name, "in": "query", "content": listed}
    return {"name": name, "in": "query", "schema": QUERY[name]}


def _item(name: str) -> dict[str, Any]:
    if name not in {"Tag", "tags"}:
        return {"type": "string"}
    properties = dict.fromkeys(("Key", "Value"), TEXT)
    return {"type": "object", "properties": properties}


def _json(component: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{component}"}}}
