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
    match order["phase"]:
        case "running" if fault == "oversized":
            return b"x" * (order["most"] + 1)
        case "running":
            faults.strike(fault)
        case "encoding":
            return [faults.Hook(fault, order.get("most"))]
        case "writing":
            faults.while_it_writes(fault)
            return b"x" * (8 * MiB)
        case "reading" if "armed" not in order:
            faults.while_it_reads(fault)
        case "idle":
            faults.in_background(faults.when_let, fault)
        case "after":
            last = faults.Last("well")
            last.fault = fault
            return last
        case "looked at":
            time.sleep(0.2)
    return json.dumps({"well": order["number"], "pid": faults.who_am_i().decode()})
