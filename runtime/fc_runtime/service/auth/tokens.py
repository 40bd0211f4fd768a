"""
JSON Web Tokens at an HTTP trigger with ``authType: jwt``.

The trigger's ``authConfig``, as text in JSON or an object (API: text; ``s.yaml``: either):

    jwks          {"keys": [public key, ...]}: each says its algorithm, the token does not choose
    tokenLookup   "header:Authorization:Bearer,cookie:auth,query:token": the first found counts
    claimPassBy   "header:uid:X-Uid,query:name:user": position, claim, what the function sees it as
    whitelist     paths that need no token, "/login" or "/public/*"
    blacklist     instead: only these need one

Names may begin with a capital (``JWKS``, ``TokenLookup``), as one description of the API has them.
Not here: tokens and claims in a form of the body. Inferred, for want of a description: ``exp`` and
``nbf`` are checked where they are, nothing else of the claims; a claim replaces what the client
sent by that name, and one that the token does not have removes it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import jwt

from fc_runtime.service.auth.request import Request, denied
from fc_runtime.service.errors import invalid, not_implemented

_PLACES: Final = ("header", "query", "cookie")
_MOST_KEYS: Final = 100
_NAME: Final = frozenset("!#$%&'*+-.^_`|~0123456789") | frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
)  # of a header or a cookie: RFC 9110 5.6.2


@dataclass(frozen=True, slots=True)
class Lookup:
    """Where a token is looked for; *prefix* is cut off, and is only for headers."""

    place: str
    name: str
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Passed:
    """A claim that the function sees, as the header, query parameter or cookie *name*."""

    place: str
    claim: str
    name: str


@dataclass(frozen=True, slots=True)
class TokenRules:
    keys: tuple[jwt.PyJWK, ...]
    lookups: tuple[Lookup, ...]
    passed: tuple[Passed, ...] = ()
    free: tuple[str, ...] = ()
    guarded: tuple[str, ...] | None = None

    @classmethod
    def of(cls, auth_config: object) -> "TokenRules":
        """Raises ApiError 400 (or 501) that says which part of it will not do. Cached."""
        if isinstance(auth_config, Mapping):
            auth_config = json.dumps(auth_config, sort_keys=True, default=str)
        if not isinstance(auth_config, str):
            raise invalid("authConfig: an object, or its JSON, is needed for authType jwt")
        return _parsed(auth_config)

    def needs_token(self, path: str) -> bool:
        """Always, if the function may take *path* for another: "/public/../admin", "//admin"."""
        if _is_crooked(path):
            return True
        if self.guarded is not None:
            return any(_matches(path, pattern) for pattern in self.guarded)
        return not any(_matches(path, pattern) for pattern in self.free)

    def claims(self, request: Request) -> dict[str, Any]:
        """Of the request's token. Raises ApiError 403."""
        for lookup in self.lookups:
            token = _find(request, lookup)
            if token:
                return self._verified(token)
        raise denied("the request has no JSON Web Token where the trigger looks for it")

    def _verified(self, token: str) -> dict[str, Any]:
        try:
            kid = jwt.get_unverified_header(token).get("kid")
        except jwt.PyJWTError as error:
            raise denied(f"the JSON Web Token cannot be read: {error}") from error
        keys = [key for key in self.keys if kid is None or key.key_id in (None, kid)]
        problem = "no key of the trigger has its kid"
        for key in keys:
            try:
                return jwt.decode(token, key, algorithms=[key.algorithm_name], options=_CHECKED)
            except jwt.InvalidSignatureError:
                problem = "its signature is by none of the trigger's keys"
            except jwt.InvalidAlgorithmError:
                problem = "its algorithm is not that of the trigger's key"
            except jwt.PyJWTError as error:
                problem = str(error)
        raise denied(f"the JSON Web Token is refused: {problem}")


# Who it is for and who issued it cannot be configured, so these are not compared.
_CHECKED: Final[Any] = {
    "verify_aud": False,
    "verify_iss": False,
    "verify_iat": False,
    "verify_sub": False,
    "verify_jti": False,
}


@lru_cache(maxsize=256)
def _parsed(text: str) -> TokenRules:
    try:
        config = json.loads(text)
    except ValueError as error:
        raise invalid(f"authConfig is not JSON: {error}") from error
    if not isinstance(config, dict):
        raise invalid("authConfig must be an object")
    config = {name[:1].lower() + name[1:]: value for name, value in config.items()}
    free, guarded = (_paths(config, name) for name in ("whitelist", "blacklist"))
    if free and guarded:
        raise invalid("authConfig: whitelist or blacklist, not both")
    return TokenRules(
        keys=_keys(config.get("jwks") or config.get("jWKS")),
        lookups=_lookups(config.get("tokenLookup")),
        passed=_passed(config.get("claimPassBy")),
        free=free,
        guarded=guarded or None,
    )


def _keys(jwks: object) -> tuple[jwt.PyJWK, ...]:
    keys = jwks.get("keys") if isinstance(jwks, Mapping) else None
    if not isinstance(keys, list) or not 1 <= len(keys) <= _MOST_KEYS:
        raise invalid(f"authConfig.jwks: an object with 1 to {_MOST_KEYS} keys")
    try:
        return tuple(jwt.PyJWK(key) for key in keys)
    except (jwt.PyJWTError, TypeError, ValueError, AttributeError) as error:
        raise invalid(f"authConfig.jwks: a key cannot be used: {error}") from error


def _lookups(value: object) -> tuple[Lookup, ...]:
    found = []
    for place, name, prefix in _entries(
        "tokenLookup", value, ("readPosition", "parameterName", "prefix")
    ):
        found.append(Lookup(_place("tokenLookup", place), name, prefix.strip()))
    if not found or not all(lookup.name for lookup in found):
        raise invalid("authConfig.tokenLookup: like header:Authorization:Bearer,cookie:auth")
    return tuple(found)


def _passed(value: object) -> tuple[Passed, ...]:
    found = []
    fields = ("mappingParameterPosition", "claimName", "mappingParameterName")
    for place, claim, name in _entries("claimPassBy", value or "", fields):
        if not claim:  # "query::" is how a tool writes down that there is none
            continue
        if not name or not _NAME.issuperset(name):
            raise invalid("authConfig.claimPassBy: like query:uid:uid,header:name:name")
        found.append(Passed(_place("claimPassBy", place), claim, name))
    return tuple(found)


def _entries(where: str, value: object, fields: Sequence[str]) -> list[tuple[str, str, str]]:
    """Each as three texts, of the text form or of the list of objects."""
    if isinstance(value, str):
        value = [entry for entry in value.split(",") if entry.strip()]
    if not isinstance(value, list):
        raise invalid(f"authConfig.{where}: a text, or a list")
    found = []
    for entry in value:
        if isinstance(entry, str):
            parts = [*entry.strip().split(":", 2), "", ""]
        elif isinstance(entry, Mapping):
            parts = [str(entry.get(name) or "") for name in fields]
        else:
            raise invalid(f"authConfig.{where}: an entry is a text or an object")
        found.append((parts[0], parts[1], parts[2]))
    return found


def _place(where: str, place: str) -> str:
    if place == "form":
        raise not_implemented(f"authConfig.{where}: 'form' is not supported; {_PLACES} are")
    if place not in _PLACES:
        raise invalid(f"authConfig.{where}: {place!r} is none of {_PLACES}")
    return place


def _paths(config: Mapping[str, object], name: str) -> tuple[str, ...]:
    value = config.get(name) or []
    if not isinstance(value, list) or not all(isinstance(path, str) for path in value):
        raise invalid(f"authConfig.{name}: a list of paths")
    return tuple(value)


def _matches(path: str, pattern: str) -> bool:
    return path.startswith(pattern[:-1]) if pattern.endswith("*") else path == pattern


def _is_crooked(path: str) -> bool:
    steps = path.replace("\\", "/").split("/")[1:]
    return any(step in (".", "..") for step in steps) or "" in steps[:-1]


def _find(request: Request, lookup: Lookup) -> str:
    match lookup.place:
        case "header":
            value = request.header(lookup.name.lower().encode()) or b""
            prefix = lookup.prefix.encode()
            if value[: len(prefix)].lower() != prefix.lower():
                return ""
            value = value[len(prefix) :]
        case "cookie":
            cookies = (
                part.partition(b"=") for part in (request.header(b"cookie") or b"").split(b";")
            )
            name = lookup.name.encode()
            value = next((v for key, _, v in cookies if key.strip() == name), b"")
        case _:
            name = lookup.name.encode()
            value = next((v for key, v in request.pairs() if key == name), b"")
    return value.strip().decode("latin-1")
