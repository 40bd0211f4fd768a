"""
Leaves a line in the file ``BIRTHS`` for each process that imports it, then does what ``AT_IMPORT``
or ``AT_INIT`` says: that is how a test counts starts, and lets them fail.
"""

import os
import threading
import time


def note(word):
    if "BIRTHS" in os.environ:
        with open(os.environ["BIRTHS"], "a") as file:
            file.write(f"{word} {os.getpid()}\n")


def meet(fate):
    if fate.startswith("while "):  # the cause is there as long as the file is
        path, _, fate = fate.removeprefix("while ").partition(" ")
        if not os.path.exists(path):
            return
    match fate.split():
        case ["raise", text]:
            raise RuntimeError(text)
        case ["exit", code]:
            os._exit(int(code))
        case ["hang"]:
            note("hanging")
            time.sleep(3600)
        case ["die_later", seconds]:
            timer = threading.Timer(float(seconds), os._exit, [9])
            timer.daemon = True
            timer.start()


def initialize(context):
    note("init")
    meet(os.environ.get("AT_INIT", ""))


def handler(event, context):
    return str(os.getpid())


note("import")
meet(os.environ.get("AT_IMPORT", ""))
