"""Triggers, in both families (spec 7.C, 7.D)."""

import json
from typing import Any, Final

from fc_runtime.service.account.addressing import qualified_arn
from fc_runtime.service.account.lookups import LATEST
from fc_runtime.service.account.triggers import SERVED
from fc_runtime.service.api.addresses import NOTE, function_of, is_fc3, of_function
from fc_runtime.service.api.operations import NO_CONTENT, Call, Reply, with_etag
from fc_runtime.service.api.paging import listed, wanted
from fc_runtime.service.store import Entry

# Where each generation has the config as the text of an object; the oldest has the object itself.
_AS_TEXT: Final = frozenset({"/2021-04-06", "/2023-03-30"})


def _create(call: Call) -> Reply:
    service, function, _ = function_of(call)
    return _answer(call, call.account.create_trigger(service, function, call.body))


def _get(call: Call) -> Reply:
    service, function, _ = function_of(call)
    return _answer(call, call.account.get_trigger(service, function, call.path["trigger"]))


def _update(call: Call) -> Reply:
    service, function, _ = function_of(call)
    return _answer(
        call,
        call.account.update_trigger(
            service, function, call.path["trigger"], call.body, if_match=call.if_match
        ),
    )


def _delete(call: Call) -> Reply:
    service, function, _ = function_of(call)
    call.account.delete_trigger(service, function, call.path["trigger"], if_match=call.if_match)
    return NO_CONTENT


def _list(call: Call) -> Reply:
    service, function, _ = function_of(call)
    part = wanted(call)
    page = call.account.list_triggers(
        service, function, prefix=part.prefix, start=part.start, limit=part.limit
    )
    return listed("triggers", page, lambda entry: _shown(call, entry))


def local_url(call: Call, entry: Entry) -> str:
    """``http://HOST:PORT/_fc/http/<trigger>.<function>[.<service>]``."""
    service, _, function = entry.scope.partition("/")
    names = [entry.name, function, *([service] if service else [])]
    return f"{call.base_url}/_fc/http/{'.'.join(names)}"


def _answer(call: Call, entry: Entry) -> Reply:
    reply = with_etag(_shown(call, entry), entry)
    kind = entry.document["triggerType"]
    if kind in SERVED:
        return reply
    note = f"{kind} triggers are stored only: nothing makes this one fire"
    return Reply(reply.body, reply.status, {**reply.headers, NOTE: note})


def _shown(call: Call, entry: Entry) -> dict[str, Any]:
    document = entry.document
    service, _, function = entry.scope.partition("/")
    kind, qualifier, config = (
        document[name] for name in ("triggerType", "qualifier", "triggerConfig")
    )
    of = None if qualifier == LATEST else qualifier
    shown = {
        "triggerName": entry.name,
        "triggerType": kind,
        "triggerId": document["triggerId"],
        "description": document["description"],
        "qualifier": qualifier,
        "invocationRole": document["invocationRole"],
        "sourceArn": document["sourceArn"],
        "targetArn": qualified_arn(call.account, service, function, of),
        "status": "OK" if kind in SERVED else "StoredOnly",
        "triggerConfig": json.dumps(config) if call.prefix in _AS_TEXT else config,
        "createdTime": entry.created,
        "lastModifiedTime": entry.modified,
    }
    if kind == "http":
        url = local_url(call, entry)
        urls = {"urlInternet": url, "urlIntranet": url}
        if is_fc3(call):
            shown["httpTrigger"] = urls
        else:
            shown |= {**urls, "domainName": url.partition("://")[2]}
    return shown


OPERATIONS: Final = (
    *of_function("CreateTrigger", "POST", "/triggers", _create),
    *of_function("ListTriggers", "GET", "/triggers", _list),
    *of_function("GetTrigger", "GET", "/triggers/{trigger}", _get),
    *of_function("UpdateTrigger", "PUT", "/triggers/{trigger}", _update),
    *of_function("DeleteTrigger", "DELETE", "/triggers/{trigger}", _delete),
)
