"""
The bare zygote's program: import, freeze, fork on request. Started by `bare.BareZygote`.

It imports what a worker's program would (json, logging, msgpack) and what the command line names.
"""

import gc
import importlib
import json  # noqa: F401  (part of what is imported before the fork)
import logging  # noqa: F401
import os
import socket
import sys

import msgpack
from bare import load_handler, serve


def main():
    control = socket.socket(fileno=int(sys.argv[1]))
    for name in sys.argv[2:]:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    control.send(b"ready")
    children = []
    while True:
        data, fds, _flags, _address = socket.recv_fds(control, 4096, 2)
        if not data:
            break
        message = msgpack.unpackb(data)
        if "reap" in message:
            os.waitpid(children.pop(), 0)
            control.send(b"reaped")
            continue
        pid = os.fork()
        if pid == 0:
            try:
                control.close()
                serve(*fds, load_handler(message["fork"]))
            finally:
                os._exit(0)
        for fd in fds:
            os.close(fd)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
