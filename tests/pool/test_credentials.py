"""Credentials of a function: renewed in time, told to the handler, and to nobody else."""

import asyncio
import time
from pathlib import Path

import pytest
from fc_runtime import Credentials, Runtime
from fc_runtime.credentials import RENEW_BEFORE_S
from support.stage import Recorder, until

SECRET = "s3cret-that-must-not-be-told"
TOKEN = "t0ken-that-must-not-be-told"


class Source:
    """Gives out numbered credentials that are good for *good_for_s* seconds."""

    def __init__(self, good_for_s: float | None) -> None:
        self.asked = 0
        self.good_for_s = good_for_s
        self.trouble: BaseException | None = None

    def __call__(self) -> Credentials:
        self.asked += 1
        if self.trouble:
            raise self.trouble
        return Credentials(
            access_key_id=f"key-{self.asked}",
            access_key_secret=SECRET,
            security_token=TOKEN,
            expires_at=None if self.good_for_s is None else time.time() + self.good_for_s,
        )


def register(runtime: Runtime, handlers: Path, source: object, **options: object) -> None:
    runtime.register("c", code=handlers / "credentials_seen", credentials=source, **options)


def key_seen(runtime: Runtime) -> str:
    key, token, length = runtime.invoke("c").text.split()

    assert (TOKEN, str(len(SECRET))) == (token, length)
    return key


def test_good_ones_are_asked_for_once(runtime: Runtime, handlers: Path) -> None:
    """As long as they are good, the callable is not asked again."""
    source = Source(RENEW_BEFORE_S + 3600)
    register(runtime, handlers, source)

    assert ["key-1"] * 5 == [key_seen(runtime) for _ in range(5)]
    assert 1 == source.asked


def test_they_are_renewed_before_they_expire(runtime: Runtime, handlers: Path) -> None:
    """Within the last minutes the next call gets new ones: the handler has time to use them."""
    source = Source(RENEW_BEFORE_S - 1)
    register(runtime, handlers, source)
    seen = [key_seen(runtime) for _ in range(3)]

    assert 3 == len(set(seen))
    source.good_for_s = RENEW_BEFORE_S + 3600
    assert 1 == len({key_seen(runtime) for _ in range(3)})


def test_without_an_expiry_they_are_asked_for_each_time(runtime: Runtime, handlers: Path) -> None:
    """Nobody knows how long they are good: so nobody keeps them."""
    register(runtime, handlers, Source(None))

    assert 3 == len({key_seen(runtime) for _ in range(3)})


def test_one_instance_serves_with_new_ones(runtime: Runtime, handlers: Path) -> None:
    """They travel with the invocation: renewing them starts no process."""
    register(runtime, handlers, Source(None), max_instances=1)
    key_seen(runtime)
    runtime.invoke("c")

    assert not runtime.invoke("c").cold_start


def test_a_call_may_bring_its_own(runtime: Runtime, handlers: Path) -> None:
    """credentials= of `invoke` wins over the function's, for this one call."""
    register(runtime, handlers, Source(RENEW_BEFORE_S + 3600))
    own = Credentials(access_key_id="own", access_key_secret=SECRET, security_token=TOKEN)

    assert "own" == runtime.invoke("c", credentials=own).text.split()[0]
    assert "key-1" == key_seen(runtime)


def test_a_source_that_fails_tells_its_caller_and_nobody_waits(
    runtime: Runtime, handlers: Path
) -> None:
    """
    What the callable raises, the caller of `invoke` gets; neither a background start nor another
    caller hangs for it, and all is well once it gives again.
    """
    source = Source(None)
    source.trouble = LookupError("no token today")
    register(runtime, handlers, source, min_instances=1)
    own = Credentials(access_key_id="own", access_key_secret=SECRET, security_token=TOKEN)
    until(lambda: source.asked >= 1)

    with pytest.raises(LookupError, match="no token today"):
        runtime.invoke("c")
    with pytest.raises(LookupError, match="no token today"):
        runtime.warm("c")
    assert "own" == runtime.submit("c", credentials=own).result(10).text.split()[0]

    source.trouble = None
    assert key_seen(runtime).startswith("key-")


@pytest.mark.parametrize("trouble", [asyncio.CancelledError(), SystemExit(1)], ids=repr)
def test_a_source_that_gives_up_in_a_background_start_keeps_nobody_waiting(
    runtime: Runtime, handlers: Path, trouble: BaseException
) -> None:
    """Whatever it raises there: nobody waits for a start that does not come."""
    source = Source(None)
    source.trouble = trouble
    register(runtime, handlers, source, min_instances=1)
    until(lambda: not runtime.stats()["functions"]["c"]["warming"] and source.asked >= 1)
    source.trouble = None

    assert runtime.submit("c").result(20).text.startswith("key-")


def test_no_secret_is_told(runtime: Runtime, handlers: Path, log: Recorder) -> None:
    """Neither in log events, nor in a repr, nor in statistics, also where things go wrong."""
    source = Source(None)
    register(runtime, handlers, source, max_invocations=1)
    results = [runtime.invoke("c") for _ in range(3)]
    runtime.register(
        "wrong",
        code=handlers / "gate",
        handler="index.leave",
        credentials=source(),
        environment={"PASSWORD": SECRET},
    )
    crashed = runtime.invoke("wrong", check=False)
    source.trouble = LookupError(f"refused: {SECRET}")
    with pytest.raises(LookupError):
        runtime.warm("c", 3)
    log.wait_for("instance.exited", count=2)

    shown = log.text + repr(runtime) + str(runtime.stats()) + repr(crashed)
    shown += repr([(result.log, result.outcome) for result in results])
    assert SECRET not in shown
    assert TOKEN not in shown
