"""
What the platform says with each request: the ``x-fc-*`` headers (spec 9.A), as one value.

Whoever can reach the port can send them: on FC that is the platform alone. Elsewhere they come
from anybody, so what the settings say wins over them (`deployment`).
"""

import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from fc_runtime.credentials import Credentials
from fc_runtime.service.errors import invalid

MAX_TIMEOUT_S: Final = 86_400.0  # FC's own (spec 12)
_REQUEST_ID: Final = re.compile(r"[!-~]{1,256}")  # it goes into log lines, and into a header
_TEXTS: Final = {
    "x-fc-function-name": "name",
    "x-fc-function-handler": "handler",
    "x-fc-function-initializer": "initializer",
    "x-fc-initializer": "initializer",
    "x-fc-region": "region",
    "x-fc-account-id": "account_id",
    "x-fc-service-name": "service",
    "x-fc-service-logproject": "log_project",
    "x-fc-service-logstore": "log_store",
    "x-fc-qualifier": "qualifier",
    "x-fc-version-id": "version_id",
    "x-fc-instance-lifecycle-pre-stop-handler": "pre_stop",
    "x-fc-instance-lifecycle-pre-freeze-handler": "pre_freeze",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """``''`` and None where nothing was said; times in seconds, memory in MiB."""

    request_id: str
    control_path: str = ""
    base_path: str = ""
    credentials: Credentials | None = None
    timeout: float | None = None
    initialization_timeout: float | None = None
    memory_mb: int | None = None
    name: str = ""
    handler: str = ""
    initializer: str = ""
    region: str = ""
    account_id: str = ""
    service: str = ""
    log_project: str = ""
    log_store: str = ""
    qualifier: str = ""
    version_id: str = ""
    pre_stop: str = ""
    pre_freeze: str = ""


def told_by(headers: Iterable[tuple[bytes, bytes]], *, believed: bool = True) -> Told:
    """
    Read the headers of a request, names in lower case as ASGI has them. ApiError 400.

    Args:
        believed: else anybody may have sent them, and none but the request id counts.
    """
    said = {
        name.decode("latin-1"): value.decode("latin-1").strip()
        for name, value in headers
        if name.startswith(b"x-fc-")
    }
    request_id = said.get("x-fc-request-id", "")
    if not _REQUEST_ID.fullmatch(request_id):
        request_id = str(uuid.uuid4())
    if not believed:
        return Told(request_id=request_id)
    texts = {_TEXTS[name]: value for name, value in said.items() if name in _TEXTS and value}
    memory = _number(said, "x-fc-function-memory", 2**20)
    return Told(
        request_id=request_id,
        control_path=said.get("x-fc-control-path", ""),
        base_path=said.get("x-fc-base-path", ""),
        credentials=_credentials(said),
        timeout=_number(said, "x-fc-function-timeout", MAX_TIMEOUT_S),
        initialization_timeout=_number(said, "x-fc-initialization-timeout", MAX_TIMEOUT_S),
        memory_mb=None if memory is None else int(memory),
        **texts,
    )


def _credentials(said: dict[str, str]) -> Credentials | None:
    key_id = said.get("x-fc-access-key-id", "")
    secret = said.get("x-fc-access-key-secret", "")
    if not key_id or not secret:
        return None
    return Credentials(
        access_key_id=key_id,
        access_key_secret=secret,
        security_token=said.get("x-fc-security-token", ""),
    )


def _number(said: dict[str, str], name: str, most: float) -> float | None:
    text = said.get(name, "")
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        raise invalid(f"{name} must be a number, not {text!r}") from None
    if not 0 < number <= most:  # also refuses NaN
        raise invalid(f"{name} must be above 0 and at most {most:g}, not {text!r}")
    return number
