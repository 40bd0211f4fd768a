"""
Operations as Starlette routes: reads the body within bounds, answers in a thread, renders.

Every reply has a ``X-Fc-Request-Id``; every refusal is JSON (spec 5.D).
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from fc_runtime.errors import OverloadedError
from fc_runtime.service.account import Account
from fc_runtime.service.account.given import strict_json
from fc_runtime.service.api.operations import Call, Operation, Reply
from fc_runtime.service.errors import ApiError, invalid

REQUEST_ID: Final = "fc.request_id"  # in the scope: whoever sees a request first puts one there
DRAINED: Final = 512 * 1024 * 1024  # bytes of a body too large that are still read, to be heard
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
_log = structlog.get_logger(__name__)


def routes(account: Account, operations: Sequence[Operation]) -> list[Route]:
    """Of *operations*, in all API versions that have them."""
    return [
        _route(account, prefix, operation)
        for operation in operations
        for prefix in operation.prefixes
    ]


def unsupported(prefixes: Iterable[str]) -> list[Route]:
    """For what is under *prefixes* and nobody else's, with any verb: to be put last."""
    return [Route(f"{prefix}/{{rest:rest}}", _Unsupported()) for prefix in prefixes]


class _Rest(Convertor[str]):
    """What `path` is in Starlette, of paths with newlines too."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("rest", _Rest())


def request_id(scope: Scope) -> str:
    """The same for all who ask about one request."""
    known = scope.get(REQUEST_ID)
    if not isinstance(known, str):
        known = scope[REQUEST_ID] = str(uuid.uuid4())
    return known


def refusal(error: ApiError, for_request: str) -> Response:
    """What is answered instead."""
    headers = {"X-Fc-Request-Id": for_request, **error.headers}
    return JSONResponse(error.body(for_request), error.status, headers)


def path_not_supported(scope: Scope, headers: Mapping[str, str] = _NOTHING) -> ApiError:
    message = f"'{scope['method']}' against '{scope['path']}' is not supported"
    return ApiError(400, "PathNotSupported", message, headers)


class _Unsupported:
    """An app, not a function: those are given GET alone."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await refusal(path_not_supported(scope), request_id(scope))(scope, receive, send)


def _route(account: Account, prefix: str, operation: Operation) -> Route:
    async def answer(request: Request) -> Response:
        known = request_id(request.scope)
        try:
            content = await _content(request, operation.most_bytes)
            reply = await run_in_threadpool(
                lambda: operation.answer(_call(account, prefix, request, content))
            )
        except ApiError as error:
            return refusal(error, known)
        except OverloadedError as error:  # no room to unpack code: nothing is wrong with it
            return refusal(ApiError(503, "ServiceUnavailable", str(error)), known)
        except ClientDisconnect:
            raise
        except Exception:  # noqa: BLE001 - our bug: the client is told, the log has it whole
            _log.exception("operation.failed", operation=operation.name, request_id=known)
            return refusal(ApiError(500, "InternalServerError", "see the daemon's log"), known)
        return _response(reply, known)

    path = operation.path.replace(":path}", ":rest}")
    return Route(f"{prefix}{path}", answer, methods=[operation.verb])


def _call(account: Account, prefix: str, request: Request, content: bytearray) -> Call:
    """Blocks for as long as it takes to read the JSON."""
    host = request.headers.get("host")
    base = account.base_url or f"{request.url.scheme}://{host or request.url.netloc}"
    return Call(
        account=account,
        prefix=prefix,
        path={name: str(value) for name, value in request.path_params.items()},
        query=dict(request.query_params),
        headers=dict(request.headers),
        body=_object(content),
        base_url=base.rstrip("/"),
    )


async def _content(request: Request, most: int) -> bytearray:
    """
    The whole body.

    One that is too large is read on and thrown away, so that the client, which may still be
    sending, hears why; within reason.
    """
    told = request.headers.get("content-length", "")
    content = bytearray()  # and not a list to be joined: a large one is here once
    size = 0
    too_large = told.isdigit() and int(told[:18]) > most
    async for part in request.stream():
        size += len(part)
        too_large = too_large or size > most
        if too_large:
            content.clear()
            if size > DRAINED:
                break
        else:
            content += part
    if too_large:
        raise ApiError(
            400, "EntityTooLarge", f"payload size exceeds maximum allowed size ({most} bytes)"
        )
    return content


def _object(content: bytearray) -> dict[str, Any]:
    if not content:
        return {}
    try:
        value = strict_json(content)
    except ValueError as error:
        raise invalid(f"the body is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise invalid(f"the body is to be a JSON object, not a {type(value).__name__}")
    return value


def _response(reply: Reply, known: str) -> Response:
    headers = {"X-Fc-Request-Id": known, **reply.headers}
    if reply.body is None:
        return Response(status_code=reply.status, headers=headers)
    return JSONResponse(reply.body, reply.status, headers)
