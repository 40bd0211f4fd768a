"""As `busy`, and uses what takes long to import."""

import time

import numpy as np  # noqa: F401
import oss2  # noqa: F401

BUSY_S = 0.3


def handler(event, context):  # noqa: ARG001 (the signature is Function Compute's)
    if event == b"busy":
        time.sleep(BUSY_S)
    return event
