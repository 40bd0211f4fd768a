"""
How a function of FC2 is called over HTTP: as a WSGI application (spec 4.A).

Here the request becomes what the worker makes an ``environ`` of. Decided, where FC does not say:
headers are bytes as Latin-1, as PEP 3333 wants them, and the path is decoded, as frameworks expect.
"""

from fc_runtime.http import HttpRequest, HttpResponse
from fc_runtime.service.gateway.http_answer import Answer
from fc_runtime.service.gateway.http_call import HttpCall
from fc_runtime.service.gateway.http_event import canonical


def request_of(call: HttpCall) -> HttpRequest:
    """*call* in the shape that `Runtime.invoke` takes; its body is the event."""
    queries: dict[str, list[str]] = {}
    for name, value in call.queries():
        queries.setdefault(name, []).append(value)
    headers: dict[str, list[str]] = {}
    for key, content in call.headers:
        headers.setdefault(canonical(key), []).append(content.decode("latin-1"))
    return HttpRequest(
        method=call.method,
        path=call.path_as_sent,
        request_uri=call.request_uri,
        client_ip=call.client_ip,
        host=call.host,
        queries=queries,
        headers=headers,
    )


def answer_of(response: HttpResponse | None, payload: bytes) -> Answer:
    """One that never called ``start_response`` gets the defaults: 200, and no type (inferred)."""
    if response is None:
        return Answer(200, [], payload)
    return Answer(response.status, list(response.headers), payload)
