"""One call of ``invoke``, checked, before there is an instance for it."""

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from fc_worker import messages as m

from fc_runtime.credentials import Credentials
from fc_runtime.errors import InvalidFunctionError
from fc_runtime.outcome import Result, Usage

if TYPE_CHECKING:
    from fc_runtime.pool.pool import Pool

NOTHING: Final[Any] = object()  # None is a JSON value
_REQUEST_ID: Final = re.compile(r"[!-~]{1,128}")


@dataclass(slots=True)
class Request:
    """What is asked of a function, and for whom."""

    pool: "Pool"
    event: bytes
    headers: dict[str, Any]
    request_id: str
    timeout_ns: int
    last_refusal: str = ""

    def same_failure(self, known: Result) -> Result:
        """What the last start came to, for a caller who comes too early for another."""
        self.pool.counts.add(known.outcome, cold=False)
        return replace(
            known,
            request_id=self.request_id,
            duration_ms=0.0,
            init_duration_ms=None,
            cold_start=False,
            usage=Usage(),
        )


def encode_event(event: object, json_value: object = NOTHING) -> bytes:
    """The bytes that the handler gets (spec 1.2). Raises InvalidFunctionError."""
    if json_value is not NOTHING:
        if not isinstance(event, bytes | str) or event:
            raise InvalidFunctionError("json", "…", "either event or json, not both")
        try:
            return json.dumps(json_value, ensure_ascii=False, allow_nan=False).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidFunctionError("json", type(json_value).__name__, str(error)) from error
    if type(event) is bytes:
        return event
    if isinstance(event, str):
        try:
            return event.encode()
        except UnicodeEncodeError as error:
            where = f"{error.reason}, at {error.start}"  # not the event itself: it may be a secret
            raise InvalidFunctionError("event", "str", f"not UTF-8: {where}") from None
    try:
        return bytes(memoryview(event))  # type: ignore[arg-type]
    except (TypeError, ValueError):  # the latter: a memoryview that was released
        raise InvalidFunctionError(
            "event", type(event).__name__, "bytes-like, or str; other values with json="
        ) from None


def check_request_id(request_id: object) -> None:
    """It will stand in logs, on lines of their own. Raises InvalidFunctionError."""
    if not isinstance(request_id, str) or not _REQUEST_ID.fullmatch(request_id):
        raise InvalidFunctionError(
            "request_id", request_id, "1 to 128 visible ASCII characters, no spaces"
        )


def request_headers(request_id: str, credentials: Credentials | None) -> dict[str, Any]:
    headers: dict[str, Any] = {m.REQUEST_ID: request_id}
    if credentials is not None:
        headers[m.CREDENTIALS] = _as_sent(credentials)
    return headers


def fixed_headers(credentials: Credentials | None, timeout_ns: int) -> dict[str, Any]:
    """The headers of an invocation, all but its id."""
    headers: dict[str, Any] = {m.TIMEOUT_NS: timeout_ns}
    if credentials is not None:
        headers[m.CREDENTIALS] = _as_sent(credentials)
    return headers


def _as_sent(credentials: Credentials) -> tuple[str, str, str | None]:
    return (
        credentials.access_key_id,
        credentials.access_key_secret,
        credentials.security_token,
    )
