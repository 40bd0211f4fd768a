"""
Which HTTP trigger a request is for: by its path, or by its host.

    /2016-08-15/proxy/SERVICE[.QUALIFIER]/FUNCTION/path     FC2
    /_fc/http/TRIGGER.FUNCTION[.SERVICE]/path               any, on this machine
    http://TRIGGER-FUNCTION[-SERVICE].localhost:PORT/path   likewise, for what needs a host
    http://a.custom.domain/path                             as its routes say; before the last

Triggers are read from the account when they are first needed after a change of it. Reading blocks,
so it is done in a thread.

Decided: FC2's path names a version, whose own trigger decides; one without a trigger gets the
rules of LATEST's, never none. Two hosts that look alike (``a-b`` of ``c``, ``a`` of ``b-c``): the
first by function's name has it; the path tells them apart.

A domain's own ``authConfig`` counts before the trigger's. A function behind a domain needs no
trigger; without either everybody may call it, as FC has it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol
from urllib.parse import unquote

from fc_runtime.service.account import given
from fc_runtime.service.account.domains import Routed, is_of_the_daemon
from fc_runtime.service.account.triggers import HttpTrigger, http_trigger
from fc_runtime.service.errors import ApiError, invalid, not_found
from fc_runtime.service.gateway.bodies import Scope
from fc_runtime.service.gateway.http_call import METHODS, host_of, raw_path_of
from fc_runtime.service.gateway.http_event import without_port
from fc_runtime.service.store import Entry

PROXY: Final = "/2016-08-15/proxy/"
LOCAL: Final = "/_fc/http/"
LOCAL_DOMAIN: Final = ".localhost"
LATEST: Final = "LATEST"
NO_ROUTE: Final = "fc.no_route"  # in the scope: of a domain that has no route for the path


class Holder(Protocol):
    """Of the account, what is needed here."""

    account_id: str

    @property
    def revision(self) -> int: ...
    def functions(self) -> list[Entry]: ...
    def get_domain(self, name: str) -> Entry: ...
    def route(self, host: str, path: str, method: str | None = None) -> Routed | None: ...
    def is_domain(self, host: str) -> bool: ...
    def triggers(self, service: str, function: str) -> list[Entry]: ...
    def targets(
        self, service: str, function: str, qualifier: str | None
    ) -> tuple[tuple[Any, float], ...]: ...


@dataclass(frozen=True, slots=True)
class Trigger:
    """
    Args:
        rules: of who may call it, and how; ``qualifier`` is that of the versions it is for.
    """

    service: str
    function: str
    rules: HttpTrigger


@dataclass(frozen=True, slots=True)
class Wanted:
    """
    What a request is for.

    Args:
        trigger: whose rules hold.
        qualifier: of the version that answers.
        raw_path: what the function sees, encoded.
        domain_prefix: for the event (spec 4.B).
    """

    trigger: Trigger
    qualifier: str
    raw_path: str
    domain_prefix: str


class Triggers:
    """The account's, by whatever a request names them with."""

    def __init__(self, account: Holder) -> None:
        self._account = account
        self._revision = -1
        self._domains_read = -1
        self._of_function: dict[tuple[str, str], tuple[Trigger, ...]] = {}
        self._by_label: dict[str, Trigger] | None = None
        self._of_host: dict[str, Mapping[str, Any]] = {}

    async def wanted(self, scope: Scope) -> Wanted | None:
        """
        None for a request that is for the API, not for a function over HTTP.

        Raises ApiError: 400 for a path that is none, 403 for a trigger whose URL is disabled, 404
        for a function or trigger unknown.
        """
        raw_path = raw_path_of(scope)
        if raw_path.startswith(PROXY):
            wanted = await self._of_proxy(raw_path)
        elif raw_path.startswith(LOCAL):
            wanted = await self._of_path(raw_path)
        else:
            host = without_port(host_of(scope)).lower()
            if is_of_the_daemon(host):
                return None
            of_domain = await self._of_domain(host, raw_path, scope)
            if of_domain is not None or not host.endswith(LOCAL_DOMAIN):
                return of_domain
            wanted = await self._of_label(host.removesuffix(LOCAL_DOMAIN), raw_path)
        if wanted.trigger.rules.url_disabled:
            raise ApiError(
                403, "AccessDenied", "access denied due to function internet URL is disabled"
            )
        return wanted

    async def _of_proxy(self, raw_path: str) -> Wanted:
        named, slash, rest = raw_path.removeprefix(PROXY).partition("/")
        function, _, path = rest.partition("/")
        if not (named and slash and function):
            raise invalid(f"{PROXY}SERVICE[.QUALIFIER]/FUNCTION/… is the path of an HTTP trigger")
        service, _, qualifier = unquote(named).partition(".")
        trigger = await self._for_version(service, unquote(function), qualifier or LATEST)
        if trigger is None:
            raise not_found("Trigger", "http")
        return Wanted(trigger, qualifier or LATEST, f"/{path}", trigger.rules.name)

    async def _of_path(self, raw_path: str) -> Wanted:
        named, _, path = raw_path.removeprefix(LOCAL).partition("/")
        name, _, rest = unquote(named).partition(".")
        function, _, service = rest.partition(".")
        if not (name and function):
            raise invalid(f"{LOCAL}TRIGGER.FUNCTION[.SERVICE]/… is the path of an HTTP trigger")
        for trigger in await self._triggers(service, function):
            if trigger.rules.name == name:
                return Wanted(trigger, trigger.rules.qualifier, f"/{path}", trigger.rules.name)
        await asyncio.to_thread(self._account.targets, service, function, LATEST)
        raise not_found("Trigger", name)

    async def _of_label(self, label: str, raw_path: str) -> Wanted:
        self._forget_what_changed()
        if self._by_label is None:
            revision, found = self._revision, await asyncio.to_thread(self._labels)
            if revision == self._account.revision:
                self._by_label = found
        else:
            found = self._by_label
        trigger = found.get(label)
        if trigger is None:
            raise not_found("Trigger", label)
        return Wanted(trigger, trigger.rules.qualifier, raw_path, trigger.rules.name)

    async def _of_domain(self, host: str, raw_path: str, scope: Scope) -> Wanted | None:
        revision = self._account.revision
        ask = partial(self._account.route, host, scope["path"], scope["method"])
        # What was read once is in memory, until something changes.
        known = self._domains_read == revision
        found = ask() if known else await asyncio.to_thread(ask)
        self._domains_read = revision
        if found is None:
            scope[NO_ROUTE] = self._account.is_domain(host)
            return None
        trigger = await self._for_version(found.service, found.function, found.qualifier)
        domain = await self._domain(host)
        if trigger is None or domain.get("authConfig"):
            rules = _rules_of(domain, found.qualifier, trigger)
            trigger = Trigger(found.service, found.function, rules)
        return Wanted(trigger, found.qualifier, raw_path, host.partition(".")[0])

    async def _domain(self, host: str) -> Mapping[str, Any]:
        self._forget_what_changed()
        known = self._of_host.get(host)
        if known is None:
            revision = self._revision
            known = (await asyncio.to_thread(self._account.get_domain, host)).document
            if revision == self._account.revision:
                self._of_host[host] = known
        return known

    async def _for_version(self, service: str, function: str, qualifier: str) -> Trigger | None:
        found = {
            trigger.rules.qualifier: trigger for trigger in await self._triggers(service, function)
        }
        trigger = found.get(qualifier) or found.get(LATEST)
        if trigger is None:  # if it is the function that is not there, this says so
            await asyncio.to_thread(self._account.targets, service, function, qualifier)
        return trigger

    async def _triggers(self, service: str, function: str) -> Sequence[Trigger]:
        self._forget_what_changed()
        known = self._of_function.get((service, function))
        if known is not None:
            return known
        revision = self._revision
        found = await asyncio.to_thread(self._read, service, function)
        if found and revision == self._account.revision:  # never a name that somebody made up
            self._of_function[service, function] = found
        return found

    def _forget_what_changed(self) -> None:
        if self._revision != self._account.revision:
            self._revision = self._account.revision
            self._of_function.clear()
            self._of_host.clear()
            self._by_label = None

    def _read(self, service: str, function: str) -> tuple[Trigger, ...]:
        found = map(http_trigger, self._account.triggers(service, function))
        return tuple(Trigger(service, function, rules) for rules in found if rules is not None)

    def _labels(self) -> dict[str, Trigger]:
        labels: dict[str, Trigger] = {}
        for entry in self._account.functions():
            for trigger in self._read(entry.scope, entry.name):
                parts = filter(None, (trigger.rules.name, trigger.function, trigger.service))
                labels.setdefault("-".join(parts).lower(), trigger)
        return labels


def _rules_of(domain: Mapping[str, Any], qualifier: str, trigger: Trigger | None) -> HttpTrigger:
    """A domain's own, with the trigger's methods if there is one."""
    auth = domain.get("authConfig") or {}
    return HttpTrigger(
        name=domain.get("domainName", ""),
        qualifier=qualifier,
        methods=METHODS if trigger is None else trigger.rules.methods,
        auth_type=auth.get("authType") or "anonymous",
        auth_config=given.mapping_or_json(auth, "authInfo"),
        cors=domain.get("corsConfig") or {},
        url_disabled=False,
    )


def check_method(trigger: Trigger, method: str) -> None:
    """405 ``MethodNotAllowed`` (inferred: FC does not say) for one that the trigger has not."""
    if method not in trigger.rules.methods:
        allowed = ", ".join(sorted(trigger.rules.methods))
        message = f"method {method} is not allowed by trigger '{trigger.rules.name}': {allowed}"
        raise ApiError(405, "MethodNotAllowed", message, {"Allow": allowed})
