"""Ways to write to the log, one function each."""

import ctypes
import logging
import os
import subprocess
import sys
import threading
import time
import warnings

logging.getLogger("library").debug("at import")


def in_order(event, context):
    print("1 print")
    logging.getLogger().info("2 root")
    context.logger.warning("3 context")
    subprocess.run(["sh", "-c", "echo 4 child; echo 5 child error >&2"], check=True)
    print("6 print to stderr", file=sys.stderr)
    os.system("echo 7 system")
    logging.getLogger("library").error("8 library")
    os.write(1, b"9 write\n")
    sys.stdout.write("10 no newline at the end")


def libc(event, context):
    print("before")
    libc = ctypes.CDLL(None)
    libc.puts(b"from C")
    libc.fflush(None)
    print("after")


def levels(event, context):
    logger = logging.getLogger()
    logger.debug("not seen")
    logger.info("information")
    logger.warning("warning %d of %d", 1, 2)
    logger.error("error")
    logger.critical("critical")
    try:
        1 / 0
    except ZeroDivisionError:
        logger.exception("with a traceback")


def echo(event, context):
    os.write(1, event)


def text(event, context):
    print(eval(event))


def warn(event, context):
    warnings.warn("nobody wants to know")


def long_write(event, context):
    sys.stdout.write("x" * (128 * 1024 + 5))
    sys.stdout.write("\nnext\n")
    logging.getLogger().info("y" * (128 * 1024))


def flood(event, context):
    print("the first line")
    line = "x" * 1000
    for number in range(10_000):
        print(number, line)
    print("the last line")


def flood_of_a_child(event, context):
    print("the first line")
    subprocess.run("yes | head -c 20000000", shell=True, check=True)
    print("the last line")


def endless(event, context):
    line = "x" * 10_000
    while True:
        print(line)


answered = threading.Event()


def write_late():
    answered.wait()
    time.sleep(0.05)  # by now the answer has left
    print("late")
    with open(os.environ["DONE"], "w") as fifo:
        fifo.write("written")


def late(event, context):
    """Leaves a thread that writes after the answer."""
    if event == b"leave":
        print("mine")
        threading.Thread(target=write_late, daemon=True).start()
        answered.set()
    else:
        print("also mine")


def replaced(event, context):
    if event == b"replace":
        sys.stdout = open(os.devnull, "w")
        sys.stderr = None
        logging.getLogger().handlers.clear()
        logging.getLogger().setLevel(logging.CRITICAL)
        return
    print("printed")
    print("to stderr", file=sys.stderr)
    logging.getLogger().info("logged")


def closed(event, context):
    if event == b"close":
        sys.stdout.close()
        return
    print("printed")


def configured(event, context):
    logging.basicConfig(level=logging.DEBUG, format="mine: %(message)s", force=True)
    logging.getLogger().debug("in my own format")


def stdin(event, context):
    import select

    return [sys.stdin.read(), os.read(0, 10).decode(), select.select([0], [], [], 0)[0]]


def crash(event, context):
    print("before the crash")
    logging.getLogger().info("logged before the crash")
    sys.stdout.write("no newline")
    ctypes.string_at(0)
