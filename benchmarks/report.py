"""Tables, targets, JSON and plots, all of them made from `Results` and nothing else."""

from dataclasses import asdict, dataclass

from case import SUBJECT, Placement, Role

DASH = "-"
UNITS = {
    "ns": ((1e9, "s"), (1e6, "ms"), (1e3, "us"), (1, "ns")),
    "bytes": ((1e6, "MB"), (1e3, "kB"), (1, "B")),
    "per_s": ((1e3, "k/s"), (1, "/s")),  # the only one of which more is better
    "count": ((1, ""),),
}
BETTER = {"ns": "quicker", "bytes": "smaller", "per_s": "ahead"}


def amount(value, unit):
    """Three significant digits with the unit that suits: 27.3 us, 4.41 MB. A count is whole."""
    if unit == "count":
        return f"{value:.0f}"
    factor, name = next((one for one in UNITS[unit] if abs(value) >= one[0]), UNITS[unit][-1])
    scaled = value / factor
    digits = 0 if abs(scaled) >= 100 else 1 if abs(scaled) >= 10 else 2
    return f"{scaled:.{digits}f} {name}"


def p99(found, unit):
    """Below a hundred samples there is no such thing, so the greatest is shown, and called so."""
    text = amount(found.p99, unit)
    return text if found.samples >= 100 else f"max {text}"


def times(ratio):
    return DASH if ratio is None else f"{ratio:.2f}x"


def tables(results):
    """One table for each placement and point, as text."""
    case = results.case
    blocks = [f"{case.title}", "=" * len(case.title)]
    for placement in case.placements:
        for point in case.points:
            rows = table_rows(results, placement, point)
            if rows:
                heading = point if len(case.placements) == 1 else f"{point}, {placement.title}"
                blocks.append(f"\n{heading}\n{align(rows)}")
    blocks += ["", *(f"note: {line}" for line in results.notes)]
    return "\n".join(blocks)


def table_rows(results, placement, point):
    case = results.case
    unit = case.unit_of(point)
    if unit == "count":
        return count_rows(results, placement, point)
    rows = [["", "median", "p99", "of rounds", "to floor", f"{SUBJECT} {BETTER[unit]} by", "n"]]
    for competitor in case.competitors:
        found = results.summary(placement, competitor.name, point)
        if found is None:
            if not was_measured(results, placement, competitor):
                rows.append([competitor.name, "not measured", "", "", "", "", ""])
            continue
        spread = f"[{amount(found.best, unit)} - {amount(found.worst, unit)}]"
        to_floor = by = None
        if point not in case.uncompared:
            to_floor = results.ratio(placement, competitor.name, case.floor, point)
            if competitor.role is Role.RIVAL:
                pair = (competitor.name, SUBJECT)
                by = results.ratio(placement, *(pair[::-1] if unit == "per_s" else pair), point)
        rows.append(
            [
                competitor.name,
                amount(found.median, unit),
                p99(found, unit),
                spread,
                times(to_floor),
                times(by),
                str(found.samples),
            ]
        )
    return rows if any(row[1] != "not measured" for row in rows[1:]) else []


def count_rows(results, placement, point):
    rows = [["", "in all", "n"]]
    for competitor in results.case.competitors:
        found = results.summary(placement, competitor.name, point)
        if found is not None:
            rows.append([competitor.name, amount(found.total, "count"), str(found.samples)])
        elif not was_measured(results, placement, competitor):
            rows.append([competitor.name, "not measured", ""])
    return rows if any(row[2] for row in rows[1:]) else []


def was_measured(results, placement, competitor):
    return any(key[:2] == (placement, competitor.name) for key in results.samples)


def align(rows):
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        first = row[0].ljust(widths[0])
        rest = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join([first, *rest]).rstrip())
    lines.insert(1, "-" * len(lines[0]))
    return "\n".join(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """
    A bound on one figure of a run.

    With *below* the figure is the ratio *above* : *below*, otherwise *above*'s own *figure*.
    """

    text: str
    case: str
    placement: Placement
    point: str
    above: str
    below: str | None = None
    figure: str = "median"  # or "p99", "total": of a `Summary`
    at_most: float | None = None
    at_least: float | None = None

    def seen(self, results):
        if self.below is not None:
            return results.ratio(self.placement, self.above, self.below, self.point)
        found = results.summary(self.placement, self.above, self.point)
        return None if found is None else getattr(found, self.figure)

    def is_met(self, seen):
        if self.at_most is not None and seen > self.at_most:
            return False
        return self.at_least is None or seen >= self.at_least


TARGETS = (
    Target(
        text="warm 1 KiB, one CPU: at most 1.6 x floor f",
        case="warm_call",
        placement=Placement.ONE_CPU,
        point="1 KiB",
        above=SUBJECT,
        below="floor f (bare pair)",
        at_most=1.6,
    ),
    Target(
        text="warm 1 KiB, one CPU: at least 5 x quicker than ProcessPoolExecutor",
        case="warm_call",
        placement=Placement.ONE_CPU,
        point="1 KiB",
        above="ProcessPoolExecutor",
        below=SUBJECT,
        at_least=5.0,
    ),
    Target(
        text="warm 1 KiB, scheduler: at least 8 x quicker than ProcessPoolExecutor",
        case="warm_call",
        placement=Placement.SCHEDULER,
        point="1 KiB",
        above="ProcessPoolExecutor",
        below=SUBJECT,
        at_least=8.0,
    ),
    Target(
        text="cold start, scheduler: at most 1.5 x the bare zygote",
        case="cold_start",
        placement=Placement.SCHEDULER,
        point="first result",
        above=SUBJECT,
        below="bare zygote",
        at_most=1.5,
    ),
    *(
        Target(
            text=f"USS of one more warm worker, {variant}: at most 5 MB",
            case="memory",
            placement=Placement.SCHEDULER,
            point=f"USS, {variant}",
            above=SUBJECT,
            at_most=5e6,
        )
        for variant in ("bare", "oss2")
    ),
    *(
        Target(
            text=f"{text}, {figure}: at most {at_most_ms} ms",
            case="deadline",
            placement=Placement.SCHEDULER,
            point=point,
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
        placement=Placement.SCHEDULER,
        point="survivors",
        above=SUBJECT,
        figure="total",
        at_most=0,
    ),
    *(
        Target(
            text=f"warm 1 KiB, one CPU: {sandbox} at most 1.05 x none",
            case="sandbox",
            placement=Placement.ONE_CPU,
            point="warm call, best tier",
            above=sandbox,
            below="none",
            at_most=1.05,
        )
        for sandbox in ("standard", "strict")
    ),
    *(
        Target(
            text=f"HTTP, 16 connections: at least {at_least:g} x {rival}",
            case="http_call",
            placement=Placement.SCHEDULER,
            point="requests, 16 connections",
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
        placement=Placement.SCHEDULER,
        point="added latency, 1 connection",
        above=SUBJECT,
        below="library (a warm call)",
        at_most=2.0,
    ),
)


def judge(all_results):
    """Each target with what this run has seen: a list of plain maps."""
    by_case = {results.case.name: results for results in all_results}
    verdicts = []
    for target in TARGETS:
        results = by_case.get(target.case)
        seen = target.seen(results) if results else None
        met = None if seen is None else target.is_met(seen)
        unit = results.case.unit_of(target.point) if results else None
        verdicts.append(
            {
                "target": target.text,
                "seen": seen,
                "met": met,
                "unit": "ratio" if target.below else unit,
            }
        )
    return verdicts


def targets_table(verdicts):
    rows = [["target", "seen", ""]]
    for one in verdicts:
        if one["seen"] is None:
            rows.append([one["target"], DASH, "not measured"])
            continue
        unit = one["unit"]
        seen = times(one["seen"]) if unit == "ratio" else amount(one["seen"], unit)
        rows.append([one["target"], seen, "met" if one["met"] else "NOT MET"])
    return "\n".join(["targets", "=======", align(rows)])


def as_json(results):
    """A case's figures for the file; durations in ns, sizes in bytes."""
    case = results.case
    figures = []
    for placement in case.placements:
        for competitor in case.competitors:
            for point in case.points:
                found = results.summary(placement, competitor.name, point)
                if found is not None:
                    figures.append(
                        {
                            "placement": placement,
                            "competitor": competitor.name,
                            "role": competitor.role,
                            "point": point,
                            "unit": case.unit_of(point),
                            **asdict(found),
                            "to_floor": results.ratio(
                                placement, competitor.name, case.floor, point
                            ),
                        }
                    )
    return {"title": case.title, "figures": figures, "notes": results.notes}


def plot(results, folder):
    """One PNG a placement. Returns the files; none where matplotlib is not installed."""
    try:
        import matplotlib as mpl
    except ImportError:
        return []
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    files = []
    for placement in results.case.placements:
        figure = draw(plt, results, placement)
        if figure is None:
            continue
        file = folder / f"{results.case.name}_{placement}.png"
        figure.savefig(file, dpi=120, bbox_inches="tight")
        plt.close(figure)
        files.append(file)
    return files


def draw(plt, results, placement):
    """Bars of the medians for each point; whiskers from the best round to the worst."""
    case = results.case
    shown = [
        one
        for one in case.competitors
        if any(key[:2] == (placement, one.name) for key in results.samples)
    ]
    points = [
        point
        for point in case.points
        if case.unit_of(point) != "count"  # the table says it in full
        and any(results.summary(placement, one.name, point) for one in shown)
    ]
    if not points:
        return None
    figure, axes = plt.subplots(1, len(points), figsize=(1.6 + 2.6 * len(points), 3.4))
    colours = {Role.SUBJECT: "tab:blue", Role.FLOOR: "0.35", Role.REFERENCE: "0.7"}
    for number, point in enumerate(points):
        axis = axes if len(points) == 1 else axes[number]
        cells = [results.summary(placement, one.name, point) for one in shown]
        longest = max(cell.median for cell in cells if cell)
        units = UNITS[case.unit_of(point)]
        factor, unit = next((one for one in units if longest >= one[0]), units[-1])
        for place, (competitor, found) in enumerate(zip(shown, cells, strict=True)):
            if found is None:
                continue
            median = found.median / factor
            whiskers = [[median - found.best / factor], [found.worst / factor - median]]
            colour = colours.get(competitor.role, "tab:orange")
            axis.barh(place, median, xerr=whiskers, color=colour, height=0.7, capsize=2)
        axis.set_title(point, fontsize=9)
        axis.set_xlabel(unit)
        axis.set_yticks(range(len(shown)), [one.name for one in shown] if not number else [])
        axis.invert_yaxis()
        axis.tick_params(labelsize=8)
    figure.suptitle(f"{case.title}\n{placement.title}", fontsize=10, y=1.08)
    return figure
