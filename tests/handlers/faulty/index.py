"""
Strikes where it is told to: at import and in the initializer by the environment (``PHASE``,
``FAULT``, and only while the file ``SWITCH`` is there), in the other phases by its event.
"""

import json
import os
import time

import faults

MiB = 1024 * 1024


def strike_at(phase):
    if os.environ.get("PHASE") == phase and os.path.exists(os.environ["SWITCH"]):
        faults.strike(os.environ["FAULT"])


strike_at("import")


def initialize(context):
    strike_at("initializer")


def handler(event, context):
    order = json.loads(event)
    fault = order.get("fault")
    most = order.get("most", 0)

    def tell():
        with open(f"{order['gate']}/entered", "w") as entered:
            entered.write(f"struck {os.getpid()}\n")

    def wait():
        with open(f"{order['gate']}/release", "rb", buffering=0) as release:
            release.read(1)

    match order["phase"]:
        case "running" if fault == "oversized":
            return b"x" * (most + 1)
        case "running":
            faults.strike(fault)
        case "encoding":
            return [faults.Hook(fault, most)]
        case "writing":
            faults.in_background(faults.while_it_writes, fault, tell)
            return b"x" * (8 * MiB)
        case "reading" if "armed" not in order:
            faults.in_background(faults.while_it_reads, fault)
        case "idle":
            faults.in_background(faults.when_let, fault, tell, wait)
        case "after":
            last = faults.Last("well")
            last.fault = fault
            return last
        case "waiting":
            time.sleep(0.2)
    return json.dumps({"well": order.get("number"), "pid": os.getpid()})
