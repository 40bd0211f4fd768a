"""
Tells what memory its own process holds, after the garbage that real handlers make.

The event is JSON: `import` names a module that the handler uses (or null), `garbage` is how many
reference cycles to drop before the collection, `hold_s` how long to stay busy, so that several
calls at once land in as many workers.
"""

import functools
import gc
import importlib
import json
import os
import time
from pathlib import Path


def handler(event, context):  # noqa: ARG001 (the signature is Function Compute's)
    wish = json.loads(event)
    if wish["import"]:
        importlib.import_module(wish["import"])
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
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines if line.endswith("kB"))
    sizes = {key: int(value.split()[0]) * 1024 for key, value in fields.items()}
    uss = sum(size for key, size in sizes.items() if key.startswith("Private_"))
    return {"worker": worker_name(), "uss": uss, "pss": sizes["Pss"]}
