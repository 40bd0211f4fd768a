"""Writes while it is imported, in its initializer, and in its handler."""

import os
import sys

print("import")


def initializer(context):
    print("initializer")


def long_initializer(context):
    for _ in range(40):
        sys.stdout.write("x" * 100_000)
        os.sched_yield()


def failing_initializer(context):
    print("initializer")
    raise RuntimeError("no")


def handler(event, context):
    print("handler")
    return os.environ["FC_INSTANCE_ID"]


def dying(event, context):
    print("handler")
    os._exit(3)
