"""
Custom domains: which function serves a path of a host.

Kind ``domain``, scope "", name of the domain in lower case. Whoever resolves the name to this
machine, or sends it as the Host header, is served over HTTP. Certificates are FC's business: a
private key is never kept.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from fc_runtime.service.account import given
from fc_runtime.service.account.fields import (
    Check,
    Schema,
    checked,
    described,
    like,
    mapping,
    object_of,
    one_of,
    or_null,
    text,
    whole_of,
)
from fc_runtime.service.account.ledger import Ledger, Page
from fc_runtime.service.account.lookups import LATEST
from fc_runtime.service.account.triggers import METHODS
from fc_runtime.service.errors import already_exists, invalid, not_found
from fc_runtime.service.store import Entry, Transaction

PROTOCOLS: Final = ("HTTP", "HTTPS", "HTTP,HTTPS")
MOST_ROUTES: Final = 100
_LABEL: Final = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?"
_NAME: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_KEPT: Final = ("tlsConfig", "wafConfig", "authConfig", "corsConfig")
_PATH: Final = re.compile(r"/[^*]{0,510}\*?")


@described({"type": "array", "maxItems": len(METHODS), "items": {"enum": list(METHODS)}})
def _methods(name: str, value: Any) -> None:
    for method in given.texts({name: value}, name, len(METHODS)):
        if method not in METHODS:
            raise invalid(f"{name}: of {', '.join(METHODS)}, not '{method}'")


_OF_A_ROUTE: Final[Mapping[str, Check]] = {
    "path": like(_PATH, "begins with /, at most 512 characters, * only as its end"),
    "functionName": text(128, empty=False),
    "serviceName": text(128),
    "qualifier": text(128),
    "methods": _methods,
    "rewriteConfig": mapping,
}
_ROUTES: Final[Schema] = {
    "type": "array",
    "maxItems": MOST_ROUTES,
    "items": object_of(_OF_A_ROUTE, required=("path", "functionName")),
}


@described({"type": "object", "properties": {"routes": or_null(_ROUTES)}})
def _route_config(name: str, value: Any) -> None:
    """Whether its functions are there is seen when a route is used: they may be made later."""
    mapping(name, value)
    seen: set[str] = set()
    for route in given.listing(value, "routes", MOST_ROUTES):
        where = f"{name}.routes"
        mapping(where, route)
        for needed in ("path", "functionName"):
            if route.get(needed) is None:
                raise invalid(f"{where}: {needed} is needed")
        checked(where, route, _OF_A_ROUTE)
        if route["path"] in seen:
            raise invalid(f"{where}.path: '{route['path']}' is there twice")
        seen.add(route["path"])


_CERTIFICATE: Final = {"certName": text(100_000), "certificate": text(100_000)}


@described(object_of(_CERTIFICATE))
def _certificate(name: str, value: Any) -> None:
    mapping(name, value)
    checked(name, value, _CERTIFICATE)


DOMAIN_NAME: Final = like(_NAME, "the name of a host, such as www.example.com")
NAMED: Final[Schema] = {  # before it is folded
    **whole_of(re.compile(_NAME.pattern.replace("a-z", "A-Za-z"))),
    "maxLength": 253,
}
CHECKS: Final[Mapping[str, Check]] = {
    "protocol": one_of(*PROTOCOLS),
    "routeConfig": _route_config,
    "certConfig": _certificate,
    **dict.fromkeys(_KEPT, mapping),
}


class Routed(NamedTuple):
    """
    Args:
        service: empty for FC3.
        rest: the path that the function sees: all of it, as FC has it.
    """

    service: str
    function: str
    qualifier: str
    rest: str


class _Route(NamedTuple):
    path: str  # without the asterisk
    is_prefix: bool
    methods: frozenset[str]  # empty: all
    service: str
    function: str
    qualifier: str


def is_of_the_daemon(host: str) -> bool:
    """``localhost`` and addresses: no custom domain can take the API away from there."""
    return host in ("", "localhost") or host[0] == "[" or host.replace(".", "").isdigit()


class Domains(Ledger):
    _routes: tuple[int, Mapping[str, tuple[_Route, ...]]] | None = None

    def create_domain(self, document: Mapping[str, Any]) -> Entry:
        """Raises ApiError 400, 409."""
        name = _folded(given.text(document, "domainName", 253))
        DOMAIN_NAME("domainName", name)
        if is_of_the_daemon(name):
            raise invalid(f"domainName: {name!r} is the API's: a function has a name of its own")
        kept = _checked({}, document)
        with self.change() as transaction:
            if transaction.get("domain", "", name) is not None:
                raise already_exists("DomainName", name)
            return transaction.put("domain", "", name, kept)

    def get_domain(self, name: str) -> Entry:
        """Raises ApiError 404."""
        with self.store.transaction() as transaction:
            return _existing(transaction, name)

    def update_domain(
        self, name: str, document: Mapping[str, Any], *, if_match: str | None = None
    ) -> Entry:
        """Replace what *document* has. Raises ApiError 400, 404, 412."""
        with self.change() as transaction:
            before = _existing(transaction, name)
            kept = _checked(before.document, document)
            return transaction.put("domain", "", before.name, kept, if_match=if_match)

    def delete_domain(self, name: str, *, if_match: str | None = None) -> None:
        """Raises ApiError 404, 412."""
        with self.change() as transaction:
            before = _existing(transaction, name)
            transaction.delete("domain", "", before.name, if_match=if_match)

    def list_domains(self, *, prefix: str, start: str, limit: int) -> Page:
        """By name."""
        return self.page("domain", "", prefix=prefix, start=start, limit=limit)

    def route(self, host: str, path: str, method: str | None = None) -> Routed | None:
        """
        Who serves *path* (decoded, without the query) of *host* (a port is ignored).

        The exact path wins over a prefix, a longer prefix over a shorter one. With *method*, routes
        that do not allow it are passed over. None if no route fits. From memory, unless something
        has changed: blocks only then.
        """
        for route in self._of_all_domains().get(_folded(_without_port(host)), ()):
            fits = path.startswith(route.path) if route.is_prefix else path == route.path
            if fits and (method is None or not route.methods or method in route.methods):
                return Routed(route.service, route.function, route.qualifier, path)
        return None

    def is_domain(self, host: str) -> bool:
        """Is it one, whatever its routes are? From memory, as `route`."""
        return _folded(_without_port(host)) in self._of_all_domains()

    def _of_all_domains(self) -> Mapping[str, tuple[_Route, ...]]:
        """The first route that fits is the one, of each domain."""
        revision = self.revision
        known = self._routes
        if known is None or known[0] != revision:
            with self.store.transaction() as transaction:
                domains = transaction.list("domain", "")
            known = revision, {domain.name: _routes_of(domain) for domain in domains}
            self._routes = known
        return known[1]


def _routes_of(domain: Entry) -> tuple[_Route, ...]:
    routes = [
        _Route(
            path=route["path"].removesuffix("*"),
            is_prefix=route["path"].endswith("*"),
            methods=frozenset(route.get("methods") or ()),
            service=route.get("serviceName") or "",
            function=route["functionName"],
            qualifier=route.get("qualifier") or LATEST,
        )
        for route in domain.document["routeConfig"]["routes"]
    ]
    return tuple(sorted(routes, key=lambda route: (route.is_prefix, -len(route.path))))


def _existing(transaction: Transaction, name: str) -> Entry:
    entry = transaction.get("domain", "", _folded(name))
    if entry is None:
        raise not_found("DomainName", name)
    return entry


def _checked(before: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    kept = dict(before)
    checked("", document, CHECKS)
    kept["protocol"] = document.get("protocol") or kept.get("protocol", "HTTP")
    if document.get("routeConfig") is not None or "routeConfig" not in kept:
        given_routes = (document.get("routeConfig") or {}).get("routes")
        kept["routeConfig"] = {"routes": given_routes or []}
    certificate = document.get("certConfig")
    if certificate:
        kept["certConfig"] = {
            name: certificate.get(name) or "" for name in _CERTIFICATE if name in certificate
        }
    kept |= {name: document[name] for name in _KEPT if document.get(name) is not None}
    return kept


def _folded(host: str) -> str:
    return host.lower().removesuffix(".")


def _without_port(host: str) -> str:
    """Also of ``[::1]:80``, which no domain is."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host
