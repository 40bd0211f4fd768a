"""What goes in, what comes out, and how large both may be (spec 1.2, 12, 14.36)."""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from fc_runtime import (
    EventTooLargeError,
    InvalidFunctionError,
    InvocationError,
    RefusedError,
    ResponseError,
    ResponseRejected,
)
from support.callers import Caller, Deployed

TIERS_MATTER = False  # see conftest

Deploy = Callable[..., Deployed]
OpenCaller = Callable[..., Caller]

MiB = 2**20


@pytest.mark.parametrize(
    ("event", "seen"),
    [
        (b"", b""),
        ("", b""),
        (b"bytes", b"bytes"),
        (bytes(range(256)), bytes(range(256))),
        (bytearray(b"\x00bytearray"), b"\x00bytearray"),
        (memoryview(b"a view of more")[2:6], b"view"),
        ("h\u00e9 \u4f60\u597d \U0001f600", "hé 你好 😀".encode()),
        ("{not json", b"{not json"),
    ],
)
def test_event_arrives_as_bytes(deploy: Deploy, event: Any, seen: bytes) -> None:
    """Bytes-like as it is, str as UTF-8; nothing is parsed, empty is b"" (spec 1.2, 14.1)."""
    function = deploy("events", "index.echo")

    assert seen == function(event).payload
    assert seen == function(event).payload  # cold, then warm


def test_event_is_bytes_and_empty_without_one(deploy: Deploy) -> None:
    """The handler's argument is of type bytes, b"" when nothing was given, never None."""
    function = deploy("events", "index.described")

    assert ["bytes", 0, hashlib.sha256().hexdigest()] == function().json()
    assert ["bytes", 2] == function("{}").json()[:2]


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ({"key": "value"}, b'{"key": "value"}'),
        (None, b"null"),
        ([1, 2.5, True], b"[1, 2.5, true]"),
        ("é", '"é"'.encode()),
        (0, b"0"),
    ],
)
def test_json_is_encoded_for_the_caller(deploy: Deploy, value: object, seen: bytes) -> None:
    """``json=`` takes any JSON value, None among them, and sends it as UTF-8."""
    assert seen == deploy("events", "index.echo")(json=value).payload


@pytest.mark.parametrize(
    ("event", "options", "field"),
    [
        (None, {}, "event"),
        (42, {}, "event"),
        ({"key": "value"}, {}, "event"),
        ("\ud800", {}, "event"),
        (b"both", {"json": 1}, "json"),
        (b"", {"json": {1, 2}}, "json"),
        (b"", {"json": b"bytes"}, "json"),
    ],
)
def test_event_that_is_none_is_refused(
    deploy: Deploy, event: object, options: dict[str, object], field: str
) -> None:
    """What is neither bytes nor text, or is given twice, is named; no handler code ran."""
    function = deploy("events", "index.echo")

    with pytest.raises(InvalidFunctionError) as caught:
        function(event, **options)

    assert field == caught.value.field
    assert caught.value.mend
    assert isinstance(caught.value, RefusedError)
    assert b"well" == function("well").payload


# -- sizes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 4095, 4097, 60 * 1024, 64 * 1024 + 1, MiB + 1, 6 * MiB])
def test_sizes_around_every_buffer(deploy: Deploy, size: int) -> None:
    """Nothing is lost, doubled or reordered where pipes, pages and reads end."""
    function = deploy("events", "index.echo")
    event = bytes(range(256)) * (size // 256) + bytes(size % 256)

    for _ in range(2):
        assert event == function(event).payload


def test_event_of_32_mebibytes(deploy: Deploy) -> None:
    """FC's own limit (spec 12) is let in, there and back."""
    function = deploy("events", "index.echo", timeout=60.0)
    event = bytes(range(256)) * (32 * MiB // 256)

    assert event == function(event).payload


def test_event_above_the_limit_is_refused(deploy: Deploy) -> None:
    """One byte more than 32 MiB: EventTooLargeError with both sizes, before anything runs."""
    function = deploy("events", "index.described")

    with pytest.raises(EventTooLargeError) as caught:
        function(bytes(32 * MiB + 1))

    assert str(32 * MiB + 1) in str(caught.value)
    assert str(32 * MiB) in str(caught.value)
    assert isinstance(caught.value, RefusedError)
    assert not isinstance(caught.value, InvocationError)
    assert "fc.refused.event_too_large" == caught.value.code
    assert 0 == function.caller.stats()["functions"][function.name]["processes"]


def test_limit_of_events_is_an_option(deploy: Deploy, open_caller: OpenCaller) -> None:
    """Exactly ``max_event_bytes`` is let in, one more is not; str counts in UTF-8."""
    function = deploy("events", "index.described", on=open_caller(max_event_bytes=10))

    assert 10 == function(b"x" * 10).json()[1]
    for event in (b"x" * 11, "é" * 6):
        with pytest.raises(EventTooLargeError):
            function(event)
    with pytest.raises(EventTooLargeError):
        function(json="x" * 10)


def test_response_at_its_limit_and_beyond(deploy: Deploy, open_caller: OpenCaller) -> None:
    """
    Exactly ``max_response_bytes`` is answered; one more is ResponseRejected with both sizes, at
    once, and the instance serves on.
    """
    on = open_caller(max_response_bytes=100_000)
    function = deploy("events", "index.of_size", on=on)

    assert 100_000 == len(function("100000").payload)
    with pytest.raises(ResponseError) as caught:
        function("100001")
    result = caught.value.result
    assert isinstance(result.outcome, ResponseRejected)
    assert "ResponseTooLarge" == result.outcome.error_type
    for size in ("100001", "100000"):
        assert size in result.outcome.message
        assert size in result.json()["errorMessage"]
    assert not result.cold_start
    after = function("1")
    assert b"x" == after.payload
    assert not after.cold_start


def test_size_of_a_response_counts_in_bytes(deploy: Deploy, open_caller: OpenCaller) -> None:
    """Of what is sent: UTF-8 for a str."""
    function = deploy("events", "index.text_of_size", on=open_caller(max_response_bytes=300))

    assert "你" * 100 == function("100").text
    assert isinstance(function.fail("101").outcome, ResponseRejected)


def test_response_far_above_the_limit_fails_at_once(deploy: Deploy) -> None:
    """Half a gigabyte is refused where it was made: it is not sent, and nobody waits for it."""
    function = deploy("events", "index.of_size", timeout=60.0, memory_mb=2048)

    result = function.fail(str(512 * MiB))

    assert isinstance(result.outcome, ResponseRejected)
    assert str(512 * MiB) in result.outcome.message
    assert len(result.payload) < 1000


def test_small_and_large_calls_alternate(deploy: Deploy) -> None:
    """A large event or answer leaves nothing in the pipes that the next could trip over."""
    function = deploy("events", "index.echo", timeout=60.0, max_instances=1)

    for size in (0, 8 * MiB, 1, 3 * MiB, 0, 70_000, 12):
        event = bytes([size % 251]) * size
        assert event == function(event).payload
