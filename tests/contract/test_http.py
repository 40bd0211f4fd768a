"""A handler called the WSGI way: what it is told, and what its answer becomes (spec 4.A)."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from fc_runtime import (
    Crashed,
    HttpRequest,
    HttpResponse,
    InvalidFunctionError,
    Raised,
    ResponseRejected,
    Result,
)
from support.callers import Caller, Deployed

TIERS_MATTER = False  # see conftest

Deploy = Callable[..., Deployed]
PLAIN = (("Content-Type", "text/plain"),)
MiB = 1024 * 1024


def get(function: Deployed, path: str = "/", event: bytes = b"", **options: Any) -> Result:
    """One request; *options* are those of `HttpRequest`, and ``check``."""
    check = options.pop("check", True)
    return function(event, http=HttpRequest(path=path, **options), check=check)


def failed(result: Result) -> dict[str, Any]:
    """The error body of a call that raised."""
    assert isinstance(result.outcome, Raised)
    assert result.http is None
    body: dict[str, Any] = result.json()
    return body


# -- what it is told ---------------------------------------------------------------------------


def test_environ_has_every_key_of_the_table(deploy: Deploy) -> None:
    """4.A: names and values, the environment of the process, and the context."""
    function = deploy("wsgi", "index.told", environment={"STAGE": "test"})

    result = function(
        b"\x00body\xff",
        request_id="the-id",
        http=HttpRequest(
            method="PATCH",
            path="/a b/c",
            request_uri="/2016-08-15/proxy/s/f/a%20b/c?x=1&y=%20",
            client_ip="1.2.3.4",
            host="localhost:9000",
            headers={
                "content-type": ["text/x"],
                "X-Multi": ["one", "two"],
                "Content-Length": ["9"],
            },
        ),
    )

    seen = result.json()
    assert {
        "REQUEST_METHOD": "PATCH",
        "PATH_INFO": "/a b/c",
        "QUERY_STRING": "x=1&y=%20",
        "CONTENT_LENGTH": "6",
        "CONTENT_TYPE": "text/x",
        "HTTP_X_MULTI": "one,two",
        "HTTP_HOST": "localhost:9000",
        "HTTP_X_FC_FUNCTION_HANDLER": "index.told",
        "REMOTE_ADDR": "1.2.3.4",
        "fc.request_uri": "/2016-08-15/proxy/s/f/a%20b/c?x=1&y=%20",
        "SERVER_NAME": "FCRUNTIME",
        "SERVER_PORT": "9000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": "FCRUNTIME/1.0",
        "HTTP": "on",
        "SCRIPT_NAME": "",
        "wsgi.version": [1, 0],
        "wsgi.url_scheme": "http",
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "STAGE": "test",
        "body": "\x00body\xff",
        "errors": True,
        "context": "the-id",
    } == {
        key: value
        for key, value in seen.items()
        if not key.startswith(("FC_", "PYTHON", "LD_"))
        and key not in {"PATH", "LANG", "HOME", "TMPDIR"}
    }
    assert "HTTP_CONTENT_LENGTH" not in seen
    assert function.name == seen["FC_FUNCTION_NAME"]


def test_environ_of_the_least_request(deploy: Deploy) -> None:
    """Empty path, no query, no headers, no body."""
    seen = get(deploy("wsgi", "index.told"), path="").json()

    assert ("/", "", "0") == (seen["PATH_INFO"], seen["QUERY_STRING"], seen["CONTENT_LENGTH"])
    assert "application/octet-stream" == seen["CONTENT_TYPE"]
    assert "HTTP_HOST" not in seen


def test_path_that_is_not_ascii_is_as_frameworks_expect_it(deploy: Deploy) -> None:
    """PEP 3333: the bytes of the path, one a character."""
    seen = get(deploy("wsgi", "index.told"), path="/ä/函数").json()

    assert "/ä/函数" == seen["PATH_INFO"].encode("latin-1").decode()


# -- what it answers ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("handler", "status", "payload"),
    [
        ("writes", 201, "ä, b, c, d, e"),
        ("generates", 200, "one two"),
        ("bare_bytes", 200, "whole"),
        ("bare_text", 200, "grüß dich"),
        ("Page", 200, "page /x"),
    ],
)
def test_bodies_of_every_kind(deploy: Deploy, handler: str, status: int, payload: str) -> None:
    """What was written, then what was returned; texts as UTF-8."""
    result = get(deploy("wsgi", f"index.{handler}"), "/x")

    assert (HttpResponse(status, PLAIN), payload) == (result.http, result.text)
    assert b"" == result.log  # nobody closes what was returned


@pytest.mark.parametrize("size", [0, 1, 100_000, 3 * MiB])
def test_bodies_of_any_size_there_and_back(deploy: Deploy, size: int) -> None:
    """All 256 values of a byte, unchanged."""
    body = (bytes(range(256)) * (size // 256 + 1))[:size]

    assert body == get(deploy("wsgi", "index.echo"), event=body, method="POST").payload


def test_status_and_headers_are_the_handlers(deploy: Deploy) -> None:
    """In its order and spelling, repeated ones too; spaces around a value are not part of it."""
    headers = [["X-b", "1"], ["x-A", "ünïcode"], ["Set-Cookie", "a=1"], ["Set-Cookie", "b=2"]]
    headers.append(["X-Empty", " "])
    function = deploy("wsgi", "index.chosen")

    result = get(function, event=json.dumps(["418 I'm a teapot", headers]).encode())
    bare = get(function, event=json.dumps(["204", []]).encode())

    assert result.http is not None
    assert 418 == result.http.status
    assert [(name, value.strip()) for name, value in headers] == list(result.http.headers)
    assert HttpResponse(204) == bare.http


def test_many_headers_of_a_request(deploy: Deploy) -> None:
    """More than fit a page, up to 100 KiB in all."""
    headers = {f"X-Header-{number}": ["v" * 600] for number in range(150)}

    seen = get(deploy("wsgi", "index.told"), headers=headers).json()

    assert 150 == sum(key.startswith("HTTP_X_HEADER_") for key in seen)


def test_start_response_may_be_called_again(deploy: Deploy) -> None:
    """The last call counts."""
    result = get(deploy("wsgi", "index.twice"))

    assert HttpResponse(500, (("X-Why", "late"),)) == result.http


def test_start_response_that_is_never_called(deploy: Deploy) -> None:
    """200 without headers."""
    result = get(deploy("wsgi", "index.silent"))

    assert (HttpResponse(200), b"never started") == (result.http, result.payload)


def test_one_instance_answers_events_and_requests(deploy: Deploy) -> None:
    """Which it is, is said with each call; no call is taken for the other kind."""
    function = deploy("wsgi", "index.both", max_instances=1)

    results = [function(b"x"), get(function), function(b"x"), get(function)]

    assert [None, HttpResponse(204)] * 2 == [result.http for result in results]
    assert [b"event", b""] * 2 == [result.payload for result in results]
    assert 1 == len({result.instance_id for result in results})


# -- what goes wrong ---------------------------------------------------------------------------


@pytest.mark.parametrize("handler", ["nothing", "number"])
def test_no_response_at_all(deploy: Deploy, handler: str) -> None:
    """None and numbers are FC's ``invalid response type``."""
    body = failed(get(deploy("wsgi", f"index.{handler}"), check=False))

    assert ("invalid response type", "Exception") == (body["errorMessage"], body["errorType"])


@pytest.mark.parametrize(
    ("handler", "message"), [("raises", "no such page"), ("raises_late", "half-way")]
)
def test_exceptions_are_error_bodies(deploy: Deploy, handler: str, message: str) -> None:
    """With the runtime's own frame first, and the traceback in the log at ERROR."""
    result = get(deploy("wsgi", f"index.{handler}"), check=False)

    body = failed(result)
    assert (message, "LookupError") == (body["errorMessage"], body["errorType"])
    first, *_, last = body["stackTrace"]
    assert "fc_worker/wsgi.py" in first[0]
    assert f"in {handler}" in last
    assert b"[ERROR] Traceback (most recent call last):" in result.log


@pytest.mark.parametrize(
    "answer",
    [
        ["99 Too low", []],
        ["600 Too high", []],
        ["OK", []],
        ["", []],
        ["200 OK", [["", "empty name"]]],
        ["200 OK", [["a b", "x"]]],
        ["200 OK", [["X-Split", "x\r\nSet-Cookie: evil"]]],
        ["200 OK", [["X-Nul", "\0"]]],
        ["200 OK", [["X-Surrogate", "\ud800"]]],
        ["200 OK", [["X-Long", "x" * 65_536]]],
        ["200 OK", [["X-Many", "x"]] * 501],
    ],
    ids=lambda answer: f"{answer[0]} {answer[1][:1]}"[:40].encode("ascii", "replace").decode(),
)
def test_bad_status_or_header_is_the_handlers_exception(deploy: Deploy, answer: Any) -> None:
    """It never reaches a client; the instance lives on."""
    function = deploy("wsgi", "index.chosen")

    failed(get(function, event=json.dumps(answer).encode(), check=False))

    after = get(function, event=b'["200 OK", []]')
    assert after.ok
    assert not after.cold_start


def test_event_handler_asked_for_a_page(deploy: Deploy) -> None:
    """Its exception is the answer, as anybody's is."""
    assert "AttributeError" == failed(get(deploy("wsgi"), check=False))["errorType"]


@pytest.mark.parametrize(("handler", "code"), [("leaves", 3), ("dies", 4)])
def test_process_that_ends(deploy: Deploy, handler: str, code: int) -> None:
    """As with any event."""
    result = get(deploy("wsgi", f"index.{handler}"), check=False)

    assert isinstance(result.outcome, Crashed)
    assert (code, None) == (result.outcome.exit_code, result.http)


def test_response_that_is_too_large(open_caller: Callable[..., Caller], deploy: Deploy) -> None:
    """The limit is that of any result."""
    function = deploy("wsgi", "index.echo", on=open_caller(max_response_bytes=1000))

    result = get(function, event=b"x" * 1001, check=False)

    assert isinstance(result.outcome, ResponseRejected)
    assert result.http is None


@pytest.mark.parametrize(
    "http",
    [
        {"path": "/"},
        HttpRequest(method=5),  # type: ignore[arg-type]
        HttpRequest(headers={"X": "text"}),
        HttpRequest(headers={"X": [5]}),  # type: ignore[list-item]
        HttpRequest(headers={"X": ["x" * 102_400]}),
    ],
    ids=["dict", "method", "text for list", "number", "too long"],
)
def test_bad_requests_are_refused(deploy: Deploy, http: Any) -> None:
    """Before any instance is asked."""
    with pytest.raises(InvalidFunctionError, match="http="):
        deploy("wsgi", "index.echo")(b"", http=http)


# -- frameworks --------------------------------------------------------------------------------


@pytest.mark.parametrize("framework", ["flask_app", "django_app"])
def test_frameworks_work_unmodified(deploy: Deploy, framework: str) -> None:
    """Routes, queries, forms, cookies, and what is not found."""
    function = deploy(framework, "index.app", initialization_timeout=60.0, timeout=30.0)

    hello = get(
        function, "/hello/wörld", host="localhost", request_uri="/p/hello/w%C3%B6rld?q=1&q=2"
    )
    form = get(
        function,
        "/form",
        b"a=1&b=%20",
        method="POST",
        host="localhost",
        headers={"Content-Type": ["application/x-www-form-urlencoded"]},
    )
    lost = get(function, "/nowhere", host="localhost")

    assert hello.http is not None and form.http is not None and lost.http is not None
    assert (200, 201, 404) == (hello.http.status, form.http.status, lost.http.status)
    assert hello.text.startswith("Hello, wörld! ['1', '2']")
    assert {"a": "1", "b": " "} == form.json()
    cookies = [value for name, value in form.http.headers if name.lower() == "set-cookie"]
    assert ["a=1", "b=2"] == [cookie.split(";")[0] for cookie in cookies]


def test_flask_takes_bytes_and_catches_its_own(deploy: Deploy) -> None:
    """An exception that the framework turns into a page is a page."""
    function = deploy("flask_app", "index.app", initialization_timeout=60.0, timeout=30.0)

    assert bytes(range(256)) == get(function, "/upload", bytes(range(256)), method="PUT").payload
    broken = get(function, "/breaks")

    assert broken.http is not None
    assert 500 == broken.http.status
    assert b"caught by Flask" in broken.log
