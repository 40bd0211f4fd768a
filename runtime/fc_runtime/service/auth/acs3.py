"""
``ACS3-HMAC-SHA256``, the signature of Alibaba Cloud's newer SDKs (spec 8.B).

    canonical = METHOD \n path \n query \n headers \n signed names \n body hash
    signed    = "ACS3-HMAC-SHA256" \n sha256(canonical)

Which headers are signed is the request's to say, but ``host`` and every ``x-acs-`` header that it
brings must be among them. The path is signed as it was sent, still encoded.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote_from_bytes

from fc_runtime.service.auth.fc_scheme import check_token, known
from fc_runtime.service.auth.keys import AccessKey, AccessKeys
from fc_runtime.service.auth.nonces import Nonces
from fc_runtime.service.auth.request import Request, check_skew, denied, mismatch

SCHEME: Final = b"ACS3-HMAC-SHA256"
BODY_HASH: Final = b"x-acs-content-sha256"
DATE: Final = b"x-acs-date"
NONCE: Final = b"x-acs-signature-nonce"
TOKEN: Final = b"x-acs-security-token"
_AUTHORIZATION: Final = re.compile(
    rb"ACS3-HMAC-SHA256 +Credential=([^,]+), *SignedHeaders=([^,]+), *Signature=([0-9a-f]{64})"
)
_DATE: Final = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_HEX: Final = re.compile(rb"[0-9a-f]{64}")
_MOST_NONCE_BYTES: Final = 512
_AMBIGUOUS: Final = re.compile(rb"[=&\n]")


@dataclass(frozen=True, slots=True)
class Verified:
    """
    Args:
        body_sha256: what the body still has to turn out to be, in hex.
    """

    key: AccessKey
    body_sha256: str


def verify(request: Request, keys: AccessKeys, nonces: Nonces, now: float) -> Verified:
    """All but the body; its nonce is used up from here on. Raises ApiError."""
    given = _AUTHORIZATION.fullmatch(request.required(b"authorization"))
    if given is None:
        raise denied(
            "Authorization must be 'ACS3-HMAC-SHA256 Credential=…,SignedHeaders=…,Signature=…'"
        )
    key_id, names, signature = given.groups()
    body_hash = request.required(BODY_HASH)
    if _HEX.fullmatch(body_hash) is None:
        raise denied(f"{BODY_HASH.decode()} must be a SHA-256 in lower-case hex")
    sent = _seconds(request.required(DATE))
    nonce = request.required(NONCE)
    if len(nonce) > _MOST_NONCE_BYTES:
        raise denied(f"{NONCE.decode()} is longer than {_MOST_NONCE_BYTES} bytes")
    check_skew(sent, now)
    key = known(keys, key_id)
    check_token(key, request.header(TOKEN) or b"")
    head = b"\n".join([request.method, request.raw_path or b"/"])
    tail = b"\n".join([_headers(request, names), names, body_hash])
    tries = [_sign(key, b"\n".join([head, query, tail])) for query in _queries(request)]
    if not any(hmac.compare_digest(made, signature) for made in tries):
        raise mismatch()
    if not nonces.use(key.id, nonce, sent, now):
        raise denied(f"{NONCE.decode()} was used already, or the request is too old to tell")
    return Verified(key, body_hash.decode())


def _sign(key: AccessKey, canonical: bytes) -> bytes:
    text = SCHEME + b"\n" + hashlib.sha256(canonical).hexdigest().encode()
    return hmac.digest(key.secret.encode(), text, hashlib.sha256).hex().encode()


def _headers(request: Request, joined: bytes) -> bytes:
    """The signed ones, a line each. Raises ApiError if one that must be is not among them."""
    names = joined.split(b";")
    if len(set(names)) < len(names):
        raise denied("SignedHeaders names a header twice")
    for name in (b"host", *request.names(b"x-acs-")):
        if name not in names:
            raise denied(f"the HTTP header {name.decode('latin-1')} must be signed")
    return b"".join(name + b":" + _value(request, name) + b"\n" for name in sorted(names))


def _value(request: Request, name: bytes) -> bytes:
    value = request.header(name)
    return request.required(name) if value is None else value


def _queries(request: Request) -> list[bytes]:
    """
    The ways in which clients write down one query: the SDKs leave names as they are, the rules of
    the service (and other signers) encode them like the values. A name that could be mistaken for
    more than a name is only taken encoded.
    """
    pairs = sorted(request.pairs(), key=lambda pair: pair[0])
    encoded = b"&".join(_quote(name) + b"=" + _quote(value) for name, value in pairs)
    if any(_AMBIGUOUS.search(name) is not None for name, _ in pairs):
        return [encoded]
    plain = b"&".join(name + b"=" + _quote(value) for name, value in pairs)
    return [plain] if plain == encoded else [plain, encoded]


def _quote(text: bytes) -> bytes:
    return quote_from_bytes(text, safe="~").encode()


def _seconds(date: bytes) -> int:
    if _DATE.fullmatch(date) is None:
        raise denied(f"{DATE.decode()} must be like 2024-01-31T12:00:00Z")
    try:
        read = datetime.strptime(date.decode(), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise denied(f"{DATE.decode()} is no time that there is") from error
    return int(read.timestamp())
