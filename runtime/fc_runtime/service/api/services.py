"""FC2's services over HTTP."""

from typing import Final

from fc_runtime.service.api import shown
from fc_runtime.service.api.operations import FC2, NO_CONTENT, Call, Operation, Reply, with_etag
from fc_runtime.service.api.paging import listed, wanted


def _create(call: Call) -> Reply:
    entry = call.account.create_service(call.body.get("serviceName"), call.body)
    return with_etag(shown.service(entry), entry)


def _get(call: Call) -> Reply:
    entry = call.account.get_service(*call.service())
    return with_etag(shown.service(entry), entry)


def _update(call: Call) -> Reply:
    name = call.service_to_change()
    entry = call.account.update_service(name, call.body, if_match=call.if_match)
    return with_etag(shown.service(entry), entry)


def _delete(call: Call) -> Reply:
    call.account.delete_service(call.service_to_change(), if_match=call.if_match)
    return NO_CONTENT


def _list(call: Call) -> Reply:
    part = wanted(call)
    page = call.account.list_services(prefix=part.prefix, start=part.start, limit=part.limit)
    return listed("services", page, shown.service)


OPERATIONS: Final = (
    Operation("CreateService", "POST", "/services", _create, FC2),
    Operation("ListServices", "GET", "/services", _list, FC2),
    Operation("GetService", "GET", "/services/{service}", _get, FC2),
    Operation("UpdateService", "PUT", "/services/{service}", _update, FC2),
    Operation("DeleteService", "DELETE", "/services/{service}", _delete, FC2),
)
