"""
Asynchronous invocations, as each family has them: async tasks, stateful invocations (spec 7.B).

All that were accepted are shown, not only those of functions in task mode. To run one again is an
operation of ours, in the shape of the others.
"""

import base64
from collections.abc import Mapping
from typing import Any, Final

from fc_runtime.service.account.addressing import needed_qualifier, qualified_arn
from fc_runtime.service.api.addresses import OF_FC2, OF_FC3, function_of, is_fc3
from fc_runtime.service.api.operations import FC2, FC3, NO_CONTENT, Call, Operation, Reply
from fc_runtime.service.api.paging import limit_of
from fc_runtime.service.errors import invalid, not_implemented
from fc_runtime.service.queue import Queue, name_of, names_in
from fc_runtime.tasks import Query, Record, Status

ORDERS: Final = {"": False, "asc": True, "desc": False}
_TASKS: Final = f"{OF_FC3}/async-tasks"
_STATEFUL: Final = f"{OF_FC2}/stateful-async-invocations"


def _list(call: Call) -> Reply:
    service, function, qualifier = _asked(call)
    queue = _queue(call)
    page = queue.page(lambda: _query(call, name_of(service, function), qualifier))
    told: dict[str, Any] = {
        "tasks" if is_fc3(call) else "invocations": [_shown(call, one) for one in page.records]
    }
    if page.next_token:
        told["nextToken"] = page.next_token
    return Reply(told)


def _get(call: Call) -> Reply:
    service, function, _ = _asked(call)
    return Reply(_shown(call, _queue(call).get(service, function, call.path["task"])))


def _stop(call: Call) -> Reply:
    service, function, _ = _asked(call)
    _queue(call).stop(service, function, call.path["task"])
    return NO_CONTENT


def _retry(call: Call) -> Reply:
    service, function, _ = _asked(call)
    _queue(call).retry(service, function, call.path["task"])
    return NO_CONTENT


def _asked(call: Call) -> tuple[str, str, str | None]:
    """As `function_of`, of a function that there is. Raises ApiError 404."""
    service, function, qualifier = function_of(call)
    with call.account.store.transaction() as transaction:
        needed_qualifier(transaction, service, function, qualifier)
    return service, function, qualifier


def _queue(call: Call) -> Queue:
    if call.account.queue is None:
        raise not_implemented("not available here: nothing runs functions in this process")
    return call.account.queue


def _query(call: Call, function: str, qualifier: str | None) -> Query:
    """Raises ApiError 400, or what `Query` does."""
    asked = call.query
    order = asked.get("sortOrderByTime", "").lower()
    if order not in ORDERS:
        raise invalid(f"sortOrderByTime: asc or desc, not '{order[:64]}'")
    status = asked.get("status", "")
    if status and status not in set(Status):
        raise invalid(f"status: one of {', '.join(Status)}, not '{status[:64]}'")
    return Query(
        function=function,
        qualifier=qualifier,
        statuses=[Status(status)] if status else [],
        prefix=asked.get("prefix") or asked.get("invocationIdPrefix") or "",
        started_from_ms=_moment(call, "startedTimeBegin"),
        started_to_ms=_moment(call, "startedTimeEnd"),
        ascending=ORDERS[order],
        limit=limit_of(call),
        token=asked.get("nextToken", ""),
        bodies=asked.get("includePayload", "").lower() == "true",
    )


def _moment(call: Call, name: str) -> int | None:
    """Milliseconds since the epoch."""
    text = call.query.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 16):
        raise invalid(f"{name}: milliseconds since 1970, not '{text[:64]}'")
    return int(text)


def _shown(call: Call, record: Record) -> dict[str, Any]:
    fc3 = is_fc3(call)
    service, function = names_in(record.function)
    shown: dict[str, Any] = {
        "taskId" if fc3 else "invocationId": record.task_id,
        "qualifier": record.qualifier,
        "status": record.status.value,
        "requestId": record.request_id,
        "instanceId": record.instance_id,
        "alreadyRetriedTimes": record.retries,
        "taskErrorMessage" if fc3 else "invocationErrorMessage": record.error_type,
        "destinationStatus": record.destination_status or "",
        "events": [_event(one.number, one.status, one.at_ms, one.detail) for one in record.events],
    }
    if fc3:
        shown["functionArn"] = qualified_arn(call.account, "", function, None)
    else:
        shown |= {"serviceName": service, "functionName": function}
    optional: Mapping[str, Any] = {
        "startedTime": record.started_ms,
        "endTime": record.ended_ms,
        "durationMs": record.duration_ms,
        "taskPayload" if fc3 else "invocationPayload": _text(record.event),
        "returnPayload": _text(record.payload),
    }
    return shown | {name: value for name, value in optional.items() if value is not None}


def _event(number: int, status: Status, at_ms: int, detail: str) -> dict[str, Any]:
    return {"eventId": number, "status": status.value, "timestamp": at_ms, "eventDetail": detail}


def _text(data: bytes | None) -> str | None:
    """As it is, or in base64 what is no text."""
    if data is None:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return base64.b64encode(data).decode()


OPERATIONS: Final = (
    Operation("ListAsyncTasks", "GET", _TASKS, _list, FC3),
    Operation("GetAsyncTask", "GET", f"{_TASKS}/{{task}}", _get, FC3),
    Operation("StopAsyncTask", "PUT", f"{_TASKS}/{{task}}/stop", _stop, FC3),
    Operation("RetryAsyncTask", "PUT", f"{_TASKS}/{{task}}/retry", _retry, FC3),
    Operation("ListStatefulAsyncInvocations", "GET", _STATEFUL, _list, FC2),
    Operation("GetStatefulAsyncInvocation", "GET", f"{_STATEFUL}/{{task}}", _get, FC2),
    Operation("StopStatefulAsyncInvocation", "PUT", f"{_STATEFUL}/{{task}}", _stop, FC2),
    Operation("RetryStatefulAsyncInvocation", "PUT", f"{_STATEFUL}/{{task}}/retry", _retry, FC2),
)
