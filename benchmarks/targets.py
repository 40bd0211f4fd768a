"""
What the figures of a run are held to. A target is met or it is not; where something it needs was
not measured it is neither.

A target names a figure, or a ratio of two, and a bound. Over several points the worst one counts,
and the verdict tells which that was.
"""

from dataclasses import dataclass

from case import SUBJECT, Placement

BEST_RIVAL = "best rival"  # in place of a competitor's name
ONE_CPU, SCHEDULER = Placement.ONE_CPU, Placement.SCHEDULER
FLOOR_F, FLOOR_H = "floor f (bare pair)", "floor h (own pipe I/O)"
ASYNCIO = "fc-runtime, asyncio"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """
    With *below* or *below_point* the figure is a ratio, *above* at a point : *below* at the point
    or at *below_point*; otherwise *above*'s own *figure*.
    """

    text: str
    case: str
    points: tuple[str, ...]
    above: str
    placement: Placement = SCHEDULER
    below: str | None = None
    below_point: str | None = None
    figure: str = "median"  # or "p99", "total", "worst": of a `Summary`
    at_most: float | None = None
    at_least: float | None = None

    @property
    def is_ratio(self):
        return self.below is not None or self.below_point is not None

    def seen(self, results):
        """(figure, point) of the worst point; None unless all of them were measured."""
        found = [(self.seen_at(results, point), point) for point in self.points]
        if any(figure is None for figure, _ in found):
            return None
        return (max if self.at_most is not None else min)(found)

    def seen_at(self, results, point):
        if not self.is_ratio:
            summary = results.summary(self.placement, self.above, point)
            return None if summary is None else getattr(summary, self.figure)
        if self.below == BEST_RIVAL:
            return worst(
                [
                    results.ratio(self.placement, self.above, rival, point)
                    for rival in results.case.rivals
                ],
                self.at_most is not None,
            )
        if self.below_point is None:
            return results.ratio(self.placement, self.above, self.below, point)
        above = results.summary(self.placement, self.above, point)
        below = results.summary(self.placement, self.below or self.above, self.below_point)
        return above.median / below.median if above and below else None

    def is_met(self, seen):
        if self.at_most is not None and seen > self.at_most:
            return False
        return self.at_least is None or seen >= self.at_least


def worst(ratios, greatest):
    measured = [one for one in ratios if one is not None]
    if not measured:
        return None
    return max(measured) if greatest else min(measured)


def times_quicker(rival, at_least, placement, point="1 KiB"):
    where = "one CPU" if placement is ONE_CPU else "scheduler"
    return Target(
        text=f"warm {point}, {where}: at least {at_least:g} x quicker than {rival}",
        case="warm_call",
        placement=placement,
        points=(point,),
        above=rival,
        below=SUBJECT,
        at_least=at_least,
    )


def of_floor_f(at_most, placement, point="1 KiB"):
    where = "one CPU" if placement is ONE_CPU else "scheduler"
    return Target(
        text=f"warm {point}, {where}: at most {at_most:g} x floor f",
        case="warm_call",
        placement=placement,
        points=(point,),
        above=SUBJECT,
        below=FLOOR_F,
        at_most=at_most,
    )


WARM = (
    of_floor_f(1.4, ONE_CPU),
    times_quicker("ProcessPoolExecutor", 7.0, ONE_CPU),
    times_quicker("pebble", 7.0, ONE_CPU),
    times_quicker("functions-framework", 15.0, ONE_CPU),
    of_floor_f(0.3, SCHEDULER),
    times_quicker("ProcessPoolExecutor", 12.0, SCHEDULER),
    times_quicker("pebble", 10.0, SCHEDULER),
    times_quicker("Ray actor", 30.0, SCHEDULER),
    times_quicker("functions-framework", 20.0, SCHEDULER),
)

LARGE = (
    *(of_floor_f(0.15, placement, "1 MiB") for placement in (ONE_CPU, SCHEDULER)),
    *(of_floor_f(0.35, placement, "6 MiB") for placement in (ONE_CPU, SCHEDULER)),
    *(
        times_quicker("ProcessPoolExecutor", 8.0, placement, "6 MiB")
        for placement in (ONE_CPU, SCHEDULER)
    ),
)

RATES = tuple(f"{n} caller{'s' if n > 1 else ''}" for n in (1, 2, 4, 8, 32, 128))
UNFAIR = tuple(f"slowest caller, {n} callers" for n in (4, 8, 32, 128))


def throughput(name, above):
    """The targets of one kind of callers."""
    compared = (
        (FLOOR_H, FLOOR_H, 0.8),
        ("h, first come first served", "h, first come first served", 0.8),
        ("the best rival", BEST_RIVAL, 1.7),
        ("ProcessPoolExecutor", "ProcessPoolExecutor", 3.0),
    )
    for text, below, at_least in compared:
        yield Target(
            text=f"calls a second, 1 to 128 {name}: at least {at_least:g} x {text}",
            case="throughput",
            points=RATES,
            above=above,
            below=below,
            at_least=at_least,
        )
    yield Target(
        text=f"calls a second, 128 {name}: at least 0.8 x those of 2",
        case="throughput",
        points=("128 callers",),
        above=above,
        below_point="2 callers",
        at_least=0.8,
    )
    yield Target(
        text=f"slowest of 4 to 128 {name}: at most 5 x the median one's time per call",
        case="throughput",
        points=UNFAIR,
        above=above,
        figure="worst",
        at_most=5.0,
    )


THROUGHPUT = (
    *throughput("threads", SUBJECT),
    *throughput("tasks", ASYNCIO),
    Target(
        text="latency of an awaited call, 1 caller: at most 2 x a thread's",
        case="throughput",
        points=("latency, 1 caller",),
        above=ASYNCIO,
        below=SUBJECT,
        at_most=2.0,
    ),
)

COLD = (
    Target(
        text="cold start, scheduler: at most 1.5 x the bare zygote",
        case="cold_start",
        points=("first result",),
        above=SUBJECT,
        below="bare zygote",
        at_most=1.5,
    ),
)

FRESH = tuple(
    Target(
        text=f"a fresh process for every call, paced: at most 3 x a {text}",
        case="fresh_process",
        points=("paced call",),
        above=SUBJECT,
        below_point=point,
        at_most=3.0,
    )
    for text, point in (
        ("warm call as paced", "warm call, as paced"),
        ("warm call back to back", "warm call, back to back"),
    )
)

MEMORY = tuple(
    Target(
        text=f"USS of one more warm worker, {variant}: at most {at_most:g} MB",
        case="memory",
        points=(f"USS, {variant}",),
        above=SUBJECT,
        at_most=at_most * 1e6,
    )
    for variant, at_most in (("bare", 3.5), ("oss2", 4.5), ("oss2+numpy", 4.5))
)

HEAVY_IMPORTS = (
    Target(
        text="cold start, numpy and oss2 learned: at most 1.5 x without imports",
        case="heavy_imports",
        points=("once learned",),
        above=SUBJECT,
        below="fc-runtime, no imports",
        at_most=1.5,
    ),
    Target(
        text="first start ever, numpy and oss2: at most 1.3 x python -c",
        case="heavy_imports",
        points=("first ever",),
        above=SUBJECT,
        below="python -c",
        at_most=1.3,
    ),
)

SCALE = (
    Target(
        text="200 instances, 32 callers at random: at most 1.2 x one function's call",
        case="scale",
        points=("call",),
        above=SUBJECT,
        below="one function",
        at_most=1.2,
    ),
    Target(
        text="registering 1,000 functions: under 2 s",
        case="scale",
        points=("register 1,000 functions",),
        above=SUBJECT,
        at_most=2e9,
    ),
    Target(
        text="processes started by registering them: none",
        case="scale",
        points=("started at that",),
        above=SUBJECT,
        figure="total",
        at_most=0,
    ),
    Target(
        text="idle: at most 5 ms of CPU time in 10 s (0.0 %)",
        case="scale",
        points=("idle cpu, 10 s",),
        above=SUBJECT,
        at_most=5e6,
    ),
    Target(
        text="idle: nobody wakes up in 10 s, above or below",
        case="scale",
        points=("idle wakes, 10 s", "idle wakes below, 10 s"),
        above=SUBJECT,
        figure="total",
        at_most=0,
    ),
)

DEADLINE = (
    *(
        Target(
            text=f"{text}, {figure}: at most {at_most_ms} ms",
            case="deadline",
            points=(point,),
            above=SUBJECT,
            figure=figure,
            at_most=at_most_ms * 1e6,
        )
        for text, point, figure, at_most_ms in (
            ("deadline to the caller's answer", "answer", "median", 1),
            ("deadline to the caller's answer", "answer", "p99", 5),
            ("deadline to an empty tree", "tree empty", "p99", 10),
            ("answer to the next call's answer", "next call", "median", 10),
        )
    ),
    Target(
        text="survivors of all deadlines: none",
        case="deadline",
        points=("survivors",),
        above=SUBJECT,
        figure="total",
        at_most=0,
    ),
)

SANDBOX = tuple(
    Target(
        text=f"warm 1 KiB, one CPU: {sandbox} at most 1.05 x none",
        case="sandbox",
        placement=ONE_CPU,
        points=("warm call, best tier",),
        above=sandbox,
        below="none",
        at_most=1.05,
    )
    for sandbox in ("standard", "strict")
)

HTTP = (
    *(
        Target(
            text=f"HTTP, 16 connections: at least {at_least:g} x {rival}",
            case="http_call",
            points=("requests, 16 connections",),
            above=SUBJECT,
            below=below,
            at_least=at_least,
        )
        for rival, below, at_least in (
            ("functions-framework", "functions-framework", 3.0),
            ("the plain echo", "plain echo (uvicorn)", 0.5),
        )
    ),
    Target(
        text="HTTP, 1 connection: adds at most 2 x a warm call of the library",
        case="http_call",
        points=("added latency, 1 connection",),
        above=SUBJECT,
        below="library (a warm call)",
        at_most=2.0,
    ),
)

TASKS = tuple(
    Target(
        text=f"tasks a second with 100,000 waiting, {store}: at least 0.8 x with 100",
        case="tasks",
        points=("depth 100,000",),
        above=above,
        below_point="depth 100",
        at_least=0.8,
    )
    for store, above in (("SQLite", SUBJECT), ("PostgreSQL", "fc-runtime, PostgreSQL"))
)

TARGETS = (
    *(*WARM, *LARGE, *THROUGHPUT, *COLD, *FRESH),
    *(*MEMORY, *HEAVY_IMPORTS, *SCALE, *DEADLINE, *SANDBOX, *HTTP, *TASKS),
)


def judge(all_results, targets=TARGETS):
    """Each target with what this run has seen: a list of plain maps."""
    by_case = {results.case.name: results for results in all_results}
    verdicts = []
    for target in targets:
        results = by_case.get(target.case)
        found = target.seen(results) if results else None
        seen, point = found or (None, None)
        unit = "ratio" if target.is_ratio else None
        if unit is None and results is not None:
            unit = results.case.unit_of(target.points[0])
        verdicts.append(
            {
                "target": target.text,
                "case": target.case,
                "bound": target.at_most if target.at_most is not None else target.at_least,
                "kind": "at most" if target.at_most is not None else "at least",
                "seen": seen,
                "at": point if len(target.points) > 1 else None,
                "met": None if found is None else target.is_met(seen),
                "unit": unit,
            }
        )
    return verdicts
