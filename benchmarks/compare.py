"""A run beside the committed one, by the ratios and figures that targets are about."""

import json

import page
from report import DASH, align, amount


def committed():
    """The last published results; None before there are any."""
    file = page.FOLDER / "results.json"
    return json.loads(file.read_text()) if file.exists() else None


def beside_committed(document, before):
    """
    A table: what this run has seen, what the committed one had, the one as a multiple of the
    other, and where the worst of several points was. A look is coarse and machines differ:
    nothing is judged here.
    """
    known = {one["target"]: one["seen"] for one in before["targets"]} if before else {}
    rows = [["this run beside the committed one", "now", "committed", "now/committed", "at"]]
    for one in document["targets"]:
        if one["seen"] is None:
            continue
        then, unit = known.get(one["target"]), one["unit"]
        rows.append(
            [
                one["target"],
                amount(one["seen"], unit),
                DASH if then is None else amount(then, unit),
                f"{one['seen'] / then:.2f}" if then else DASH,
                one["at"] or "",
            ]
        )
    lines = [align(rows)]
    if before is None:
        lines.append("note: no figures are committed yet")
    else:
        lines += [f"note: {line}" for line in differences(document["machine"], before["machine"])]
        lines.append(
            "note: a look has fewer rivals, so the best one may be another; and fewer rounds"
        )
    return "\n".join(lines)


def differences(now, then):
    """What makes two runs hard to compare, besides that one is coarser."""
    yield f"committed: {then['date']}, revision {then['revision']}"
    for key, name in (
        ("cpu_model", "CPU"),
        ("cpus_allowed", "CPUs"),
        ("python", "Python"),
        ("python_build_flags", "build flags"),
        ("kernel", "kernel"),
    ):
        if now[key] != then[key]:
            yield f"another {name} than the committed run's: read ratios only"
