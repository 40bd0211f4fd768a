"""A handler with a family: a child, a grandchild, and a daemon in a session of its own."""

import json
import os
import subprocess
import time

from gates import tell


def handler(event, context):
    """Start them all, come to the gate, and never leave."""
    subprocess.Popen(["sleep", "3601"])
    subprocess.Popen(["sh", "-c", "sleep 3602 & wait"])
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execvp("sleep", ["sleep", "3603"])
        os._exit(0)
    tell(json.loads(event))
    while True:
        time.sleep(60)
