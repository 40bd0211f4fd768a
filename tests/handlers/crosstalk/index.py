"""Tells who it thinks it is serving: in its result, and in its log by four ways."""

import logging
import json
import os
import subprocess
import time

meetings = os.environ.get("MEETINGS")


def handler(event, context):
    name = event.decode()
    print("print", name)
    logging.getLogger().info("log %s", name)
    subprocess.run(["echo", "child", name], check=True)
    if int(name) % 3 == 0:
        raise ValueError(f"raised {name}")
    return {"event": name, "request_id": context.request_id, "pid": os.environ["FC_INSTANCE_ID"]}


def meet(event, context):
    """Returns once as many as the event says are here at the same time."""
    open(os.path.join(meetings, os.environ["FC_INSTANCE_ID"]), "w").close()
    while len(os.listdir(meetings)) < int(event):
        time.sleep(0.001)
    return json.dumps(os.environ["FC_INSTANCE_ID"])


def pid(event, context):
    return json.dumps(os.environ["FC_INSTANCE_ID"])
