"""Cases that the host has a part in: it kills a zygote, cancels, floods, has children itself."""

from functools import partial
from typing import Final

from fc_runtime.torture.case import Case, returned, told
from fc_runtime.torture.plays import cancelled, flooded, in_a_busy_host, without_its_zygote

_host: Final = partial(Case, handler="host")

CASES: Final = (
    _host(
        name="zygote-killed",
        row=37,
        what="is under way when its zygote is killed",
        deed="taking_its_time",
        play=without_its_zygote,
        expect=returned(b"in the end"),
    ),
    _host(
        name="caller-gone",
        row=38,
        what="is under way when its caller is cancelled",
        deed="never_ending",
        play=cancelled,
        timeout=10.0,
        expect=told(
            "cancelled, and the one place is free again",
            lambda facts: facts == {"cancelled": True, "next": "pong"},
        ),
    ),
    _host(
        name="ten-thousand-calls",
        row=39,
        what="is called ten thousand times at once, with two instances",
        deed="ping",
        host={"max_queue": 100},
        options={"max_instances": 2},
        play=flooded,
        expect=told(
            "some answered, the others refused",
            lambda ends: (
                sum(ends.values()) == 10_000 and ends["answered"] >= 100 and len(ends) <= 2
            ),
        ),
        within_s=30.0,
    ),
    _host(
        name="busy-host",
        row=40,
        what="hangs while its host has children and a SIGCHLD handler of its own",
        deed="never_ending",
        play=in_a_busy_host,
        timeout=0.5,
        expect=told(
            "timed out, and the host's child is the host's",
            lambda facts: (
                facts
                == {
                    "attack": "timed_out",
                    "exit code of the host's child": 7,
                    "heard of it": True,
                    "handler kept": True,
                }
            ),
        ),
    ),
)
