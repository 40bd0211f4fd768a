"""The event that a function of FC3 gets for a request, and the response that it returns (4.B)."""

import base64
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote, urlencode

import pytest
from fc_runtime.service.errors import ApiError
from fc_runtime.service.gateway.http_call import call_of, check_limits
from fc_runtime.service.gateway.http_event import answer_of, canonical, event_of
from hypothesis import given, strategies as st

NOW = datetime(2023, 9, 5, 6, 41, 11, 895000, tzinfo=UTC)


def scope_of(
    raw_path: str = "/", query: str = "", headers: tuple[tuple[str, str], ...] = (), **more: Any
) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "POST",
        "path": unquote(raw_path),
        "raw_path": raw_path.encode(),
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
        "client": ("1.2.3.4", 55555),
        "http_version": "1.1",
        **more,
    }


def event(body: bytes = b"", **scope: Any) -> dict[str, Any]:
    whole = scope_of(**scope)
    call = call_of(whole, whole["raw_path"].decode())
    made = event_of(
        call, body, account_id="123", domain_prefix="trig", request_id="1-64f6cd87", now=NOW
    )
    told: dict[str, Any] = json.loads(made)
    return told


def test_the_documented_event() -> None:
    """Key for key what FC documents: encoded and decoded path, joined values, time as a text."""
    headers = (
        ("Host", "trig.local.fcapp.run:9000"),
        ("content-type", "text/plain"),
        ("X-Multi", "v1"),
        ("X-Multi", "v2"),
        ("User-Agent", "curl/8"),
    )
    made = event(b"Hello", raw_path="/a%20b", query="q=1&m=a&m=b", headers=headers)

    assert {
        "version": "v1",
        "rawPath": "/a%20b",
        "body": "Hello",
        "isBase64Encoded": False,
        "headers": {
            "Host": "trig.local.fcapp.run:9000",
            "Content-Type": "text/plain",
            "X-Multi": "v1,v2",
            "User-Agent": "curl/8",
        },
        "queryParameters": {"q": "1", "m": "a,b"},
        "requestContext": {
            "accountId": "123",
            "domainName": "trig.local.fcapp.run",
            "domainPrefix": "trig",
            "http": {
                "method": "POST",
                "path": "/a b",
                "protocol": "HTTP/1.1",
                "sourceIp": "1.2.3.4",
                "userAgent": "curl/8",
            },
            "requestId": "1-64f6cd87",
            "time": "2023-09-05T06:41:11Z",
            "timeEpoch": "1693896071895",
        },
    } == made


@pytest.mark.parametrize(
    "kind",
    [
        *("text/html", "application/json; charset=utf-8", "application/xml", "image/svg+xml"),
        *("application/x-www-form-urlencoded", "application/problem+json", "TEXT/PLAIN", ""),
    ],
)
def test_text_stays_text(kind: str) -> None:
    """A body whose type says that it is text is that text."""
    made = event("grüße".encode(), headers=(("content-type", kind),) if kind else ())

    assert ("grüße", False) == (made["body"], made["isBase64Encoded"])


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/octet-stream", b"plain"),
        ("image/png", b"\x89PNG"),
        ("multipart/form-data; boundary=x", b"--x--"),
        ("text/plain; charset=gbk", "中".encode("gbk")),
        ("", b"\xff\xfe"),
    ],
)
def test_what_is_no_text_is_base64(kind: str, body: bytes) -> None:
    """Binary types, and text that is not UTF-8, arrive byte for byte."""
    made = event(body, headers=(("content-type", kind),) if kind else ())

    assert made["isBase64Encoded"] is True
    assert body == base64.b64decode(made["body"])


def test_what_a_function_does_not_see() -> None:
    """FC's own headers and those of the connection are dropped."""
    dropped = ("X-Fc-Log-Type", "x-fc-anything", "Connection", "Keep-Alive")
    made = event(headers=(*((name, "x") for name in dropped), ("X-Kept", "y")))

    assert {"X-Kept": "y"} == made["headers"]


@given(
    path=st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    query=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
        max_size=5,
    ),
    body=st.binary(max_size=64),
    kind=st.sampled_from(["", "text/plain", "application/octet-stream"]),
)
def test_nothing_is_lost(path: str, query: dict[str, str], body: bytes, kind: str) -> None:
    """Whatever path, query and body are, the function can tell what was sent."""
    raw = "/" + quote(path)
    headers = (("content-type", kind),) if kind else ()
    made = event(body, raw_path=raw, query=urlencode(query), headers=headers)

    assert raw == made["rawPath"]
    assert f"/{path}" == made["requestContext"]["http"]["path"]
    assert query == made["queryParameters"]
    told = base64.b64decode(made["body"]) if made["isBase64Encoded"] else made["body"].encode()
    assert body == told


@given(
    raw=st.binary(max_size=60),
    query=st.binary(max_size=60),
    headers=st.lists(st.tuples(st.sampled_from([b"a", b"content-type"]), st.binary(max_size=20))),
)
def test_whatever_bytes_come_make_an_event(
    raw: bytes, query: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    """No path, query or header that a server lets in breaks the event: it is always JSON."""
    whole = scope_of() | {"raw_path": b"/" + raw, "query_string": query, "headers": headers}
    call = call_of(whole, "/")
    made = event_of(call, raw, account_id="", domain_prefix="", request_id="r", now=NOW)

    assert json.loads(made.decode())["requestContext"]["requestId"] == "r"


@pytest.mark.parametrize(
    "scope",
    [
        scope_of(headers=(("x-large", "a" * 8186),)),
        scope_of(headers=tuple((f"x-{n:03}", "a" * 60) for n in range(130))),
        scope_of(raw_path="/" + "a" * 4000, query="b" * 100),
    ],
    ids=["one header", "many headers", "path and query"],
)
def test_limits_of_a_request(scope: dict[str, Any]) -> None:
    """Beyond 8 KB of headers or 4 KB of path and query, 400 ``InvalidArgument``."""
    with pytest.raises(ApiError) as caught:
        check_limits(scope)

    assert (400, "InvalidArgument") == (caught.value.status, caught.value.code)


def test_within_the_limits() -> None:
    """Exactly 8 KB and exactly 4 KB are let in."""
    headers = (("x-large", "a" * (8192 - len("x-large"))),)

    check_limits(scope_of("/" + "a" * 4000, "b" * 95, headers))


def test_a_response_object() -> None:
    """Status, headers and body are the object's; a list sets a header as often."""
    answer = answer_of(
        json.dumps(
            {
                "statusCode": 201,
                "headers": {"Content-Type": "text/plain", "Set-Cookie": ["a=1", "b=2"]},
                "isBase64Encoded": False,
                "body": "made",
            }
        ).encode()
    )

    assert (201, b"made") == (answer.status, answer.body)
    assert [
        ("Content-Type", "text/plain"),
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
    ] == answer.headers


def test_a_binary_response() -> None:
    """With the flag, the body is what its base64 stands for; without headers it has a type."""
    body = base64.b64encode(b"\x00\xff").decode()
    answer = answer_of(
        json.dumps({"statusCode": 200, "isBase64Encoded": True, "body": body}).encode()
    )

    assert b"\x00\xff" == answer.body
    assert [("Content-Type", "application/json")] == answer.headers


@pytest.mark.parametrize(
    "payload",
    [
        *(b"hello", b"", b"[1]", b'{"statusCode": "200"}', b'{"statusCode": true}', b"\xff"),
        *(b'{"a": "statusCode"}', b'{"statusCode": 200, "body": {}}', b'{"statusCode": 200'),
        b'{"statusCode": 200, "headers": {"a": 1}}',
        b'{"statusCode": 200, "headers": []}',
        b'{"statusCode": 200, "isBase64Encoded": 1}',
    ],
)
def test_the_default_reply(payload: bytes) -> None:
    """What is no response object is the body of a 200, as JSON."""
    answer = answer_of(payload)

    assert (200, payload) == (answer.status, answer.body)
    assert [("Content-Type", "application/json")] == answer.headers


def test_base64_that_is_none() -> None:
    """The flag set and no base64: a 502 that says so."""
    answer = answer_of(b'{"statusCode": 200, "isBase64Encoded": true, "body": "*"}')

    assert (502, "BadResponse") == (answer.status, answer.error_type)
    assert b"base64" in answer.body


def test_names_of_headers() -> None:
    """Written the canonical way, as FC's examples are."""
    assert "X-Forwarded-For" == canonical(b"x-forwarded-for")
