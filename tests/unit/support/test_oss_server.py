"""
The object store of the tests and the demo, asked by the real SDK, and by clients that lie.

It is only worth something if it refuses: most of what follows is about that.
"""

import base64
import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from hypothesis import given, strategies as st
from support import oss_server
from support.oss_server import OssServer, Seen, crc64

with warnings.catch_warnings():  # raised once, when the SDK is compiled: a docstring of its own
    warnings.filterwarnings("ignore", r".*invalid escape sequence")
    import oss2

KEY_ID = "STS.TestKeyId"
SECRET = "the-access-key-secret-of-the-test"
TOKEN = "the-security-token-of-the-test+/=="
WRONG_SECRET = "a-secret-that-is-not-right"
WRONG_TOKEN = "a-token-that-is-not-right"
SECRETS = (SECRET, TOKEN, WRONG_SECRET, WRONG_TOKEN)
BUCKET = "test-bucket"
REGION = "cn-hangzhou"

pytestmark = pytest.mark.filterwarnings("ignore:.*utcnow:DeprecationWarning")  # oss2's V4, on 3.12+

versions = pytest.mark.parametrize("version", ["v1", "v4"])


class Tamper(requests.adapters.HTTPAdapter):
    """The network between client and server, in the hands of somebody else."""

    def __init__(self, tamper: Callable[[requests.PreparedRequest], None]) -> None:
        super().__init__()
        self._tamper = tamper

    def send(self, request, *args, **kwargs):
        self._tamper(request)
        return super().send(request, *args, **kwargs)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[OssServer]:
    with serve() as started:
        yield started


def serve(**changed) -> OssServer:
    identity = {"access_key_id": KEY_ID, "access_key_secret": SECRET, "security_token": TOKEN}
    return OssServer(**{**identity, "bucket": BUCKET, "region": REGION, **changed})


def sts(key_id: str = KEY_ID, secret: str = SECRET, token: str = TOKEN, version: str = "v1"):
    return oss2.StsAuth(key_id, secret, token, auth_version=version)


@contextmanager
def client(endpoint: str, auth=None, *, bucket: str = BUCKET, tamper=None) -> Iterator[oss2.Bucket]:
    session = oss2.Session(adapter=Tamper(tamper) if tamper else None)
    try:
        yield oss2.Bucket(auth or sts(), endpoint, bucket, session=session, region=REGION)
    finally:
        session.session.close()


def refused(call: Callable[[], object]) -> tuple[int, str]:
    with pytest.raises(oss2.exceptions.ServerError) as caught:
        call()
    return caught.value.status, caught.value.code


@versions
@pytest.mark.parametrize(
    ("key", "content"),
    [
        ("hello.txt", b"hello"),
        ("folder/binary", bytes(range(256)) * 4096),
        ("empty", b""),
        ("目录/héllo wörld +?&=%#~.txt", "内容".encode()),
        ("a/../b//c/", b"a path that nobody may tidy up"),
    ],
    ids=["text", "binary 1 MiB", "empty", "unicode key", "odd path"],
)
def test_what_was_put_is_read_back(server, version, key, content) -> None:
    """The right identity stores bytes under any key and reads the same bytes; the SDK's CRC agrees."""
    with client(server.endpoint, sts(version=version)) as bucket:
        put = bucket.put_object(key, content)
        got = bucket.get_object(key)

        assert content == got.read()

    assert hashlib.md5(content).hexdigest().upper() == put.etag == got.etag
    assert put.crc == got.server_crc == got.client_crc
    assert put.request_id
    assert {key: content} == server.objects
    assert [seen.verdict for seen in server.requests] == ["ok", "ok"]


def test_headers_of_an_object(server) -> None:
    """HEAD and GET say type, length, ETag and user metadata of what was put."""
    with client(server.endpoint) as bucket:
        meta = {"x-oss-meta-who": "me", "Content-Type": "text/x-test"}
        bucket.put_object("it", b"12345", headers=meta)
        head = bucket.head_object("it")

        assert 5 == head.content_length == bucket.get_object_meta("it").content_length
        assert head.content_type == "text/x-test"
        assert head.headers["x-oss-meta-who"] == "me"
        assert hashlib.md5(b"12345").hexdigest().upper() == head.etag
        assert abs(head.last_modified - time.time()) < 60


@versions
def test_delete(server, version) -> None:
    """A deleted object is gone; deleting what is not there is no error; existence can be asked."""
    with client(server.endpoint, sts(version=version)) as bucket:
        bucket.put_object("it", b"x")
        assert bucket.object_exists("it")
        assert bucket.delete_object("it").status == 204
        assert bucket.delete_object("it").status == 204
        assert not bucket.object_exists("it")


def test_a_later_put_replaces(server) -> None:
    """An object has the content that was put last."""
    with client(server.endpoint) as bucket:
        bucket.put_object("it", b"first")
        bucket.put_object("it", b"second")

    assert server.objects == {"it": b"second"}


def test_streams_are_taken(server) -> None:
    """A body whose length is not known beforehand arrives in chunks, and whole."""
    with client(server.endpoint) as bucket:
        bucket.put_object("it", iter([b"one ", b"two ", b"three"]))

        assert bucket.get_object("it").read() == b"one two three"


@pytest.mark.parametrize(
    ("expected", "auth"),
    [
        ((403, "SignatureDoesNotMatch"), lambda v: sts(secret=WRONG_SECRET, version=v)),
        ((403, "InvalidSecurityToken"), lambda v: sts(token=WRONG_TOKEN, version=v)),
        ((403, "InvalidSecurityToken"), lambda v: sts(token=TOKEN[:-1], version=v)),
        ((403, "SignatureDoesNotMatch"), lambda v: sts(KEY_ID, WRONG_SECRET, WRONG_TOKEN, v)),
        ((403, "AccessDenied"), lambda v: oss2.make_auth(KEY_ID, SECRET, v)),
        ((403, "InvalidAccessKeyId"), lambda v: sts("STS.Somebody", version=v)),
        ((403, "AccessDenied"), lambda _: oss2.AnonymousAuth()),
    ],
    ids=[
        "wrong secret",
        "wrong token",
        "cut token",
        "wrong secret and token",
        "no token",
        "unknown key id",
        "no authorization",
    ],
)
@versions
def test_who_is_not_believed_is_refused(server, version, auth, expected) -> None:
    """A wrong identity neither writes nor reads, and learns OSS's code for it and nothing else."""
    with client(server.endpoint) as bucket:
        bucket.put_object("there", b"already")

    with client(server.endpoint, auth(version)) as bucket:
        assert expected == refused(lambda: bucket.put_object("new", b"x"))
        assert expected == refused(lambda: bucket.get_object("there"))
        assert expected == refused(lambda: bucket.get_object("not there"))
        assert expected == refused(lambda: bucket.head_object("there"))
        assert expected == refused(lambda: bucket.delete_object("there"))

    assert server.objects == {"there": b"already"}
    assert Seen("PUT", f"/{BUCKET}/new", expected[1]) == server.requests[1]


def test_v2_signatures_are_not_spoken(server) -> None:
    """A scheme that the server cannot verify is refused, not waved through."""
    with client(server.endpoint, sts(version="v2")) as bucket:
        assert refused(lambda: bucket.put_object("it", b"x")) == (400, "InvalidArgument")


def test_a_region_that_is_not_ours(server) -> None:
    """A V4 signature is good in one region only."""
    with client(server.endpoint, sts(version="v4")) as bucket:
        bucket.region = "cn-elsewhere"

        assert refused(lambda: bucket.put_object("it", b"x")) == (403, "InvalidArgument")


@versions
@pytest.mark.parametrize("skew_s", [-16 * 60, 16 * 60])
def test_an_old_or_early_request_is_refused(version, skew_s) -> None:
    """A request that is more than 15 minutes off is refused, however well it is signed."""
    with (
        serve(clock=lambda: time.time() + skew_s) as server,
        client(server.endpoint, sts(version=version)) as bucket,
    ):
        assert refused(lambda: bucket.put_object("it", b"x")) == (403, "RequestTimeTooSkewed")


@versions
@pytest.mark.parametrize("skew_s", [-14 * 60, 14 * 60])
def test_a_clock_that_is_a_little_off_is_forgiven(version, skew_s) -> None:
    """Up to 15 minutes are forgiven."""
    with (
        serve(clock=lambda: time.time() + skew_s) as server,
        client(server.endpoint, sts(version=version)) as bucket,
    ):
        bucket.put_object("it", b"x")

        assert server.objects == {"it": b"x"}


@pytest.mark.parametrize("date", ["", "yesterday", "Thu, 99 Jan 2026 00:00:00 GMT"])
def test_a_date_that_cannot_be_read(server, date) -> None:
    """No date, no access."""

    def tamper(request: requests.PreparedRequest) -> None:
        request.headers["date"] = date

    with client(server.endpoint, tamper=tamper) as bucket:
        assert refused(lambda: bucket.put_object("it", b"x")) == (403, "AccessDenied")


def test_what_is_not_there(server) -> None:
    """A missing object and a missing bucket have names of their own."""
    with client(server.endpoint) as bucket:
        assert refused(lambda: bucket.get_object("nothing")) == (404, "NoSuchKey")
        assert refused(lambda: bucket.head_object("nothing")) == (404, "NoSuchKey")
    with client(server.endpoint, bucket="other-bucket") as bucket:
        assert refused(lambda: bucket.put_object("it", b"x")) == (404, "NoSuchBucket")


def test_what_is_not_spoken(server) -> None:
    """Listing, ACLs and multipart uploads are refused by name."""
    with client(server.endpoint) as bucket:
        assert refused(lambda: bucket.init_multipart_upload("it")) == (501, "NotImplemented")
    with client(server.endpoint, sts(version="v4")) as bucket:
        assert refused(lambda: bucket.get_object_acl("it")) == (501, "NotImplemented")
        assert refused(bucket.create_bucket) == (405, "MethodNotAllowed")
        assert refused(lambda: bucket._do("POST", BUCKET, "it", data=b"x")) == (
            405,
            "MethodNotAllowed",
        )


def test_a_tampered_body_is_refused(server) -> None:
    """A body that is not what Content-MD5 says is not stored."""

    def tamper(request: requests.PreparedRequest) -> None:
        request.body = b"pay Mallory"

    md5 = base64.b64encode(hashlib.md5(b"pay Alice!!").digest()).decode()
    with client(server.endpoint, tamper=tamper) as bucket:
        assert refused(
            lambda: bucket.put_object("it", b"pay Alice!!", headers={"Content-MD5": md5})
        ) == (400, "InvalidDigest")

    assert server.objects == {}


@versions
def test_a_tampered_digest_is_refused(server, version) -> None:
    """Who changes the body and its Content-MD5 lacks the secret to sign them again."""

    def tamper(request: requests.PreparedRequest) -> None:
        request.body = b"pay Mallory"
        request.headers["Content-MD5"] = base64.b64encode(hashlib.md5(request.body).digest())

    md5 = base64.b64encode(hashlib.md5(b"pay Alice!!").digest()).decode()
    with client(server.endpoint, sts(version=version), tamper=tamper) as bucket:
        assert refused(
            lambda: bucket.put_object("it", b"pay Alice!!", headers={"Content-MD5": md5})
        ) == (403, "SignatureDoesNotMatch")


def test_a_tampered_body_without_digest_is_noticed(server) -> None:
    """Without Content-MD5 it is the client who notices, by the CRC of what was stored."""

    def tamper(request: requests.PreparedRequest) -> None:
        request.body.read()  # the SDK computes its CRC from what it believes to send
        request.body = b"pay Mallory"

    with (
        client(server.endpoint, tamper=tamper) as bucket,
        pytest.raises(oss2.exceptions.InconsistentError),
    ):
        bucket.put_object("it", b"pay Alice!!")


@versions
@pytest.mark.parametrize(
    "tamper",
    [
        lambda request: setattr(request, "method", "DELETE"),
        lambda request: setattr(request, "url", request.url + "2"),
        lambda request: request.headers.update({"x-oss-meta-more": "1"}),
        lambda request: request.headers.update({"x-oss-security-token": WRONG_TOKEN}),
        lambda request: request.headers.update({"content-type": "text/html"}),
        lambda request: request.headers.update(
            {"authorization": request.headers["authorization"][:-1]}
        ),
    ],
    ids=["method", "key", "new header", "token", "content type", "cut signature"],
)
def test_what_is_signed_cannot_be_changed(server, version, tamper) -> None:
    """Method, key, type and every x-oss- header are under the signature."""
    with client(server.endpoint, sts(version=version), tamper=tamper) as bucket:
        assert refused(lambda: bucket.put_object("it", b"x")) == (403, "SignatureDoesNotMatch")


def test_a_long_lived_key_needs_no_token() -> None:
    """A server without a token takes plain signatures, and no token at all."""
    with serve(security_token=None) as server:
        with client(server.endpoint, oss2.Auth(KEY_ID, SECRET)) as bucket:
            bucket.put_object("it", b"x")
        with client(server.endpoint, sts()) as bucket:
            assert refused(lambda: bucket.get_object("it")) == (403, "InvalidSecurityToken")


def test_no_secret_in_an_answer_or_in_the_log() -> None:
    """Whatever is sent, right or wrong, by header, path or query: no secret comes back or is logged."""
    log: list[str] = []
    answers: list[bytes] = []

    def keep(response: requests.Response, **_) -> None:
        answers.append(repr(response.headers).encode() + response.content)
        answers.append(base64.b64decode(response.headers.get("x-oss-err", "")))

    auths = [
        sts(),
        sts(secret=WRONG_SECRET),
        sts(token=WRONG_TOKEN),
        sts("other"),
        oss2.Auth(KEY_ID, SECRET),
    ]
    with serve(log=log.append) as server:
        for auth in auths:
            with client(server.endpoint, auth) as bucket:
                bucket.session.session.hooks["response"].append(keep)
                for call in (bucket.get_object, bucket.head_object, bucket.delete_object):
                    try:
                        call("it")
                    except oss2.exceptions.ServerError:
                        continue
        query = {"security-token": TOKEN, "Signature": SECRET}
        keep(requests.get(f"{server.endpoint}/{BUCKET}/it", params=query, timeout=5))
        keep(requests.patch(f"{server.endpoint}/{BUCKET}/it", params=query, timeout=5))
        answers.append(raw(server, f"{TOKEN} {SECRET}\r\n\r\n".encode()))
        shown = b"".join(answers) + repr((log, server, server.requests)).encode()

    assert b"InvalidSecurityToken" in shown
    assert [secret for secret in SECRETS if secret.encode() in shown] == []


def raw(server: OssServer, data: bytes) -> bytes:
    """Everything that comes back for *data* until the server hangs up."""
    host, _, port = server.host.partition(":")
    with socket.create_connection((host, int(port)), timeout=5) as peer:
        peer.sendall(data)
        return b"".join(iter(lambda: peer.recv(65536), b""))


PUT = b"PUT /test-bucket/it HTTP/1.1\r\nHost: x\r\n"
CHUNKED = PUT + b"Transfer-Encoding: chunked\r\n"


@pytest.mark.parametrize(
    ("status", "data"),
    [
        (400, b"nonsense\r\n\r\n"),
        (501, b"BREW /test-bucket/it HTTP/1.1\r\n\r\n"),
        (411, PUT + b"\r\n"),
        (400, PUT + b"Content-Length: -1\r\n\r\n"),
        (400, PUT + b"Content-Length: 1_0\r\n\r\n"),
        (400, PUT + b"Content-Length: 99999999999\r\n\r\n"),
        (400, PUT + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx"),
        (400, CHUNKED + b"Content-Length: 1\r\n\r\nx"),
        (400, CHUNKED + b"\r\nzz\r\n\r\n"),
        (400, CHUNKED + b"\r\n1\r\nxyz\r\n"),
        (400, CHUNKED + b"\r\n9999999999\r\n"),
    ],
)
def test_nonsense_is_refused_and_forgotten(server, status, data) -> None:
    """Bad HTTP is answered with OSS's XML and a hang-up, and the next client is served."""
    answer = raw(server, data)

    assert f"HTTP/1.1 {status} ".encode() == answer[:13]
    assert b"<Error>" in answer
    with client(server.endpoint) as bucket:
        bucket.put_object("it", b"x")
    assert server.objects == {"it": b"x"}


def test_a_body_that_ends_early_is_not_stored(server) -> None:
    """A client that dies in the middle of a body leaves nothing behind."""
    host, _, port = server.host.partition(":")
    with socket.create_connection((host, int(port)), timeout=5) as peer:
        peer.sendall(PUT + b"Content-Length: 10\r\n\r\nhalf")
        peer.shutdown(socket.SHUT_WR)

        assert peer.recv(13) == b"HTTP/1.1 400 "

    assert server.objects == {}


def test_many_clients_at_once(server) -> None:
    """Concurrent clients do not see each other's objects change."""
    wrong: list[str] = []

    def work(name: str) -> None:
        with client(server.endpoint) as bucket:
            for turn in range(10):
                content = f"{name} {turn}".encode() * 100
                bucket.put_object(name, content)
                if bucket.get_object(name).read() != content:
                    wrong.append(name)

    threads = [threading.Thread(target=work, args=(f"client-{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []
    assert len(server.objects) == 8
    assert len(server.requests) == 160


def sockets() -> set[str]:
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = str(entry.readlink())
        except FileNotFoundError:
            continue  # the descriptor of this very listing
        if target.startswith("socket:"):
            found.add(target)
    return found


def test_nothing_is_left_after_close() -> None:
    """Clients that keep their connection open, or never say a word, hold nobody up."""
    threads_before, sockets_before = set(threading.enumerate()), sockets()

    with serve() as server, client(server.endpoint) as bucket:
        host, _, port = server.host.partition(":")
        with socket.create_connection((host, int(port)), timeout=5) as silent:
            bucket.put_object("it", b"x")  # and the SDK keeps the connection
            start = time.monotonic()
            server.close()
            server.close()  # again is no error

            assert time.monotonic() - start < 2
            assert silent.recv(1) == b""

    assert threads_before == set(threading.enumerate())
    assert sockets() <= sockets_before  # those of earlier tests may be collected meanwhile
    with pytest.raises(RuntimeError, match="not running"):
        server.endpoint  # noqa: B018


def test_an_empty_identity_is_refused_when_made() -> None:
    """A server that would believe an empty secret cannot be made."""
    with pytest.raises(ValueError, match="must not be empty"):
        serve(access_key_secret="")


@pytest.fixture
def program() -> Iterator[subprocess.Popen[str]]:
    environment = {
        "PATH": os.environ["PATH"],
        "OSS_ACCESS_KEY_ID": KEY_ID,
        "OSS_ACCESS_KEY_SECRET": SECRET,
        "OSS_SESSION_TOKEN": TOKEN,
        "OSS_BUCKET": BUCKET,
    }
    with subprocess.Popen(
        [sys.executable, oss_server.__file__],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_as_a_program(program, sent) -> None:
    """It prints its endpoint, serves, logs a line a request, and ends well when told to."""
    endpoint = program.stdout.readline().strip()
    with client(endpoint) as bucket:
        bucket.put_object("it", b"x")
        assert bucket.get_object("it").read() == b"x"
    with client(endpoint, sts(token=WRONG_TOKEN)) as bucket:
        assert refused(lambda: bucket.get_object("it")) == (403, "InvalidSecurityToken")
    program.send_signal(sent)
    out, err = program.communicate(timeout=10)

    assert program.returncode == 0
    assert out == ""
    assert [
        f"PUT /{BUCKET}/it ok",
        f"GET /{BUCKET}/it ok",
        f"GET /{BUCKET}/it InvalidSecurityToken",
    ] == err.splitlines()


def test_a_program_without_identity_says_what_is_missing() -> None:
    """Without credentials in the environment it does not start."""
    done = subprocess.run(
        [sys.executable, oss_server.__file__],
        env={"OSS_ACCESS_KEY_ID": KEY_ID},
        capture_output=True,
        text=True,
        check=False,
        timeout=10,
    )

    assert done.returncode == 2
    assert done.stderr == "set OSS_ACCESS_KEY_SECRET in the environment\n"


def test_the_check_value_of_the_crc() -> None:
    """CRC-64/XZ has a published check value."""
    assert crc64(b"123456789") == 0x995DC9BBDF1939FA


@given(st.binary(max_size=300))
def test_the_crc_agrees_with_the_sdk(data) -> None:
    """Two implementations, one sum."""
    theirs = oss2.utils.Crc64()
    theirs(data)

    assert theirs.crc == crc64(data)
