"""
What a signature is checked against: the request as it came, before anything was decoded.

Everything is bytes, as on the wire, so that no text encoding comes between what was signed and
what is checked.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from fc_runtime.service.errors import ApiError, invalid

SKEW_S: Final = 15 * 60  # how far a client's clock may be off, either way (spec 8.A)


@dataclass(frozen=True, slots=True)
class Caller:
    """
    Args:
        access_key_id: "" where nobody has to say who they are.
    """

    access_key_id: str
    account: str


class Request:
    """
    Args:
        raw_path, raw_query: still percent-encoded, without the ``?`` between them.
        headers: in any order and case; ASGI's own list.
    """

    __slots__ = ("_headers", "_repeated", "method", "raw_path", "raw_query")

    def __init__(
        self,
        method: str,
        raw_path: bytes,
        raw_query: bytes,
        headers: Iterable[tuple[bytes, bytes]],
    ) -> None:
        self.method = method.upper().encode()
        self.raw_path = raw_path
        self.raw_query = raw_query
        self._headers: dict[bytes, bytes] = {}
        self._repeated: set[bytes] = set()
        for name, value in headers:
            lower = name.lower()
            if lower in self._headers:
                self._repeated.add(lower)
            self._headers[lower] = value.strip()

    def header(self, name: bytes) -> bytes | None:
        """Raises ApiError 400 for one sent twice: which of them was meant could not be known."""
        if name in self._repeated:
            raise invalid(f"HTTP header {name.decode('latin-1')} was specified more than once")
        return self._headers.get(name)

    def required(self, name: bytes) -> bytes:
        """As `header`. Raises ApiError 400 ``MissingRequiredHeader`` too."""
        value = self.header(name)
        if not value:
            raise missing(name.decode("latin-1"))
        return value

    def names(self, prefix: bytes) -> list[bytes]:
        """Of headers, sorted; lower case."""
        return sorted(name for name in self._headers if name.startswith(prefix))

    def pairs(self) -> list[tuple[bytes, bytes]]:
        """Of the query, decoded, in their order; ``a`` and ``a=`` are the same."""
        return [
            (_unquote(name), _unquote(value))
            for part in self.raw_query.split(b"&")
            if part
            for name, _, value in [part.partition(b"=")]
        ]


Clock = Callable[[], float]  # seconds since the epoch


def missing(header: str) -> ApiError:
    """400, in the words of spec 5.D."""
    return ApiError(
        400, "MissingRequiredHeader", f"required HTTP header {header} was not specified"
    )


def denied(message: str) -> ApiError:
    """403 ``AccessDenied``."""
    return ApiError(403, "AccessDenied", message)


def mismatch() -> ApiError:
    """403 ``SignatureNotMatch``, in the words of spec 5.D."""
    return ApiError(
        403,
        "SignatureNotMatch",
        "The request signature we calculated does not match the signature you provided. "
        "Check your access key and signing method",
    )


def unknown_key(key_id: str) -> ApiError:
    """403 ``InvalidAccessKeyID``, in the words of spec 5.D."""
    return ApiError(403, "InvalidAccessKeyID", f"invalid access key ID '{key_id}'")


def check_skew(sent: float, now: float) -> None:
    """Raises ApiError 403."""
    if not abs(now - sent) <= SKEW_S:
        raise denied(
            f"the request was made {now - sent:+.0f} s ago by the clock of this server, "
            f"of which at most {SKEW_S} s are allowed"
        )


def _unquote(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" "))
