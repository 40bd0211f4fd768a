"""Applications that speak WSGI, well and badly, and what they were told."""

import json
import os
import sys

PLAIN = [("Content-Type", "text/plain")]


def told(environ, start_response):
    """All of the environment that is text, number or truth."""
    start_response("200 OK", [("Content-Type", "application/json")])
    seen = {
        key: value for key, value in environ.items() if isinstance(value, str | int | bool | tuple)
    }
    seen["body"] = environ["wsgi.input"].read().decode("latin-1")
    seen["errors"] = environ["wsgi.errors"] is sys.stderr
    seen["context"] = environ["fc.context"].request_id
    return [json.dumps(seen).encode()]


def chosen(environ, start_response):
    """Answers as its body says: a JSON list of status and headers."""
    status, headers = json.loads(environ["wsgi.input"].read())
    start_response(status, [tuple(header) for header in headers])
    return [b"chosen"]


def echo(environ, start_response):
    start_response("200 OK", PLAIN)
    return [environ["wsgi.input"].read()]


def writes(environ, start_response):
    write = start_response("201 Created", PLAIN)
    write("ä, ")
    write(b"b, ")
    return ["c, ", b"d, ", bytearray(b"e")]


def generates(environ, start_response):
    start_response("200 OK", PLAIN)
    yield "one "
    yield b"two"


def bare_bytes(environ, start_response):
    start_response("200 OK", PLAIN)
    return b"whole"


def bare_text(environ, start_response):
    start_response("200 OK", PLAIN)
    return "grüß dich"


def nothing(environ, start_response):
    start_response("200 OK", PLAIN)


def number(environ, start_response):
    start_response("200 OK", PLAIN)
    return 42


def silent(environ, start_response):
    return [b"never started"]


def twice(environ, start_response):
    start_response("200 OK", PLAIN)
    try:
        raise KeyError("late")
    except KeyError:
        start_response("500 Oops", [("X-Why", "late")], sys.exc_info())
    return [b"sorry"]


def raises(environ, start_response):
    start_response("200 OK", PLAIN)
    raise LookupError("no such page")


def raises_late(environ, start_response):
    start_response("200 OK", PLAIN)
    yield b"begun"
    raise LookupError("half-way")


def leaves(environ, start_response):
    sys.exit(3)


def dies(environ, start_response):
    os._exit(4)


class Page:
    """A class is a callable that returns an iterable."""

    def __init__(self, environ, start_response):
        start_response("200 OK", PLAIN)
        self.path = environ["PATH_INFO"]

    def __iter__(self):
        yield f"page {self.path}"

    def close(self):
        print("closed")


def handler(event, context):
    return {"event": event.decode()}


def both(first, second):
    """The same name, called either way."""
    if isinstance(first, bytes):
        return "event"
    second("204 No Content", [])
    return []
