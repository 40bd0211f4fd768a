"""
Tells what memory its own process holds, after the garbage that real handlers make.

The event is JSON: `import` names modules that the handler uses, `garbage` is how many
reference cycles to drop before the collection, `hold_s` how long to stay busy, so that several
calls at once land in as many workers.

It imports next to nothing: what it holds is what a worker holds.
"""

import functools
import gc
import importlib
import json
import os
import time


def handler(event, context):  # noqa: ARG001 (the signature is Function Compute's)
    wish = json.loads(event)
    for name in wish["import"]:
        importlib.import_module(name)
    make_cycles(wish["garbage"])
    gc.collect()
    time.sleep(wish["hold_s"])
    return json.dumps(own_memory()).encode()


@functools.cache
def worker_name():
    """Made at the first call, as the import of this file may predate a fork."""
    return os.urandom(8).hex()


def make_cycles(count):
    for _ in range(count):
        node = {"text": "x" * 40}
        node["self"] = [node]


def own_memory():
    """USS and PSS in bytes."""
    with open("/proc/self/smaps_rollup", encoding="ascii") as file:  # noqa: PTH123 (see above)
        lines = file.read().splitlines()
    fields = dict(line.split(":", 1) for line in lines if line.endswith("kB"))
    sizes = {key: int(value.split()[0]) * 1024 for key, value in fields.items()}
    uss = sum(size for key, size in sizes.items() if key.startswith("Private_"))
    return {"worker": worker_name(), "uss": uss, "pss": sizes["Pss"]}
