"""
Who may call an HTTP trigger: everybody, who can sign, or who has a token (spec 4.C).

Whatever is wrong with a request is a 403 here, as in Function Compute; nothing of the function has
run by then.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from fc_runtime.service.auth.authenticator import Authenticator, Pending
from fc_runtime.service.auth.request import Request, denied
from fc_runtime.service.errors import ApiError, not_implemented

if TYPE_CHECKING:
    from fc_runtime.service.auth.tokens import Passed, TokenRules

AUTH_TYPES: Final = ("anonymous", "function", "jwt")
Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Admitted:
    """
    Args:
        pending: the body's hash is still to be compared, if it has a ``body_sha256``; None where
            nobody signed.
        claims: what the function is to see of the token: (where, name, value), and None as the
            value where the token has no such claim.
    """

    pending: Pending | None = None
    claims: tuple[tuple[str, str, str | None], ...] = field(default=(), repr=False)

    def rewrite(self, headers: Headers, raw_query: bytes) -> tuple[Headers, bytes]:
        """
        The request as the function sees it. What the client itself sent under the name of a claim
        is gone, so that nobody can pretend to have one.
        """
        for place, name, value in self.claims:
            match place:
                case "header":
                    headers = _with_header(headers, name, value)
                case "cookie":
                    headers = _with_cookie(headers, name, value)
                case _:
                    raw_query = _with_parameter(raw_query, name, value)
        return headers, raw_query


_NOBODY: Final = Admitted()


def check_auth_config(auth_type: str, auth_config: object) -> None:
    """For a trigger that is being created. Raises ApiError 400 or 501."""
    if auth_type == "jwt":
        _token_rules(auth_config)
    elif auth_type not in AUTH_TYPES:
        raise not_implemented(f"authType {auth_type!r}: one of {', '.join(AUTH_TYPES)}")


def authorize_http(
    auth_type: str,
    auth_config: object,
    request: Request,
    authenticator: Authenticator,
    *,
    path: str,
) -> Admitted:
    """
    Let a request for an HTTP trigger in, or raise ApiError 403. Does not block.

    Args:
        auth_type, auth_config: of the trigger's configuration.
        request: as it was sent, with its whole path.
        path: decoded, as the function will see it; for white and black lists.
    """
    if auth_type == "anonymous":
        return _NOBODY
    if auth_type == "function":
        try:
            return Admitted(authenticator.begin(request, http_trigger=True))
        except ApiError as error:
            raise ApiError(403, error.code, error.message) from error
    if auth_type != "jwt":  # closed, not open, for one that we do not know
        raise denied(f"authType {auth_type!r} is not supported, so nobody is let in")
    rules = _token_rules(auth_config)
    if not rules.needs_token(path):
        return Admitted(claims=tuple((p.place, p.name, None) for p in rules.passed))
    try:
        claims = rules.claims(request)
    except ApiError as error:
        raise ApiError(403, error.code, error.message) from error
    return Admitted(claims=tuple(_seen(passed, claims) for passed in rules.passed))


def _token_rules(auth_config: object) -> "TokenRules":
    from fc_runtime.service.auth.tokens import TokenRules  # noqa: PLC0415 (all of cryptography)

    return TokenRules.of(auth_config)


def _seen(passed: "Passed", claims: dict[str, Any]) -> tuple[str, str, str | None]:
    value = claims.get(passed.claim)
    if value is not None and not isinstance(value, str):
        value = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if value is not None and any(c < " " or c == "\x7f" for c in value):
        raise denied(f"the claim {passed.claim!r} has control characters in it")
    return passed.place, passed.name, value


def _with_header(headers: Headers, name: str, value: str | None) -> Headers:
    wanted = name.lower().encode()
    kept = [(key, old) for key, old in headers if _plain(key) != _plain(wanted)]
    return kept if value is None else [*kept, (wanted, value.encode())]


def _with_cookie(headers: Headers, name: str, value: str | None) -> Headers:
    parts = [part.strip() for part in _cookies(headers)]
    kept = [part for part in parts if part and part.partition(b"=")[0].strip() != name.encode()]
    if value is not None:
        kept.append(name.encode() + b"=" + quote(value, safe="").encode())
    others = [(key, old) for key, old in headers if key.lower() != b"cookie"]
    return [*others, (b"cookie", b"; ".join(kept))] if kept else others


def _cookies(headers: Headers) -> Sequence[bytes]:
    return b";".join(value for key, value in headers if key.lower() == b"cookie").split(b";")


def _with_parameter(raw_query: bytes, name: str, value: str | None) -> bytes:
    parts = [part for part in raw_query.split(b"&") if part]
    kept = [part for part in parts if _name_of(part) != name.encode()]
    if value is not None:
        kept.append(quote(name, safe="").encode() + b"=" + quote(value, safe="").encode())
    return b"&".join(kept)


def _name_of(part: bytes) -> bytes:
    return next((name for name, _ in Request("", b"", part, ()).pairs()), b"")


def _plain(name: bytes) -> bytes:
    """As WSGI shows it: there ``X_Uid`` and ``X-Uid`` are one header, which is a way in."""
    return name.lower().replace(b"_", b"-")
