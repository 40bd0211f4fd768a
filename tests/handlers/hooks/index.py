"""
Leaves a line in the file named by NOTES for each thing that it is called for, and prints it too.
A hook waits at the fifo named by GATE, if there is one.
"""

import os
import subprocess
import sys
import time

CALLS = []


def note(word, context):
    CALLS.append(word)
    with open(os.environ["NOTES"], "a") as notes:
        notes.write(f"{word} {context.request_id} {os.environ['FC_INSTANCE_ID']}\n")
    print(f"noted {word}")


def handler(event, context):
    note("handler", context)
    return CALLS


def stop(context):
    note("stop", context)


def freeze(context):
    note("freeze", context)
    if "GATE" in os.environ:
        with open(os.environ["GATE"]) as gate:
            gate.read(1)


def soil(context):
    note("soil", context)
    os.chdir("/")
    os.environ["SOILED"] = "yes"


def place(event, context):
    note("place", context)
    return [os.getcwd(), os.environ.get("SOILED")]


async def awaited(context):
    note("awaited", context)


def fails(context):
    note("fails", context)
    raise RuntimeError("the hook is broken")


def hangs(context):
    note("hangs", context)
    time.sleep(1000)


def hangs_as_handler(event, context):
    hangs(context)


def leaves(context):
    note("leaves", context)
    sys.exit(3)


def talks(context):
    sys.stdout.write("begin" + "x" * 100_000 + "end")


def forgets(context):
    note("forgets", context)
    subprocess.Popen(["sleep", "1000"])
