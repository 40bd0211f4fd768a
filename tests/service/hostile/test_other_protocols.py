"""
Requests that offer to change to another protocol, as clients do that speak HTTP/2 (Java's, `curl
--http2`). A server may ignore the offer; the request is one like any other (RFC 9110, 7.8).
"""

import socket
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
from support.serving import LONG_S, Served

PATH = b"/2023-03-30/functions/hello/invocations"
OFFERS = {
    "h2c": (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAA"),
    "websocket": (b"Connection: keep-alive, Upgrade", b"Upgrade: websocket"),
}
Talk = Callable[..., list[tuple[int, bytes]]]


@pytest.fixture
def talk(open_daemon: Served) -> Iterator[Talk]:
    """Sends pieces, one after another, and reads so many replies: status and body of each."""
    address = urlsplit(open_daemon.url)
    with (
        socket.create_connection((address.hostname, address.port), LONG_S) as sock,
        sock.makefile("rb") as replies,
    ):

        def one() -> tuple[int, bytes]:
            status = int(replies.readline().split()[1])
            size = 0
            while (line := replies.readline()) != b"\r\n":
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    size = int(value)
            return status, replies.read(size)

        def all_of(*pieces: bytes, count: int = 1) -> list[tuple[int, bytes]]:
            for piece in pieces:
                sock.sendall(piece)
            return [one() for _ in range(count)]

        yield all_of


def request(*headers: bytes, body: bytes, path: bytes = PATH) -> bytes:
    if b"Transfer-Encoding: chunked" in headers:
        framed = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    else:
        headers += (b"Content-Length: %d" % len(body),)
        framed = body
    return b"\r\n".join([b"POST %b HTTP/1.1" % path, b"Host: localhost", *headers, b"", framed])


@pytest.mark.parametrize(
    "framing", [(), (b"Transfer-Encoding: chunked",)], ids=["sized", "chunked"]
)
@pytest.mark.parametrize("offer", OFFERS)
def test_the_event_is_the_body(talk: Talk, offer: str, framing: tuple[bytes, ...]) -> None:
    """Whatever is offered, and again on the same connection."""
    for event in (b"first", b"second", b"third"):
        assert [(200, event)] == talk(request(*OFFERS[offer], *framing, body=event))
    assert [(200, b"plain")] == talk(request(body=b"plain"))


@pytest.mark.parametrize("cut", [10, 60, -30, -12, -5, -1])
def test_in_two_pieces(talk: Talk, cut: int) -> None:
    """Cut in the head, between head and body, or in the body."""
    whole = request(*OFFERS["h2c"], body=b"hello")

    for _ in range(2):
        assert [(200, b"hello")] == talk(whole[:cut], whole[cut:])


def test_a_body_is_no_request(talk: Talk) -> None:
    """Else whoever passes requests on could be made to pass on one that he has not seen."""
    inner = request(body=b"smuggled")
    whole = request(*OFFERS["h2c"], body=inner)

    assert [(200, inner)] == talk(whole[: -len(inner)], inner)
    assert [(200, b"next")] == talk(request(body=b"next"))


def test_one_behind_another(talk: Talk) -> None:
    """Pipelined, with an offer or without."""
    three = [
        request(body=b"one"),
        request(*OFFERS["h2c"], body=b"two"),
        request(body=b"three"),
    ]

    assert [(200, b"one"), (200, b"two"), (200, b"three")] == talk(b"".join(three), count=3)


def test_blanks_behind_a_header_are_not_its_value(talk: Talk) -> None:
    """RFC 9110, 5.5: a value has none around it."""
    assert [(200, b"x")] == talk(request(b"X-Fc-Log-Type: \t Tail \t ", body=b"x"))
