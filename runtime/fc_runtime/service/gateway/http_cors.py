"""A browser's question before a request of another origin: the function is not asked (4.C)."""

from collections.abc import Collection

from fc_runtime.service.gateway.bodies import Scope
from fc_runtime.service.gateway.http_answer import Answer
from fc_runtime.service.gateway.http_call import sent_header


def is_preflight(scope: Scope) -> bool:
    return scope["method"] == "OPTIONS" and bool(
        sent_header(scope, b"access-control-request-method")
    )


def preflight_answer(methods: Collection[str], scope: Scope) -> Answer:
    """All that the trigger takes is allowed, from wherever; origins are added to any answer."""
    headers = [("Access-Control-Allow-Methods", ",".join(sorted(methods)))]
    asked = sent_header(scope, b"access-control-request-headers")
    if asked:
        headers.append(("Access-Control-Allow-Headers", asked))
    return Answer(204, headers, b"")
