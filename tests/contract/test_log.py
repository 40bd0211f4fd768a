"""What a handler writes, and where the caller reads it: `Result.log` (spec 1.B, 6.1 to 6.5, D10)."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from fc_runtime import Crashed, TimedOut
from support.callers import Deployed

Deploy = Callable[..., Deployed]

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"  # spec 6.3
CUT = b"its middle is cut out]\n"


def test_everything_written_is_in_the_log_in_order(deploy: Deploy) -> None:
    """
    print, logging, ``context.logger``, child processes, stderr and file descriptor 1 all land in
    one log, in the order in which they happened, without any flush.
    """
    result = deploy("logs", "index.in_order")(request_id="the-id")

    lines = result.log.decode().split("\n")
    assert "1 print" == lines[0]
    assert re.fullmatch(rf"{STAMP} the-id \[INFO\] 2 root", lines[1])
    assert re.fullmatch(rf"{STAMP} the-id \[WARNING\] 3 context", lines[2])
    assert ["4 child", "5 child error", "6 print to stderr", "7 system"] == lines[3:7]
    assert re.fullmatch(rf"{STAMP} the-id \[ERROR\] 8 library", lines[7])
    assert ["9 write", "10 no newline at the end"] == lines[8:]


def test_output_of_c_code_is_in_the_log(deploy: Deploy) -> None:
    """What a library writes to the process's stdout is part of the log too."""
    assert b"before\nfrom C\nafter\n" == deploy("logs", "index.libc")().log


def test_records_have_function_computes_format(deploy: Deploy) -> None:
    """One line a record: UTC time, request id, level, message; from INFO on (spec 6.3)."""
    result = deploy("logs", "index.levels")(request_id="the-id")

    lines = result.log.decode().splitlines()
    assert re.fullmatch(rf"{STAMP} the-id \[INFO\] information", lines[0])
    assert re.fullmatch(rf"{STAMP} the-id \[WARNING\] warning 1 of 2", lines[1])
    assert re.fullmatch(rf"{STAMP} the-id \[ERROR\] error", lines[2])
    assert re.fullmatch(rf"{STAMP} the-id \[CRITICAL\] critical", lines[3])
    assert re.fullmatch(rf"{STAMP} the-id \[ERROR\] with a traceback", lines[4])
    assert "ZeroDivisionError: division by zero" == lines[-1]
    assert "not seen" not in result.log.decode()


def test_log_belongs_to_one_invocation(deploy: Deploy) -> None:
    """Nothing of one invocation is in the log of another; none written is an empty log."""
    function = deploy("logs", "index.echo")

    assert [b"one", b"", b"two", b""] == [function(said).log for said in ("one", "", "two", "")]


def test_any_bytes_are_logged_as_they_are(deploy: Deploy) -> None:
    """The log is bytes: what is written is not decoded on the way."""
    assert bytes(range(256)) == deploy("logs", "index.echo")(bytes(range(256))).log


def test_text_is_logged_as_utf8_and_undecodable_bytes_survive(deploy: Deploy) -> None:
    """stdout is UTF-8 with surrogateescape, whatever the host's locale is (spec 1.B)."""
    function = deploy("logs", "index.text")

    assert "你好 é\n".encode() == function("'你好 é'").log
    assert b"\xff\xfe\n" == function(r"b'\xff\xfe'.decode('utf-8', 'surrogateescape')").log


def test_warnings_are_ignored(deploy: Deploy) -> None:
    """The interpreter runs with -W ignore (spec 1.B)."""
    assert b"" == deploy("logs", "index.warn")().log


def test_one_write_is_cut_at_128_ki_characters(deploy: Deploy) -> None:
    """A single longer write is cut, and so is a record, which ends in a newline (1.B, 6.5)."""
    first, second, record, rest = deploy("logs", "index.long_write")().log.split(b"\n")

    assert b"x" * 128 * 1024 == first
    assert b"next" == second
    assert record.endswith(b"y")
    assert 128 * 1024 - 1 == len(record + b"\n")
    assert b"" == rest


@pytest.mark.parametrize("function", ["flood", "flood_of_a_child"])
def test_flood_is_cut_in_the_middle_and_says_so(deploy: Deploy, function: str) -> None:
    """A log keeps its head and its tail, of a bounded size, with one mark where it was cut."""
    result = deploy("logs", f"index.{function}", timeout=20.0)()

    assert result.log.startswith(b"the first line\n")
    assert result.log.endswith(b"the last line\n")
    assert 1 == result.log.count(CUT)
    assert len(result.log) < 2.1 * 2**20


def test_endless_flood_ends_at_the_deadline_with_a_bounded_log(deploy: Deploy) -> None:
    """A handler that prints for ever is timed out like any other, and its log stays bounded."""
    result = deploy("logs", "index.endless", timeout=0.3).fail()

    assert TimedOut(limit_s=0.3) == result.outcome
    assert 1 == result.log.count(CUT)
    assert len(result.log) < 2.1 * 2**20


def test_what_a_thread_writes_between_invocations_is_nobody_elses(
    deploy: Deploy, tmp_path: Path
) -> None:
    """What a thread writes after its handler returned is not credited to the next (D10)."""
    done = tmp_path / "done"
    os.mkfifo(done)
    function = deploy("logs", "index.late", environment={"DONE": str(done)})

    assert b"mine\n" == function("leave").log
    assert "written" == done.read_text()  # returns once the thread has written
    assert b"also mine\n" == function("next").log
    assert len(b"late\n") == function.caller.stats()["functions"][function.name]["late_bytes"]


def test_streams_and_logging_are_put_back(deploy: Deploy) -> None:
    """A handler that replaces streams or empties the root logger does so for itself only (D11)."""
    function = deploy("logs", "index.replaced")

    function("replace")
    again = function("use")

    first, second, third = again.log.splitlines()
    assert (b"printed", b"to stderr") == (first, second)
    assert third.endswith(b"[INFO] logged")
    assert not again.cold_start


def test_closing_stdout_does_not_silence_the_next(deploy: Deploy) -> None:
    """The next invocation prints as ever."""
    function = deploy("logs", "index.closed")

    function("close")

    assert b"printed\n" == function("print").log


def test_logging_may_be_configured_by_the_handler(deploy: Deploy) -> None:
    """``basicConfig(force=True)`` works as anywhere; the log has what it writes."""
    assert b"mine: in my own format\n" == deploy("logs", "index.configured")().log


def test_stdin_is_at_its_end(deploy: Deploy) -> None:
    """Reading stdin gives nothing, at once, every time."""
    function = deploy("logs", "index.stdin")

    assert ["", "", [0]] == function().json()
    assert ["", "", [0]] == function().json()


def test_log_of_a_crash_is_complete(deploy: Deploy) -> None:
    """What was written before a crash is there, and so is where it crashed (D10)."""
    result = deploy("logs", "index.crash").fail()

    assert isinstance(result.outcome, Crashed)
    assert result.log.startswith(b"before the crash\n")
    assert b"[INFO] logged before the crash\nno newline" in result.log
    assert b"Fatal Python error: Segmentation fault" in result.log
    assert b"in crash" in result.log
