"""
The fuzzer's target, held to its seeds and to mutations of them in every run of the tests, and for
a bounded time to atheris where that is installed. `make fuzz` goes on for longer.
"""

import importlib.util
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fc_runtime
import fc_worker
import pytest
from fc_runtime.dispatch import exchange
from fc_runtime.dispatch.exchange import Exchange
from fc_worker import wire
from fuzz.decoder_target import one_input
from fuzz.seeds import CONVERSATIONS, MAX_BODY, MOST_CUTS, frame, plan, said_in, seeds
from hypothesis import example, given, strategies as st

TESTS = Path(__file__).parents[1]
TARGET = TESTS / "fuzz" / "decoder_target.py"
RUNS = 20_000
LONGEST_S = 20  # whichever is first

SEEDS = seeds()
# What sizes, numbers of msgpack and flags are compared with.
NUMBERS = [0, 1, 19, 20, 21, MAX_BODY, MAX_BODY + 1, 2**15, 2**16 - 1, 2**31, 2**32 - 1]


@pytest.mark.parametrize("seed", SEEDS.values(), ids=SEEDS)
def test_seeds_keep_the_promises(seed: bytes) -> None:
    """Every frame a worker may send, and the lies that come to mind."""
    one_input(seed)


def edits() -> st.SearchStrategy[Callable[[bytes], bytes]]:
    """What mutation does to bytes: set, insert, delete, repeat, or write a number of note."""

    def set_byte(at: int, value: int) -> Callable[[bytes], bytes]:
        return lambda data: data[: at % (len(data) + 1)] + bytes([value]) + data[at + 1 :]

    def insert(at: int, more: bytes) -> Callable[[bytes], bytes]:
        return lambda data: data[: at % (len(data) + 1)] + more + data[at % (len(data) + 1) :]

    def delete(at: int, size: int) -> Callable[[bytes], bytes]:
        return lambda data: data[:at] + data[at + size :]

    def repeat(at: int, size: int, times: int) -> Callable[[bytes], bytes]:
        return lambda data: data[:at] + data[at : at + size] * times + data[at + size :]

    def write(at: int, number: int, width: int) -> Callable[[bytes], bytes]:
        packed = number.to_bytes(8, "little")[:width]
        return lambda data: data[:at] + packed + data[at + width :]

    place = st.integers(0, 80) | st.integers(0, 2**11)  # the first bytes are where it hurts
    byte = st.integers(0, 255)
    return st.one_of(
        st.builds(set_byte, place, byte),
        st.builds(insert, place, st.binary(max_size=30)),
        st.builds(delete, place, st.integers(1, 40)),
        st.builds(repeat, place, st.integers(1, 60), st.integers(2, 20)),
        st.builds(write, place, st.sampled_from(NUMBERS), st.sampled_from([1, 2, 4, 8])),
    )


@given(st.sampled_from(list(SEEDS.values())), st.lists(edits(), max_size=6))
def test_mutated_seeds_keep_the_promises(
    seed: bytes, changes: list[Callable[[bytes], bytes]]
) -> None:
    """And whatever is a few changes away from them."""
    for change in changes:
        seed = change(seed)
    one_input(seed)


@given(st.binary(max_size=300))
def test_noise_keeps_the_promises(noise: bytes) -> None:
    """And whatever is not."""
    one_input(noise)


@given(
    st.sampled_from(CONVERSATIONS),
    st.binary(max_size=60),
    st.lists(st.integers(0, 2**16 - 1), max_size=MOST_CUTS),
)
@example("warm", b"", [0])
def test_inputs_say_what_was_planned(conversation: str, said: bytes, cuts: list[int]) -> None:
    """What stands in an input comes out of it, cut where it was to be cut."""
    found, bits, pieces = said_in(plan(conversation, said, cuts=cuts, bits=0b1100))

    assert (conversation, said) == (found, b"".join(pieces))
    assert bits & 0b1100 == 0b1100
    assert b"" not in pieces
    places = {cut % (len(said) + 1) for cut in cuts} - {0, len(said)}
    assert (len(places) + 1 if said else 0) == len(pieces)


def anyone_may_answer(self: Exchange, answer: wire.Frame) -> None:
    self._owed.clear()
    self.reply = answer


def bomb(packed: bytes | memoryview) -> dict[str, Any]:
    raise RecursionError


BROKEN_PRODUCTS: dict[str, tuple[object, str, object, bytes]] = {
    "answers are not looked at": (
        Exchange,
        "_take",
        anyone_may_answer,
        SEEDS["warm: an answer to another"],
    ),
    "fields are not looked at": (
        exchange,
        "check_fields",
        lambda _: None,
        SEEDS["warm: a number below zero"],
    ),
    "bodies have no limit": (
        wire.Decoder,
        "_max_body",
        property(lambda _: 2**32, lambda *_: None),
        SEEDS["warm: 4 GiB of body"],
    ),
    "bodies in the window have no limit": (
        wire.Decoder,
        "_max_body",
        property(lambda _: 2**32, lambda *_: None),
        SEEDS["warm: all of one over the limit, a read each"],
    ),
    "pieces are taken that nobody is owed": (
        Exchange,
        "_is_owed",
        lambda *_: True,
        SEEDS["warm: a small event taken"],
    ),
    "the general way has no window": (
        Exchange,
        "_begin_to_receive",
        Exchange._finish,
        SEEDS["warm: a plain result in the window"],
    ),
    "headers have no limit": (
        wire,
        "MAX_HEADER_BYTES",
        2**32,
        SEEDS["warm: 4 GiB of headers"],
    ),
    "another error comes out": (wire, "unpack_headers", bomb, SEEDS["warm: nested lists"]),
    "bytes after the answer are kept for the next": (
        wire.Decoder,
        "holds_part",
        False,
        SEEDS["warm: one byte too many"],
    ),
    "the general way refuses what the warm path takes": (
        exchange,
        "_RESULT",
        99,
        SEEDS["warm: a plain result"],
    ),
}


@pytest.mark.parametrize(
    ("where", "name", "broken", "seed"), BROKEN_PRODUCTS.values(), ids=BROKEN_PRODUCTS
)
def test_the_target_finds_a_broken_promise(
    where: object, name: str, broken: object, seed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With any one check taken out of the product, a seed is enough to tell."""
    one_input(seed)
    monkeypatch.setattr(where, name, broken)

    with pytest.raises((AssertionError, RecursionError)):
        one_input(seed)


def test_coverage_guided(tmp_path: Path) -> None:
    """20,000 inputs that atheris makes up, led by what they reach in the product."""
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed: it has no wheel for this interpreter or platform")
    places = [str(Path(package.__path__[0]).parent) for package in (fc_runtime, fc_worker)]
    # What libFuzzer compares is a peak that a process takes over from the one that starts it.
    most_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024 + 512
    bounds = [f"-runs={RUNS}", f"-max_total_time={LONGEST_S}", f"-rss_limit_mb={most_mb}"]
    corpus = tmp_path / "corpus"

    done = subprocess.run(
        [sys.executable, str(TARGET), str(corpus), *bounds, f"-artifact_prefix={tmp_path}/"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=10 * LONGEST_S,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-5000:]
    assert [] == list(tmp_path.glob("crash-*"))
    for module in ("fc_worker.wire", "fc_runtime.dispatch.exchange", "fc_runtime.pool.warm"):
        assert f"Instrumenting {module}\n" in done.stdout
    assert "DONE" in done.stdout
    assert len(list(corpus.iterdir())) > len(set(SEEDS.values()))  # it has found its way further


def test_the_program_tells_a_broken_promise(tmp_path: Path) -> None:
    """An input on which the target fails ends the program with a status, and is kept."""
    pytest.importorskip("atheris", reason="atheris is not installed")
    program = (
        "import runpy, sys; from fc_runtime.dispatch import exchange;"
        "exchange.check_fields = lambda _: None;"
        f"sys.argv = [{str(TARGET)!r}, *sys.argv[1:]];"
        f"runpy.run_path({str(TARGET)!r}, run_name='__main__')"
    )
    lie = tmp_path / "lie"
    lie.write_bytes(plan("warm", frame(headers={"s": 9})))
    places = [str(Path(package.__path__[0]).parent) for package in (fc_runtime, fc_worker)]

    done = subprocess.run(
        [sys.executable, "-c", program, str(lie), f"-artifact_prefix={tmp_path}/"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=10 * LONGEST_S,
        check=False,
    )

    assert done.returncode != 0
    assert "Uncaught Python exception" in done.stdout
