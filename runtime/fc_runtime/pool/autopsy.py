"""
What can be learned of an instance that did not answer: where it hung, whether it died by itself,
and of what.
"""

import os
import re
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
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
STARVED_MS: Final = 300  # at most, of somebody who has had no CPU to write with
STACK_BYTES: Final = 64 * 1024
ASK_NS: Final = 1_000_000  # before the deadline
HEAR_NS: Final = 250_000


class LastMoments:
    """
    Of an invocation that is about to miss its deadline: what can be done before it has passed is
    done by then, for the caller waits for the rest.
    """

    __slots__ = ("_asked", "_dump", "_instance", "_ran_ns", "_seen_to", "_stack")

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._asked = self._seen_to = False
        self._dump = b""
        self._ran_ns = -1  # on a CPU, in all its life
        self._stack: str | None = None  # once it is known to be all

    def ahead(self) -> tuple[tuple[int, Callable[[], None]], ...]:
        """What to do, and how many ns before the deadline."""
        return ((ASK_NS, self._ask), (HEAR_NS, self._hear))

    def _ask(self) -> None:
        """For its Python stacks: they come in its own words, without its GIL or its cooperation."""
        instance = self._instance
        if instance.channel.pid is None:
            return
        with suppress(BlockingIOError):  # of a call that was asked, and answered all the same
            while os.read(instance.stack_fd, STACK_BYTES):
                pass
        self._ran_ns = _ran_ns(instance.channel.pid)
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(instance.channel.pidfd, m.STACK_SIGNAL)
        self._asked = True
        instance.cell.get_ready(instance.channel.pid)
        self._see_to()  # takes its time, so it is done ahead

    def make_sure(self) -> None:
        """If it is doomed somebody looks whether it is gone, once it has had the time for that."""
        if self._instance.doomed_ns:
            self._see_to()

    def _see_to(self) -> None:
        if not self._seen_to:
            self._seen_to = True
            self._instance.pool.core.supervisor.endings.see_to(self._instance)

    def are_over(self) -> None:
        """It has been answered, or made ready: if there is another deadline, all begins anew."""
        if self._asked:
            self._asked = self._seen_to = False
            self._dump = b""
            self._stack = None
            self._instance.cell.stand_down()

    def _hear(self) -> None:
        if self._instance.channel.pid is not None:
            self._hear_more()
            if _WHOLE_STACK.search(self._dump):
                self._stack = self._readable()

    def stack(self) -> str:
        """Where it hangs; it is waited for a little longer if it has not said all of it."""
        if self._stack is None:
            pid = self._instance.channel.pid
            if pid is not None:
                self._wait(pid)
            self._stack = self._readable()
        return self._stack

    def _readable(self) -> str:
        return readable_stack(self._dump.decode("utf-8", "backslashreplace"))

    def _wait(self, pid: int) -> None:
        self._hear_more()
        if not self._dump:
            with suppress(ProcessLookupError):  # it may have been stopped
                signal.pidfd_send_signal(self._instance.channel.pidfd, signal.SIGCONT)
        poller = select.poll()
        poller.register(self._instance.stack_fd, select.POLLIN)
        until_ns = time.monotonic_ns() + STARVED_MS * 1_000_000
        while len(self._dump) < STACK_BYTES and not _WHOLE_STACK.search(self._dump):
            if self._dump:
                self._ran_ns = _ran_ns(pid)
            if poller.poll(STACK_QUIET_MS if self._dump else STACK_WITHIN_MS):
                if not self._hear_more():
                    return
            elif not self._is_starved(pid) or time.monotonic_ns() > until_ns:
                return

    def _is_starved(self, pid: int) -> bool:
        """Would it run, and has it not run at all since it was looked at last?"""
        before_ns, self._ran_ns = self._ran_ns, _ran_ns(pid)
        return self._ran_ns == before_ns >= 0 and _is_runnable(pid)

    def _hear_more(self) -> bool:
        """False if there is no more, now or for ever."""
        try:
            piece = os.read(self._instance.stack_fd, STACK_BYTES)
        except BlockingIOError:
            return False
        self._dump += piece
        return bool(piece)


def _ran_ns(pid: int) -> int:
    """What its main thread has had of the CPUs, in ns; -1 if nobody says."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_bytes().split()[0])
    except (OSError, ValueError, IndexError):  # it has ended; or a kernel that does not count
        return -1


def _is_runnable(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"R"
    except OSError:
        return False


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


def timeout_record(request_id: str, stack: str) -> bytes:
    """What FC's Python runtime logs at a timeout (spec 5.B), in the format of its loggers."""
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    head = f"{stamp}.{int(now % 1 * 1000):03d}Z {request_id} [ERROR] "
    record = f"{head}Dumping stack trace after function timeout\n{stack}\n"
    return record.encode("utf-8", "backslashreplace")


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
