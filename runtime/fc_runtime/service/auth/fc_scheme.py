"""
FC's own signature, in a header (``Authorization: FC id:signature``) or in a URL (spec 8.A).

    METHOD \n content-md5 \n content-type \n date \n  x-fc-headers  resource

The resource is the decoded path; for an HTTP trigger, also its query. Two of what the scheme
leaves open are closed here. A decoded path with a line break in it is refused, because "/a\nb=1"
and "/a?b=1" would sign alike. And a query is split before it is decoded, so that "a=1%26b=2" is not
"a=1&b=2". What it does not sign is in docs/security.md: the body, and the query of an API call.
"""

import base64
import hashlib
import hmac
import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import unquote_to_bytes

from fc_runtime.service.auth.keys import AccessKey, AccessKeys
from fc_runtime.service.auth.request import (
    Request,
    check_skew,
    denied,
    mismatch,
    missing,
    unknown_key,
)

SCHEME: Final = b"FC "
KEY_ID: Final = b"x-fc-access-key-id"
EXPIRES: Final = b"x-fc-expires"
SIGNATURE: Final = b"x-fc-signature"
TOKEN: Final = b"x-fc-security-token"
_SECONDS: Final = re.compile(rb"[0-9]{1,12}")
_BREAKS: Final = re.compile(rb"[\x00\r\n]")


def verify_header(
    request: Request, keys: AccessKeys, now: float, *, signs_query: bool
) -> AccessKey:
    """
    Raises ApiError.

    Args:
        signs_query: as a request to an HTTP trigger does.
    """
    given = request.required(b"authorization")[len(SCHEME) :]
    key_id, _, signature = given.strip().partition(b":")
    date = request.header(b"date")
    if not date:
        raise missing("Date")
    check_skew(_seconds(date), now)
    key = known(keys, key_id)
    check_token(key, request.header(TOKEN) or b"")
    path = _path(request)
    # The services' own SDKs sort the query; the gateway's signer takes it as it is.
    resources = [path + b"\n" + q for q in _queries(request)] if signs_query else [path]
    tries = [_sign(key, request, date, resource) for resource in resources]
    if not any(hmac.compare_digest(made, signature) for made in tries):
        raise mismatch()
    return key


def is_signed_url(request: Request) -> bool:
    """Does it say that it is one? Whether it is a good one, `verify_url` finds out."""
    return SIGNATURE in request.raw_query and any(name == SIGNATURE for name, _ in request.pairs())


def verify_url(request: Request, keys: AccessKeys, now: float) -> AccessKey:
    """A URL that may be called until it expires, as often as one likes. Raises ApiError."""
    pairs = request.pairs()
    ours: dict[bytes, bytes] = {}
    for name, value in pairs:
        if name in (KEY_ID, EXPIRES, SIGNATURE, TOKEN):
            if name in ours:
                raise denied(f"{name.decode()} was given more than once")
            ours[name] = value
    expires = ours.get(EXPIRES, b"")
    if _SECONDS.fullmatch(expires) is None:
        raise denied(f"{EXPIRES.decode()} must be seconds since the epoch")
    if now > int(expires):
        raise denied("the signed URL has expired")
    key = known(keys, ours.get(KEY_ID, b""))
    check_token(key, ours.get(TOKEN, b""))
    signed = sorted(name + b"=" + value for name, value in pairs if name != SIGNATURE)
    made = _sign(key, request, expires, _path(request) + b"\n" + b"\n".join(signed))
    if not hmac.compare_digest(made, ours[SIGNATURE]):
        raise mismatch()
    return key


def known(keys: AccessKeys, key_id: bytes) -> AccessKey:
    """The key of that id. Raises ApiError 403 ``InvalidAccessKeyID``."""
    name = key_id.decode("ascii", "replace")[:256]
    key = keys.get(name)
    if key is None:
        raise unknown_key(name)
    return key


def check_token(key: AccessKey, given: bytes) -> None:
    """
    A temporary key comes with its token, a lasting one with none. Raises ApiError 403.

    The token is signed, but it proves nothing here: nobody is asked what it stands for.
    """
    if not hmac.compare_digest(key.security_token.encode(), given):
        raise denied("the security token is not that of the access key")


def _sign(key: AccessKey, request: Request, date: bytes, resource: bytes) -> bytes:
    lines = [
        request.method,
        request.header(b"content-md5") or b"",
        request.header(b"content-type") or b"",
        date,
    ]
    lines += [name + b":" + (request.header(name) or b"") for name in request.names(b"x-fc-")]
    text = b"\n".join([*lines, resource])
    return base64.b64encode(hmac.digest(key.secret.encode(), text, hashlib.sha256))


def _path(request: Request) -> bytes:
    path = unquote_to_bytes(request.raw_path) or b"/"
    if _BREAKS.search(path) is not None:
        raise denied("a path with a line break in it cannot be signed")
    return path


def _queries(request: Request) -> list[bytes]:
    """The ways in which clients write down one query, to be signed."""
    parts = [part for part in request.raw_query.split(b"&") if part]
    as_sent = b"\n".join(unquote_to_bytes(part) for part in parts)
    in_order = b"\n".join(sorted(name + b"=" + value for name, value in request.pairs()))
    return [in_order] if as_sent == in_order else [in_order, as_sent]


def _seconds(date: bytes) -> float:
    try:
        read = parsedate_to_datetime(date.decode("ascii"))
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise denied("Date must be like 'Wed, 31 Jan 2024 12:00:00 GMT'") from error
