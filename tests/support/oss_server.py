"""
An object store that speaks OSS on loopback, and believes nobody.

What the `oss2` SDK sends is checked as the service checks it: key id, date, signature (V1 and V4),
security token, Content-MD5. What it refuses, it refuses with OSS's own status, code and XML.
Objects live in memory. Standard library only, so that it shares no code with the SDK it tests.

    with OssServer(access_key_id=..., access_key_secret=..., security_token=..., bucket=...) as oss:
        oss.endpoint  # http://127.0.0.1:PORT; SDKs address a bucket by path when the host is an IP
        oss.requests  # what was asked so far, each with its verdict

As a program (`python tests/support/oss_server.py`) it prints its endpoint and serves until SIGTERM
or SIGINT. It reads OSS_ACCESS_KEY_ID, OSS_ACCESS_KEY_SECRET, OSS_SESSION_TOKEN, OSS_BUCKET and
OSS_REGION, OSS_PORT from the environment: a command line is public.

Invariants
- A secret, ours or one that was sent, appears in no answer and in no log line.
- A request that is spoken at all is judged in this order: key id, date, signature, token, what it
  asks. So only who holds the secret learns whether a token or an object's name is right.
- After `close()` no thread and no socket is left.

Not spoken: presigned URLs, V2 signatures, ranges, listing, multipart. Refused, never ignored, but
for Range: HTTP allows to answer with the whole object.
"""

import base64
import contextlib
import hashlib
import hmac
import os
import signal
import socket
import socketserver
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate, parsedate_to_datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qsl, quote, unquote_to_bytes, urlsplit
from xml.sax.saxutils import escape

MAX_SKEW_S: Final = 15 * 60  # OSS: RequestTimeTooSkewed beyond it
MAX_BODY_BYTES: Final = 64 * 1024 * 1024
IDLE_S: Final = 30.0  # a silent connection is let go
KNOWN_QUERY: Final = frozenset({"objectMeta"})  # Bucket.object_exists() and get_object_meta()
V4: Final = "OSS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as a test wants to read it. *verdict* is "ok" or OSS's error code."""

    method: str
    path: str
    verdict: str


@dataclass(frozen=True, slots=True)
class Request:
    """A request in full. Never shown: its headers hold a token and a signature."""

    method: str
    target: str  # path and query, still percent-encoded
    headers: Mapping[str, str] = field(repr=False)  # names in lower case
    body: bytes = field(repr=False, default=b"")

    @property
    def resource(self) -> bytes:
        """`/bucket/key` in plain bytes: what both signatures are made over."""
        return unquote_to_bytes(urlsplit(self.target).path)

    @property
    def query(self) -> list[tuple[str, str]]:
        return sorted(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    def header(self, name: str) -> str:
        return self.headers.get(name, "")


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class Refusal(Exception):  # noqa: N818 - an answer, not a fault
    """OSS's way to say no."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}")
        self.status, self.code, self.message = status, code, message

    def response(self, request_id: str, host_id: str) -> Response:
        parts = {
            "Code": self.code,
            "Message": self.message,
            "RequestId": request_id,
            "HostId": host_id,
        }
        inner = "".join(f"  <{name}>{escape(text)}</{name}>\n" for name, text in parts.items())
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>\n{inner}</Error>\n'.encode()
        headers = {
            "Content-Type": "application/xml",
            "x-oss-err": base64.b64encode(body).decode(),  # all that the answer to a HEAD can carry
        }
        return Response(self.status, headers, body)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What was put, and what is said about it ever after."""

    body: bytes = field(repr=False)
    headers: Mapping[str, str]

    @classmethod
    def put(cls, request: Request, now_s: float) -> Self:
        headers = {
            "Content-Type": request.header("content-type") or "application/octet-stream",
            "ETag": f'"{hashlib.md5(request.body).hexdigest().upper()}"',
            "Last-Modified": formatdate(now_s, usegmt=True),
            "x-oss-hash-crc64ecma": str(crc64(request.body)),
            "x-oss-object-type": "Normal",
            "x-oss-storage-class": "Standard",
        }
        meta = {k: v for k, v in request.headers.items() if k.startswith("x-oss-meta-")}
        return cls(request.body, headers | meta)


class OssServer:
    """One bucket behind one identity. See the top of the file."""

    def __init__(
        self,
        *,
        access_key_id: str,
        access_key_secret: str,
        bucket: str,
        security_token: str | None = None,  # None: a long-lived key, which is sent without a token
        region: str = "cn-hangzhou",  # part of what a V4 signature signs
        port: int = 0,
        clock: Callable[[], float] = time.time,
        log: Callable[[str], object] | None = None,
    ) -> None:
        if not (access_key_id and access_key_secret and bucket):
            raise ValueError("access_key_id, access_key_secret and bucket must not be empty")
        self.bucket = bucket
        self._key_id = access_key_id
        self._secret = access_key_secret
        self._token = security_token
        self._region = region
        self._port = port
        self._clock = clock
        self._log = log
        self._lock = threading.Lock()
        self._objects: dict[bytes, StoredObject] = {}
        self._seen: list[Seen] = []
        self._listener: _Listener | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def start(self) -> None:
        if self._listener is not None:
            raise RuntimeError("the server is already started")
        self._listener = _Listener(("127.0.0.1", self._port), self)
        self._thread = threading.Thread(
            target=self._listener.serve_forever, args=(0.02,), name="oss-server"
        )
        self._thread.start()

    def close(self) -> None:
        """Stop, hang up on everybody, and wait for the last thread. May be called again."""
        listener, thread = self._listener, self._thread
        self._listener = self._thread = None
        if listener is not None and thread is not None:
            listener.shutdown()
            thread.join()
            listener.hang_up()
            listener.server_close()  # joins the threads of the connections

    @property
    def host(self) -> str:
        if self._listener is None:
            raise RuntimeError("the server is not running")
        return f"127.0.0.1:{self._listener.server_port}"

    @property
    def endpoint(self) -> str:
        return f"http://{self.host}"

    @property
    def requests(self) -> tuple[Seen, ...]:
        with self._lock:
            return tuple(self._seen)

    @property
    def objects(self) -> dict[str, bytes]:
        """Key to content, as it is now."""
        with self._lock:
            return {key.decode(): stored.body for key, stored in self._objects.items()}

    def note(self, method: str, target: str, verdict: str) -> None:
        """Remember a request. Its query stays out: a presigned one would hold a token."""
        seen = Seen(method, target.partition("?")[0], verdict)
        with self._lock:
            self._seen.append(seen)
        if self._log is not None:
            self._log(ascii(f"{seen.method} {seen.path} {seen.verdict}")[1:-1])

    def answer(self, request: Request) -> Response:
        """Judge, then obey. Raises Refusal."""
        if any(name not in KNOWN_QUERY for name, _ in request.query):
            raise Refusal(501, "NotImplemented", "This server knows plain object requests only.")
        self._authenticate(request)
        bucket, _, key = request.resource.removeprefix(b"/").partition(b"/")
        if bucket != self.bucket.encode():
            raise Refusal(404, "NoSuchBucket", "The specified bucket does not exist.")
        if not key:
            raise not_allowed()
        match request.method:
            case "PUT":
                return self._put(key, request)
            case "GET" | "HEAD":
                return self._get(key)
            case "DELETE":
                with self._lock:
                    self._objects.pop(key, None)
                return Response(204)  # also when there was nothing: deleting is idempotent
            case _:
                raise not_allowed()

    def _put(self, key: bytes, request: Request) -> Response:
        if sent := request.header("content-md5"):
            ours = base64.b64encode(hashlib.md5(request.body).digest()).decode()
            if sent != ours:
                raise Refusal(400, "InvalidDigest", "The Content-MD5 you specified is not valid.")
        stored = StoredObject.put(request, self._clock())
        with self._lock:
            self._objects[key] = stored
        return Response(200, {n: stored.headers[n] for n in ("ETag", "x-oss-hash-crc64ecma")})

    def _get(self, key: bytes) -> Response:
        with self._lock:
            stored = self._objects.get(key)
        if stored is None:
            raise Refusal(404, "NoSuchKey", "The specified key does not exist.")
        return Response(200, stored.headers, stored.body)

    def _authenticate(self, request: Request) -> None:
        authorization = request.header("authorization")
        if not authorization:
            raise denied("You have no right to access this object because of bucket acl.")
        scheme, _, rest = authorization.partition(" ")
        if scheme == "OSS":
            key_id, _, sent = rest.rpartition(":")
        elif scheme == V4:
            fields = dict(part.strip().partition("=")[::2] for part in rest.split(","))
            key_id, _, scope = fields.get("Credential", "").partition("/")
            sent = fields.get("Signature", "")
        else:
            raise Refusal(400, "InvalidArgument", "Authorization type is not supported.")

        if not same(key_id, self._key_id):
            raise Refusal(
                403,
                "InvalidAccessKeyId",
                "The OSS Access Key Id you provided does not exist in our records.",
            )
        self._check_date(request, scheme)
        if scheme == "OSS":
            expected = sign_v1(self._secret, request)
        else:
            day = request.header("x-oss-date")[:8]
            if scope != f"{day}/{self._region}/oss/aliyun_v4_request":
                raise Refusal(403, "InvalidArgument", "The credential scope is not ours.")
            if request.header("x-oss-content-sha256") != "UNSIGNED-PAYLOAD":
                raise Refusal(400, "InvalidArgument", "x-oss-content-sha256 is not valid.")
            also_signed = fields.get("AdditionalHeaders", "")
            expected = sign_v4(self._secret, request, scope, also_signed)
        if not same(sent, expected):
            raise Refusal(
                403,
                "SignatureDoesNotMatch",  # the service adds what it signed: that holds the token
                "The request signature we calculated does not match the signature you provided."
                " Check your key and signing method.",
            )
        self._check_token(request.headers.get("x-oss-security-token"))

    def _check_date(self, request: Request, scheme: str) -> None:
        text = request.header("x-oss-date")
        try:
            if scheme == V4:
                sent = datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            else:
                sent = parsedate_to_datetime(text or request.header("date"))
            skew_s = abs(self._clock() - sent.timestamp())
        except (ValueError, OverflowError):
            raise denied("OSS authentication requires a valid Date.") from None
        if skew_s > MAX_SKEW_S:
            raise Refusal(
                403,
                "RequestTimeTooSkewed",
                "The difference between the request time and the current time is too large.",
            )

    def _check_token(self, sent: str | None) -> None:
        if sent is None and self._token is not None:
            raise denied("The access key is temporary: a security token must be sent with it.")
        if sent is not None and not (self._token is not None and same(sent, self._token)):
            raise Refusal(
                403, "InvalidSecurityToken", "The security token you provided is invalid."
            )


def denied(message: str) -> Refusal:
    return Refusal(403, "AccessDenied", message)


def not_allowed() -> Refusal:
    return Refusal(
        405,
        "MethodNotAllowed",
        "The specified method is not allowed against this resource.",
    )


def same(sent: str, expected: str) -> bool:
    """Equal, in a time that does not tell how far they agree."""
    return hmac.compare_digest(wire_bytes(sent), expected.encode())


def wire_bytes(text: str) -> bytes:
    """A header value as it was on the wire: `http.server` reads headers as Latin-1."""
    return text.encode("latin-1")


def header_lines(request: Request, wanted: Callable[[str], bool]) -> bytes:
    return b"".join(
        wire_bytes(f"{name}:{value}\n")
        for name, value in sorted(request.headers.items())
        if wanted(name)
    )


def sign_v1(secret: str, request: Request) -> str:
    """
    VERB, Content-MD5, Content-Type, Date, x-oss-* headers and the resource, under HMAC-SHA1.

    Only subresources are signed, and those of KNOWN_QUERY are all that get past `answer()`.
    """
    subresources = "&".join(
        f"{name}={value}" if value else name for name, value in request.query if name in KNOWN_QUERY
    )
    text = b"\n".join(
        [
            request.method.encode(),
            wire_bytes(request.header("content-md5")),
            wire_bytes(request.header("content-type")),
            wire_bytes(request.header("x-oss-date") or request.header("date")),
            header_lines(request, lambda name: name.startswith("x-oss-"))
            + request.resource
            + (f"?{subresources}".encode() if subresources else b""),
        ]
    )
    return base64.b64encode(hmac.digest(secret.encode(), text, "sha1")).decode()


def sign_v4(secret: str, request: Request, scope: str, also_signed: str) -> str:
    """The whole request but its body, hashed, under a key made from secret, day and region."""
    extra = {name for name in also_signed.lower().split(";") if name}
    signed = extra | {"content-type", "content-md5"}
    canonical = b"\n".join(
        [
            request.method.encode(),
            quote(request.resource, safe="/").encode(),
            "&".join(
                f"{quote(name, safe='')}={quote(value, safe='')}" if value else quote(name, safe="")
                for name, value in request.query
            ).encode(),
            header_lines(request, lambda name: name.startswith("x-oss-") or name in signed),
            ";".join(sorted(extra)).encode(),
            wire_bytes(request.header("x-oss-content-sha256")),
        ]
    )
    text = "\n".join(
        [V4, request.header("x-oss-date"), scope, hashlib.sha256(canonical).hexdigest()]
    )
    key = f"aliyun_v4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def _crc64_table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xC96C5795D7870F42 if crc & 1 else 0)  # ECMA-182, bits reversed
        table.append(crc)
    return table


_CRC64_TABLE: Final = _crc64_table()


def crc64(data: bytes) -> int:
    """CRC-64/XZ: reflected ECMA-182, all ones before and after. crc64(b"123456789") is its check."""
    table, crc = _CRC64_TABLE, 0xFFFFFFFFFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFFFFFFFFFF


class _Connection(BaseHTTPRequestHandler):
    """HTTP only: bytes to Request, Response to bytes."""

    server: "_Listener"
    protocol_version = "HTTP/1.1"
    timeout = IDLE_S
    wbufsize = -1  # head and body leave in one piece, or they wait for each other's ACK
    disable_nagle_algorithm = True

    def answer(self) -> None:
        oss = self.server.oss
        request_id = uuid.uuid4().hex[:24].upper()
        verdict = "ok"
        try:
            headers = {name.lower(): value.strip() for name, value in self.headers.items()}
            if len(headers) != len(self.headers):
                self.close_connection = True
                raise Refusal(400, "InvalidRequest", "A header was sent twice.")
            body = self._body()
            response = oss.answer(Request(self.command, self.path, headers, body))
        except Refusal as refusal:
            verdict = refusal.code
            response = refusal.response(request_id, oss.host)
        oss.note(self.command, self.path, verdict)  # first: who has the answer may ask for it
        self._send(response, request_id)

    do_GET = do_HEAD = do_PUT = do_DELETE = do_POST = do_OPTIONS = answer  # noqa: N815

    def _body(self) -> bytes:
        """All of it, so that the connection can go on; where that cannot be, it is closed."""
        length = self.headers.get("Content-Length")
        try:
            if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
                if length is not None:
                    raise ValueError("two lengths")
                return read_chunked(self.rfile)
            if length is None:
                if self.command in ("PUT", "POST"):
                    raise Refusal(411, "MissingContentLength", "A Content-Length is required.")
                return b""
            return read_exactly(self.rfile, parse_length(length, 10))
        except ValueError:
            self.close_connection = True
            raise Refusal(400, "InvalidRequest", "The body could not be read.") from None
        except Refusal:
            self.close_connection = True
            raise

    def _send(self, response: Response, request_id: str) -> None:
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("x-oss-request-id", request_id)
        if response.status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(response.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What `http.server` itself refuses. Its own page repeats what was sent: a secret may."""
        del message, explain
        self.close_connection = True
        self.command = self.command or ""
        self.request_version = self.protocol_version  # else it answers as HTTP/0.9, without a head
        refusal = Refusal(code, "InvalidRequest", "The request is not valid HTTP, or not known.")
        self.server.oss.note(self.command, getattr(self, "path", ""), refusal.code)
        self._send(refusal.response(request_id := uuid.uuid4().hex[:24].upper(), ""), request_id)

    def version_string(self) -> str:
        return "AliyunOSS"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name upstream
        """Silent: `OssServer.note` says what may be said."""


class _Listener(ThreadingHTTPServer):
    """Knows its connections, so that it can end them: a keep-alive peer would hold its thread."""

    daemon_threads = False  # so that server_close() joins them

    def __init__(self, address: tuple[str, int], oss: OssServer) -> None:
        self.oss = oss
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(address, _Connection)

    def server_bind(self) -> None:
        """Without asking a name server who we are."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        with self._open_lock:
            for connection in self._open:
                with contextlib.suppress(OSError):  # the peer was faster
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # a peer that left is nobody's fault
            super().handle_error(request, client_address)


def parse_length(text: str, base: int) -> int:
    """Digits and nothing else: `int` would take a sign, a blank, an underscore. Raises ValueError."""
    digits = "0123456789abcdef"[:base]
    if not text or not set(text.lower()) <= set(digits):
        raise ValueError("not a length")
    return int(text, base)


def read_exactly(stream: BufferedIOBase, size: int) -> bytes:
    if size > MAX_BODY_BYTES:  # refused before it is held
        raise Refusal(400, "EntityTooLarge", "Your proposed upload exceeds the maximum size.")
    data = stream.read(size)
    if len(data) != size:
        raise ValueError("the body ended early")
    return data


def read_chunked(stream: BufferedIOBase) -> bytes:
    """A body sent as chunks: how `requests` sends a stream, and an empty one always."""
    body = bytearray()
    while True:
        line = stream.readline(1024)
        if not line.endswith(b"\n"):
            raise ValueError("a chunk without a size")
        size = parse_length(line.partition(b";")[0].strip().decode("ascii"), 16)
        body += read_exactly(stream, size)
        if len(body) > MAX_BODY_BYTES:
            raise Refusal(400, "EntityTooLarge", "Your proposed upload exceeds the maximum size.")
        if stream.readline(8) not in (b"\r\n", b"\n"):  # also: trailers are not spoken
            raise ValueError("a chunk without an end")
        if size == 0:
            return bytes(body)


def main() -> int:
    """Serve until told to stop. The endpoint is the first line on stdout."""
    try:
        server = OssServer(
            access_key_id=os.environ["OSS_ACCESS_KEY_ID"],
            access_key_secret=os.environ["OSS_ACCESS_KEY_SECRET"],
            security_token=os.environ.get("OSS_SESSION_TOKEN") or None,
            bucket=os.environ.get("OSS_BUCKET", "examplebucket"),
            region=os.environ.get("OSS_REGION", "cn-hangzhou"),
            port=int(os.environ.get("OSS_PORT", "0")),
            log=lambda line: print(line, file=sys.stderr, flush=True),
        )
    except KeyError as missing:
        print(f"set {missing.args[0]} in the environment", file=sys.stderr)
        return 2
    stops = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)  # before threads, which inherit it
    with server:
        print(server.endpoint, flush=True)
        signal.sigwait(stops)
    return 0


if __name__ == "__main__":
    sys.exit(main())
