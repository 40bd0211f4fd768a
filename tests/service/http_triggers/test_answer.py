"""What of a function's response reaches the client, and in what company (4.C)."""

import json
from typing import Any

import pytest
from fc_runtime.service.errors import ApiError
from fc_runtime.service.gateway.http_answer import Answer, accepted, failed, on_the_wire, refused
from fc_runtime.service.gateway.http_cors import add_to, preflight_answer

DROPPED = "x-fc-mine connection content-length date keep-alive server upgrade transfer-encoding"


def sent(
    answer: Answer,
    *,
    origin: str = "",
    cors: dict[str, Any] | None = None,
    attachment: bool = False,
) -> dict[str, str]:
    add_to(answer.headers, cors or {}, origin)
    _, headers, _ = on_the_wire(answer, attachment=attachment)
    return {name.decode(): value.decode("latin-1") for name, value in headers}


def test_dropped_headers() -> None:
    """The platform's own and the connection's are taken out; the rest stays, in order."""
    given = [(name.title(), "x") for name in DROPPED.split()]
    answer = accepted(
        Answer(200, [("A", "1"), *given, ("Set-Cookie", "b"), ("Set-Cookie", "c")], b"")
    )

    assert [("A", "1"), ("Set-Cookie", "b"), ("Set-Cookie", "c")] == answer.headers


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, [("X-Large", "a" * 8192)], b"body"),
        Answer(200, [("X-Split", "a\r\nSet-Cookie: b")], b""),
        Answer(200, [("X Space", "a")], b""),
        Answer(200, [("", "a")], b""),
        Answer(101, [], b""),
        Answer(99, [], b""),
        Answer(600, [], b""),
        Answer(-1, [], b""),
    ],
    ids=["large", "split", "space", "nameless", "upgrade", "below", "beyond", "negative"],
)
def test_bad_responses(answer: Answer) -> None:
    """What cannot be answered with is 502 ``BadResponse``, and says why in JSON."""
    made = accepted(answer)

    assert (502, "BadResponse") == (made.status, made.error_type)
    assert json.loads(made.body)["errorMessage"]


def test_a_failed_function() -> None:
    """502, and FC's error body as it is."""
    answer = failed(b'{"errorMessage": "x"}')

    assert (502, b'{"errorMessage": "x"}') == (answer.status, answer.body)
    assert "application/json" == sent(answer)["content-type"]


def test_a_refusal() -> None:
    """All five keys, the refusal's own headers, and the platform's error type."""
    answer = refused(ApiError(429, "ResourceThrottled", "m", {"Retry-After": "1"}), "r")

    told = {"ErrorCode", "ErrorMessage", "Code", "Message", "RequestId"}
    assert told == set(json.loads(answer.body))
    assert ("1", "FCCommonError") == (sent(answer)["retry-after"], sent(answer)["x-fc-error-type"])


def test_other_origins_by_default() -> None:
    """The origin is echoed, credentials allowed, the platform's headers exposed."""
    headers = sent(Answer(200, [], b""), origin="https://a.example")

    assert "https://a.example" == headers["access-control-allow-origin"]
    assert "true" == headers["access-control-allow-credentials"]
    assert "x-fc-request-id" in headers["access-control-expose-headers"]


def test_other_origins_by_the_function() -> None:
    """A function that decides about origins itself is not contradicted."""
    own = [("access-control-allow-origin", "*"), ("Access-Control-Expose-Headers", "A")]
    headers = sent(Answer(200, own, b""), origin="https://a.example")

    assert ("*", "A") == (
        headers["access-control-allow-origin"],
        headers["access-control-expose-headers"],
    )
    assert "access-control-allow-credentials" not in headers
    assert "access-control-allow-origin" not in sent(Answer(200, [], b""))


CORS = {
    "allowOrigins": ["https://a.example"],
    "allowMethods": ["GET"],
    "allowHeaders": ["X-A", "X-B"],
    "exposeHeaders": ["X-Mine", "not\r\nthis"],
    "allowCredentials": False,
    "maxAge": 60,
}


def test_other_origins_by_the_trigger() -> None:
    """Its ``corsConfig`` says which; others get no leave."""
    allowed = sent(Answer(200, [], b""), origin="https://a.example", cors=CORS)
    other = sent(Answer(200, [], b""), origin="https://b.example", cors=CORS)
    anyone = sent(Answer(200, [], b""), origin="https://b.example", cors={"allowOrigins": ["*"]})

    assert "https://a.example" == allowed["access-control-allow-origin"]
    assert allowed["access-control-expose-headers"].endswith(",x-fc-instance-id,X-Mine")
    assert "access-control-allow-credentials" not in allowed
    assert "access-control-allow-origin" not in other
    assert "https://b.example" == anyone["access-control-allow-origin"]


def test_a_preflight_of_the_trigger() -> None:
    """Methods, headers and age as configured; without a configuration whatever was asked for."""
    asked = [(b"access-control-request-headers", b"x-c")]
    configured = sent(preflight_answer({"GET", "POST"}, CORS, {"headers": asked}))
    default = sent(preflight_answer({"GET", "POST"}, {}, {"headers": asked}))

    assert ("GET", "X-A,X-B", "60") == tuple(
        configured[f"access-control-{name}"]
        for name in ("allow-methods", "allow-headers", "max-age")
    )
    assert ("GET,POST", "x-c") == (
        default["access-control-allow-methods"],
        default["access-control-allow-headers"],
    )


def test_attachment_on_request_only() -> None:
    """FC's default domain forces a download; here only if the setting says so."""
    answer = Answer(200, [("Content-Disposition", "inline")], b"")

    assert "inline" == sent(answer)["content-disposition"]
    assert "attachment" == sent(answer, attachment=True)["content-disposition"]


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_a_body(status: int) -> None:
    """They have neither body nor length, whatever the function returned."""
    _, headers, body = on_the_wire(Answer(status, [], b"x"), attachment=False)

    assert b"" == body
    assert "content-length" not in {name.decode() for name, _ in headers}
