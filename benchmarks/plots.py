"""Bars of a case's medians, as PNG files."""

from case import Role
from report import UNITS


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
