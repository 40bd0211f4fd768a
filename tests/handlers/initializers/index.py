"""Initializers, good and bad, and a handler that tells what they did."""

import os
import sys
import time

state = {"initialized": 0, "request_id": None}


def handler(event, context):
    return [os.getpid(), state]


def initialize(context):
    print("initializing")
    state["initialized"] += 1
    state["request_id"] = context.request_id
    state["remaining"] = context.get_remaining_time_in_millis()
    return {"ignored": object()}


async def initialize_async(context):
    import asyncio

    await asyncio.sleep(0)
    state["initialized"] += 1


def fail(context):
    print("about to fail")
    raise LookupError("no database")


def fail_unless_ready(context):
    with open(os.environ["COUNT"], "a") as file:
        file.write("x")
    if not os.path.exists(os.environ["READY"]):
        raise LookupError("not ready yet")


def hang(context):
    print("hanging")
    while True:
        time.sleep(60)


def leave(context):
    sys.exit(3)


def leave_at_once(context):
    os._exit(4)


def kill(context):
    os.kill(os.getpid(), 9)


def hoard(context):
    hoarded = []
    while True:
        hoarded.append(b"x" * 2**20)


def two_arguments(event, context):
    pass


def spawn(context):
    import subprocess

    child = subprocess.Popen(["sleep", "1000"])
    with open(f"/proc/{child.pid}/stat") as told:
        started = told.read().rpartition(")")[2].split()[19]
    namespace = os.stat("/proc/self/ns/pid").st_ino
    print(f"pid {child.pid}:{namespace}:{started} child", flush=True)
    hang(context)


def environment(context):
    os.environ["SET_BY_INITIALIZER"] = "kept"
    os.chdir("/")
    os.umask(0o077)


def see_environment(event, context):
    mask = os.umask(0)
    os.umask(mask)
    return [os.environ.get("SET_BY_INITIALIZER"), os.getcwd(), mask]
