"""
stdout, stderr and log records (spec 1.B, 6.3, 6.5), each in a process of its own.

A script runs after ``capture.install()``; both of its streams go to one file, as in a worker.
"""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from fc_worker import capture

PROLOGUE = """
import io, logging, os, subprocess, sys
from fc_worker import capture
capture.install()
root = logging.getLogger()
ours = sys.stdout, sys.stderr, sys.stdin, list(root.handlers), root.level
def as_installed():
    return ours == (sys.stdout, sys.stderr, sys.stdin, list(root.handlers), root.level)
"""
PACKAGES = str(Path(capture.__file__).parents[1])  # site-packages, not needed, takes half the time
STAMP = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def output_of(script: str, **environment: str) -> bytes:
    """What *script* leaves in the log. Ends by ``os._exit``, as a killed worker: no late flush."""
    done = subprocess.run(
        [
            sys.executable,
            "-SPW",
            "error",
            "-c",
            f"{PROLOGUE}{textwrap.dedent(script)}\nos._exit(0)",
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": PACKAGES, **environment},
        timeout=60,
        check=True,
    )
    return done.stdout


# -- streams ---------------------------------------------------------------------------------------


def test_output_stands_in_the_order_of_the_calls() -> None:
    """1.B: print, stderr, logging, raw writes and child processes, with nothing flushed by hand."""
    output = output_of(
        """
        capture.set_request_id("r-1")
        print("1 print")
        os.write(1, b"2 raw\\n")
        print("3 stderr", file=sys.stderr)
        root.info("4 log")
        subprocess.run(["echo", "5 child"])
        sys.stdout.write("6 part, ")
        os.system("echo 7 system")
        sys.stdout.buffer.write(b"8 buffer\\n")
        print("9 dunder", file=sys.__stdout__)
        print("10 dunder", file=sys.__stderr__)
        """
    )

    assert re.sub(STAMP, b"<stamp>", output) == (
        b"1 print\n2 raw\n3 stderr\n<stamp> r-1 [INFO] 4 log\n5 child\n6 part, 7 system\n"
        b"8 buffer\n9 dunder\n10 dunder\n"
    )


def test_what_was_printed_before_a_crash_is_there() -> None:
    """1.B: flush after every write."""
    assert output_of("sys.stdout.write('partial'); os._exit(0)") == b"partial"


def test_streams_are_utf8_whatever_the_locale() -> None:
    """1.B: ``utf-8:surrogateescape``; bytes that came in undecodable go out as they were."""
    output = output_of(
        r"""
        print("\u4f60\u597d", "\udcff")
        print("\u4f60\u597d", file=sys.stderr)
        """,
        LC_ALL="C",
        PYTHONUTF8="0",
        PYTHONIOENCODING="latin-1",
    )

    assert output == b"\xe4\xbd\xa0\xe5\xa5\xbd \xff\n\xe4\xbd\xa0\xe5\xa5\xbd\n"


def test_stderr_escapes_what_it_cannot_encode() -> None:
    """1.B: the error handler of PYTHONIOENCODING is not stderr's; printing there never fails."""
    output = output_of(r'print("\ud800\udcff", file=sys.stderr)')

    assert output == rb"\ud800\udcff" + b"\n"


@pytest.mark.parametrize(("stream", "length"), [("stdout", 131_072), ("stderr", 131_072)])
def test_single_write_is_cut_at_128_ki_characters(stream: str, length: int) -> None:
    """1.B: characters, not bytes; what is cut is gone, and the next write is as usual."""
    output = output_of(
        f"""
        sys.{stream}.write("\u4f60" * {length})
        sys.{stream}.write("|")
        taken = sys.{stream}.write("y" * {length + 1})
        sys.{stream}.write(f"|{{taken}}")
        """
    )

    assert ["\u4f60" * length, "y" * length, str(length + 1)] == output.decode().split("|")


def test_long_raw_writes_are_whole() -> None:
    """A pipe takes 64 KiB at once; nothing is swallowed and nothing is cut below the text."""
    assert len(output_of("sys.stdout.buffer.write(b'x' * 10_000_000)")) == 10_000_000


def test_raw_writes_count_bytes_of_any_buffer() -> None:
    """``sys.stdout.buffer`` takes what a binary file takes."""
    output = output_of(
        """
        import array
        taken = sys.stdout.buffer.write(array.array("I", [0x41414141] * 3))
        print("|", taken, sys.stdout.buffer.write(memoryview(b"mv")))
        """
    )

    assert output == b"A" * 12 + b"mv| 12 2\n"


def test_streams_look_like_the_interpreters_own() -> None:
    """Libraries ask them for these."""
    output = output_of(
        """
        for stream in sys.stdout, sys.stderr:
            print(stream.name, stream.mode, stream.encoding, stream.errors, stream.fileno(),
                  stream.isatty(), stream.newlines, stream.write_through, stream.closed)
        """
    )

    assert output == (
        b"<stdout> w utf-8 surrogateescape 1 False None True False\n"
        b"<stderr> w utf-8 backslashreplace 2 False None True False\n"
    )


def test_stdin_is_at_its_end() -> None:
    """A handler that reads its input does not wait, not even after closing it."""
    output = output_of(
        """
        print(repr(sys.stdin.read()), repr(sys.stdin.buffer.read()), sys.stdin.fileno())
        with sys.stdin: pass
        print(repr(sys.stdin.readline()))
        """
    )

    assert output == b"'' b'' 0\n''\n"


def test_stdin_can_be_left_alone() -> None:
    """``stdin_is_null=False``: somebody may want to read there."""
    output = output_of("before = sys.stdin; capture.install(False); print(before is sys.stdin)")

    assert output == b"True\n"


def test_fork_repeats_nothing() -> None:
    """Nothing is buffered, so a child has nothing to write twice."""
    output = output_of(
        """
        sys.stdout.write("once ")
        pid = os.fork()
        if pid == 0:
            print("child", flush=True)
            sys.exit()
        os.waitpid(pid, 0)
        """
    )

    assert output == b"once child\n"


# -- log records -----------------------------------------------------------------------------------


def test_record_format() -> None:
    """6.3: UTC with milliseconds, request id, level, message."""
    output = output_of(
        """
        import time
        os.environ["TZ"] = "Asia/Shanghai"; time.tzset()
        capture.set_request_id("1-64f6cd87")
        record = logging.LogRecord("n", logging.WARNING, "p", 1, "%s!", ("hi",), None)
        record.created, record.msecs = 1693896071.25, 250.0
        root.handle(record)
        print(logging.Formatter.converter is time.gmtime, len(root.handlers))
        """
    )

    assert output == b"2023-09-05T06:41:11.250Z 1-64f6cd87 [WARNING] hi!\nTrue 1\n"


def test_records_carry_the_latest_request_id() -> None:
    """6.3, and the empty one before there is any."""
    output = output_of(
        """
        root.info("a")
        capture.set_request_id("r-1"); logging.getLogger("any.child").info("b")
        capture.set_request_id("r-2"); logging.info("c")
        """
    )

    assert [re.sub(STAMP + b" ", b"", line) for line in output.splitlines()] == [
        b" [INFO] a",
        b"r-1 [INFO] b",
        b"r-2 [INFO] c",
    ]


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        (None, "INFO WARNING"),
        ("", "INFO WARNING"),
        ("DEBUG", "DEBUG INFO WARNING"),
        ("warning", "WARNING"),
        ("nonsense", "INFO WARNING"),
    ],
)
def test_level(level: str | None, shown: str) -> None:
    """6.3: INFO, or what FC_SERVER_LOG_LEVEL says."""
    environment = {} if level is None else {"FC_SERVER_LOG_LEVEL": level}
    output = output_of("root.debug('d'); root.info('i'); root.warning('w')", **environment)

    assert shown.split() == re.findall(r"\[(\w+)\]", output.decode())


def test_exception_text_follows_the_message() -> None:
    """6.3: as logging does it, and the record still ends its line."""
    output = output_of(
        """
        try:
            1 / 0
        except ZeroDivisionError:
            root.exception("failed")
        print("next")
        """
    )

    assert re.fullmatch(
        STAMP + rb"  \[ERROR\] failed\nTraceback \(most recent call last\):\n(.*\n)+"
        rb"ZeroDivisionError: division by zero\nnext\n",
        output,
    )


def test_long_record_is_cut_and_ends_its_line() -> None:
    """6.5: 128 Ki - 1 characters with the newline; a record of just that length is whole."""
    output = output_of(
        """
        head = len("2023-09-05T06:41:11.250Z r [INFO] ")
        capture.set_request_id("r")
        root.info("x" * 200_000)
        root.info("y" * (131_071 - head - 1))
        root.info("z" * (131_071 - head))
        """
    )

    assert [len(line) for line in output.splitlines()] == [131_070, 131_070, 131_070]
    assert [line[-1:] for line in output.splitlines()] == [b"x", b"y", b"z"]


def test_records_go_to_fd_1_wherever_the_streams_went() -> None:
    """6.3: a handler that redirects `sys.stdout` still logs."""
    output = output_of("sys.stdout = sys.stderr = io.StringIO(); root.info('here')")

    assert output.endswith(b"[INFO] here\n")


def test_bad_record_does_not_fail_its_caller() -> None:
    """Logging's habit: the mistake is told on stderr, the handler goes on."""
    output = output_of("root.info('%d', 'x'); print('went on')")

    assert b"--- Logging error ---" in output
    assert output.endswith(b"went on\n")


def test_installing_twice_leaves_one_handler() -> None:
    """After a fork or a dup2 it is done again."""
    output = output_of("capture.install(); root.info('once'); print(len(root.handlers))")

    assert output.count(b"once") == 1
    assert output.endswith(b"\n1\n")


# -- between invocations ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        "pass",
        "sys.stdout = sys.stderr = sys.stdin = io.StringIO()",
        "sys.stdout = None; sys.stderr = object(); sys.stdin = 42",
        "del sys.stdout, sys.stderr, sys.stdin",
        "root.addHandler(logging.StreamHandler())",
        "root.handlers = []",
        "root.handlers.clear()",
        "root.handlers.reverse(); root.handlers[0].close()",
        "root.setLevel(logging.DEBUG)",
        "logging.basicConfig(force=True, level='ERROR')",
        "sys.stdout.close(); sys.stderr.close(); sys.stdin.close()",
    ],
)
def test_what_a_handler_changed_is_put_back(change: str) -> None:
    """Streams, root handlers and level are ours again, and they work."""
    output = output_of(
        f"""
        {change}
        capture.restore()
        assert as_installed()
        capture.set_request_id("r-2")
        print("printed"); print("error", file=sys.stderr); root.info("logged"); root.debug("not")
        """
    )

    assert re.sub(STAMP, b"<stamp>", output) == b"printed\nerror\n<stamp> r-2 [INFO] logged\n"


@pytest.mark.parametrize(
    "change",
    [
        "sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding='utf-16')",
        "sys.stdout = io.TextIOWrapper(sys.stdout.detach(), encoding='utf-8')",
        "sys.stdout.detach(); sys.stderr.detach()",
        "sys.stdout.reconfigure(encoding='utf-16', write_through=False, line_buffering=True)",
        "import codecs; sys.stdout = codecs.getwriter('latin-1')(sys.stdout.buffer)",
        "sys.stdout.buffer.close()",
    ],
)
def test_streams_survive_what_is_built_on_their_buffers(change: str) -> None:
    """Dropping a wrapper closes what it wraps: that must not be the next invocation's stream."""
    output = output_of(
        f"""
        import gc
        {change}
        capture.restore()
        gc.collect()
        print("\u4f60"); print("\u4f60", file=sys.stderr)
        capture.restore()
        print(sys.stdout.encoding, sys.stdout is capture._capture.out, sys.stdout is sys.__stdout__)
        """
    )

    assert "\u4f60\n\u4f60\nutf-8 True True\n".encode() == output


def test_text_in_a_replaced_stream_belongs_to_its_invocation() -> None:
    """It is flushed before ours comes back."""
    output = output_of(
        """
        sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8")
        kept_by_the_handler = sys.stdout
        print("first")
        capture.restore()
        print("second")
        """
    )

    assert output == b"first\nsecond\n"


def test_stream_whose_flush_fails_is_dropped() -> None:
    """Nothing that the handler left there may end the worker."""
    output = output_of(
        """
        class Bad:
            def flush(self): sys.exit(3)
        sys.stdout = Bad()
        capture.restore()
        print("on")
        """
    )

    assert output == b"on\n"


def test_reconfigured_stream_still_buffers_nothing() -> None:
    """Within the invocation the handler's encoding counts, the order of the calls as well."""
    output = output_of(
        """
        sys.stdout.reconfigure(encoding="latin-1", write_through=False)
        sys.stdout.write("\u00e9 ")
        os.write(1, b"raw")
        """
    )

    assert output == b"\xe9 raw"


def test_what_import_and_initializer_set_stays() -> None:
    """1.12: module-level ``logging.getLogger().setLevel(DEBUG)`` counts for every invocation."""
    output = output_of(
        """
        root.setLevel(logging.DEBUG)
        own = logging.NullHandler(); root.addHandler(own)
        sys.stdout.reconfigure(errors="replace")
        sys.stderr = theirs = io.TextIOWrapper(sys.stdout.buffer, "utf-8")
        capture.keep()
        root.setLevel(logging.ERROR); root.handlers = []; sys.stderr = None
        capture.restore()
        print(root.level, own in root.handlers, sys.stdout.errors, sys.stderr is theirs)
        """
    )

    assert output == b"10 True replace True\n"


def test_kept_stream_of_the_user_is_flushed_between_invocations() -> None:
    """What it buffers belongs to the invocation that printed it."""
    output = output_of(
        """
        sys.stdout = io.TextIOWrapper(sys.stdout.buffer, "utf-8")
        capture.keep()
        print("first")
        capture.restore()
        os.write(1, b"between\\n")
        """
    )

    assert output == b"first\nbetween\n"
