"""What a handler may do in the cloud, and who gets to see it."""

import pickle
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fc_runtime.credentials import RENEW_BEFORE_S, Credentials, Renewing, is_text
from fc_runtime.errors import InvalidFunctionError
from fc_runtime.function import Function
from hypothesis import given, strategies as st

NOW = 1_700_000_000.0


def credentials(expires_at: float | None = None, key: str = "LTAIkey") -> Credentials:
    return Credentials(
        access_key_id=key,
        access_key_secret="s3cret",
        security_token="t0ken",
        expires_at=expires_at,
    )


class Source:
    """Gives credentials that live for *seconds*, and counts how often it was asked."""

    def __init__(self, lives_s: float | None) -> None:
        self.lives_s = lives_s
        self.asked = 0

    def __call__(self) -> Credentials:
        self.asked += 1
        expires_at = None if self.lives_s is None else time.time() + self.lives_s
        return credentials(expires_at, f"key {self.asked}")


class Gate:
    """A lock that tells who has come to it."""

    def __init__(self) -> None:
        self.arrived = threading.Semaphore(0)
        self.lock = threading.Lock()

    def __enter__(self) -> None:
        self.arrived.release()
        self.lock.acquire()

    def __exit__(self, *_: object) -> None:
        self.lock.release()


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "time", clock)
    return clock


def test_secrets_are_in_no_text() -> None:
    """``repr``, ``str`` and format show the key's id only; so does what holds the credentials."""
    shown = credentials(NOW)
    for text in (repr(shown), str(shown), f"{shown}", repr([shown]), repr({"c": shown})):
        assert "LTAIkey" in text
        assert "s3cret" not in text
        assert "t0ken" not in text


def test_secrets_are_not_in_a_functions_repr(tmp_path: Any) -> None:
    """Nor do they come out through the function that uses them."""
    (tmp_path / "index.py").touch()
    function = Function(name="f", code=tmp_path, credentials=credentials())

    assert "LTAIkey" in repr(function)
    assert "s3cret" not in repr(function)


@pytest.mark.parametrize("field", ["access_key_id", "access_key_secret", "security_token"])
@pytest.mark.parametrize("value", [None, b"s3cret", 5, ["s3cret"], "s3cret\0", "s3cret\ud800"])
def test_a_bad_field_is_named_and_not_shown(field: str, value: object) -> None:
    """What cannot be put into a worker's environment is refused where it is made, unseen."""
    values: dict[str, Any] = {"access_key_id": "i", "access_key_secret": "s", field: value}

    with pytest.raises(InvalidFunctionError) as caught:
        Credentials(**values)
    assert field == caught.value.field
    assert "s3cret" not in "".join(traceback.format_exception_only(caught.value))


@pytest.mark.parametrize("value", ["tomorrow", True, [1]])
def test_expiry_is_a_number(value: Any) -> None:
    """Seconds since the epoch, or None."""
    with pytest.raises(InvalidFunctionError, match="expires_at"):
        credentials(value)


def test_they_are_values() -> None:
    """Frozen, compared by what they say, and whole after a pickle, for hosts that fork."""
    assert credentials() == credentials()
    assert credentials() != credentials(key="other")
    assert credentials() == pickle.loads(pickle.dumps(credentials()))
    with pytest.raises(AttributeError):
        credentials().access_key_id = "x"  # type: ignore[misc]
    with pytest.raises(TypeError):
        Credentials("LTAIkey", "s3cret")  # type: ignore[misc]


@given(st.text())
def test_is_text_is_what_an_environment_can_hold(text: str) -> None:
    """UTF-8 can carry it, and there is no NUL in it."""
    assert is_text(text) is ("\0" not in text and not any(0xD800 <= ord(c) < 0xE000 for c in text))


def test_renewing_asks_again_in_time(clock: Clock) -> None:
    """It is asked once, and again five minutes before what it gave expires; not before."""
    source = Source(lives_s=3600)
    renewing = Renewing(source)

    assert "key 1" == renewing.get().access_key_id
    clock.now = NOW + 3600 - RENEW_BEFORE_S - 0.5
    assert "key 1" == renewing.get().access_key_id
    clock.now = NOW + 3600 - RENEW_BEFORE_S
    assert "key 2" == renewing.get().access_key_id
    assert "key 2" == renewing.get().access_key_id
    assert 2 == source.asked


@pytest.mark.parametrize("lives_s", [None, -10.0, 0.0, RENEW_BEFORE_S])
def test_renewing_asks_each_time_if_it_must(clock: Clock, lives_s: float | None) -> None:
    """Who never says, or gives what is as good as expired, is asked for every invocation."""
    source = Source(lives_s)
    renewing = Renewing(source)

    assert ["key 1", "key 2", "key 3"] == [renewing.get().access_key_id for _ in range(3)]


def test_renewing_asks_once_for_many_threads(clock: Clock) -> None:
    """Threads that come at the same time wait for one answer, and all get it."""
    count = 8
    gate = Gate()
    source = Source(lives_s=3600)

    def ask_when_all_are_there() -> Credentials:
        for _ in range(count):
            assert gate.arrived.acquire(timeout=10)
        return source()

    renewing = Renewing(ask_when_all_are_there)
    renewing._lock = gate  # type: ignore[assignment]

    with ThreadPoolExecutor(count) as threads:
        for generation in (1, 2):
            got = list(threads.map(lambda _: renewing.get(), range(count)))
            assert [f"key {generation}"] * count == [each.access_key_id for each in got]
            clock.now += 3600
    assert 2 == source.asked


def test_renewing_raises_what_the_callable_raises(clock: Clock) -> None:
    """A failure is the caller's to see, is not remembered, and locks nobody out."""
    answers: list[Any] = [OSError("no route"), credentials(NOW + 3600)]

    def ask() -> Credentials:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]

    renewing = Renewing(ask)
    with pytest.raises(OSError, match="no route"):
        renewing.get()
    assert "LTAIkey" == renewing.get().access_key_id


@pytest.mark.parametrize(
    "answer", [None, "s3cret", ("id", "s3cret"), {"access_key_secret": "s3cret"}]
)
def test_renewing_gives_credentials_or_an_error(answer: Any) -> None:
    """A callable that returns something else is named as the fault, without what it returned."""
    with pytest.raises(InvalidFunctionError, match="credentials='") as caught:
        Renewing(lambda: answer).get()
    assert "s3cret" not in str(caught.value)
