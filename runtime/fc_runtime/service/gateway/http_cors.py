"""
Requests of other origins (4.C): what a browser may do with an answer, and its question beforehand.

Without a ``corsConfig`` the trigger has FC's defaults: every origin, with credentials. What the
function says itself always wins. Inferred, for FC documents only the shape of ``corsConfig``: an
origin that it does not list gets no headers, ``*`` lists all, and what it leaves away is the
default; with one, the function is not asked before a request.
"""

from collections.abc import Collection, Mapping
from typing import Any

from fc_runtime.service.deployment import EXPOSED
from fc_runtime.service.gateway.bodies import Scope
from fc_runtime.service.gateway.http_answer import Answer, Pairs
from fc_runtime.service.gateway.http_call import sent_header


def is_preflight(scope: Scope) -> bool:
    return scope["method"] == "OPTIONS" and bool(
        sent_header(scope, b"access-control-request-method")
    )


def preflight_answer(methods: Collection[str], config: Mapping[str, Any], scope: Scope) -> Answer:
    """
    What may be asked; who may ask is added as to any answer.

    Args:
        methods: of the trigger.
        config: its ``corsConfig``.
    """
    headers = [
        (
            "Access-Control-Allow-Methods",
            ",".join(_texts(config, "allowMethods") or sorted(methods)),
        )
    ]
    allowed = _texts(config, "allowHeaders")
    asked = sent_header(scope, b"access-control-request-headers")
    if allowed and "*" not in allowed:
        headers.append(("Access-Control-Allow-Headers", ",".join(allowed)))
    elif asked:
        headers.append(("Access-Control-Allow-Headers", asked))
    if isinstance(config.get("maxAge"), int):
        headers.append(("Access-Control-Max-Age", str(config["maxAge"])))
    return Answer(204, headers, b"")


def add_to(headers: Pairs, config: Mapping[str, Any], origin: str) -> None:
    """What a browser of *origin* may do with an answer that has *headers*."""
    known = {name.lower() for name, _ in headers}
    if "access-control-expose-headers" not in known:
        exposed = ",".join([EXPOSED[1].decode(), *_texts(config, "exposeHeaders")])
        headers.append(("Access-Control-Expose-Headers", exposed))
    if not origin or "access-control-allow-origin" in known:
        return
    origins = _texts(config, "allowOrigins")
    if origins and "*" not in origins and origin not in origins:
        return
    headers.append(("Access-Control-Allow-Origin", origin))
    credentials = config.get("allowCredentials") is not False
    if credentials and "access-control-allow-credentials" not in known:
        headers.append(("Access-Control-Allow-Credentials", "true"))
    if "vary" not in known:
        headers.append(("Vary", "Origin"))


def _texts(config: Mapping[str, Any], name: str) -> list[str]:
    """A list of it, as far as it can stand in a header."""
    found = config.get(name)
    if not isinstance(found, list):
        return []
    return [
        text for text in found if isinstance(text, str) and text.isascii() and text.isprintable()
    ]
