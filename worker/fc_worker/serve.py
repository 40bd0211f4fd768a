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

import faulthandler
import gc
import logging
import os
import resource
import signal
import sys
import threading
import time
from contextlib import suppress
from types import CoroutineType
from typing import Any, Final, Never

from fc_worker import capture, messages as m, respond, tree, wire
from fc_worker.context import ContextFactory
from fc_worker.load import Loader, LoadError
from fc_worker.restore import Baseline
from fc_worker.wire import Frame, Kind

READ_BYTES: Final = 64 * 1024
_INVOKE: Final = int(Kind.INVOKE)
_NOT_THE_HANDLERS: Final = (__file__, f"{os.path.dirname(os.__file__)}/asyncio/")  # noqa: PTH120
_CREDENTIAL_NAMES: Final = (
    ("ALIBABA_CLOUD_ACCESS_KEY_ID", "accessKeyID"),
    ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "accessKeySecret"),
    ("ALIBABA_CLOUD_SECURITY_TOKEN", "securityToken"),
)


class Spawns:
    """Counts the processes that this one starts, by CPython's audit events."""

    STARTS: Final = frozenset(
        {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"}
    )

    def __init__(self) -> None:
        self.count = 0
        sys.addaudithook(self._heard)

    def _heard(self, event: str, _args: object) -> None:
        if event in self.STARTS:
            self.count += 1


class Worker:
    """One instance from the inside. `run` does not return."""

    def __init__(self, config: m.WorkerConfig, request_fd: int, response_fd: int) -> None:
        self._config = config
        self._in = request_fd
        self._out = response_fd
        self._original = True
        os.register_at_fork(after_in_child=self._forked)
        self._cpus = os.sched_getaffinity(0)
        self._loader = Loader(config.code)
        self._contexts = ContextFactory(config)
        self._handler: Any = None
        self._runner: Any = None
        self._credentials: list[str] | None = None
        self._spawns = Spawns()
        self._used = resource.getrusage(resource.RUSAGE_SELF)
        self._children_used = _children_time()
        self._baseline: Baseline  # taken when READY goes out, before any INVOKE comes in
        self._unclean: str | None = None

    def run(self) -> Never:
        decoder = wire.Decoder(max_body_bytes=2**32 - 1)  # the supervisor is trusted
        read, fd = os.read, self._in
        while data := read(fd, READ_BYTES):
            for frame in decoder.feed(data):
                if frame.kind == _INVOKE:
                    self._invoke(frame)
                else:
                    self._initialize(frame)
        os._exit(0)

    # -- the two requests ----------------------------------------------------------------------

    def _initialize(self, frame: Frame) -> None:
        started = time.monotonic_ns()
        headers = frame.headers
        self._adopt_credentials(headers.get(m.CREDENTIALS))
        capture.set_request_id(headers[m.REQUEST_ID])
        body = b""
        answer: dict[str, Any] = {m.STATUS: m.STATUS_RETURNED}
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
        except LoadError as error:
            logging.getLogger().error(str(error.details()))  # FC logs these as a dict (spec 5.A)
            body = error.body()
            answer = _failed(
                m.STATUS_RAISED, error.error_type, error.error_message, error.traceback
            )
        except Exception as error:  # noqa: BLE001 (whatever user code raises is its answer)
            answer, body = self._raised(error)
        except BaseException as error:  # noqa: BLE001
            self._exit(frame, error, Kind.READY)
        if not self._original:
            os._exit(0)
        answer[m.INIT_NS] = time.monotonic_ns() - started
        if answer[m.STATUS] == m.STATUS_RETURNED:
            self._baseline = Baseline(self._config.code)
            gc.freeze()
        self._send(Kind.READY, frame.invocation, answer, body)
        if answer[m.STATUS] != m.STATUS_RETURNED:
            os._exit(1)  # FC discards an instance that did not initialise

    def _invoke(self, frame: Frame) -> None:
        if frame.flags & wire.LIFT_AFFINITY:
            os.sched_setaffinity(0, self._cpus)
        if self._unclean:
            answer = {m.STATUS: m.STATUS_DECLINED, m.UNCLEAN: self._unclean}
            self._send(Kind.RESULT, frame.invocation, answer, b"")
            os._exit(0)
        headers = frame.headers
        request_id = headers[m.REQUEST_ID]
        credentials = headers.get(m.CREDENTIALS)
        if credentials != self._credentials:
            self._adopt_credentials(credentials)
        capture.set_request_id(request_id)
        spawned = self._spawns.count
        started = time.monotonic_ns()
        context = self._contexts.make(
            request_id=request_id,
            credentials=credentials,
            deadline_ns=started + headers[m.TIMEOUT_NS],
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
        answer[m.RUN_NS] = time.monotonic_ns() - started
        self._end_leftovers(answer)
        self._account(answer, self._spawns.count - spawned)
        self._send(Kind.RESULT, frame.invocation, answer, body)
        self._unclean = self._baseline.put_back()

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
        try:
            body = respond.encode(value)
        except Exception as error:  # noqa: BLE001 (to_json and repr are user code too)
            failure = respond.failure_of(error, skip=0)  # spec 1.6: with the runtime's frames
            _log_failure(failure.body)
            return _failed(m.STATUS_REJECTED, *failure[:2], failure.traceback), failure.body
        if len(body) > self._config.max_response_bytes:
            message = (
                f"the result has {len(body)} bytes, "
                f"more than the limit of {self._config.max_response_bytes} bytes"
            )
            refusal = respond.platform_body(message)
            return _failed(m.STATUS_REJECTED, "ResponseTooLarge", message, ""), refusal
        return {m.STATUS: m.STATUS_RETURNED}, body

    def _raised(self, error: Exception) -> tuple[dict[str, Any], bytes]:
        failure = respond.failure_of(error, skip=_frames_above_the_handler(error))
        _log_failure(failure.body)  # spec 6.2
        return _failed(m.STATUS_RAISED, *failure[:2], failure.traceback), failure.body

    def _exit(self, frame: Frame, error: BaseException, kind: Kind) -> Never:
        """SystemExit and its like end the process, as they do in FC, but say so first."""
        code = 1
        if isinstance(error, SystemExit):
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
        elif isinstance(error, KeyboardInterrupt):
            code = 128 + signal.SIGINT
        code &= 0xFF
        if not self._original:
            os._exit(code)
        failure = respond.failure_of(error, skip=_frames_above_the_handler(error))
        answer = _failed(m.STATUS_EXITING, *failure[:2], failure.traceback)
        answer[m.EXIT_CODE] = code
        self._send(kind, frame.invocation, answer, b"")
        os._exit(code)

    def _forked(self) -> None:
        """In a copy of this process, made by the handler: the pipes are not the copy's."""
        self._original = False
        with suppress(OSError):  # the handler may have closed them before
            os.close(self._in)
            os.close(self._out)

    def _adopt_credentials(self, credentials: list[str] | None) -> None:
        self._credentials = credentials
        for index, names in enumerate(_CREDENTIAL_NAMES):
            for name in names:
                if credentials:
                    os.environ[name] = credentials[index]
                else:
                    os.environ.pop(name, None)
        if self._handler is not None:
            self._baseline.keep_environment()

    def _end_leftovers(self, answer: dict[str, Any]) -> None:
        """
        Children that outlive the handler are killed before the answer leaves, so that what they
        wrote belongs to this invocation and nothing of them meets the next.
        """
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            pass
        else:
            killed, survivors = tree.sweep_children(known=())
            answer[m.LEFT_BEHIND] = killed
            if survivors:
                answer[m.UNCLEAN] = "leftovers"
        if threading.active_count() > 1:
            answer[m.THREADED] = True

    def _account(self, answer: dict[str, Any], spawned: int) -> None:
        """Counted from the last answer on: one look at the clock serves two invocations."""
        before = self._used
        after = self._used = resource.getrusage(resource.RUSAGE_SELF)
        user_s = after.ru_utime - before.ru_utime
        system_s = after.ru_stime - before.ru_stime
        if spawned:
            answer[m.CHILDREN] = spawned
            children = _children_time()
            user_s += children[0] - self._children_used[0]
            system_s += children[1] - self._children_used[1]
            self._children_used = children
        answer[m.USER_US] = int(user_s * 1e6)
        answer[m.SYSTEM_US] = int(system_s * 1e6)
        answer[m.PEAK_RSS] = after.ru_maxrss * 1024

    def _send(self, kind: Kind, invocation: int, headers: dict[str, Any], body: bytes) -> None:
        head = wire.encode(kind, invocation, headers, len(body))
        if len(body) > READ_BYTES:
            done = os.writev(self._out, (head, body)) - len(head)
            rest = memoryview(body)[max(0, done) :]
            if done < 0:
                rest = memoryview(head + body)[len(head) + done :]
        else:
            whole = head + body
            rest = memoryview(whole)[os.write(self._out, whole) :]
        while rest:
            rest = rest[os.write(self._out, rest) :]


def _children_time() -> tuple[float, float]:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime, usage.ru_stime


def _frames_above_the_handler(error: BaseException) -> int:
    """How many frames at the top of its traceback are ours, or the event loop's."""
    count = 0
    step = error.__traceback__
    while step is not None and step.tb_frame.f_code.co_filename.startswith(_NOT_THE_HANDLERS):
        count += 1
        step = step.tb_next
    return count


def _failed(status: int, error_type: str, message: str, traceback: str) -> dict[str, Any]:
    return {
        m.STATUS: status,
        m.ERROR_TYPE: error_type,
        m.ERROR_MESSAGE: message,
        m.TRACEBACK: traceback,
    }


def _log_failure(body: bytes) -> None:
    """FC logs the error body at ERROR before it answers with it (spec 6.2)."""
    logging.getLogger().error(body.decode("utf-8", "replace"))


def watch_faults(stack_fd: int) -> None:
    """
    Where it hung, and where it crashed: faulthandler needs neither the GIL nor the handler's
    cooperation. At a deadline the supervisor signals and reads *stack_fd*.
    """
    faulthandler.enable(file=2, all_threads=False)
    faulthandler.register(m.STACK_SIGNAL, file=stack_fd, all_threads=True, chain=False)

