"""Invocations in the document: of all three generations (spec 7.A)."""

from collections.abc import Callable
from typing import Any, Final

from fc_runtime.service.api.addresses import OF_FC2, OF_FC3
from fc_runtime.service.api.openapi.bodies import TEXT
from fc_runtime.service.api.operations import FC2, FC3
from fc_runtime.service.queue import MOST_DELAY_S, TASK_ID

_BYTES: Final[dict[str, Any]] = {"application/octet-stream": {}}
_ASKED: Final = {  # headers of the request
    "X-Fc-Invocation-Type": {"enum": ["Sync", "Async"], "default": "Sync"},
    "X-Fc-Log-Type": {"enum": ["None", "Tail"], "default": "None"},
    "X-Fc-Async-Delay": {"type": "integer", "minimum": 0, "maximum": MOST_DELAY_S},
}
_ACCEPTED: Final = {True: "X-Fc-Async-Task-Id", False: "X-Fc-Stateful-Async-Invocation-Id"}
_ANSWERED: Final = {
    "X-Fc-Request-Id": "",
    "X-Fc-Invocation-Duration": "milliseconds",
    "X-Fc-Max-Memory-Usage": "MB",
    "X-Fc-Code-Checksum": "CRC-64 of the code, unless that is a folder",
    "X-Fc-Instance-Id": "",
    "X-Fc-Log-Result": "base64 of the end of the log, if X-Fc-Log-Type is Tail",
    "X-Fc-Error-Type": "of an error of the function; the body is JSON then",
}


def invocations(
    parameters: Callable[[str], list[dict[str, Any]]],
    refusals: Callable[[set[int]], dict[str, Any]],
) -> dict[str, Any]:
    """The paths; made with what makes the others."""
    return {
        f"{prefix}{below}/invocations": {
            "post": _operation(prefix, parameters(below), refusals({404, 409, 429, 501, 503}))
        }
        for prefixes, below in ((FC3, OF_FC3), (FC2, OF_FC2))
        for prefix in prefixes
    }


def _operation(
    prefix: str, parameters: list[dict[str, Any]], refusals: dict[str, Any]
) -> dict[str, Any]:
    date = prefix.removeprefix("/")
    task_id = _ACCEPTED[prefix in FC3]
    asked = {**_ASKED, task_id: {"type": "string", "pattern": f"^{TASK_ID.pattern}$"}}
    return {
        "operationId": f"InvokeFunction_{date}",
        "tags": [date],
        "description": "The body is the event as it is, and the reply what the function returned; "
        "an error of the function has status 200 and X-Fc-Error-Type.",
        "parameters": [
            *parameters,
            {"name": "qualifier", "in": "query", "schema": TEXT},
            *({"name": name, "in": "header", "schema": of} for name, of in asked.items()),
        ],
        "requestBody": {"required": False, "content": _BYTES},
        "responses": {
            "200": {
                "description": "What the function returned, or its error",
                "headers": {
                    name: {"schema": TEXT, **({"description": says} if says else {})}
                    for name, says in _ANSWERED.items()
                },
                "content": {**_BYTES, "application/json": {}},
            },
            "202": {
                "description": "Accepted, and on disk: X-Fc-Invocation-Type was Async",
                "headers": {name: {"schema": TEXT} for name in ("X-Fc-Request-Id", task_id)},
            },
            **refusals,
        },
    }
