"""
What can be learned of an instance that did not answer: where it hung, whether it died by itself,
and of what.
"""

import os
import re
import select
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from fc_worker import messages as m
from fc_worker.tree import is_exiting

from fc_runtime.dispatch.call import Call
from fc_runtime.dispatch.settle import readable_stack
from fc_runtime.dispatch.watch import Ending
from fc_runtime.isolation import portable
from fc_runtime.pool.instance import Exit, Instance

if TYPE_CHECKING:
    from fc_runtime.pool.core import Core

STACK_WITHIN_MS: Final = 50  # for faulthandler to write the first byte, on a busy machine
STACK_QUIET_MS: Final = 20  # nothing more for so long: that was all, if nothing else tells
STACK_BYTES: Final = 64 * 1024


def ask_where_it_hangs(instance: Instance) -> None:
    """
    For its Python stacks, which come in its own words, without its GIL or its cooperation. A
    moment before the deadline, so that they are there when it has passed.
    """
    channel = instance.channel
    if channel.pid is None:
        return
    with suppress(BlockingIOError):  # of a call that was warned, and answered all the same
        while os.read(instance.stack_fd, STACK_BYTES):
            pass
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(channel.pidfd, m.STACK_SIGNAL)


def where_it_hangs(instance: Instance) -> str:
    """What it has answered by now; it is waited for a little longer if that is nothing."""
    channel = instance.channel
    if channel.pid is None:
        return ""
    dump = _read_stack(instance)
    if not dump:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(channel.pidfd, signal.SIGCONT)  # it may have been stopped
    poller = select.poll()
    poller.register(instance.stack_fd, select.POLLIN)
    wait_ms = STACK_QUIET_MS if dump else STACK_WITHIN_MS
    while len(dump) < STACK_BYTES and not _WHOLE_STACK.search(dump) and poller.poll(wait_ms):
        piece = _read_stack(instance)
        if not piece:
            break  # the process has ended
        dump += piece
        wait_ms = STACK_QUIET_MS
    return readable_stack(dump.decode("utf-8", "backslashreplace"))


def _read_stack(instance: Instance) -> bytes:
    try:
        return os.read(instance.stack_fd, STACK_BYTES)
    except BlockingIOError:
        return b""


# The main thread comes last, and its oldest frame is the one-line program it was booted by.
_WHOLE_STACK: Final = re.compile(rb'File "<string>", line \d+ in <module>\n\Z')


def who_was_killed(instance: Instance, call: Call, *, natural: bool) -> str:
    """
    "name[pid]" of whom the kernel has ended because the tree was at its limit: the worker, if it
    ended without us; a child is known by having been the largest before.
    """
    pid = instance.channel.pid
    if pid is not None and natural:
        return portable.describe(pid)
    reading = call.watch.reading if call.watch else None
    return (reading.largest if reading else "") or "a child process"


def timeout_record(request_id: str, stack: str) -> str:
    """What FC's Python runtime logs at a timeout (spec 5.B), in the format of its loggers."""
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    head = f"{stamp}.{int(now % 1 * 1000):03d}Z {request_id} [ERROR] "
    return f"{head}Dumping stack trace after function timeout\n{stack}\n"


def dies_by_itself(core: "Core", instance: Instance) -> bool:
    """Its pipe is closed: is that because the process is dying? Then see it to its end."""
    pid = instance.channel.pid
    if pid is not None and not instance.exited.is_set() and not is_exiting(pid):
        return False
    return core.supervisor.endings.wait_for_exit(instance) is not None


def cause_of_death(
    core: "Core", call: Call, ending: Ending, exited: Exit | None, *, natural: bool
) -> tuple[int | None, str]:
    """Exit code and reason of a crash; what we did ourselves is not its exit code."""
    headers = call.headers()
    if headers.get(m.STATUS) == m.STATUS_EXITING:
        said = f"{headers.get(m.ERROR_TYPE)}: {headers.get(m.ERROR_MESSAGE)}"
        return headers.get(m.EXIT_CODE, 1), said
    if ending is Ending.BROKEN:
        return None, f"broke the protocol: {call.breach}"
    if not natural:
        return None, "closed its channel"
    if exited is None:
        return None, "its zygote was gone, nobody knows how"
    if exited.code == -signal.SIGKILL and core.closed:
        return exited.code, "the runtime was closed"
    return exited.code, exited.reason
