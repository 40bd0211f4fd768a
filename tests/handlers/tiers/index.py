"""What shows how a tier holds an instance, one function each."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

from gates import tell

MiB = 1024 * 1024


def who():
    """How anybody knows this process, for good: numbers and namespaces are used again."""
    with open("/proc/self/stat") as told:
        started = told.read().rpartition(")")[2].split()[19]
    return f"{os.getpid()}:{os.stat('/proc/self/ns/pid').st_ino}:{started}"


def well(event, context):
    return who()


def family(event, context):
    """A child, a relay that forks for ever, and a daemon in a session of its own; then hang."""
    subprocess.Popen(["sleep", "3601"])
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            say("daemon")
            while True:
                time.sleep(60)
        os._exit(0)
    if os.fork() == 0:
        say("relay")
        while True:
            if os.fork():
                os._exit(0)
    say("worker")
    tell(json.loads(event))
    while True:
        time.sleep(60)


def rest_with_children(event, context):
    """Half a second, beside some that would sleep on."""
    for _ in range(5):
        subprocess.Popen(["sleep", "3602"])
    time.sleep(0.5)
    return "rested"


def say(name):
    os.write(1, f"pid {who()} {name}\n".encode())


def own_cgroups(event, context):
    with open("/proc/self/cgroup") as file:
        return file.read()


def fill_file(event, context):
    """Files in memory are memory: as many MiB of them as asked, in the given folder."""
    order = json.loads(event)
    with open(f"{order['folder']}/large", "wb") as file:
        for _ in range(order["mib"]):
            file.write(bytes(MiB))
    return "written"


def fill_memfd(event, context):
    fd = os.memfd_create("large")
    for _ in range(json.loads(event)["mib"]):
        os.write(fd, b"x" * MiB)
    return "written"


def bomb(event, context):
    """As many children as there may be; how many that were."""
    children = []
    try:
        for _ in range(500):
            pid = os.fork()
            if pid == 0:
                signal.pause()
            children.append(pid)
        return "all of them"
    except OSError as error:
        return json.dumps([len(children), error.errno])
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        for pid in children:
            os.waitpid(pid, 0)
