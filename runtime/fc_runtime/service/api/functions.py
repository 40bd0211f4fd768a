"""Functions over HTTP: FC3's, and FC2's of a service."""

from typing import Final

from fc_runtime.service.account.code import check_checksum
from fc_runtime.service.account.ledger import page_of
from fc_runtime.service.api import code, shown
from fc_runtime.service.api.filters import wanted_functions
from fc_runtime.service.api.operations import (
    FC2,
    FC3,
    NO_CONTENT,
    WITH_CODE,
    Call,
    Operation,
    Reply,
    with_etag,
)
from fc_runtime.service.api.paging import listed, wanted
from fc_runtime.service.store import Entry


def _shown(call: Call, entry: Entry) -> Reply:
    if call.prefix in FC3:
        return with_etag(shown.fc3_function(call.account, entry), entry)
    return with_etag(shown.fc2_function(entry), entry)


def _create(call: Call) -> Reply:
    service = call.service_to_change()
    name = call.body.get("functionName")
    return _shown(call, call.account.create_function(service, name, _document(call)))


def _get(call: Call) -> Reply:
    service, qualifier = call.service()
    return _shown(call, call.account.get_function(service, call.path["function"], qualifier))


def _update(call: Call) -> Reply:
    return _shown(
        call,
        call.account.update_function(
            call.service_to_change(), call.path["function"], _document(call), if_match=call.if_match
        ),
    )


def _delete(call: Call) -> Reply:
    call.account.delete_function(
        call.service_to_change(), call.path["function"], if_match=call.if_match
    )
    return NO_CONTENT


def _list(call: Call) -> Reply:
    service, qualifier = call.service()
    part = wanted(call)
    matches = wanted_functions(call) if call.prefix in FC3 else None
    page = call.account.list_functions(
        service,
        qualifier,
        prefix=part.prefix,
        start=part.start,
        limit=part.limit if matches is None else None,
    )
    if matches is not None:
        page = page_of([entry for entry in page.entries if matches(entry)], part.limit)
    if call.prefix in FC3:
        return listed("functions", page, lambda entry: shown.fc3_function(call.account, entry))
    return listed("functions", page, shown.fc2_function)


def _code(call: Call) -> Reply:
    service, qualifier = call.service()
    entry = call.account.get_function(service, call.path["function"], qualifier)
    return code.where(call, entry.document)


def _document(call: Call) -> dict[str, object]:
    """The body; FC2's clients may tell the code's checksum in a header."""
    told, given = call.headers.get("x-fc-code-checksum"), call.body.get("code")
    if not told or not isinstance(given, dict):
        return call.body
    if given.get("checksum"):
        check_checksum(told, str(given["checksum"]))
    return {**call.body, "code": {**given, "checksum": told.strip('"')}}


def _of_family(below: str, prefixes: tuple[str, ...]) -> tuple[Operation, ...]:
    one = f"{below}/functions/{{function}}"
    return (
        Operation("CreateFunction", "POST", f"{below}/functions", _create, prefixes, WITH_CODE),
        Operation("ListFunctions", "GET", f"{below}/functions", _list, prefixes),
        Operation("GetFunction", "GET", one, _get, prefixes),
        Operation("UpdateFunction", "PUT", one, _update, prefixes, WITH_CODE),
        Operation("DeleteFunction", "DELETE", one, _delete, prefixes),
        Operation("GetFunctionCode", "GET", f"{one}/code", _code, prefixes),
    )


OPERATIONS: Final = (*_of_family("", FC3), *_of_family("/services/{service}", FC2))
