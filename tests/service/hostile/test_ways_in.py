"""Everybody outside a daemon with keys: by no spelling of a path, no header, no host do they get in."""

import http.client
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from support.serving import LONG_S, Served
from support.signed import tea_signed

KEYS = "LTAIkey:s3cret"  # of `support.signed`
CODE = """
import json

ANSWERS = {
    "/split": {"headers": {"X-A": "a\\r\\nSet-Cookie: evil=1"}},
    "/name": {"headers": {"X-A: b\\r\\nSet-Cookie": "evil=1"}},
    "/type": {"headers": {"Content-Type": "text/html\\r\\n\\r\\n<script>"}},
    "/large": {"headers": {"X-A": "a" * 65536}},
    "/framing": {"headers": {"Content-Length": "9", "Transfer-Encoding": "chunked"}},
    "/early": {"statusCode": 101, "headers": {"Upgrade": "x"}},
    "/half": {"headers": {"X-A": "\\ud800"}},
}

def handler(event, context):
    asked = json.loads(event)
    answer = ANSWERS.get(asked["rawPath"], {"headers": {}})
    return {"statusCode": 200, "body": "told", **answer}
"""
MANIFEST = """\
edition: 3.0.0
name: demo
resources:
  open:
    component: fc3
    props: &props
      region: cn-hangzhou
      functionName: open
      runtime: python3.10
      code: ./code
      handler: index.handler
      timeout: 30
      triggers:
        - triggerName: web
          triggerType: http
          triggerConfig: {authType: anonymous, methods: [GET]}
  shut:
    component: fc3
    props:
      <<: *props
      functionName: shut
      triggers:
        - triggerName: web
          triggerType: http
          triggerConfig: {authType: function, methods: [GET]}
"""


TARGETS = [
    "/2023-03-30/functions",
    "/2023-03-30/functions/",
    "/2023-03-30/functions?x",
    "//2023-03-30/functions",
    "/./2023-03-30/functions",
    "/x/../2023-03-30/functions",
    "/2023-03-30%2Ffunctions",
    "/%32023-03-30/functions",
    "/2023-03-30/functions;x",
    "/2016-08-15/proxy/../services",
    "/2016-08-15/%70roxy/../services",
    "/2016-08-15/services",
    "/2023-03-30/functions/open/%69nvocations",
    "/_fc/http/web.shut/",
    "/_fc/http/web%2Eshut/",
    "/_fc/http/web.shut%2F",
    f"/_fc/code/{'a' * 64}.zip",
    f"/_fc/code/{'a' * 64}.zip?expires=99999999999&token={'a' * 64}",
    "/_fc/code/..%2F..%2Faccount.db.zip?expires=99999999999&token=x",
    "http://web-open.localhost/2023-03-30/functions",
]
HEADERS = [
    "X-Http-Method-Override: OPTIONS",
    "X-Forwarded-Host: web-open.localhost",
    "X-Original-Url: /healthz",
    "Authorization: ",
    "Authorization: FC LTAIkey:",
    "Authorization: Basic TFRBSWtleTpzM2NyZXQ=",
    "Authorization: ACS3-HMAC-SHA256 Credential=LTAIkey,SignedHeaders=,Signature=",
    "Authorization: FC LTAIkey:x\nAuthorization: FC LTAIkey:y",
    "X-Fc-Account-Id: 123456789012",
    "Origin: http://localhost",
]
ANSWERED = {
    "/split": 502,
    "/name": 502,
    "/type": 502,
    "/large": 502,
    "/early": 502,
    "/framing": 200,
    "/half": 200,
}
INVOKE = "/2023-03-30/functions/open/invocations"


class Wires:
    """Asks exactly what it is given."""

    def __init__(self, served: Served) -> None:
        address = urlsplit(served.url)
        self.address = (address.hostname, address.port)

    def ask(self, head: str, body: bytes = b"") -> tuple[int, http.client.HTTPResponse, bytes]:
        """Status, reply, and its content."""
        with socket.create_connection(self.address, LONG_S) as sock:
            lines = head.replace("\n", "\r\n").encode("latin-1")
            length = f"\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            sock.sendall(lines + length + body)
            reply = http.client.HTTPResponse(sock)
            reply.begin()
            return reply.status, reply, reply.read()


@pytest.fixture
def wires(home: Path) -> Iterator[Wires]:
    """To a daemon with `KEYS` that serves `MANIFEST`."""
    folder = home / "project"
    (folder / "code").mkdir(parents=True)
    (folder / "code" / "index.py").write_text(CODE)
    (folder / "s.yaml").write_text(MANIFEST)
    with Served(home, folder, FC_RUNTIME_ACCESS_KEYS=KEYS) as served:
        yield Wires(served)
        assert "s3cret" not in served.errors
        assert "Traceback" not in served.errors


def test_paths(wires: Wires) -> None:
    """However it is spelled: what needs a signature is refused without one."""
    for target in TARGETS:
        for method in ("GET", "POST", "PUT"):
            status, _, told = wires.ask(f"{method} {target} HTTP/1.1\nHost: localhost")

            assert 400 <= status < 500, (method, target)
            assert b"functionName" not in told, (method, target)


def test_headers(wires: Wires) -> None:
    """Nor does any header let anybody in."""
    for headers in HEADERS:
        status, _, told = wires.ask(f"POST {INVOKE} HTTP/1.1\nHost: localhost\n{headers}")

        assert status in (400, 403), headers
        assert b"ErrorCode" in told, headers


def test_hosts(wires: Wires) -> None:
    """A host is a trigger's or nobody's: the rules of one cannot be had for another."""
    ask = "GET /2023-03-30/functions HTTP/1.1\nHost: "

    assert wires.ask(f"{ask}web-open.localhost")[2] == b"told"  # the function's own path
    assert wires.ask(f"{ask}web-shut.localhost")[0] == 403
    assert wires.ask(f"{ask}evil.example")[0] == 400
    assert wires.ask(f"{ask}web-open.localhost\nHost: localhost")[0] == 400


def test_signed_and_changed(wires: Wires) -> None:
    """A signed request is let in once, as it was signed, and not with anything of it changed."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())

    def asked(nonce: str, target: str = INVOKE, body: bytes = b"{}", more: str = "") -> int:
        wire = tea_signed(body=b"{}", path=INVOKE, date=now, nonce=nonce)
        headers = "".join(
            f"\n{name}: {value}" for name, value in wire.headers.items() if name != "content-length"
        )
        return wires.ask(f"POST {target} HTTP/1.1{headers}{more}", body)[0]

    assert asked("first") == 200
    assert asked("first") == 403
    assert asked("body", body=b"[]") == 403
    assert asked("path", INVOKE.replace("open", "%6fpen")) == 403
    assert asked("query", f"{INVOKE}?qualifier=LATEST") == 403
    assert asked("header", more="\nx-acs-more: 1") == 403
    assert asked("twice", more="\nx-acs-version: 2021-04-06") in (400, 403)


def test_what_handlers_answer(wires: Wires) -> None:
    """A function cannot write what it is not to write: one reply, of headers that are its own."""
    for path, expected in ANSWERED.items():
        target = f"/_fc/http/web.open{path}"
        status, reply, told = wires.ask(f"GET {target} HTTP/1.1\nHost: localhost")

        assert status == expected, path
        assert reply.getheader("Set-Cookie") is None, path
        assert reply.getheader("Transfer-Encoding") is None, path
        assert reply.getheader("Content-Length") == str(len(told)), path
        assert (reply.getheader("X-Fc-Error-Type") == "BadResponse") == (expected == 502), path
