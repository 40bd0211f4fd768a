"""Tables and JSON, all of them made from `Results` and nothing else."""

from dataclasses import asdict

from case import SUBJECT, Role

DASH = "-"
UNITS = {
    "ns": ((1e9, "s"), (1e6, "ms"), (1e3, "us"), (1, "ns")),
    "bytes": ((1e6, "MB"), (1e3, "kB"), (1, "B")),
    "per_s": ((1e3, "k/s"), (1, "/s")),  # the only one of which more is better
    "count": ((1, ""),),
    "ratio": ((1, "x"),),
}
BETTER = {"ns": "quicker", "bytes": "smaller", "per_s": "ahead", "ratio": "better"}


def amount(value, unit):
    """Three significant digits with the unit that suits: 27.3 us, 4.41 MB. A count is whole."""
    if unit == "count":
        return f"{value:.0f}"
    factor, name = next((one for one in UNITS[unit] if abs(value) >= one[0]), UNITS[unit][-1])
    scaled = value / factor
    if unit == "ratio":
        return times(value)
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
        rows.append(
            [
                competitor.name,
                amount(found.median, unit),
                p99(found, unit),
                spread,
                times(to_floor(results, placement, competitor, point)),
                times(ahead_of(results, placement, competitor, point)),
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


def targets_table(verdicts):
    rows = [["target", "seen", ""]]
    for one in verdicts:
        if one["seen"] is None:
            rows.append([one["target"], DASH, "not measured"])
            continue
        seen = amount(one["seen"], one["unit"])
        if one["at"]:
            seen += f" ({one['at']})"
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
                if found is None:
                    continue
                figures.append(
                    {
                        "placement": placement,
                        "competitor": competitor.name,
                        "role": competitor.role,
                        "point": point,
                        "unit": case.unit_of(point),
                        **asdict(found),
                        "to_floor": to_floor(results, placement, competitor, point),
                        "subject_ahead_by": ahead_of(results, placement, competitor, point),
                    }
                )
    return {
        "title": case.title,
        "took_s": round(results.took_s, 1),
        "figures": figures,
        "notes": results.notes,
    }


def to_floor(results, placement, competitor, point):
    case = results.case
    if point in case.uncompared or case.unit_of(point) == "count":
        return None
    return results.ratio(placement, competitor.name, case.floor, point)


def ahead_of(results, placement, competitor, point):
    """How many times better the subject is than a rival; below 1 it is worse."""
    unit = results.case.unit_of(point)
    if point in results.case.uncompared or competitor.role is not Role.RIVAL or unit == "count":
        return None
    pair = (competitor.name, SUBJECT)
    return results.ratio(placement, *(pair[::-1] if unit == "per_s" else pair), point)
