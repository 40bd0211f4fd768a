"""A web page in the browser of somebody who runs a daemon that lets everybody in."""

import httpx
import pytest
from service.hostile.conftest import function  # type: ignore[import-not-found]
from support.serving import Served

FUNCTIONS = "/2023-03-30/functions"
INVOKE = f"{FUNCTIONS}/hello/invocations"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example", "Content-Type": "text/plain"},
        {"Origin": "null", "Content-Type": "text/plain"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Host": "evil.example:9000"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "localhost.evil.example"},
        {"Host": "h" * 400},
    ],
    ids=[
        "a form",
        "a sandboxed frame",
        "an image",
        "a page that a function made",
        "a name bent to this machine",
        "a name that begins as an address",
        "a name that begins as localhost",
        "a name without end",
    ],
)
def test_pages_do_not_reach_the_api(open_daemon: Served, headers: dict[str, str]) -> None:
    """Nothing is read, made or run for a page, whichever way it comes."""
    url = open_daemon.url
    read = httpx.get(url + FUNCTIONS, headers=headers)
    run = httpx.post(url + INVOKE, content=b"event", headers=headers)
    made = httpx.post(url + FUNCTIONS, json=function("evil"), headers=headers)

    assert [403, 403, 403] == [reply.status_code for reply in (read, run, made)]
    assert {"AccessDenied"} == {reply.json()["ErrorCode"] for reply in (read, run, made)}
    assert "access-control-allow-origin" not in made.headers
    assert httpx.get(f"{url}{FUNCTIONS}/evil").status_code == 404


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "127.0.0.1:9", "[::1]:80", "a.localhost"]
)
def test_programs_do(open_daemon: Served, host: str) -> None:
    """By any name that is only this machine's, and from a person's address bar."""
    url = open_daemon.url
    told = [
        httpx.post(url + INVOKE, content=b"event", headers={"Host": host}),
        httpx.post(
            url + INVOKE, content=b"event", headers={"Host": host, "Sec-Fetch-Site": "none"}
        ),
    ]
    expected = 404 if host == "a.localhost" else 200  # which is a trigger's, if there is one

    assert [200, 200] == [reply.status_code for reply in told]
    assert [expected] == [httpx.get(url + FUNCTIONS, headers={"Host": host}).status_code]
