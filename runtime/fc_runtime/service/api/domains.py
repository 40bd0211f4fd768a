"""Custom domains, in both families: the same objects under both."""

from typing import Any, Final

from fc_runtime.service.api.addresses import NOTE, is_fc3
from fc_runtime.service.api.operations import (
    FC2,
    FC3,
    NO_CONTENT,
    Call,
    Operation,
    Reply,
    with_etag,
)
from fc_runtime.service.api.paging import listed, wanted
from fc_runtime.service.store import Entry

_NO_HTTPS: Final = "served over HTTP only: put a proxy with the certificate in front for HTTPS"
_NO_REWRITE: Final = "rewriteConfig is stored only: functions see the path as it was sent"


def _create(call: Call) -> Reply:
    return _answer(call, call.account.create_domain(call.body))


def _get(call: Call) -> Reply:
    return _answer(call, call.account.get_domain(call.path["domain"]))


def _update(call: Call) -> Reply:
    entry = call.account.update_domain(call.path["domain"], call.body, if_match=call.if_match)
    return _answer(call, entry)


def _delete(call: Call) -> Reply:
    call.account.delete_domain(call.path["domain"], if_match=call.if_match)
    return NO_CONTENT


def _list(call: Call) -> Reply:
    part = wanted(call)
    page = call.account.list_domains(prefix=part.prefix, start=part.start, limit=part.limit)
    return listed("customDomains", page, lambda entry: _shown(call, entry))


def _answer(call: Call, entry: Entry) -> Reply:
    reply = with_etag(_shown(call, entry), entry)
    notes = []
    if "HTTPS" in entry.document["protocol"]:
        notes.append(_NO_HTTPS)
    if any(route.get("rewriteConfig") for route in entry.document["routeConfig"]["routes"]):
        notes.append(_NO_REWRITE)
    if not notes:
        return reply
    return Reply(reply.body, reply.status, {**reply.headers, NOTE: "; ".join(notes)})


def _shown(call: Call, entry: Entry) -> dict[str, Any]:
    return {
        "domainName": entry.name,
        "accountId": call.account.account_id,
        "apiVersion": call.prefix.removeprefix("/") if is_fc3(call) else "2016-08-15",
        **entry.document,
        "createdTime": entry.created,
        "lastModifiedTime": entry.modified,
    }


_BOTH: Final = (*FC3, *FC2)
OPERATIONS: Final = (
    Operation("CreateCustomDomain", "POST", "/custom-domains", _create, _BOTH),
    Operation("ListCustomDomains", "GET", "/custom-domains", _list, _BOTH),
    Operation("GetCustomDomain", "GET", "/custom-domains/{domain}", _get, _BOTH),
    Operation("UpdateCustomDomain", "PUT", "/custom-domains/{domain}", _update, _BOTH),
    Operation("DeleteCustomDomain", "DELETE", "/custom-domains/{domain}", _delete, _BOTH),
)
