"""
One operation of the API as data: verb, path, what it does. `routes` makes Starlette routes of them.

What an operation does is an ordinary blocking function from `Call` to `Reply`; it runs in a thread.
Whatever it raises is answered as FC would: an ApiError as itself, a bug as 500.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from fc_runtime.service.account import Account
from fc_runtime.service.errors import invalid
from fc_runtime.service.store import Entry

FC3: Final = ("/2023-03-30",)
FC2: Final = ("/2016-08-15", "/2021-04-06")
SMALL: Final = 1024 * 1024  # bytes of a body
WITH_CODE: Final = 150 * 1024 * 1024  # of one with 100 MB of zip in base64


@dataclass(frozen=True, slots=True)
class Call:
    """
    One request, read.

    Args:
        prefix: ``/2016-08-15`` …
        path: the parameters of the path, decoded.
        query: the last value of each name.
        headers: by lower-case name.
        body: the JSON object; empty if there was no body.
        base_url: of this daemon, as the client knows it, without a slash at the end.
    """

    account: Account
    prefix: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: dict[str, Any]
    base_url: str

    @property
    def if_match(self) -> str | None:
        return self.headers.get("if-match")

    @property
    def qualifier(self) -> str | None:
        return self.query.get("qualifier") or None

    def service(self) -> tuple[str, str | None]:
        """
        The service, and the qualifier of ``{service[.qualifier]}`` or of the query.

        FC3's paths have no service: an empty one.
        """
        name, _, qualifier = self.path.get("service", "").partition(".")
        return name, qualifier or self.qualifier

    def service_to_change(self) -> str:
        """As `service`. Raises ApiError 400 for one in a version, which never changes."""
        name, qualifier = self.service()
        if qualifier not in {None, "LATEST"}:
            raise invalid(f"only LATEST can be changed, not '{qualifier}'")
        return name

    def text(self, name: str, default: str | None = None) -> str:
        """Of the body. Raises ApiError 400 if it is no text, or missing without a default."""
        value = self.body.get(name, default)
        if not isinstance(value, str):
            raise invalid(f"{name}: a text is needed, not {type(value).__name__}")
        return value


@dataclass(frozen=True, slots=True)
class Reply:
    """
    Args:
        body: for JSON; None for none at all, with status 204.
    """

    body: Mapping[str, Any] | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


NO_CONTENT: Final = Reply(status=204)
Answer: TypeAlias = Callable[[Call], Reply]


@dataclass(frozen=True, slots=True)
class Operation:
    """
    Args:
        name: as in the official SDKs, such as ``CreateFunction``.
        path: below the prefix, with ``{parameters}`` as Starlette has them.
        answer: runs in a thread.
        prefixes: of the API versions that have it.
        most_bytes: of the body.
    """

    name: str
    verb: str
    path: str
    answer: Answer
    prefixes: tuple[str, ...]
    most_bytes: int = SMALL


def with_etag(body: Mapping[str, Any], entry: Entry, status: int = 200) -> Reply:
    """*body*, which shows *entry*, and its ETag."""
    return Reply(body, status, {"ETag": f'"{entry.etag}"'})
