"""
Which HTTP trigger a request is for: by its path, or by its host.

    /2016-08-15/proxy/SERVICE[.QUALIFIER]/FUNCTION/path     FC2
    /_fc/http/TRIGGER.FUNCTION[.SERVICE]/path               any, on this machine
    http://TRIGGER-FUNCTION[-SERVICE].localhost:PORT/path   likewise, for what needs a host
    http://a.custom.domain/path                             as its routes say

Triggers are read from the account when they are first needed after a change of it. Reading blocks,
so it is done in a thread.

Decided: FC2's path names a version, whose own trigger decides; one without gets the rules of the
trigger without a qualifier, never none. Two hosts that look alike (``a-b`` of ``c``, ``a`` of
``b-c``): the first by function's name has it; the path tells them apart.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import unquote

from starlette.types import Scope

from fc_runtime.service.errors import ApiError, invalid, not_found
from fc_runtime.service.gateway.http_call import METHODS, host_of, raw_path_of
from fc_runtime.service.gateway.http_event import without_port
from fc_runtime.service.store import Entry

PROXY: Final = "/2016-08-15/proxy/"
LOCAL: Final = "/_fc/http/"
LOCAL_DOMAIN: Final = ".localhost"
LATEST: Final = "LATEST"


class Holder(Protocol):
    """Of the account, what is needed here."""

    account_id: str

    @property
    def revision(self) -> int: ...
    def functions(self) -> list[Entry]: ...
    def triggers(self, service: str, function: str) -> list[Entry]: ...
    def targets(
        self, service: str, function: str, qualifier: str | None
    ) -> tuple[tuple[Any, float], ...]: ...


class Domains(Protocol):
    """Custom domains. Both block."""

    def hosts(self) -> frozenset[str]: ...
    def route(self, host: str, path: str) -> tuple[str, str, str | None, str] | None: ...


@dataclass(frozen=True, slots=True)
class Trigger:
    """
    Args:
        qualifier: of the versions it is for; ``LATEST`` where none is given.
        config: ``authType``, ``authConfig`` and whatever else was stored.
    """

    service: str
    function: str
    name: str
    qualifier: str
    methods: frozenset[str]
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """
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

    def __init__(self, account: Holder, domains: Domains | None = None) -> None:
        self._account = account
        self._domains = domains
        self._revision = -1
        self._of_function: dict[tuple[str, str], tuple[Trigger, ...]] = {}
        self._by_label: dict[str, Trigger] | None = None
        self._custom_hosts: frozenset[str] | None = None

    async def is_for_one(self, scope: Scope) -> bool:
        """Is the request for a function over HTTP, rather than for the API?"""
        path: str = scope["path"]
        if path.startswith((PROXY, LOCAL)):
            return True
        host = without_port(host_of(scope)).lower()
        return host.endswith(LOCAL_DOMAIN) or await self._is_custom(host)

    async def wanted(self, scope: Scope) -> Wanted:
        """Raises ApiError: 400 for a path that is none, 404 for a function or trigger unknown."""
        raw_path = raw_path_of(scope)
        if raw_path.startswith(PROXY):
            return await self._of_proxy(raw_path)
        if raw_path.startswith(LOCAL):
            return await self._of_path(raw_path)
        host = without_port(host_of(scope)).lower()
        if host.endswith(LOCAL_DOMAIN):
            return await self._of_label(host.removesuffix(LOCAL_DOMAIN), raw_path)
        return await self._of_domain(host, raw_path)

    async def _of_proxy(self, raw_path: str) -> Wanted:
        named, slash, rest = raw_path.removeprefix(PROXY).partition("/")
        function, _, path = rest.partition("/")
        if not (named and slash and function):
            raise invalid(f"{PROXY}SERVICE[.QUALIFIER]/FUNCTION/… is the path of an HTTP trigger")
        service, _, qualifier = unquote(named).partition(".")
        trigger = await self._for_version(service, unquote(function), qualifier or LATEST)
        if trigger is None:
            raise not_found("Trigger", "http")
        return Wanted(trigger, qualifier or LATEST, f"/{path}", trigger.name)

    async def _of_path(self, raw_path: str) -> Wanted:
        named, _, path = raw_path.removeprefix(LOCAL).partition("/")
        name, _, rest = unquote(named).partition(".")
        function, _, service = rest.partition(".")
        if not (name and function):
            raise invalid(f"{LOCAL}TRIGGER.FUNCTION[.SERVICE]/… is the path of an HTTP trigger")
        for trigger in await self._triggers(service, function):
            if trigger.name == name:
                return Wanted(trigger, trigger.qualifier, f"/{path}", trigger.name)
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
        return Wanted(trigger, trigger.qualifier, raw_path, trigger.name)

    async def _of_domain(self, host: str, raw_path: str) -> Wanted:
        if self._domains is None:
            raise not_found("DomainName", host)
        found = await asyncio.to_thread(self._domains.route, host, raw_path)
        if found is None:
            raise not_found("DomainName", host)
        service, function, qualifier, path = found
        trigger = await self._for_version(service, function, qualifier or LATEST)
        if trigger is None:  # a custom domain needs none
            trigger = Trigger(service, function, "", qualifier or LATEST, METHODS, {})
        return Wanted(trigger, qualifier or LATEST, path, host.partition(".")[0])

    async def _for_version(self, service: str, function: str, qualifier: str) -> Trigger | None:
        found = {trigger.qualifier: trigger for trigger in await self._triggers(service, function)}
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

    async def _is_custom(self, host: str) -> bool:
        if self._domains is None:
            return False
        self._forget_what_changed()
        hosts = self._custom_hosts
        if hosts is None:
            revision, hosts = self._revision, await asyncio.to_thread(self._domains.hosts)
            if revision == self._account.revision:
                self._custom_hosts = hosts
        return host in hosts

    def _forget_what_changed(self) -> None:
        if self._revision != self._account.revision:
            self._revision = self._account.revision
            self._of_function.clear()
            self._by_label = self._custom_hosts = None

    def _read(self, service: str, function: str) -> tuple[Trigger, ...]:
        found = self._account.triggers(service, function)
        return tuple(
            trigger_of(service, function, entry)
            for entry in found
            if entry.document.get("triggerType") == "http"
        )

    def _labels(self) -> dict[str, Trigger]:
        labels: dict[str, Trigger] = {}
        for entry in self._account.functions():
            for trigger in self._read(entry.scope, entry.name):
                parts = filter(None, (trigger.name, trigger.function, trigger.service))
                labels.setdefault("-".join(parts).lower(), trigger)
        return labels


def trigger_of(service: str, function: str, entry: Entry) -> Trigger:
    """FC3 has its configuration as a JSON text, FC2 as an object."""
    config = entry.document.get("triggerConfig") or {}
    if isinstance(config, str):
        config = json.loads(config)
    return Trigger(
        service=service,
        function=function,
        name=entry.name,
        qualifier=entry.document.get("qualifier") or LATEST,
        methods=frozenset(map(str.upper, config.get("methods") or METHODS)),
        config=config,
    )


def check_method(trigger: Trigger, method: str) -> None:
    """405 ``MethodNotAllowed`` (inferred: FC does not say) for one that the trigger has not."""
    if method not in trigger.methods:
        allowed = ", ".join(sorted(trigger.methods))
        message = f"method {method} is not allowed by trigger '{trigger.name}': {allowed}"
        raise ApiError(405, "MethodNotAllowed", message, {"Allow": allowed})
