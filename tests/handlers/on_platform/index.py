"""What a function does behind a custom runtime: an event says which."""

import json
import os
import sys
import time

state = {"initialized_by": None, "calls": 0}


def initializer(context):
    print("the initializer speaks")
    state["initialized_by"] = context.request_id


def broken_initializer(context):
    print("the initializer gives up")
    raise RuntimeError("no database")


def pre_stop(context):
    with open(os.environ["LAST_WORDS"], "a") as file:
        file.write("pre_stop\n")


def spoken_pre_stop(context):
    print("last words")


def broken_pre_stop(context):
    print("no last words")
    raise RuntimeError("nothing to say")


def pre_freeze(context):
    print("going cold")


def handler(event, context):
    state["calls"] += 1
    verb, _, rest = event.partition(b" ")
    if verb == b"echo":
        print("echoing")
        return rest
    if verb == b"context":
        return context.to_json()
    if verb == b"state":
        return {**state, "pid": os.getpid()}
    if verb == b"environment":
        return dict(os.environ)
    if verb == b"raise":
        raise ValueError(rest.decode())
    if verb == b"exit":
        os._exit(3)
    if verb == b"hang":
        print("hanging", flush=True)
        time.sleep(60)
    if verb == b"hog":
        return len(b"x" * (1 << 30))
    if verb == b"announce":
        with open(rest, "w") as fifo:  # the other side opens it once it wants to go on
            fifo.write("here\n")
        return "went on"
    return repr(event)


def http(event, context):
    request = json.loads(event)
    if request["rawPath"] == "/raise":
        raise ValueError("of http")
    return {
        "statusCode": 201,
        "headers": {"Content-Type": "application/json", "X-Fc-Mine": "no", "X-Mine": "yes"},
        "body": json.dumps(request),
    }


def application(environ, start_response):
    if environ["PATH_INFO"] == "/raise":
        raise ValueError("of wsgi")
    body = environ["wsgi.input"].read()
    start_response("202 Accepted", [("Content-Type", "text/x-plain"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
    told = [
        environ["REQUEST_METHOD"],
        environ["PATH_INFO"],
        environ["QUERY_STRING"],
        environ["fc.request_uri"],
        environ["fc.context"].request_id,
        str("HTTP_X_FC_REGION" in environ),
    ]
    return ["|".join(told).encode(), b"|", body]
