"""
A handler called the WSGI way: ``app(environ, start_response)`` (spec 4.A).

Function Compute's own reading of WSGI, which is not quite PEP 3333's: the environment of the
process is in ``environ``, texts are taken for bytes, and ``close()`` of what was returned is not
called. What the answer holds is checked here, so that a bad header is the handler's exception and
not a broken answer.
"""

import json
import os
import re
import sys
from collections.abc import Iterable
from io import BytesIO
from typing import Any, Final, NamedTuple

from fc_worker import failures, messages as m, respond

_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_FIXED: Final[dict[str, Any]] = {
    "SERVER_NAME": "FCRUNTIME",
    "SERVER_PORT": "9000",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "SERVER_SOFTWARE": "FCRUNTIME/1.0",
    "HTTP": "on",
    "SCRIPT_NAME": "",
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",
    "wsgi.multithread": False,
    "wsgi.multiprocess": False,
    "wsgi.run_once": False,
}


class Response(NamedTuple):
    """What the worker answers with."""

    status: int
    headers: str  # names and values in turn, one a line
    body: bytes


class _Start:
    """``start_response``, and what was said to it. Without a call: 200, and no headers."""

    def __init__(self) -> None:
        self.status = 200
        self.headers = ""
        self.written: list[bytes] = []

    def __call__(
        self,
        status: object,
        headers: Iterable[Any],
        exc_info: object = None,  # noqa: ARG002 (nothing has been sent that it could be too late for)
    ) -> Any:
        """As in PEP 3333. Called again it begins anew, whatever for."""
        code = int(str(status).split(maxsplit=1)[0])
        if not 100 <= code <= 599:
            raise ValueError(f"{status!r} is no HTTP status")
        lines: list[str] = []
        for name, value in headers:
            lines += _checked(_text(name), _text(value).strip(" \t"))
        told = "\n".join(lines)
        size = len(told.encode())  # and none that cannot be encoded
        if size > m.MAX_HTTP_HEADER_BYTES or len(lines) > 2 * m.MAX_HTTP_HEADERS:
            raise ValueError(
                f"{len(lines) // 2} response headers of {size} bytes; at most "
                f"{m.MAX_HTTP_HEADERS} of {m.MAX_HTTP_HEADER_BYTES} bytes in all"
            )
        self.status, self.headers = code, told
        return self._write

    def _write(self, data: str | bytes) -> None:
        self.written.append(_bytes(data))


def answer(app: Any, handler: str, told: str, event: bytes, context: Any) -> Response:
    """
    Call *app* with the request that *told* describes and *event* is the body of.

    Raises what *app* does, and Exception for what is no WSGI response; it is in the log by then.
    """
    start = _Start()
    try:
        value = app(_environ(json.loads(told), handler, event, context), start)
        if isinstance(value, str | bytes):
            value = [value]
        elif not isinstance(value, Iterable):
            raise Exception("invalid response type")  # noqa: TRY002, TRY004 (the class is FC's)
        body = b"".join([*start.written, *map(_bytes, value)])
    except Exception as error:
        failures.log_failure(respond.failure_of(error, skip=0).traceback)
        raise
    return Response(start.status, start.headers, body)


def _environ(request: dict[str, Any], handler: str, event: bytes, context: Any) -> dict[str, Any]:
    uri = request["requestURI"]
    environ: dict[str, Any] = {
        **os.environ,
        **_FIXED,
        "REQUEST_METHOD": request["method"],
        "PATH_INFO": _wsgi_text(request["path"] or "/"),
        "QUERY_STRING": _wsgi_text(uri.partition("?")[2]),
        "CONTENT_LENGTH": str(len(event)),
        "CONTENT_TYPE": "application/octet-stream",
        "REMOTE_ADDR": request["clientIP"],
        "wsgi.input": BytesIO(event),
        "wsgi.errors": sys.stderr,
        "fc.request_uri": uri,
        "fc.context": context,
    }
    if request["host"]:
        environ["HTTP_HOST"] = request["host"]
    for name, values in request["headersMap"].items():
        key = name.upper().replace("-", "_")
        if key == "CONTENT_TYPE":
            environ[key] = ",".join(values)
        elif key != "CONTENT_LENGTH":  # the body's own is known
            environ[f"HTTP_{key}"] = ",".join(values)
    environ["HTTP_X_FC_FUNCTION_HANDLER"] = handler
    return environ


def _wsgi_text(text: str) -> str:
    """A text as PEP 3333 has it: its bytes, one a character, for frameworks to decode."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1")


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return str(value)


def _checked(name: str, value: str) -> tuple[str, str]:
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot be the name of a response header")
    if _CONTROL.search(value):
        raise ValueError(f"response header {name!r} holds a control character")
    return name, value


def _bytes(data: Any) -> bytes:
    return data.encode() if isinstance(data, str) else bytes(memoryview(data))
