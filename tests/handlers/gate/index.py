"""
Handlers that a test can watch and steer: they say where they are, and wait until they are let on.

The event is JSON: ``gate`` is a folder with two fifos, ``entered`` and ``release``.
"""

import json
import os
import sys
import time


def whoami(event, context):
    """The pid of this instance."""
    return str(os.getpid())


def who(event, context):
    """The same, for those who know this instance by another number (`support.processes.pid_of`)."""
    return f"{os.getpid()}:{os.stat('/proc/self/ns/pid').st_ino}"


def handler(event, context):
    """Come to the gate, wait there, and answer with label and pid."""
    order = json.loads(event or b"{}")
    if "gate" in order:
        pass_through(order)
    if "exit" in order:
        os._exit(order["exit"])
    if "bytes" in order:
        return b"x" * order["bytes"]
    told = {"label": order.get("label"), "pid": os.getpid(), "version": VERSION}
    return json.dumps({**told, "who": who(event, context)})


VERSION = 1


def pass_through(order):
    tell(order)
    release = os.open(f"{order['gate']}/release", os.O_RDONLY)
    os.read(release, 1)
    os.close(release)


def tell(order):
    entered = os.open(f"{order['gate']}/entered", os.O_WRONLY)
    here = f"{os.getpid()}:{os.stat('/proc/self/ns/pid').st_ino}"
    os.write(entered, f"{order.get('label', '-')} {here}\n".encode())
    os.close(entered)


def forever(event, context):
    """Come to the gate, and never leave."""
    tell(json.loads(event))
    while True:
        time.sleep(60)


async def in_loop(event, context):
    """As `handler`, in a coroutine of the worker's own loop."""
    import asyncio  # not where all import it: it takes as long as what is learned

    order = json.loads(event)
    await asyncio.to_thread(pass_through, order)
    return order.get("label")


def echo(event, context):
    return event


def leave(event, context):
    sys.exit(3)
