"""
What the service answers instead of doing what it was asked: one error type, one body.

The body carries the keys of all three API generations at once, so that every client finds the ones
that it reads (spec 5.D).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class ApiError(Exception):
    """
    A request that is refused.

    Args:
        status: of HTTP.
        code: FC's own, such as ``FunctionNotFound`` (spec 5.D).
        message: for people: what was wrong, and what would do.
        headers: more of them, such as ``Retry-After``.
    """

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] = _NOTHING
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers

    def body(self, request_id: str) -> dict[str, str]:
        """For JSON."""
        return {
            "ErrorCode": self.code,
            "ErrorMessage": self.message,
            "Code": self.code,
            "Message": self.message,
            "RequestId": request_id,
        }


def invalid(message: str) -> ApiError:
    """400 ``InvalidArgument``."""
    return ApiError(400, "InvalidArgument", message)


def not_found(kind: str, name: str) -> ApiError:
    """404, for the *kind* ``Function``: ``FunctionNotFound``."""
    return ApiError(404, f"{kind}NotFound", f"{_spoken(kind)} '{name}' not found")


def already_exists(kind: str, name: str) -> ApiError:
    """409, for the *kind* ``Function``: ``FunctionAlreadyExists``."""
    return ApiError(409, f"{kind}AlreadyExists", f"{_spoken(kind)} '{name}' already exists")


def precondition_failed(message: str) -> ApiError:
    """412: an ``If-Match`` that does not match."""
    return ApiError(412, "PreconditionFailed", message)


def not_implemented(what: str) -> ApiError:
    """501: known to FC, not to this version; *what*, and since when or how instead."""
    return ApiError(501, "NotImplemented", what)


def _spoken(kind: str) -> str:
    """``DomainName`` as "domain name"."""
    return "".join(f" {c.lower()}" if c.isupper() else c for c in kind).strip()
