"""
Where the outcome of an asynchronous invocation is told: another function, or a URL (ours).

    acs:fc:REGION:ACCOUNT:functions/NAME[/QUALIFIER]
    acs:fc:REGION:ACCOUNT:services/SERVICE[.QUALIFIER]/functions/NAME
    http://HOST/PATH, https://HOST/PATH

Region and account are not compared: what was written for the cloud leads to the function of the
same name here. All else (``acs:mns:…``, ``acs:eventbridge:…``) is kept, and nobody is told.
"""

import re
from typing import Final, NamedTuple, TypeAlias
from urllib.parse import urlsplit

_FUNCTION: Final = re.compile(
    r"acs:fc:[^:]*:[^:]*:"
    r"(?:services/(?P<service>[^/.]+)(?:\.(?P<of_service>[^/]+))?/)?"
    r"functions/(?P<function>[^/]+)(?:/(?P<qualifier>[^/]+))?"
)


class OfFunction(NamedTuple):
    """*service* is empty for FC3; *qualifier* None for LATEST."""

    service: str
    function: str
    qualifier: str | None


class OfUrl(NamedTuple):
    """Gets a POST."""

    url: str


Destination: TypeAlias = OfFunction | OfUrl


def destination(text: str) -> Destination | None:
    """None for one that cannot be reached from here."""
    found = _FUNCTION.fullmatch(text)
    if found is not None:
        qualifier = found["of_service"] or found["qualifier"]
        return OfFunction(found["service"] or "", found["function"], qualifier)
    try:
        parts = urlsplit(text)
    except ValueError:  # half an IPv6 address
        return None
    return OfUrl(text) if parts.scheme in ("http", "https") and parts.hostname else None
