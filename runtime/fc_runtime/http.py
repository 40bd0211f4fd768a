"""Stand-in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """Stand-in."""

    method: str
    path: str
    request_uri: str
    client_ip: str
    host: str
    queries: Mapping[str, Sequence[str]]
    headers: Mapping[str, Sequence[str]]
