"""One call of ``invoke``, checked, before there is an instance for it."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fc_worker import messages as m

from fc_runtime.credentials import Credentials
from fc_runtime.outcome import Result, Usage

if TYPE_CHECKING:
    from fc_runtime.pool.pool import Pool


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
