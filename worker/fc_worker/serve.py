"""
The worker: frame in, ``handler(event, context)``, frame out.

Runs in a process of its own, forked from the zygote (or exec'd, when the zygote may not fork).
One handler for the life of the process, one invocation at a time. The order in one invocation:

    read frame → lift borrowed CPU mask → context → handler → encode → leftovers → write frame
    → put back what the handler changed (the caller does not wait for this)

Whatever the handler does, only this process answers, and it answers once: a fork of it that comes
back here exits silently. What cannot be put back is told with the next request ("declined"), so
that the supervisor can give that one to another instance.
"""

import _thread
import faulthandler
import gc
import os
import resource
import time
from contextlib import suppress
from functools import partial
from types import CoroutineType
from typing import Any, Final, Never

from fc_worker import capture, failures, keys, messages as m, respond, tree, wire, wsgi
from fc_worker.affinity import Affinity
from fc_worker.awake import Ear
from fc_worker.context import Context
from fc_worker.lane import PIECE_BYTES, Window
from fc_worker.load import LoadError
from fc_worker.passing import READ_BYTES, Passage
from fc_worker.readied import Readied
from fc_worker.restore import Baseline, empty_folder, scratch_folder
from fc_worker.sandbox import FAILED_EXIT_CODE, SandboxError, has_pid_namespace
from fc_worker.wire import Frame, Kind

# Below this no process can have been started (a bare vfork and exec takes three times as long), and
# what Python code changed is known from `Deeds`: there is nothing to look for.
QUICK_NS: Final = 100_000
MiB: Final = 1024 * 1024
GROWTH_EVERY: Final = 8  # quick answers; slow ones are looked at anyway
_LENT: Final = wire.LIFT_AFFINITY | wire.KEEP_APART
_AFTERWARDS: Final = wire.STAY_AWAKE | wire.KEEP_APART
_INVOKE: Final = int(Kind.INVOKE)
_INITIALIZE: Final = int(Kind.INITIALIZE)
_RESULT: Final = int(Kind.RESULT)
_count_threads: Final = _thread._count  # noqa: SLF001 (besides the main one; no lock is taken)


class Worker:
    """One instance from the inside. `run` does not return."""

    def __init__(
        self,
        readied: Readied,
        request_fd: int,
        response_fd: int,
        window: Window,
        refusal: SandboxError | None = None,
    ) -> None:
        """*refusal*: why the sandbox could not be entered; then no code of the function's runs."""
        self._config = config = readied.config
        self._refusal = refusal
        self._answered = 0
        self._in_namespace = has_pid_namespace(config.plan)
        self._empties = scratch_folder() if config.empty_scratch else None
        self._in = request_fd
        self._ear = Ear(request_fd)
        self._out = response_fd
        self._passage = Passage(window, request_fd, self._write)
        self._original = True
        os.register_at_fork(after_in_child=self._forked)
        self._affinity = Affinity()
        self._loader = readied.loader
        self._imports = readied.imports
        self._contexts = readied.contexts
        self._handler: Any = None
        self._runner: Any = None
        self._credentials: list[str] | None = None
        self._deeds = readied.deeds
        self._told_us = 0
        self._system_us = 0
        self._children_us = (0, 0)
        self._baseline: Baseline  # taken when READY goes out, before any INVOKE comes in
        self._unclean: str | None = None
        self._most = config.max_response_bytes

    def run(self) -> Never:
        read, fd, passage = os.read, self._in, self._passage
        while data := read(fd, READ_BYTES):
            for frame in passage.feed(data):
                if frame.aside:
                    frame = passage.whole(frame)  # noqa: PLW2901 (the same one)
                if frame.kind == _INVOKE:
                    self._invoke(frame)
                elif frame.kind == _INITIALIZE:
                    self._initialize(frame)
                else:
                    self._invoke_otherwise(frame)
                if frame.flags & _AFTERWARDS:
                    self._wait_as_told(frame.flags)
        os._exit(0)

    def _wait_as_told(self, flags: int) -> None:
        if flags & wire.KEEP_APART:
            self._affinity.narrow()
        if flags & wire.STAY_AWAKE:
            self._ear.stay_awake()

    # -- the two requests ----------------------------------------------------------------------

    def _initialize(self, frame: Frame) -> None:
        started = time.monotonic_ns()
        headers = frame.headers
        credentials = headers.get(m.CREDENTIALS)
        if credentials != self._credentials:
            self._adopt_credentials(credentials)
        capture.set_request_id(headers[m.REQUEST_ID])
        os.environ["FC_INSTANCE_ID"] = headers[m.INSTANCE]
        body = b""
        answer: dict[str, Any] = {m.STATUS: m.STATUS_RETURNED}
        if self._refusal is not None:
            self._refuse(frame, self._refusal)
        self._deeds.imports = self._imports()
        try:
            self._handler = self._loader.load(self._config.handler)
            if self._config.initializer:
                initializer = self._loader.load(self._config.initializer)
                context = self._contexts.make(
                    request_id=headers[m.REQUEST_ID],
                    credentials=self._credentials,
                    deadline_ns=started + headers[m.TIMEOUT_NS],
                )
                self._finish(initializer(context))  # an async one is awaited; the value is ignored
        except Exception as error:  # noqa: BLE001 (whatever user code raises is its answer)
            answer, body = self._raised(error)
        except BaseException as error:  # noqa: BLE001
            self._exit(frame, error, Kind.READY)
        if not self._original:
            os._exit(0)
        answer[m.INIT_NS] = time.monotonic_ns() - started
        if self._deeds.imports is not None:
            answer[m.IMPORTED] = self._deeds.imports.told()
            self._deeds.imports = None
        if answer[m.STATUS] == m.STATUS_RETURNED:
            answer[m.INIT_LOG] = _written()
            self._baseline = Baseline(self._config.code, self._config.memory_mb * MiB)
            self._deeds.forget()
            self._affinity.adopt()
            gc.freeze()
        user_us, system_us, answer[m.PEAK_RSS] = _used(resource.RUSAGE_SELF)
        self._told_us, self._system_us = user_us + system_us, system_us
        self._send(Kind.READY, frame.invocation, answer, body)
        if answer[m.STATUS] != m.STATUS_RETURNED:
            os._exit(1)  # FC discards an instance that did not initialise

    def _invoke(self, frame: Frame) -> None:
        """
        One event. What nearly every call needs is written out here, in the order of the theory
        above; what few need is in the parts below.
        """
        if frame.flags & _LENT or self._affinity.narrowed:
            self._affinity.widen(frame.flags)
        if self._unclean:
            self._decline(frame)
        headers = frame.headers
        request_id = headers[m.REQUEST_ID]
        credentials = headers.get(m.CREDENTIALS)
        if credentials != self._credentials:
            self._adopt_credentials(credentials)
        capture.set_request_id(request_id)
        deeds = self._deeds
        deeds.started = 0
        started_ns = time.monotonic_ns()
        context = self._contexts.make(
            request_id=request_id,
            credentials=credentials,
            deadline_ns=started_ns + headers[m.TIMEOUT_NS],
            retry_count=headers.get(m.RETRY_COUNT, 0),
        )
        try:
            value = self._handler(frame.body, context)
            if type(value) is CoroutineType:
                value = self._finish(value)
            answer, body = self._encoded(value)
        except Exception as error:  # noqa: BLE001 (whatever user code raises is its answer)
            answer, body = self._raised(error)
        except BaseException as error:  # noqa: BLE001
            self._exit(frame, error, Kind.RESULT)
        if not self._original:
            os._exit(0)  # a fork of this process that came back here has nothing to say (D11)
        run_ns = time.monotonic_ns() - started_ns
        quick = run_ns < QUICK_NS and not deeds.changed and not _count_threads()
        if quick:
            # Too short to have waited for anything: its time is its CPU time, to the few µs.
            run_us = run_ns // 1000
            self._told_us += run_us
        if quick and len(answer) == 1 and len(body) < wire.ASIDE_BYTES:  # only the status
            self._write(wire.encode_plain(frame.invocation, body, run_us))
        else:
            self._answer(frame.invocation, answer, body, run_ns, quick=quick)
        capture.restore()
        if not quick or self._baseline.environ_replaced():
            self._unclean = self._baseline.put_back(deeds)
        self._contexts.prepare()
        self._answered += 1
        if self._empties is not None or not self._answered % GROWTH_EVERY:
            self._look_back()

    def _answer(
        self, invocation: int, answer: dict[str, Any], body: bytes, run_ns: int, *, quick: bool
    ) -> None:
        """For all but what nearly every call answers."""
        if quick and len(answer) == 1 and len(body) <= PIECE_BYTES:
            self._passage.send_plain_result(invocation, body, run_ns // 1000)
            return
        if quick:
            answer[m.USER_US] = run_ns // 1000
        else:
            answer[m.RUN_NS] = run_ns
            self._look_closely(answer, self._deeds.started)
        self._send(_RESULT, invocation, answer, body)

    def _invoke_otherwise(self, frame: Frame) -> None:
        """An HTTP request, or a hook: the same steps, around another call."""
        handler = self._handler
        told = frame.headers.get(m.HTTP)
        if told is None:
            self._handler = partial(self._call_hook, frame.headers[m.HOOK])
        else:
            self._handler = partial(wsgi.answer, handler, self._config.handler, told)
        try:
            self._invoke(frame)
        finally:
            self._handler = handler

    def _call_hook(self, name: str, _event: bytes, context: Context) -> bytes:
        """The value is ignored; what fails, loading included, is in the log, and told (spec 3)."""
        self._finish(self._loader.load(name)(context))
        return b""

    def _look_back(self) -> None:
        """After an answer: is there a reason to leave the next event to another instance?"""
        if self._empties is not None and not empty_folder(self._empties):
            self._unclean = "scratch"
        elif not self._unclean and self._baseline.has_grown():
            self._unclean = "grown"

    # -- the parts -----------------------------------------------------------------------------

    def _finish(self, value: Any) -> Any:
        """Await what an ``async def`` handler returned, on one loop kept for this process."""
        if type(value) is not CoroutineType:
            return value
        if self._runner is None:
            import asyncio  # noqa: PLC0415 (costs 30 ms and 5 MB: only who needs it pays)

            self._runner = asyncio.Runner()
        return self._runner.run(value)

    def _encoded(self, value: object) -> tuple[dict[str, Any], bytes]:
        answer: dict[str, Any] = {m.STATUS: m.STATUS_RETURNED}
        try:
            if type(value) is bytes:
                body = value
            elif type(value) is wsgi.Response:
                answer[m.HTTP_STATUS], answer[m.HTTP_HEADERS], body = value
            else:
                body = respond.encode(value)
        except Exception as error:  # noqa: BLE001 (to_json and repr are user code too)
            failure = respond.failure_of(error, skip=0)  # spec 1.6: with the runtime's frames
            failures.log_failure(failure.body.decode())
            return failures.failed(m.STATUS_REJECTED, *failure[:2], failure.traceback), failure.body
        if len(body) > self._most:
            message = f"the result has {len(body)} bytes, more than the limit of {self._most} bytes"
            refusal = respond.platform_body(message)
            return failures.failed(m.STATUS_REJECTED, "ResponseTooLarge", message, ""), refusal
        return answer, body

    def _raised(self, error: Exception) -> tuple[dict[str, Any], bytes]:
        if type(error) is LoadError:
            failures.log_failure(str(error.details()))  # as a dict, without a traceback: 5.A
            return failures.failed(
                m.STATUS_RAISED, error.error_type, error.error_message, error.traceback
            ), error.body()
        failure = respond.failure_of(error, skip=failures.frames_above_the_handler(error))
        failures.log_failure(failure.body.decode())  # spec 6.2
        return failures.failed(m.STATUS_RAISED, *failure[:2], failure.traceback), failure.body

    def _exit(self, frame: Frame, error: BaseException, kind: Kind) -> Never:
        """SystemExit and its like end the process, as they do in FC, but say so first."""
        code = failures.exit_code(error)
        if not self._original:
            os._exit(code)
        failure = respond.failure_of(error, skip=failures.frames_above_the_handler(error))
        answer = failures.failed(m.STATUS_EXITING, *failure[:2], failure.traceback)
        answer[m.EXIT_CODE] = code
        answer[m.PEAK_RSS] = _used(resource.RUSAGE_SELF)[2]
        self._send(kind, frame.invocation, answer, b"")
        os._exit(code)

    def _forked(self) -> None:
        """
        In a copy of this process, made by the handler: pipes and window are not the copy's. In a
        copy of a copy they are closed, and the numbers are somebody else's.
        """
        if not self._original:
            return
        self._original = False
        for fd in (self._in, self._out):
            with suppress(OSError):  # the handler may have closed it before
                os.close(fd)
        self._passage.close()

    def _adopt_credentials(self, credentials: list[str] | None) -> None:
        self._credentials = credentials
        keys.adopt(credentials, self._config.environment)
        if self._handler is not None:
            self._baseline.keep_environment()

    def _look_closely(self, answer: dict[str, Any], started: int) -> None:
        """
        Leftovers and usage of an invocation that was long enough to have started processes.

        Children that outlive the handler are killed before the answer leaves, so that what they
        wrote belongs to this invocation and nothing of them meets the next.
        """
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            pass  # none, dead or alive
        else:
            answer[m.LEFT_BEHIND], survivors = tree.sweep_children()
            if survivors:
                answer[m.UNCLEAN] = "leftovers"
        if self._in_namespace:
            # Nobody's children: it renounced them, or they were born as its siblings.
            strangers = tree.end_strangers()
            if strangers is None:
                answer[m.UNCLEAN] = "leftovers"
            elif strangers:
                answer[m.LEFT_BEHIND] = answer.get(m.LEFT_BEHIND, 0) + strangers
        if _count_threads():
            answer[m.THREADED] = True
        if self._baseline.has_grown():
            answer[m.UNCLEAN] = "grown"
        user_us, system_us, answer[m.PEAK_RSS] = _used(resource.RUSAGE_SELF)
        untold_us = user_us + system_us - self._told_us
        if not _count_threads():  # what was used between two calls is not this one's
            untold_us = min(untold_us, answer[m.RUN_NS] // 1000)
        own_system_us = min(system_us - self._system_us, untold_us)
        self._told_us, self._system_us = user_us + system_us, system_us
        if started:
            answer[m.CHILDREN] = started
            children_user_us, children_system_us, _ = _used(resource.RUSAGE_CHILDREN)
            untold_us += children_user_us + children_system_us - sum(self._children_us)
            own_system_us += children_system_us - self._children_us[1]
            self._children_us = children_user_us, children_system_us
        answer[m.SYSTEM_US] = max(0, own_system_us)
        answer[m.USER_US] = max(0, untold_us - own_system_us)

    def _decline(self, frame: Frame) -> Never:
        """What the last invocation left behind cannot be undone: another instance shall do it."""
        answer = {m.STATUS: m.STATUS_DECLINED, m.UNCLEAN: self._unclean}
        self._send(_RESULT, frame.invocation, answer, b"")
        os._exit(0)

    def _refuse(self, frame: Frame, refusal: SandboxError) -> Never:
        """Nothing of the function's has run: it is not sandboxed."""
        answer = failures.failed(m.STATUS_EXITING, "SandboxError", str(refusal), "")
        if refusal.transient:
            answer = {m.STATUS: m.STATUS_DECLINED, m.UNCLEAN: f"no room: {refusal}"}
        answer[m.EXIT_CODE] = FAILED_EXIT_CODE
        self._send(Kind.READY, frame.invocation, answer, b"")
        os._exit(FAILED_EXIT_CODE)

    def _send(self, kind: int, invocation: int, headers: dict[str, Any], body: bytes) -> None:
        if kind == _RESULT and len(body) >= wire.ASIDE_BYTES:
            self._passage.send_result(invocation, headers, body)
        else:
            self._write(wire.encode(kind, invocation, headers, len(body)) + body)

    def _write(self, data: bytes) -> None:
        done = os.write(self._out, data)
        if done < len(data):
            rest = memoryview(data)
            while done < len(data):
                done += os.write(self._out, rest[done:])


def _used(who: int) -> tuple[int, int, int]:
    """User and system time in microseconds, and the largest resident size in bytes."""
    usage = resource.getrusage(who)
    return int(usage.ru_utime * 1e6), int(usage.ru_stime * 1e6), usage.ru_maxrss * 1024


def _written() -> int:
    """Bytes in the log so far; 0 if that cannot be told."""
    try:
        return os.fstat(1).st_size
    except OSError:
        return 0


def watch_crashes() -> None:
    """Where it crashed goes to the log: fd 2, whatever that is by then."""
    faulthandler.enable(file=2, all_threads=False)


def watch_deadlines(stack_fd: int) -> None:
    """
    Where it hung: faulthandler needs neither the GIL nor the handler's cooperation. At a deadline
    the supervisor signals and reads the other end of *stack_fd*.
    """
    faulthandler.register(m.STACK_SIGNAL, file=stack_fd, all_threads=True, chain=False)
