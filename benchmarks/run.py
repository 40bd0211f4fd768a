"""
The benchmarks: `make bench`, or `python benchmarks/run.py [--quick] [--only CASE]`.

Prints tables and targets on stdout and progress on stderr; writes JSON and PNG files to
`benchmarks/out`, with `--publish` to `docs/performance`, and the page `docs/performance.md`.
README.md beside this file says how to read them.
"""

import argparse
import json
import math
import signal
import sys
import time
from pathlib import Path

import cold_start
import compare
import deadline
import fresh_process
import heavy_imports
import http_call
import many_workers
import memory
import memory_limit
import page
import plots
import report
import sandbox
import scale
import targets
import tasks
import throughput
import warm_call
from case import Placement
from harness import (
    Progress,
    Results,
    become_subreaper,
    in_fresh_process,
    measurements,
    run_rounds,
    sweep,
)
from machine import CpuTimes, stamp

CASES = {
    one.CASE.name: one.CASE
    for one in (
        *(warm_call, throughput, cold_start, heavy_imports, fresh_process),
        *(memory, many_workers, scale),
        *(deadline, sandbox, memory_limit, http_call, tasks),
    )
}
STAGES = "stages"  # not a case: `stages.py`
STAGES_LIMIT_S = 60.0
HERE = Path(__file__).resolve().parent
# After so long nothing new is begun, and what is under way is ended so much later: a look is to end
# within two minutes, a full run within twenty-five.
QUICK_S, QUICK_OVERTIME_S = 60.0, 10.0
FULL_S, FULL_OVERTIME_S = 1380.0, 60.0
INTERRUPTED = 130


def main():
    args = arguments()
    cases = chosen(args)
    all_results = [Results(case, rounds_of(case, args)) for case in cases]
    total = sum(len([*measurements(one.case, range(one.rounds_wanted))]) for one in all_results)
    become_subreaper()
    signal.signal(signal.SIGINT, interrupt_once)
    signal.signal(signal.SIGTERM, interrupt_once)
    machine, cpu, progress = stamp(), CpuTimes(), Progress(total)
    until = math.inf if args.only else time.monotonic() + (QUICK_S if args.quick else FULL_S)
    stages, complete = {}, False
    try:
        if STAGES in args.only or not (args.only or args.quick):
            stages = measure_stages()
        run_rounds(
            all_results,
            quick=args.quick,
            progress=progress,
            until=until,
            overtime_s=QUICK_OVERTIME_S if args.quick else FULL_OVERTIME_S,
        )
        complete = True
    except KeyboardInterrupt:
        print("\ninterrupted: what follows is what there was so far", file=sys.stderr)
    finally:
        sweep()
        progress.end()
    machine |= {"cpu_time": cpu.shares(), "load_average_at_end": stamp()["load_average"]}
    measured = [results for results in all_results if results.samples or results.notes]
    document = {
        "machine": machine,
        "quick": args.quick,
        "complete": complete,
        "cases": {results.case.name: report.as_json(results) for results in measured},
        "stages": stages,
        "targets": targets.judge(measured),
    }
    show(measured, document, a_look=args.quick and not args.only)
    write(args, measured, document)
    return 0 if complete else INTERRUPTED


def interrupt_once(_signal, _frame):
    """End the run, and let nothing disturb the clean-up that follows."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def arguments(argv=None):
    parser = argparse.ArgumentParser(
        description="Benchmarks of fc-runtime beside floors and rivals."
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="fewer rounds and calls; without --only the main cases and competitors alone, "
        "for two minutes, beside the committed figures",
    )
    parser.add_argument(
        "--only", action="append", default=[], choices=sorted([*CASES, STAGES]), metavar="CASE"
    )
    parser.add_argument("--rounds", type=positive, help="in place of each case's own number")
    parser.add_argument("--out", type=Path, default=HERE / "out", help="folder for JSON and PNG")
    parser.add_argument(
        "--publish",
        action="store_true",
        help="write to docs/performance, and docs/performance.md; all cases, in full",
    )
    args = parser.parse_args(argv)
    if args.publish and (args.quick or args.only):
        parser.error("--publish: the page shows one full run; leave out --quick and --only")
    return args


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least one round")
    return number


def chosen(args):
    if args.only:
        return [case for name, case in CASES.items() if name in args.only]
    if args.quick:
        return [few for case in CASES.values() if (few := case.for_a_look())]
    return [*CASES.values()]


def rounds_of(case, args):
    return args.rounds or (case.quick_rounds if args.quick else case.rounds)


def measure_stages():
    """By placement, what `stages.py` says; {"failed": why} in its place."""
    found = {}
    for placement in Placement:
        argv = [str(HERE / "stages.py"), "--placement", placement]
        found[placement] = in_fresh_process(argv, STAGES_LIMIT_S)
        found[placement].pop("left_behind")
    return found


def show(measured, document, *, a_look):
    if not a_look:
        for results in measured:
            print(report.tables(results), end="\n\n")
    print(machine_line(document["machine"]), end="\n\n")
    if not a_look:
        print(report.targets_table(document["targets"]))
        return
    print(compare.beside_committed(document, compare.committed()))
    for results in measured:
        for line in results.notes:
            print(f"note: {results.case.name}: {line}")


def write(args, measured, document):
    publish = args.publish and document["complete"]
    if args.publish and not publish:
        print("not complete, so not published", file=sys.stderr)
    folder = page.FOLDER if publish else args.out
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("*.png") if publish else ():
        stale.unlink()
    files = [one for results in measured for one in plots.plot(results, folder)]
    files += plots.plot_stages(document["stages"], folder)
    document["plots"] = [one.name for one in files]
    file = folder / "results.json"
    file.write_text(json.dumps(document, indent=1) + "\n")
    if publish:
        page.PAGE.write_text(page.rendered(document))
        files.append(page.PAGE)
    print("written:", *[one.name for one in (file, *files)], "in", folder, file=sys.stderr)


def machine_line(machine):
    share = machine["cpu_time"]
    return (
        f"{machine['kernel']}, {machine['cpu_count']} x {machine['cpu_model']}, "
        f"{machine['python']}, {machine['date']}; tiers {', '.join(machine['isolation'])}; "
        f"steal {share['steal_of_busy']:.1%} of busy, "
        f"load {machine['load_average'][0]} -> {machine['load_average_at_end'][0]}"
    )


if __name__ == "__main__":
    sys.exit(main())
