"""What a served function may do, well or badly; the event says what."""

import json
import os
import sys
import time


def echo(event, context):
    return event


def handler(event, context):
    asked = json.loads(event)
    what = asked["do"]
    if what == "echo":
        return {"said": asked["say"]}
    if what == "print":
        print(asked["say"])
        return "printed"
    if what == "raise":
        raise ValueError(asked["say"])
    if what == "exit":
        sys.exit(3)
    if what == "die":
        os.abort()
    if what == "sleep":
        time.sleep(asked["seconds"])
        return "slept"
    if what == "wait":
        with open(asked["fifo"], "w") as told:
            told.write("here\n")
        time.sleep(60)
    if what == "gate":
        with open(asked["fifo"], "w") as told:
            told.write("here\n")
        with open(asked["release"]) as let:
            return let.read()
    if what == "large":
        return b"x" * asked["bytes"]
    if what == "context":
        return {
            "request_id": context.request_id,
            "function": context.function.name,
            "service": context.service.name,
            "qualifier": context.service.qualifier,
            "version": context.service.version_id,
            "memory": context.function.memory,
            "timeout": context.function.timeout,
            "region": context.region,
            "account": context.account_id,
        }
    return None


RETURNS = {
    "str": "text ☃",
    "bytes": bytes(range(256)),
    "dict": {"b": 1, "a": [None, True]},
    "none": None,
    "number": 1.5,
    "unserialisable": {1, 2},
}


def returns(event, context):
    return RETURNS[event.decode()]


def initialize(context):
    print("initializing")


def fail_to_initialize(context):
    raise RuntimeError("no database")
