"""Which function an invocation's path means, in the three generations of the API (spec 7.A)."""

from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

from fc_runtime.service.errors import ApiError, invalid

ENDING: Final = "/invocations"
KEPT: Final = 4096  # paths: clients ask for the same few again and again
# Longer than names and qualifiers can be. What is longer is not kept, nor looked at: the caches
# would hold what anybody sends, by the hundred megabytes.
MOST_PATH: Final = 1024
MOST_QUERY: Final = 1024
FC3: Final = "2023-03-30"
FC2: Final = ("2016-08-15", "2021-04-06")


class Asked(NamedTuple):
    """*service* is empty for FC3; *qualifier* None if none was given."""

    service: str
    function: str
    qualifier: str | None


def is_invocation(path: str) -> bool:
    """Is it of the invoke operation? Such a path is nobody else's, right or wrong."""
    return len(path) <= MOST_PATH and _is_invocation(path)


@lru_cache(KEPT)
def _is_invocation(path: str) -> bool:
    if not path.endswith(ENDING):
        return False
    parts = path.split("/")
    if len(parts) == 5:
        return parts[1] == FC3 and parts[2] == "functions"
    return len(parts) == 7 and parts[1] in FC2 and (parts[2], parts[4]) == ("services", "functions")


def asked(path: str, query: bytes) -> Asked:
    """
    Args:
        path: decoded, one that `is_invocation`.
        query: as it came.

    Raises ApiError 400.
    """
    if len(query) > MOST_QUERY:
        raise invalid(f"the query is longer than {MOST_QUERY} bytes")
    return _asked(path, query)


@lru_cache(KEPT)
def _asked(path: str, query: bytes) -> Asked:
    parts = path.split("/")
    qualifier = _qualifier(query)
    if len(parts) == 5:
        return Asked("", _named("function", parts[3]), qualifier)
    service, dot, behind_dot = parts[3].partition(".")
    if dot:
        if qualifier is not None and qualifier != behind_dot:
            raise invalid(f"two qualifiers: {behind_dot!r} in the path, {qualifier!r} in the query")
        qualifier = behind_dot
    return Asked(_named("service", service), _named("function", parts[5]), qualifier)


def _qualifier(query: bytes) -> str | None:
    if not query:
        return None
    try:
        given = dict(parse_qsl(query.decode("ascii"), errors="strict"))
    except ValueError as error:
        raise invalid(f"the query is not UTF-8, or not percent-encoded: {error}") from None
    return given.get("qualifier") or None


def _named(kind: str, name: str) -> str:
    if not name:
        raise invalid(f"the {kind}'s name is empty")
    return name


def method_not_allowed(method: str, path: str) -> ApiError:
    """In FC's words (spec 5.D, ``PathNotSupported``), and with HTTP's own status for it."""
    return ApiError(
        405, "MethodNotAllowed", f"'{method}' against '{path}' is not supported", {"Allow": "POST"}
    )
