"""
Triggers: what else than an invocation through the API makes a function run.

Kind ``trigger``, scope "service/function", name of the trigger. The document::

    triggerType, triggerConfig (an object, as it was sent), description, invocationRole, sourceArn,
    qualifier ("LATEST" if none was sent), triggerId

HTTP triggers are served, timers are run. All others are kept and shown, and nothing makes them
fire: a bucket or a log store of the cloud does not know of this machine.
"""

import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import structlog

from fc_runtime.service.account import given
from fc_runtime.service.account.addressing import needed_qualifier
from fc_runtime.service.account.fields import Check, checked, described, like, text
from fc_runtime.service.account.ledger import Ledger, Page, function_scope, page_of
from fc_runtime.service.account.lookups import needed_function
from fc_runtime.service.errors import ApiError, already_exists, invalid, not_found
from fc_runtime.service.store import Entry, Transaction
from fc_runtime.service.timers import ScheduleError, Timer, schedule

METHODS: Final = ("GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS")  # spec 4.C
AUTH_TYPES: Final = ("anonymous", "function", "jwt")
SERVED: Final = frozenset({"http", "timer"})
MOST_PAYLOAD: Final = 4096  # characters, of a timer's
MOST_OF_A_FUNCTION: Final = 50  # spec 12
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,127}")
_TYPE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_TEXTS: Final = ("description", "invocationRole", "sourceArn")
_log = structlog.get_logger(__name__)


@described({"type": ["object", "string"]})
def _config(name: str, value: Any) -> None:
    """An object, or the text of one: the API generations differ (spec 7.C, 7.D)."""
    given.mapping_or_json({name: value}, name)


CHECKS: Final[Mapping[str, Check]] = {  # of a change; with NEW, of a new one
    "triggerConfig": _config,
    "description": text(256),
    "invocationRole": text(512),
    "sourceArn": text(1024),
    "qualifier": text(128),
}
NEW: Final[Mapping[str, Check]] = {
    "triggerName": like(_NAME, "letters, digits, _ and -, at most 128, neither digit nor - first"),
    "triggerType": like(_TYPE, "such as http or timer"),
}


@dataclass(frozen=True, slots=True)
class HttpTrigger:
    """
    How an HTTP trigger is to be served.

    Args:
        auth_type: one of `AUTH_TYPES`.
        auth_config: of ``jwt``: an object, whichever way it was sent.
        cors: its ``corsConfig``; empty if it has none.
        url_disabled: its own URL is refused (``disableURLInternet``); domains still lead to it.
    """

    name: str
    qualifier: str
    methods: frozenset[str]
    auth_type: str
    auth_config: Mapping[str, Any]
    cors: Mapping[str, Any]
    url_disabled: bool


class Triggers(Ledger):
    def create_trigger(self, service: str, function: str, document: Mapping[str, Any]) -> Entry:
        """
        Of ``triggerName, triggerType, triggerConfig`` and what else there may be.

        Raises ApiError 400, 404 for what it is to be of, 409 if the function has that name already.
        """
        for field, check in NEW.items():
            check(field, document.get(field))
        checked("", document, CHECKS)
        name, kind = document["triggerName"], document["triggerType"]
        kept: dict[str, Any] = {
            "triggerType": kind,
            "triggerId": str(uuid.uuid4()),
            "triggerConfig": checked_config(kind, given.mapping_or_json(document, "triggerConfig")),
        }
        kept |= {field: document.get(field) or "" for field in _TEXTS}
        scope = function_scope(service, function)
        with self.change() as transaction:
            kept["qualifier"] = needed_qualifier(
                transaction, service, function, document.get("qualifier")
            )
            if transaction.get("trigger", scope, name) is not None:
                raise already_exists("Trigger", name)
            others = transaction.list("trigger", scope)
            if len(others) >= MOST_OF_A_FUNCTION:
                raise ApiError(
                    400, "LimitExceededError", f"a function has at most {MOST_OF_A_FUNCTION}"
                )
            _check_alone(others, kept)
            return transaction.put("trigger", scope, name, kept)

    def get_trigger(self, service: str, function: str, name: str) -> Entry:
        """Raises ApiError 404."""
        with self.store.transaction() as transaction:
            return _existing(transaction, service, function, name)

    def update_trigger(
        self,
        service: str,
        function: str,
        name: str,
        document: Mapping[str, Any],
        *,
        if_match: str | None = None,
    ) -> Entry:
        """
        Replace what *document* has: its name and its type stay. Raises ApiError 400, 404, 412.
        """
        checked("", document, CHECKS)
        with self.change() as transaction:
            before = _existing(transaction, service, function, name)
            kept = dict(before.document)
            if document.get("triggerConfig") is not None:
                config = given.mapping_or_json(document, "triggerConfig")
                kept["triggerConfig"] = checked_config(kept["triggerType"], config)
            for field in (*_TEXTS, "qualifier"):
                if document.get(field) is not None:
                    kept[field] = document[field]
            kept["qualifier"] = needed_qualifier(transaction, service, function, kept["qualifier"])
            scope = function_scope(service, function)
            others = [other for other in transaction.list("trigger", scope) if other.name != name]
            _check_alone(others, kept)
            return transaction.put("trigger", scope, name, kept, if_match=if_match)

    def delete_trigger(
        self, service: str, function: str, name: str, *, if_match: str | None = None
    ) -> None:
        """Raises ApiError 404, 412."""
        with self.change() as transaction:
            _existing(transaction, service, function, name)
            scope = function_scope(service, function)
            transaction.delete("trigger", scope, name, if_match=if_match)

    def list_triggers(
        self, service: str, function: str, *, prefix: str, start: str, limit: int
    ) -> Page:
        """By name. Raises ApiError 404."""
        with self.store.transaction() as transaction:
            needed_function(transaction, service, function)
            scope = function_scope(service, function)
            found = transaction.list("trigger", scope, prefix=prefix, start=start, limit=limit + 1)
        return page_of(found, limit)

    def triggers(self, service: str, function: str) -> list[Entry]:
        """All of a function; none if there is no such function."""
        with self.store.transaction() as transaction:
            return transaction.list("trigger", function_scope(service, function))

    def timers(self) -> list[Timer]:
        """Those of all functions that are switched on."""
        with self.store.transaction() as transaction:
            entries = transaction.list("trigger", None)
        return [*_timers(entries)]


def http_trigger(entry: Entry) -> HttpTrigger | None:
    """How *entry* is to be served; None if it is of another type."""
    if entry.document["triggerType"] != "http":
        return None
    config = entry.document["triggerConfig"]
    return HttpTrigger(
        name=entry.name,
        qualifier=entry.document["qualifier"],
        methods=frozenset(config.get("methods") or METHODS),
        auth_type=config.get("authType") or "function",
        auth_config=given.mapping_or_json(config, "authConfig"),
        cors=config.get("corsConfig") or {},
        url_disabled=bool(config.get("disableURLInternet")),
    )


def _timers(entries: list[Entry]) -> Iterator[Timer]:
    """Without those of an older version whose expression nobody had looked at."""
    for entry in entries:
        config = entry.document["triggerConfig"]
        if entry.document["triggerType"] != "timer" or config.get("enable") is False:
            continue
        try:
            due = schedule(config["cronExpression"])
        except ScheduleError as error:
            _log.warning("timer.unusable", trigger=entry.name, of=entry.scope, error=str(error))
            continue
        service, _, function = entry.scope.partition("/")
        yield Timer(
            service=service,
            function=function,
            qualifier=entry.document["qualifier"],
            name=entry.name,
            schedule=due,
            payload=config.get("payload") or "",
            since=datetime.fromisoformat(entry.modified),
        )


def _existing(transaction: Transaction, service: str, function: str, name: str) -> Entry:
    needed_function(transaction, service, function)
    entry = transaction.get("trigger", function_scope(service, function), name)
    if entry is None:
        raise not_found("Trigger", name)
    return entry


def _check_alone(others: list[Entry], kept: Mapping[str, Any]) -> None:
    """A version of a function has one HTTP trigger: its URL could mean either otherwise."""
    if kept["triggerType"] != "http":
        return
    for other in others:
        if (other.document["triggerType"], other.document["qualifier"]) == (
            "http",
            kept["qualifier"],
        ):
            raise invalid(
                f"'{other.name}' is the HTTP trigger of {kept['qualifier']} already: there is one "
                "for each version or alias"
            )


def checked_config(kind: str, config: dict[str, Any]) -> dict[str, Any]:
    """What is kept of it. Raises ApiError 400, whose message begins with the key."""
    if kind == "http":
        return _checked_http(config)
    if kind == "timer":
        expression = given.text(config, "cronExpression", 512)
        if not expression:
            raise invalid("triggerConfig.cronExpression is needed")
        try:
            schedule(expression)
        except ScheduleError as error:
            raise invalid(f"triggerConfig.cronExpression: {error}") from error
        given.text(config, "payload", MOST_PAYLOAD)
        given.flag(config, "enable")
    return config


def _checked_http(config: dict[str, Any]) -> dict[str, Any]:
    """With the defaults: ``function`` as FC has it, and all methods [inferred]."""
    methods = given.texts(config, "methods", len(METHODS)) or list(METHODS)
    for method in methods:
        if method not in METHODS:
            raise invalid(f"triggerConfig.methods: of {', '.join(METHODS)}, not '{method}'")
    auth = given.text(config, "authType", 32) or "function"
    if auth not in AUTH_TYPES:
        raise invalid(f"triggerConfig.authType: one of {', '.join(AUTH_TYPES)}, not '{auth}'")
    if auth == "jwt" and not given.mapping_or_json(config, "authConfig"):
        raise invalid("triggerConfig.authConfig is needed for jwt: its jwks, tokenLookup …")
    given.mapping(config, "corsConfig")
    given.flag(config, "disableURLInternet")
    return {**config, "methods": methods, "authType": auth}
