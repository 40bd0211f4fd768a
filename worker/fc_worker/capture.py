"""
Whatever a handler prints or logs leaves through fds 1 and 2 at once, in the order of the calls.

Nothing is buffered in Python: a print, a log record and the output of a child process on the same
descriptor stand in the log in the order in which they happened, and what was written before a
crash is there. Streams, logging handler and level are looked at between invocations and put back
if the handler changed them (`restore`); what a module does to them at import, or the initializer,
is meant to stay and does (`keep`), as globals persist in Function Compute (spec 1.12).

The streams cannot be closed, and neither can descriptors 1 and 2 through them: who wraps
``sys.stdout.buffer`` and drops the wrapper would otherwise silence the next invocation.
"""

import io
import logging
import os
import sys
import time
from contextlib import suppress
from typing import Any, Final, TextIO

WRITE_CHARS: Final = 128 * 1024  # of one write (spec 1.B); what is longer is cut
RECORD_CHARS: Final = WRITE_CHARS - 1  # of one log record with its newline (spec 6.5)

_FORMAT: Final = "%(asctime)s.%(msecs)03dZ %(fc_request_id)s [%(levelname)s] %(message)s"
_TIME_FORMAT: Final = "%Y-%m-%dT%H:%M:%S"


class Descriptor(io.FileIO):
    """An fd that belongs to the process: written whole, never closed."""

    def write(self, data: Any, /) -> int:
        written = super().write(data)
        if written == len(data):
            return written
        rest = memoryview(data).cast("B")
        size = rest.nbytes
        while written is not None and written < size:  # a pipe may take less than it is given
            rest = rest[written:]
            size -= written
            written = super().write(rest)
        if written is None:  # somebody made it non-blocking, and it is full
            raise BlockingIOError(0, "the log descriptor would block", 0)
        return memoryview(data).nbytes

    def close(self) -> None:
        pass


class LogStream(io.TextIOWrapper):
    """`sys.stdout` or `sys.stderr`: UTF-8, unbuffered, one write at most WRITE_CHARS long."""

    def __init__(self, fd: int, name: str, errors: str) -> None:
        descriptor = Descriptor(fd, "w", closefd=False)
        descriptor.name = name
        super().__init__(
            descriptor,  # a raw file, as under ``python -u``
            encoding="utf-8",
            errors=errors,
            newline="\n",
            write_through=True,
        )
        self.mode = "w"  # type: ignore[misc]  # an attribute, as of the stream it replaces
        self.altered = False

    def write(self, text: str, /) -> int:
        if len(text) > WRITE_CHARS:
            super().write(text[:WRITE_CHARS])
            return len(text)  # the rest is dropped, not left for the caller to write again
        return super().write(text)

    def reconfigure(self, **options: Any) -> None:
        self.altered = True
        super().reconfigure(**{**options, "write_through": True})

    def detach(self) -> Any:
        self.altered = True
        return super().detach()


class RecordWriter(logging.Handler):
    """The root logger's one handler: Function Compute's line format on fd 1 (spec 6.3)."""

    def __init__(self) -> None:
        super().__init__()
        self.request_id = ""
        self._out = Descriptor(1, "w", closefd=False)
        self.setFormatter(logging.Formatter(_FORMAT, _TIME_FORMAT))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            record.fc_request_id = self.request_id
            text = self.format(record) + "\n"
            if len(text) > RECORD_CHARS:
                text = text[: RECORD_CHARS - 1] + "\n"
            self._out.write(text.encode("utf-8", "surrogateescape"))
        except Exception:  # noqa: BLE001 (logging's habit: a bad record must not fail its caller)
            self.handleError(record)


class NullInput(io.TextIOWrapper):
    """`sys.stdin` over fd 0: at its end, however often it is closed."""

    def __init__(self) -> None:
        source = io.BufferedReader(io.FileIO(0, closefd=False))
        super().__init__(source, encoding="utf-8", errors="surrogateescape")

    def close(self) -> None:
        pass


class _Capture:
    """What is installed, and what `restore` goes back to."""

    out: LogStream  # ours, whoever stands in sys.stdout
    err: LogStream
    records: RecordWriter
    stdin: TextIO
    stdout: TextIO
    stderr: TextIO
    handlers: list[logging.Handler]
    level: int

    def open_out(self) -> LogStream:
        self.out = sys.__stdout__ = LogStream(1, "<stdout>", "surrogateescape")  # type: ignore[misc]
        return self.out

    def open_err(self) -> LogStream:
        # PYTHONIOENCODING's error handler does not apply to stderr, in Function Compute as in
        # any CPython: what it cannot encode, it escapes.
        self.err = sys.__stderr__ = LogStream(2, "<stderr>", "backslashreplace")  # type: ignore[misc]
        return self.err


_capture: Final = _Capture()


def install(stdin_is_null: bool = True) -> None:
    """
    Take over streams and root logger of this process. Call it again after a fork or a dup2.

    Args:
        stdin_is_null: fd 0 is ``/dev/null``, so `sys.stdin` may be made anew and is at its end.
            Otherwise `sys.stdin` is left alone.
    Environment: ``FC_SERVER_LOG_LEVEL``, the root logger's level; INFO without it, or if it is
        none that logging knows.
    Source: spec 1.B, 6.3, 6.5.
    """
    if stdin_is_null:
        sys.stdin = NullInput()
    sys.stdout = _capture.open_out()
    sys.stderr = _capture.open_err()
    logging.Formatter.converter = time.gmtime
    root = logging.getLogger()
    _capture.records = RecordWriter()
    root.handlers = [_capture.records]
    root.setLevel(logging.INFO)
    with suppress(ValueError):
        root.setLevel((os.environ.get("FC_SERVER_LOG_LEVEL") or "INFO").upper())
    keep()


def set_request_id(request_id: str) -> None:
    """From now on log records carry *request_id*."""
    _capture.records.request_id = request_id


def keep() -> None:
    """Streams, root handlers and root level as they are now are what `restore` goes back to."""
    _capture.stdin, _capture.stdout, _capture.stderr = sys.stdin, sys.stdout, sys.stderr
    _capture.out.altered = _capture.err.altered = False
    root = logging.root
    _capture.handlers = list(root.handlers)
    _capture.level = root.level


def restore() -> None:
    """
    Undo what an invocation did to streams, root handlers and root level. Never raises.

    Cost: a few comparisons, if it did nothing.
    """
    kept = _capture
    names = sys.__dict__
    stdout, stderr, stdin = names.get("stdout"), names.get("stderr"), names.get("stdin")
    if stdout is not kept.out:  # whatever it is, it may hold text of this invocation
        _flush(stdout)
    if stderr is not kept.err:
        _flush(stderr)
    if kept.out.altered:
        old, new = kept.out, kept.open_out()
        kept.stdout = new if kept.stdout is old else kept.stdout
    if kept.err.altered:
        old, new = kept.err, kept.open_err()
        kept.stderr = new if kept.stderr is old else kept.stderr
    if stdout is not kept.stdout:
        sys.stdout = kept.stdout
    if stderr is not kept.stderr:
        sys.stderr = kept.stderr
    if stdin is not kept.stdin:
        sys.stdin = kept.stdin
    root = logging.root
    if root.handlers != kept.handlers:
        root.handlers = list(kept.handlers)
    if root.level != kept.level:
        root.setLevel(kept.level)


def _flush(stream: Any) -> None:
    with suppress(BaseException):  # the handler's own object: it may do anything
        stream.flush()
