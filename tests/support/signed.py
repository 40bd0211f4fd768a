"""
Requests as the official clients sign and send them, and a server that says whom it took them for.

What a client puts on the wire is taken from `requests`, which all of them send with.
"""

import asyncio
import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

import requests
import uvicorn
from alibabacloud_tea_openapi.utils import Utils
from fc2.auth import Auth
from fc_runtime.service.auth import AccessKey, AccessKeys, Authenticator, Request
from fc_runtime.service.auth.nonces import Nonces
from fc_runtime.service.errors import ApiError

NOW = 1_700_000_000.0  # 2023-11-14 22:13:20 UTC
NOW_ISO = "2023-11-14T22:13:20Z"
EMPTY = hashlib.sha256(b"").hexdigest()
KEY = AccessKey("LTAIkey", "s3cret")
TEMPORARY = AccessKey("STS.key", "0ther", "t0ken/+=")
ACCOUNT = "123456789012"


def authenticator(now: float = NOW, keys: AccessKeys | None = None, **more: Any) -> Authenticator:
    """One whose clock stands at *now*."""
    keys = AccessKeys([KEY, TEMPORARY]) if keys is None else keys
    return Authenticator(keys, account=ACCOUNT, clock=lambda: now, **more)


@dataclass
class Wire:
    """A request as it goes over the wire; a test may change any of it."""

    method: str
    path: bytes
    query: bytes
    headers: dict[str, str]
    body: bytes = b""

    @classmethod
    def of(cls, prepared: requests.PreparedRequest) -> "Wire":
        path, _, query = (prepared.path_url or "/").partition("?")
        headers = {name.lower(): str(value) for name, value in prepared.headers.items()}
        headers.setdefault("host", urlsplit(prepared.url or "").netloc)
        body = prepared.body or b""
        return cls(
            prepared.method or "",
            path.encode(),
            query.encode(),
            headers,
            body.encode() if isinstance(body, str) else body,
        )

    def request(self) -> Request:
        pairs = [(name.encode(), value.encode("latin-1")) for name, value in self.headers.items()]
        return Request(self.method, self.path, self.query, pairs)

    @property
    def body_sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()


def _sent(method: str, path: str, params: object, headers: dict[str, str], body: bytes) -> Wire:
    url = f"http://127.0.0.1:9000{path}"
    asked: Any = params or None
    made = requests.Request(method, url, params=asked, headers=headers, data=body or None)
    return Wire.of(made.prepare())


def fc2_signed(
    method: str = "GET",
    path: str = "/2016-08-15/services",
    *,
    query: dict[str, Any] | None = None,
    signs_query: bool = False,
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    key: AccessKey = KEY,
    now: float = NOW,
) -> Wire:
    """By `fc2.auth` of aliyun-fc2, in the order of its client; *path* is encoded."""
    sent = {"host": "127.0.0.1:9000", "date": formatdate(now, usegmt=True)}
    sent |= {"content-type": "application/json"}
    if key.security_token:
        sent["x-fc-security-token"] = key.security_token
    sent |= headers or {}
    auth = Auth(key.id, key.secret, key.security_token)
    queries = (query or {}) if signs_query else None
    sent["authorization"] = auth.sign_request(method, unquote(path), sent, queries)
    return _sent(method, path, query, sent, body)


def tea_signed(
    method: str = "POST",
    path: str = "/2023-03-30/functions/hello/invocations",
    *,
    query: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    key: AccessKey = KEY,
    date: str = NOW_ISO,
    nonce: str = "nonce-1",
    utils: Any = Utils,
) -> Wire:
    """By the signer of the newer SDKs, which signs every header that it sends."""
    sent = {
        "host": "127.0.0.1:9000",
        "x-acs-version": "2023-03-30",
        "x-acs-action": "InvokeFunction",
        "x-acs-date": date,
        "x-acs-signature-nonce": nonce,
        "accept": "application/json",
        "user-agent": "AlibabaCloud (linux) Python/3",
        "x-acs-content-sha256": hashlib.sha256(body).hexdigest(),
    }
    sent |= headers or {}
    if key.security_token:
        sent |= {"x-acs-accesskey-id": key.id, "x-acs-security-token": key.security_token}
    signing = SimpleNamespace(method=method, pathname=path, query=query or {}, headers=sent)
    authorization = utils.get_authorization(
        signing, "ACS3-HMAC-SHA256", sent["x-acs-content-sha256"], key.id, key.secret
    )
    on_the_wire = f"{path}?{urlencode(query)}" if query else path
    return _sent(method, on_the_wire, None, sent | {"Authorization": authorization}, body)


def encoded(path: str) -> str:
    """As the SDKs encode a path."""
    return quote(path, safe="/~")


@dataclass
class Doorkeeper:
    """What `serving` gives: the URL, and what came."""

    url: str = ""
    answers: list[dict[str, Any]] = field(default_factory=list)

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc


@contextmanager
def serving(keys: AccessKeys) -> Iterator[Doorkeeper]:
    """A real server with the real clock, which answers with the caller of each request."""
    keeper = Doorkeeper()
    checks = Authenticator(keys, account=ACCOUNT, nonces=Nonces())

    async def app(scope: Any, receive: Any, send: Any) -> None:
        digest, more = hashlib.sha256(), True
        request = Request(
            scope["method"], scope["raw_path"], scope["query_string"], scope["headers"]
        )
        while more:
            message = await receive()
            digest.update(message.get("body", b""))
            more = message.get("more_body", False)
        try:
            is_trigger = scope["path"].startswith("/trigger/")
            caller = checks.check(request, digest.hexdigest(), http_trigger=is_trigger)
            status, answer = 200, {"caller": caller.access_key_id}
        except ApiError as error:
            status, answer = error.status, error.body("request-id")
        keeper.answers.append(answer)
        content_type = (b"content-type", b"application/json")
        start = {"type": "http.response.start", "status": status, "headers": [content_type]}
        await send(start)
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})

    with socket.create_server(("127.0.0.1", 0)) as listening:
        keeper.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        config = uvicorn.Config(app, lifespan="off", log_config=None, timeout_keep_alive=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=asyncio.run, args=[server.serve([listening])])
        thread.start()
        try:
            yield keeper  # the socket listens already: who connects waits for the loop
        finally:
            server.should_exit = True
            thread.join(30)
