"""Everything that a quick call can come to, by name."""

import os
import subprocess
import sys
import threading
import time


def handler(event, context):
    return globals()[event.decode()](context)


def as_bytes(context):
    return bytes(range(256))


def as_text(context):
    return "ü"


def as_json(context):
    return {"b": [1, None], "a": True}


def nothing(context):
    return None


def large(context):
    return b"x" * (64 * 1024)  # with its prefix more than one read


def very_large(context):
    return b"x" * (3 * 1024 * 1024)


def writes(context):
    print("to stdout")
    print("to stderr", file=sys.stderr)
    context.logger.warning("to the logger")


def starts_a_child(context):
    return subprocess.check_output(["echo", "child"])


def leaves_a_child(context):
    subprocess.Popen(["sleep", "60"])


def leaves_a_thread(context):
    threading.Thread(target=time.sleep, args=(0.05,), daemon=True).start()


def cpus(context):
    return str(sorted(os.sched_getaffinity(0)))


def cpus_of_a_child(context):
    program = "import os; print(sorted(os.sched_getaffinity(0)), end='')"
    return subprocess.check_output([sys.executable, "-c", program])


def moves_away(context):
    os.chdir("/")
    os.environ["LEFT"] = "behind"
    return os.getcwd()


def slow(context):
    time.sleep(0.005)  # longer than the first wait
    return "slow"


def raises(context):
    raise ValueError("no")


def unencodable(context):
    return {1, 2}


def exits(context):
    sys.exit(3)


def dies(context):
    os._exit(4)
