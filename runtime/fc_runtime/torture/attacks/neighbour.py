"""Another function, with a secret in its environment, memory and scratch folder."""

import ctypes
import json
import os
import tempfile

import door

SECRET = os.environ["LD_TORTURE_SECRET"].encode()
KEPT = ctypes.create_string_buffer(SECRET)


def dispatch(event, context):
    door.show_mark()
    path = f"{tempfile.gettempdir()}/{door.MARK}-scratch"
    if event == b"ping":
        with open(path, "wb") as file:
            file.write(SECRET)
        return json.dumps({"address": ctypes.addressof(KEPT), "scratch": path})
    os.unlink(path)
    return "tidy"
