"""
Lists a page at a time: ``limit``, ``prefix``, ``startKey``, ``nextToken`` (spec 7.D).

The token is the name that the next page begins with, made opaque; it wins over ``startKey``, while
``prefix`` still filters.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fc_runtime.service.account.ledger import Page
from fc_runtime.service.api.operations import Call, Reply
from fc_runtime.service.errors import invalid
from fc_runtime.service.store import Entry

DEFAULT_LIMIT: Final = 20
MOST: Final = 100


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which part of a list: the arguments of `Ledger.page` and its like."""

    prefix: str
    start: str
    limit: int


def wanted(call: Call) -> Wanted:
    """What the query asks for. Raises ApiError 400."""
    limit = limit_of(call)
    token = call.query.get("nextToken", "")
    start = _decoded(token) if token else call.query.get("startKey", "")
    return Wanted(call.query.get("prefix", ""), start, limit)


def limit_of(call: Call) -> int:
    """How many are to be on a page. Raises ApiError 400."""
    text = call.query.get("limit", "") or str(DEFAULT_LIMIT)
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= MOST):
        raise invalid(f"limit: a whole number from 1 to {MOST}, not '{text[:64]}'")
    return int(text)


def listed(name: str, page: Page, shown: Callable[[Entry], Mapping[str, Any]]) -> Reply:
    """The reply ``{name: […], nextToken}``; no token on the last page."""
    body: dict[str, Any] = {name: [shown(entry) for entry in page.entries]}
    if page.next is not None:
        body["nextToken"] = base64.urlsafe_b64encode(page.next.encode()).decode().rstrip("=")
    return Reply(body)


def _decoded(token: str) -> str:
    try:
        return base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise invalid("nextToken: none that this service gave") from error
