"""Cases of processes that a handler starts, leaves behind, or copies itself into."""

from functools import partial
from typing import Final

from fc_runtime.torture.case import (
    Case,
    crashed,
    either,
    out_of_memory,
    returned,
    returned_json,
    returned_where,
    timed_out,
    told,
)
from fc_runtime.torture.plays import beside_a_neighbour
from fc_runtime.torture.promises import Power

_child: Final = partial(Case, handler="children")
_COUNTED: Final = frozenset({Power.PROCESSES})
_MAX_PROCESSES: Final = 64

CASES: Final = (
    _child(
        name="child-past-deadline",
        row=4,
        what="waits for a command that takes for ever",
        deed="waiting_for_a_child",
        timeout=0.3,
        expect=timed_out("waiting_for_a_child"),
    ),
    _child(
        name="pipeline-past-deadline",
        row=4,
        what="waits for a pipeline in a shell",
        deed="waiting_for_a_pipeline",
        timeout=0.3,
        expect=timed_out("waiting_for_a_pipeline"),
    ),
    _child(
        name="daemons-past-deadline",
        row=5,
        what="has daemons in sessions of their own, without descriptors or environment",
        deed="daemon_and_hang",
        timeout=0.5,
        expect=timed_out(),
    ),
    _child(
        name="child-left",
        row=6,
        what="returns, and leaves a child",
        deed="leaving_a_child",
        expect=returned(b"left", leftovers=1),
    ),
    _child(
        name="daemon-left",
        row=6,
        what="returns, and leaves a deaf daemon",
        deed="leaving_a_daemon",
        expect=returned(b"left", leftovers=1),
    ),
    _child(
        name="program-left",
        row=6,
        what="returns, and leaves a daemon that is another program",
        deed="leaving_a_program",
        expect=returned(b"left", leftovers=1),
    ),
    _child(
        name="writer-left",
        row=23,
        what="returns, and leaves a child that writes to its output without end",
        deed="leaving_a_writer",
        expect=returned(b"left", leftovers=1),
    ),
    _child(
        name="stopped-child-left",
        row=6,
        what="returns, and leaves a stopped child",
        deed="leaving_a_stopped_child",
        expect=returned(b"left", leftovers=1),
    ),
    _child(
        name="zombies-left",
        row=6,
        what="returns, and leaves fifty zombies",
        deed="leaving_zombies",
        expect=returned(b"left"),
    ),
    _child(
        name="chain-left",
        row=8,
        what="returns while a chain of processes is under way, each the parent of the next",
        deed="leaving_what_keeps_being_born",
        expect=returned(b"left"),
        within_s=10.0,
    ),
    _child(
        name="orphans-renounced",
        what="stops being the reaper of its orphans, and leaves a daemon",
        deed="renouncing_its_orphans",
        expect=returned(b"left"),
        needs=frozenset({Power.TREE}),
        escapes=True,
    ),
    _child(
        name="reaper-left",
        what="leaves a child that takes in orphans of its own",
        deed="leaving_a_reaper",
        expect=returned(b"left", leftovers=1),
    ),
    _child(
        name="headless-left",
        what="leaves a process whose first thread has ended, and which looks like a zombie",
        deed="leaving_an_exited_thread_group",
        expect=returned(b"left"),
    ),
    _child(
        name="fork-bomb",
        row=7,
        what="forks, and so do all its children",
        deed="fork_bomb",
        timeout=1.0,
        options={"max_processes": _MAX_PROCESSES},
        expect=either(timed_out(), out_of_memory()),
        within_s=20.0,
    ),
    _child(
        name="fork-bomb-next-door",
        row=7,
        what="forks without end while another function is called",
        deed="fork_bomb",
        timeout=1.0,
        options={"max_processes": _MAX_PROCESSES},
        play=beside_a_neighbour,
        expect=told(
            "every call of the other answered within 2 s",
            lambda facts: (
                facts["failed"] == 0 and facts["answered"] > 0 and facts["slowest_s"] < 2.0
            ),
        ),
        needs=_COUNTED,
        otherwise=told(
            "every call of the other answered",
            lambda facts: facts["failed"] == 0 and facts["answered"] > 0,
        ),
        within_s=20.0,
    ),
    _child(
        name="too-many-processes",
        row=7,
        what="starts children until the kernel refuses",
        deed="fork_until_refused",
        timeout=2.0,
        options={"max_processes": _MAX_PROCESSES},
        expect=returned_where(
            f"EAGAIN below {_MAX_PROCESSES} children",
            lambda value: value["errno"] == "EAGAIN" and value["children"] <= _MAX_PROCESSES,
        ),
        needs=_COUNTED,
        within_s=20.0,
    ),
    _child(
        name="too-many-threads",
        what="starts threads until the kernel refuses",
        deed="threads_until_refused",
        options={"max_processes": _MAX_PROCESSES},
        expect=returned_where(
            f"refused below {_MAX_PROCESSES} threads",
            lambda value: value["refused"] and value["threads"] <= _MAX_PROCESSES,
        ),
        needs=_COUNTED,
        within_s=10.0,
    ),
    _child(
        name="fork-race",
        row=8,
        what="has chains of processes that fork and go, faster than they are found",
        deed="fork_race",
        timeout=0.5,
        expect=timed_out(),
        within_s=12.0,
    ),
    _child(
        name="returns-twice",
        row=32,
        what="forks, and returns in both",
        deed="returning_twice",
        expect=returned(b"the worker's"),
    ),
    _child(
        name="copy-raises",
        row=32,
        what="forks, and raises in the copy",
        deed="raising_in_the_copy",
        expect=returned(b"the worker's"),
    ),
    _child(
        name="killed-by-child",
        what="is killed by its own child",
        deed="killed_by_its_child",
        expect=crashed(signal=9),
    ),
    _child(
        name="commands",
        row=30,
        what="runs commands that work, fail, and do not exist",
        deed="commands",
        timeout=20.0,
        expect=returned_json([True, 1, True, 3]),
    ),
    _child(
        name="fork-in-fork",
        row=31,
        what="has a child with a child of its own, which tells it something by a pipe",
        deed="fork_in_fork",
        timeout=20.0,
        expect=returned(b"from the grandchild"),
    ),
    _child(
        name="process-pools",
        row=31,
        what="uses multiprocessing, executors and asyncio's subprocesses",
        deed="libraries",
        timeout=20.0,
        expect=returned_json([[0, 1, 4], [0, 1, 4], 3]),
    ),
)
