"""
Web pages that call the API of a daemon that lets everybody in, from the browser of its user.

Whoever deploys runs code, and a page of anybody's can send a request to ``127.0.0.1``. So without
keys the API is for programs: what a browser says of a page is refused, and so is a name for this
machine that is not its own, which is how a page makes itself look like the daemon's (DNS
rebinding). With keys none of this matters, for no page can sign. HTTP triggers are for pages.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final

from fc_runtime.service.auth.request import denied

MOST_HOST_BYTES: Final = 300  # of a name and a port
_MEND: Final = "start the daemon with keys (without --no-auth) and sign"

Headers = Iterable[tuple[bytes, bytes]]


def programs_only(host: str, *, is_loopback: bool) -> Callable[[Headers], None]:
    """
    A check of a request's headers, names in lower case. It raises ApiError 403.

    Args:
        host: what the daemon listens on, as it was said.
        is_loopback: if not, others know this machine by names that we do not, and any will do.
    """

    @lru_cache(64)
    def is_ours(told: bytes) -> bool:
        name = told.decode("latin-1").lower()
        if not name.startswith("["):
            name = name.partition(":")[0]
        return is_local(name) or name == host.lower()

    def check(headers: Headers) -> None:
        for name, value in headers:
            if name == b"origin" or (name == b"sec-fetch-site" and value != b"none"):
                raise denied(f"without keys the API is not for web pages: {_MEND}")
            if name != b"host" or not is_loopback:
                continue
            if len(value) > MOST_HOST_BYTES or not is_ours(value):
                raise denied(f"without keys the API has no name but localhost: {_MEND}")

    return check


def is_local(host: str) -> bool:
    """
    Is it ``localhost``, below that, or an address: what no page of another can have as its own?

    Args:
        host: in lower case, without a port.
    """
    if host in ("", "localhost") or host[0] == "[":
        return True
    return host.endswith(".localhost") or host.replace(".", "").isdigit()
