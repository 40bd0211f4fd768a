"""Every refusal, as each official client has it: its own type of exception, with status and code."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from service.clients.conftest import KEY, Client  # type: ignore[import-not-found]
from support.daemon import zipped
from support.official import Key
from support.stage import Gate

pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
MIB = 2**20
WAITS = """
import json, os

def handler(event, context):
    if event:
        with open(event + b"/entered", "w") as entered:
            entered.write(f"- {os.getpid()}:{os.stat('/proc/self/ns/pid').st_ino}\\n")
        with open(event + b"/release", "rb", buffering=0) as release:
            release.read(1)
    return "let"
"""


@pytest.fixture
def options() -> list[object]:
    """Nobody waits for an instance."""
    return ["--max-queue", 0]


def test_what_is_not_there(client: Client) -> None:
    """404 ``FunctionNotFound``, of whatever is asked of it; and that of FC2's service."""
    client.create("f", zipped())

    with client.refused(404, "FunctionNotFound"):
        client.invoke("g")
    with client.refused(404, "FunctionNotFound"):
        client.shown("g")
    with client.refused(404, "FunctionNotFound"):
        client.update("g", zipped())
    with client.refused(404, "FunctionNotFound"):
        client.delete("g")


def test_what_is_there_already(client: Client) -> None:
    """409 ``FunctionAlreadyExists``; the first stays."""
    client.create("f", zipped())

    with client.refused(409, "FunctionAlreadyExists"):
        client.create("f", zipped(index="nothing = 1\n"))

    assert b"x" == client.invoke("f", b"x").body


def test_update_of_what_has_changed_meanwhile(client: Client) -> None:
    """412 ``PreconditionFailed`` for a wrong ``If-Match``; of two who update, one is refused."""
    client.create("f", zipped())
    seen = client.shown("f")["etag"]
    client.update("f", zipped(index="def handler(event, context): return 'mine'\n"), if_match=seen)

    with client.refused(412, "PreconditionFailed"):
        client.update("f", zipped(), if_match=seen)

    assert b"mine" == client.invoke("f").body


def test_wrong_key(client: Client, connect: Callable[[Key], Client]) -> None:
    """403: a secret that is not that of the id, and an id that nobody has; nothing is done."""
    client.create("f", zipped())

    with client.refused(403, "SignatureNotMatch"):
        connect(Key(KEY.id, "guessed")).invoke("f")
    with client.refused(403, "SignatureNotMatch"):
        connect(Key(KEY.id, "guessed")).delete("f")
    with client.refused(403, "InvalidAccessKeyID"):
        connect(Key("nobody", KEY.secret)).delete("f")

    assert b"x" == client.invoke("f", b"x").body


@pytest.mark.parametrize("over", [False, True], ids=["just fits", "too large"])
def test_event_of_32_mib(client: Client, over: bool) -> None:
    """It is the most; 33 MB are a 400 ``EntityTooLarge``, never a dropped connection (spec 12)."""
    client.create("f", zipped(index="def handler(event, context): return str(len(event))\n"))

    if over:
        with client.refused(400, "EntityTooLarge"):
            client.invoke("f", bytes(33 * MIB))
    else:
        assert str(32 * MIB).encode() == client.invoke("f", bytes(32 * MIB)).body
    assert b"2" == client.invoke("f", b"ab").body


def test_bad_argument(client: Client) -> None:
    """400 ``InvalidArgument`` for code that is no zip."""
    with client.refused(400, "InvalidArgument"):
        client.create("f", b"no zip")


def test_limited_function(client: Client, connect: Callable[[Key], Client], gate: Gate) -> None:
    """
    429 ``ResourceThrottled`` while as many instances as it may have are busy; without the limit
    the next call has another instance.
    """
    client.create("f", zipped(index=WAITS), timeout=60)
    client.limit("f", 1)
    with ThreadPoolExecutor(1) as caller:
        busy = caller.submit(connect(KEY).invoke, "f", str(gate.folder).encode())
        gate.entered()
        with client.refused(429, "ResourceThrottled"):
            client.invoke("f")

        client.unlimit("f")

        assert b"let" == client.invoke("f").body
        assert not busy.done()
        gate.let()
        assert b"let" == busy.result().body
