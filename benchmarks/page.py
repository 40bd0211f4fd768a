"""
`docs/performance.md`, made of `docs/performance/results.json` and a template, and of nothing else.

`python benchmarks/page.py` writes it anew; a test holds the committed page to it. The template
(`performance.md.jinja`) is prose that is true whatever the figures are; every number, and every
word about who is ahead and what is met, comes from here.
"""

import json
from pathlib import Path

import jinja2
from case import SUBJECT, Placement, Role
from report import BETTER, DASH, amount, times

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = DOCS / "performance.md"
FOLDER = DOCS / "performance"
TEMPLATE = Path(__file__).with_name("performance.md.jinja")
UNSTEADY = 2.0  # slowest round to quickest
SWITCHES = (("caller", "the calling thread"), ("worker", "the worker"))


def rendered(document):
    """The page, as text."""
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # Markdown, of our own figures
    )
    page = Page(document)
    text = environment.from_string(TEMPLATE.read_text()).render(page=page, **document)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(one)} |" for one in lines)


def bold(text):
    return f"**{text}**"


class Page:
    """What the template may ask for."""

    def __init__(self, document):
        self._document = document
        self._cases = document["cases"]

    def title(self, case):
        return self._cases[case]["title"] if case in self._cases else case

    def found(self, case, placement, point=None, competitor=None):
        figures = self._cases[case]["figures"] if case in self._cases else []
        return [
            one
            for one in figures
            if one["placement"] == placement
            and point in (None, one["point"])
            and competitor in (None, one["competitor"])
        ]

    # -- tables of figures ---------------------------------------------------------------------

    def matrix(self, case, placement, points=None):
        """A row for each competitor, a column for each point: the median, and beside the floor."""
        figures = self.found(case, placement)
        columns = points or unique(one["point"] for one in figures)
        columns = [one for one in columns if any(one == each["point"] for each in figures)]
        if not columns:
            return self.nothing(case)
        rows = []
        for name in unique(one["competitor"] for one in figures):
            cells = [self.cell(case, placement, point, name) for point in columns]
            if any(one != DASH for one in cells):
                mine = self.found(case, placement, None, name)[0]["role"] == Role.SUBJECT
                rows.append([bold(name) if mine else name, *cells])
        return table(["", *columns], rows)

    def cell(self, case, placement, point, competitor):
        found = self.found(case, placement, point, competitor)
        if not found:
            return DASH
        one = found[0]
        if one["unit"] == "count":
            return f"{one['total']:.0f}"
        beside = f" ({times(one['to_floor'])})" if one["to_floor"] is not None else ""
        return amount(one["median"], one["unit"]) + beside

    def detail(self, case, placement, point):
        """One point in full."""
        figures = self.found(case, placement, point)
        if not figures:
            return self.nothing(case)
        rows = []
        for one in figures:
            unit, mine = one["unit"], one["role"] == Role.SUBJECT
            cells = [amount(one[key], unit) for key in ("median", "p99", "best", "worst")]
            if one["samples"] < 100:
                cells[1] = f"max {cells[1]}"
            rows.append(
                [
                    bold(one["competitor"]) if mine else one["competitor"],
                    *(cells[0], cells[1], f"{cells[2]} to {cells[3]}"),
                    *(times(one["to_floor"]), times(one["subject_ahead_by"])),
                    str(one["samples"]),
                ]
            )
        ahead = f"{SUBJECT} {BETTER[figures[0]['unit']]} by"
        return table(["", "median", "p99", "of rounds", "to floor", ahead, "n"], rows)

    def nothing(self, case):
        return f"Not measured in this run: {case}."

    # -- verdicts ------------------------------------------------------------------------------

    def score(self):
        verdicts = self._document["targets"]
        met = sum(one["met"] is True for one in verdicts)
        missed = sum(one["met"] is False for one in verdicts)
        open_ones = len(verdicts) - met - missed
        return (
            f"{met} of {len(verdicts)} targets are met, {missed} are not, {open_ones} not measured"
        )

    def targets(self, *cases):
        rows = [
            [one["target"], self.seen(one), verdict(one)]
            for one in self._document["targets"]
            if one["case"] in cases
        ]
        return table(["target", "seen", ""], rows)

    def seen(self, one):
        if one["seen"] is None:
            return DASH
        at = f" ({one['at']})" if one["at"] else ""
        return amount(one["seen"], one["unit"]) + at

    def missed(self):
        """Targets that are not met, as a list; a sentence where there are none."""
        lines = [
            f"- {one['target']}: {self.seen(one)}."
            for one in self._document["targets"]
            if one["met"] is False
        ]
        return "\n".join(lines) or "None of those that were measured."

    def behind(self):
        """Where a rival is ahead, the worst first."""
        lost = [
            (one["subject_ahead_by"], name, one)
            for name, case in self._cases.items()
            for one in case["figures"]
            if one["subject_ahead_by"] is not None and one["subject_ahead_by"] < 1
        ]
        lines = [
            f"- {name}, {one['point']}, {Placement(one['placement']).title}: "
            f"{one['competitor']} {amount(one['median'], one['unit'])}, {SUBJECT} "
            f"{self.own(name, one)}: {times(1 / ahead)}."
            for ahead, name, one in sorted(lost, key=lambda each: (each[0], each[1]))
        ]
        return "\n".join(lines) or "In none of the figures of this run."

    def own(self, case, one):
        found = self.found(case, one["placement"], one["point"], SUBJECT)
        return amount(found[0]["median"], one["unit"]) if found else DASH

    def unsteady(self):
        """Figures of ours whose rounds differ much."""
        lines = [
            f"- {name}, {one['competitor']}, {one['point']}, "
            f"{Placement(one['placement']).title}: "
            f"{amount(one['best'], one['unit'])} to {amount(one['worst'], one['unit'])}."
            for name, case in self._cases.items()
            for one in case["figures"]
            if one["role"] == Role.SUBJECT
            and one["unit"] not in ("count", "ratio")
            and one["best"]
            and one["worst"] / one["best"] > UNSTEADY
        ]
        return "\n".join(lines) or "None."

    def notes(self):
        """What could not be measured, and who left processes behind."""
        lines = [
            f"- {name}: {line}" for name, case in self._cases.items() for line in case["notes"]
        ]
        return "\n".join(lines) or "None."

    # -- the rest ------------------------------------------------------------------------------

    def plot(self, name, says):
        file = f"{name}.png"
        return f"![{says}](performance/{file})" if file in self._document["plots"] else ""

    def stages(self):
        """A row for each stage, a column for each placement, in us; who it belongs to."""
        found = self.profiles()
        if not found:
            return self.nothing("stages")
        first = next(iter(found.values()))["stages"]
        rows = [
            [
                step["stage"],
                step["side"],
                *(us(told["stages"][at]["ns"]) for told in found.values()),
            ]
            for at, step in enumerate(first)
        ]
        for title, key in (("sum", "sum_ns"), ("a plain call, median", "plain_ns")):
            rows.append([bold(title), "", *(bold(us(told[key])) for told in found.values())])
        titles = [Placement(one).title for one in found]
        return table(["stage", "whose time", *(f"us, {one}" for one in titles)], rows)

    def shares(self):
        """The same by whose time it is, beside floor f."""
        found = self.profiles()
        if not found:
            return ""
        groups = {"writes, reads and wake-ups": [], "the caller's Python": [], "the worker's": []}
        for told in found.values():
            sums = dict.fromkeys(groups, 0.0)
            for step in told["stages"]:
                sums[group_of(step)] += step["ns"]
            for group, value in sums.items():
                groups[group].append(us(value))
        rows = [[group, *values] for group, values in groups.items()]
        floors = [self.found("warm_call", one, "1 KiB", "floor f (bare pair)") for one in found]
        rows.append(
            ["floor *f*, all of it", *(us(one[0]["median"]) if one else DASH for one in floors)]
        )
        return table(["", *(f"us, {Placement(one).title}" for one in found)], rows)

    def profiles(self):
        return {
            placement: told["profile"]
            for placement, told in self._document["stages"].items()
            if "stages" in told.get("profile", ())
        }

    def switches(self):
        found = self.profiles()
        rows = [
            [who, *(f"{told['switches_per_call'][side]:.2f}" for told in found.values())]
            for side, who in SWITCHES
        ]
        titles = [Placement(one).title for one in found]
        return table(["times that it goes to sleep, a call", *titles], rows) if found else ""

    def system_calls(self):
        """By side and placement, how often in 1,000 calls; or why that is not known."""
        columns, counted = [], {}
        for placement, told in self._document["stages"].items():
            calls = told.get("system_calls", {"unavailable": told.get("failed", "not asked")})
            if "unavailable" in calls:
                return f"Not counted in this run: {calls['unavailable']}."
            for side in ("caller", "worker"):
                column = f"{side}, {Placement(placement).title}"
                columns.append(column)
                for name, count in calls[side].items():
                    counted.setdefault(name, {})[column] = str(count)
        if not counted:
            return self.nothing("system calls")
        rows = [
            [f"`{name}`", *(by_column.get(column, DASH) for column in columns)]
            for name, by_column in sorted(
                counted.items(), key=lambda one: (-max(map(int, one[1].values())), one[0])
            )
        ]
        return table(["in 1,000 calls", *columns], rows)


def group_of(step):
    if step["side"] == "kernel" or step["stage"] in ("write", "write the result"):
        return "writes, reads and wake-ups"
    return "the caller's Python" if step["side"] == "caller" else "the worker's"


def us(ns):
    return f"{ns / 1e3:.1f}"


def unique(values):
    return list(dict.fromkeys(values))


def verdict(one):
    if one["met"] is None:
        return "not measured"
    return "met" if one["met"] else bold("NOT met")


def main():
    document = json.loads((FOLDER / "results.json").read_text())
    PAGE.write_text(rendered(document))


if __name__ == "__main__":
    main()
