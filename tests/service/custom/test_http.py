"""
A custom runtime under the requests of HTTP triggers, which FC passes through as they came
(spec 9.A): as an event (4.B), or the WSGI way (4.A).
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fc_platform import Platform, platform


def environ_of(handlers: Path, handler: str) -> dict[str, str]:
    return {
        "FC_INSTANCE_ID": "c-65e59b07-1520da26-bf73bbb91b69",
        "FC_FUNC_CODE_PATH": str(handlers / "on_platform"),
        "FC_FUNCTION_HANDLER": handler,
        "FC_FUNCTION_TIMEOUT": "20",
        "FC_ACCOUNT_ID": "1234567890",
    }


@pytest.fixture
def as_event(handlers: Path) -> Iterator[Platform]:
    with platform(environ_of(handlers, "index.http")) as player:
        yield player


@pytest.fixture
def as_wsgi(handlers: Path) -> Iterator[Platform]:
    with platform(environ_of(handlers, "index.application")) as player:
        yield player


def test_a_request_as_an_event(as_event: Platform) -> None:
    """``handler(event, context)`` gets version ``v1``, and its response object is the response."""
    answer = as_event.pass_through(
        "PUT",
        "/a%20b/c?q=1&m=a&m=b",
        b"Hello",
        content_type="text/plain",
        x_multi="v1",
        x_fc_request_id="1-http",
        x_fc_region="cn-hangzhou",
    )

    request = answer.json()
    assert (201, "200") == (answer.status_code, answer.headers["x-fc-status"])
    assert "v1" == request["version"]
    assert "/a%20b/c" == request["rawPath"]
    assert "Hello" == request["body"]
    assert {"q": "1", "m": "a,b"} == request["queryParameters"]
    assert "v1" == request["headers"]["X-Multi"]
    assert not [name for name in request["headers"] if name.lower().startswith("x-fc-")]
    context = request["requestContext"]
    assert ("1-http", "1234567890") == (context["requestId"], context["accountId"])
    assert ("PUT", "/a b/c") == (context["http"]["method"], context["http"]["path"])


def test_the_response_is_the_functions(as_event: Platform) -> None:
    """Its headers pass, but for those that are the platform's to set (spec 4.C)."""
    answer = as_event.pass_through("GET", "/")

    assert "yes" == answer.headers["x-mine"]
    assert "x-fc-mine" not in answer.headers
    assert str(len(answer.content)) == answer.headers["content-length"]


def test_head_has_no_body(as_event: Platform) -> None:
    """HEAD gets the headers of the answer alone, and the connection lives on."""
    answer = as_event.pass_through("HEAD", "/")

    assert (201, b"") == (answer.status_code, answer.content)
    assert 201 == as_event.pass_through("GET", "/").status_code


def test_the_control_path_decides(as_event: Platform) -> None:
    """``/invoke`` is a path like others when the platform says that it passes a request through."""
    passed = as_event.pass_through("POST", "/invoke", b"x")
    called = as_event.invoke(b'{"rawPath": "/by hand"}')

    assert (201, "/invoke") == (passed.status_code, passed.json()["rawPath"])
    assert 200 == called.status_code
    assert 201 == called.json()["statusCode"]  # an event call: what it returns is the result


def test_without_a_platform_the_path_decides(as_event: Platform) -> None:
    """As in Knative or any container: whatever is not the contract's is the handler's."""
    answer = as_event.client.get("/orders/7")

    assert (201, "/orders/7") == (answer.status_code, answer.json()["rawPath"])
    assert 201 == as_event.client.get("/invoke").status_code


def test_the_path_before_the_functions_own(as_event: Platform) -> None:
    """``x-fc-base-path`` is taken off the path that the handler sees."""
    base = "/2016-08-15/proxy/svc/fn"
    answer = as_event.pass_through("GET", f"{base}/orders?x=1", x_fc_base_path=base)

    assert "/orders" == answer.json()["rawPath"]


def test_a_function_that_fails(as_event: Platform) -> None:
    """The client gets a 502 with FC's error body, and the platform hears that it failed."""
    answer = as_event.pass_through("GET", "/raise", x_fc_request_id="1-raise")

    assert (502, "404") == (answer.status_code, answer.headers["x-fc-status"])
    assert ("ValueError", "of http") == (
        answer.json()["errorType"],
        answer.json()["errorMessage"],
    )
    assert as_event.program.says("End RequestId: 1-raise, Error: Unhandled function error\n")


def test_a_wsgi_application(as_wsgi: Platform) -> None:
    """``application(environ, start_response)`` is known by its arguments (spec 4.A)."""
    answer = as_wsgi.pass_through(
        "POST",
        "/a%20b?q=1",
        bytes(range(256)),
        x_fc_request_id="1-wsgi",
        x_fc_region="cn-hangzhou",
    )

    assert (202, "200") == (answer.status_code, answer.headers["x-fc-status"])
    assert "text/x-plain" == answer.headers["content-type"]
    assert ["a=1", "b=2"] == answer.headers.get_list("set-cookie")
    told = b"POST|/a b|q=1|/a%20b?q=1|1-wsgi|False|"
    assert told + bytes(range(256)) == answer.content


def test_a_wsgi_application_that_fails(as_wsgi: Platform) -> None:
    """502 as well; the next request is served."""
    answer = as_wsgi.pass_through("GET", "/raise")

    assert (502, "404") == (answer.status_code, answer.headers["x-fc-status"])
    assert "of wsgi" == json.loads(answer.content)["errorMessage"]
    assert 202 == as_wsgi.pass_through("GET", "/").status_code
