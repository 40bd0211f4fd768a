"""Hands the event back; `b"busy"` takes a while, so that a second call needs an instance."""

import time

BUSY_S = 0.3


def handler(event, context):  # noqa: ARG001 (the signature is Function Compute's)
    if event == b"busy":
        time.sleep(BUSY_S)
    return event
