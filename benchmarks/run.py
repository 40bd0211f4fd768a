"""
The benchmarks: `make bench`, or `python benchmarks/run.py [--quick] [--only CASE]`.

Prints tables and targets on stdout and progress on stderr; writes JSON and PNG files to
`benchmarks/out`. README.md beside this file says how to read them.
"""

import argparse
import json
import signal
import sys
from pathlib import Path

import cold_start
import deadline
import http_call
import memory
import memory_limit
import report
import sandbox
import warm_call
from harness import Progress, Results, become_subreaper, measurements, run_case, sweep
from machine import CpuTimes, stamp

CASES = {
    one.CASE.name: one.CASE
    for one in (warm_call, cold_start, memory, deadline, sandbox, memory_limit, http_call)
}
HERE = Path(__file__).resolve().parent
INTERRUPTED = 130


def main():
    args = arguments()
    cases = [CASES[name] for name in CASES if not args.only or name in args.only]
    all_results = [Results(case, rounds_of(case, args)) for case in cases]
    total = sum(len([*measurements(one.case, one.rounds_wanted)]) for one in all_results)
    become_subreaper()
    signal.signal(signal.SIGINT, interrupt_once)
    signal.signal(signal.SIGTERM, interrupt_once)
    machine, cpu, progress = stamp(), CpuTimes(), Progress(total)
    complete = False
    try:
        for results in all_results:
            run_case(results, quick=args.quick, progress=progress)
        complete = True
    except KeyboardInterrupt:
        print("\ninterrupted: what follows is what there was so far", file=sys.stderr)
    finally:
        sweep()
        progress.end()
    machine |= {"cpu_time": cpu.shares(), "load_average_at_end": stamp()["load_average"]}
    publish(args, all_results, machine, complete=complete)
    return 0 if complete else INTERRUPTED


def interrupt_once(_signal, _frame):
    """End the run, and let nothing disturb the clean-up that follows."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def arguments():
    parser = argparse.ArgumentParser(
        description="Benchmarks of fc-runtime beside floors and rivals."
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds and calls")
    parser.add_argument("--only", action="append", choices=sorted(CASES), metavar="CASE")
    parser.add_argument("--rounds", type=positive, help="in place of each case's own number")
    parser.add_argument("--out", type=Path, default=HERE / "out", help="folder for JSON and PNG")
    return parser.parse_args()


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least one round")
    return number


def rounds_of(case, args):
    return args.rounds or (case.quick_rounds if args.quick else case.rounds)


def publish(args, all_results, machine, *, complete):
    measured = [results for results in all_results if results.samples or results.notes]
    verdicts = report.judge(measured)
    for results in measured:
        print(report.tables(results), end="\n\n")
    print(machine_line(machine), end="\n\n")
    print(report.targets_table(verdicts))
    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / "results.json"
    document = {
        "machine": machine,
        "quick": args.quick,
        "complete": complete,
        "cases": {results.case.name: report.as_json(results) for results in measured},
        "targets": verdicts,
    }
    file.write_text(json.dumps(document, indent=2) + "\n")
    plots = [one for results in measured for one in report.plot(results, args.out)]
    print("written:", *[one.name for one in (file, *plots)], "in", args.out, file=sys.stderr)


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
