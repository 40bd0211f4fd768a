"""Cases of memory. All have 64 MiB, and try four times as much."""

from functools import partial
from typing import Final

from fc_runtime.torture.case import (
    Case,
    crashed,
    either,
    out_of_memory,
    raised,
    returned,
    returned_json,
    returned_where,
    told,
)
from fc_runtime.torture.plays import again_and_again
from fc_runtime.torture.promises import Power

LIMIT_MB: Final = 64
_hog: Final = partial(Case, handler="memory", options={"memory_mb": LIMIT_MB}, timeout=10.0)
_KERNEL: Final = frozenset({Power.MEMORY})

CASES: Final = (
    _hog(
        name="memory-at-once",
        row=9,
        what="allocates as fast as it can",
        deed="growing",
        expect=out_of_memory(),
    ),
    _hog(
        name="memory-slowly",
        row=9,
        what="allocates little by little",
        deed="growing_slowly",
        expect=out_of_memory(),
    ),
    _hog(
        name="memory-mapped",
        row=9,
        what="fills shared memory, which is no heap",
        deed="growing_mapped",
        expect=out_of_memory(),
    ),
    _hog(
        name="memory-unseen",
        row=9,
        what="closes its /proc to others, and allocates",
        deed="growing_unseen",
        expect=out_of_memory(),
    ),
    _hog(
        name="memory-in-a-flash",
        row=9,
        what="takes it all in one call, and gives it back at once",
        deed="darting",
        expect=out_of_memory(),
        needs=_KERNEL,
    ),
    _hog(
        name="memory-in-a-file",
        what="fills a file that lives in memory, and is mapped nowhere",
        deed="in_a_file",
        expect=out_of_memory(),
        needs=_KERNEL,
    ),
    _hog(
        name="memory-in-the-log",
        what="makes its log as large as four times its memory",
        deed="in_the_log",
        expect=either(out_of_memory(), returned(b"done"), raised("OSError")),
    ),
    _hog(
        name="memory-of-a-child",
        row=10,
        what="has a child that allocates",
        deed="child",
        expect=out_of_memory(),
    ),
    _hog(
        name="memory-of-a-grandchild",
        row=10,
        what="has a grandchild that allocates",
        deed="grandchild",
        expect=out_of_memory(),
    ),
    _hog(
        name="memory-of-many",
        row=11,
        what="has ten children, none of which is too large",
        deed="many_children",
        expect=out_of_memory(),
    ),
    _hog(
        name="memory-shared",
        row=11,
        what="shares its memory with six children, and is within its limit",
        deed="sharing_children",
        expect=returned_json([24] * 6),
    ),
    _hog(
        name="memory-leak",
        row=12,
        what="leaks a mebibyte a call, a hundred times",
        deed="leaking",
        play=again_and_again(100),
        expect=told("no call fails", lambda ends: ends == {"returned": 100}),
        within_s=20.0,
    ),
    _hog(
        name="memory-asked-for",
        row=9,
        what="asks for 16 GiB in one piece",
        deed="asking_for_too_much",
        expect=either(raised("MemoryError"), out_of_memory()),
        needs=frozenset({Power.LIMITS}),
    ),
    _hog(
        name="memory-none-left",
        what="forbids itself, and so the worker, every further byte",
        deed="without_memory",
        expect=either(raised("MemoryError"), crashed()),
    ),
    _hog(
        name="recursion",
        what="calls itself without end",
        deed="recursing",
        expect=raised("RecursionError"),
    ),
    _hog(
        name="stack-overflow",
        what="overflows the stack of C",
        deed="overflowing_the_stack",
        expect=either(crashed(signal=11), out_of_memory()),
    ),
    _hog(
        name="scratch-full",
        what="writes more to its scratch folder than it may",
        deed="filling_the_scratch",
        options={"memory_mb": 256, "scratch_mb": 16},
        expect=returned_where(
            "ENOSPC at 16 MiB",
            lambda value: value["errno"] == 28 and value["written"] <= 16 * 2**20,
        ),
        needs=frozenset({Power.WALLS}),
    ),
)
