"""What a command line may meet: one function each."""

import json
import logging
import os
import signal
import subprocess
import sys
import time


def echo(event, context):
    return event


def every_byte(event, context):
    return bytes(range(256)) * 3


def big(event, context):
    return b"x" * (4 * 1024 * 1024)


def chatty(event, context):
    print("printed")
    logging.getLogger().info("logged")
    sys.stdout.flush()
    subprocess.check_call(["echo", "from a child"])
    os.write(1, b"no newline at the end")
    return "result"


def binary_log(event, context):
    os.write(1, b"\xff\xfe\n")
    return b"\xff"


def look(event, context):
    """What it was given, as JSON, but no secret."""
    credentials = context.credentials
    return {
        "event_bytes": len(event),
        "environment": {name: os.environ.get(name) for name in json.loads(event or b"[]")},
        "request_id": context.request_id,
        "region": context.region,
        "account_id": context.account_id,
        "function": context.function.name,
        "memory": context.function.memory,
        "timeout": context.function.timeout,
        "key_id": credentials.access_key_id,
        "secret_chars": len(credentials.access_key_secret),
        "token_chars": len(credentials.security_token),
    }


_calls = []


def count(event, context):
    _calls.append(event)
    return str(len(_calls))


def init(context):
    print("initializer ran")
    _calls.append("initializer")


def bad_init(context):
    raise RuntimeError("no database")


def fail(event, context):
    raise ValueError("it is broken")


def fail_second(event, context):
    _calls.append(event)
    if len(_calls) > 1:
        raise ValueError("the second one")
    return "first"


def unsendable(event, context):
    return {1, 2}


def hang(event, context):
    print("before the hang")
    time.sleep(60)


def hang_with_child(event, context):
    """Tells the pipe named by READY who is running, then hangs."""
    child = subprocess.Popen(["sleep", "60"], start_new_session=True)
    with open(os.environ["READY"], "w") as ready:
        ready.write(f"{os.getpid()} {child.pid} {os.getcwd()}\n")
    time.sleep(60)


def hog(event, context):
    held = []
    while True:
        held.append(bytearray(b"x") * (8 * 1024 * 1024))
        time.sleep(0.001)


def crash(event, context):
    os.kill(os.getpid(), signal.SIGSEGV)


def leave(event, context):
    sys.exit(7)


def layered(event, context):
    import from_a_layer

    return from_a_layer.WORD


def hang_at_start(context):
    time.sleep(60)
