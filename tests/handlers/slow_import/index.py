"""Takes its time to be imported, and none to answer."""

import time

time.sleep(0.6)


def handler(event, context):
    return event
