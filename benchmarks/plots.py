"""Figures of a run as PNG files. None where matplotlib is not installed."""

import itertools

from case import Placement, Role
from report import UNITS
from throughput import CALLERS, rate_point

COLOURS = {Role.SUBJECT: "tab:blue", Role.FLOOR: "0.35", Role.REFERENCE: "0.7"}
SIDES = {"caller": "tab:blue", "kernel": "0.75", "worker": "tab:green"}
RIVALS = ("tab:orange", "tab:red", "tab:purple", "tab:brown", "tab:olive")
IN_A_ROW = 5


def pyplot():
    try:
        import matplotlib as mpl
    except ImportError:
        return None
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    return plt


def saved(plt, figure, file):
    # No version in the file: the same figures make the same bytes.
    figure.savefig(file, dpi=100, bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)
    return file


def plot(results, folder):
    """One PNG a placement of a case. Returns the files."""
    plt = pyplot()
    if plt is None:
        return []
    files = []
    for placement in results.case.placements:
        draw = draw_rates if results.case.name == "throughput" else draw_bars
        figure = draw(plt, results, placement)
        if figure is not None:
            files.append(saved(plt, figure, folder / f"{results.case.name}_{placement}.png"))
    return files


def shown_of(results, placement):
    return [
        one
        for one in results.case.competitors
        if any(key[:2] == (placement, one.name) for key in results.samples)
    ]


def draw_bars(plt, results, placement):
    """The medians for each point; whiskers from the best round to the worst."""
    case = results.case
    shown = shown_of(results, placement)
    points = [
        point
        for point in case.points
        if case.unit_of(point) not in ("count", "ratio")  # the table says it in full
        and any(results.summary(placement, one.name, point) for one in shown)
    ]
    if not points:
        return None
    columns = min(IN_A_ROW, len(points))
    rows = -(-len(points) // columns)
    size = (1.6 + 2.6 * columns, (0.9 + 0.31 * max(4, len(shown))) * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    for number, axis in enumerate(axes.flat):
        if number >= len(points):
            axis.set_axis_off()
            continue
        point = points[number]
        cells = [results.summary(placement, one.name, point) for one in shown]
        longest = max(cell.median for cell in cells if cell)
        units = UNITS[case.unit_of(point)]
        factor, unit = next((one for one in units if longest >= one[0]), units[-1])
        for place, (competitor, found) in enumerate(zip(shown, cells, strict=True)):
            if found is None:
                continue
            median = found.median / factor
            whiskers = [[median - found.best / factor], [found.worst / factor - median]]
            colour = COLOURS.get(competitor.role, "tab:orange")
            axis.barh(place, median, xerr=whiskers, color=colour, height=0.7, capsize=2)
        axis.set_title(point, fontsize=9)
        axis.set_xlabel(unit, fontsize=8)
        named = not number % columns
        axis.set_yticks(range(len(shown)), [one.name for one in shown] if named else [])
        axis.invert_yaxis()
        axis.tick_params(labelsize=8)
    figure.suptitle(f"{case.title}\n{placement.title}", fontsize=10)
    return figure


def draw_rates(plt, results, placement):
    """Calls a second over the number of callers; a line each, whiskers as in the bars."""
    figure, axis = plt.subplots(figsize=(8, 4.5), layout="constrained")
    drawn = False
    colours = itertools.cycle(RIVALS)
    for competitor in shown_of(results, placement):
        found = [results.summary(placement, competitor.name, rate_point(n)) for n in CALLERS]
        if not all(found):
            continue
        drawn = True
        medians = [one.median for one in found]
        whiskers = [
            [one.median - one.best for one in found],
            [one.worst - one.median for one in found],
        ]
        style = {
            Role.SUBJECT: {"color": "tab:blue", "linewidth": 2.5},
            Role.FLOOR: {"color": "0.35", "linestyle": "--"},
            Role.REFERENCE: {"color": "0.6", "linestyle": ":"},
        }.get(competitor.role) or {"color": next(colours), "linewidth": 1}
        if "asyncio" in competitor.name:
            style = style | {"linestyle": "-."}
        axis.errorbar(CALLERS, medians, whiskers, label=competitor.name, capsize=2, **style)
    if not drawn:
        plt.close(figure)
        return None
    axis.set_xscale("log", base=2)
    axis.set_xticks(CALLERS, [str(one) for one in CALLERS])
    axis.set_ylim(bottom=0)
    axis.set_xlabel("callers")
    axis.set_ylabel("calls a second")
    axis.legend(fontsize=8)
    axis.set_title(results.case.title, fontsize=10)
    return figure


def plot_stages(stages, folder):
    """A warm call from left to right, a bar a placement."""
    plt = pyplot()
    found = {
        placement: told["profile"]["stages"]
        for placement, told in stages.items()
        if "stages" in told.get("profile", ())
    }
    if plt is None or not found:
        return []
    figure, axes = plt.subplots(
        len(found), 1, figsize=(10, 4.2 * len(found)), squeeze=False, layout="constrained"
    )
    for axis, (placement, steps) in zip(axes.flat, found.items(), strict=True):
        begun = 0.0
        for place, step in enumerate(steps):
            took = step["ns"] / 1e3
            axis.barh(place, took, left=begun, color=SIDES[step["side"]])
            axis.text(begun + took, place, f" {took:.1f}", va="center", fontsize=7)
            begun += took
        axis.set_yticks(range(len(steps)), [step["stage"] for step in steps])
        axis.invert_yaxis()
        axis.set_xlim(0, begun * 1.05)
        axis.tick_params(labelsize=8)
        axis.set_xlabel("us since the call", fontsize=8)
        axis.set_title(f"One warm call, {Placement(placement).title}", fontsize=10)
    handles = [plt.Rectangle((0, 0), 1, 1, color=colour) for colour in SIDES.values()]
    axes.flat[0].legend(handles, SIDES, fontsize=8)
    return [saved(plt, figure, folder / "stages.png")]
