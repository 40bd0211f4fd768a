"""
The price of a sandbox: the same function under `none`, `standard` and `strict`, in one runtime.

*Warm*: a call with 1 KiB that comes back. The three functions are called in turns, one call each,
in an order that moves on by one, so that whatever slows a moment down meets all three; one
instance each. *Cold*: from the call to the first result of an instance that a warm zygote has to
fork (as `cold_start` has it, by the same code), with all that the sandbox's plan takes.

All are measured in one process, in the best tier of the host and in the portable one. The floor is
`none`: the tier's own hold and nothing else. Ratios are between rounds of one process, and theirs
is the median.
"""

import time
from pathlib import Path

from case import (
    HANDLERS,
    Case,
    Competitor,
    Placement,
    Role,
    UnavailableError,
    measuring_process,
    runtime_class,
)
from cold_start import BUSY, call_beside_a_busy_one

ECHO = str(HANDLERS / "echo")
EVENT = bytes(1024)
ROLES = {"none": Role.FLOOR, "standard": Role.SUBJECT, "strict": Role.SUBJECT}
TIERS = {"auto": "best tier", "portable": "portable tier"}
CALLS, QUICK_CALLS = 4_000, 1_000  # of each function
SECONDS = 6.0
COLD_STARTS, QUICK_COLD_STARTS = 4, 2  # of each; one more is thrown away


def warm_point(tier):
    return f"warm call, {TIERS[tier]}"


def cold_point(tier):
    return f"cold start, {TIERS[tier]}"


def measure(wanted):
    samples = {sandbox: {} for sandbox in ROLES}
    for tier in TIERS:
        calls = QUICK_CALLS if wanted.quick else CALLS
        for sandbox, durations in warm_calls(tier, calls).items():
            samples[sandbox][warm_point(tier)] = durations
        if wanted.placement is Placement.SCHEDULER:
            starts = QUICK_COLD_STARTS if wanted.quick else COLD_STARTS
            for sandbox, durations in cold_starts(tier, starts).items():
                samples[sandbox][cold_point(tier)] = durations
    return samples


def sandboxes(runtime):
    """Those that this host has: `strict` may be missing."""
    from fc_runtime import InvalidFunctionError

    found = []
    for sandbox in ROLES:
        try:
            register(runtime, sandbox, sandbox, ECHO)
        except InvalidFunctionError as error:
            if sandbox != "strict":
                raise UnavailableError(str(error)) from None
            continue
        found.append(sandbox)
    return found


def register(runtime, name, sandbox, code):
    runtime.register(
        name,
        code=code,
        handler="index.handler",
        timeout=60.0,
        memory_mb=512,
        max_instances=2 if code == BUSY else 1,
        sandbox=sandbox,
    )


def warm_calls(tier, calls):
    """Durations in ns, by sandbox, after a tenth that is thrown away."""
    with runtime_class()(isolation=tier) as runtime:
        names = sandboxes(runtime)
        for name in names:
            runtime.warm(name, 1)
        take_turns(runtime, names, calls // 10)
        return take_turns(runtime, names, calls)


def take_turns(runtime, names, calls):
    invoke, clock = runtime.invoke, time.perf_counter_ns
    durations = {name: [] for name in names}
    orders = [[*names[turn:], *names[:turn]] for turn in range(len(names))]
    until = clock() + int(SECONDS * 1e9)
    for number in range(calls):
        for name in orders[number % len(orders)]:
            start = clock()
            result = invoke(name, EVENT)
            end = clock()
            durations[name].append(end - start)
            if len(result.payload) != len(EVENT):
                raise ValueError(f"{len(EVENT)} bytes went in, {len(result.payload)} came out")
        if end > until:
            break
    return durations


def cold_starts(tier, starts):
    with runtime_class()(isolation=tier) as runtime:
        names = sandboxes(runtime)
        durations = {name: [] for name in names}
        for serial in range(starts + 1):
            for sandbox in names:
                name = f"{sandbox}{serial}"
                register(runtime, name, sandbox, BUSY)
                runtime.warm(name, 1)
                took = call_beside_a_busy_one(runtime, name, must_start=True)
                runtime.unregister(name)
                if serial:
                    durations[sandbox].append(took)
    return durations


CASE = Case(
    name="sandbox",
    title="The price of a sandbox, warm (1 KiB) and cold",
    file=Path(__file__),
    unit="ns",
    points=[*map(warm_point, TIERS), *map(cold_point, TIERS)],
    competitors=[Competitor(name=name, role=role) for name, role in ROLES.items()],
    placements=list(Placement),
    rounds=3,
    quick_rounds=1,
    together=True,
    measure=measure,
)

if __name__ == "__main__":
    measuring_process(CASE)
