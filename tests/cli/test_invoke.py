"""
The command as a shell runs it: a real process, its two streams, its exit code.

What has to be waited for is waited for on a descriptor: a FIFO that the handler writes to, a pipe
that is taken from, a pidfd.
"""

import base64
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

HANDLERS = Path(__file__).parent.parent / "handlers" / "cli"
COMMAND = [sys.executable, "-m", "fc_runtime"]
INVOKE = [*COMMAND, "invoke", "--code", str(HANDLERS)]
LONG_S = 30.0  # for what takes a moment, on a machine that has none to spare
KEY_ID, SECRET, TOKEN = "STS.KeyIdOfTheTest", "the-secret-of-the-test", "the-token-of-the-test"
CREDENTIALS = {
    "ALIBABA_CLOUD_ACCESS_KEY_ID": KEY_ID,
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET": SECRET,
    "ALIBABA_CLOUD_SECURITY_TOKEN": TOKEN,
}
ESCAPE = b"\x1b["
TRACEBACK = b"Traceback"


def environment(**more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TERM": "xterm-256color", **more}


def run(*arguments: str | bytes, **options) -> subprocess.CompletedProcess[bytes]:
    options.setdefault("env", environment())
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.PIPE)
    if "input" not in options:
        options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run(arguments, timeout=LONG_S, check=False, **options)


def invoke(handler: str, *arguments: str | bytes, **options) -> subprocess.CompletedProcess[bytes]:
    return run(*INVOKE, "--handler", f"index.{handler}", *arguments, **options)


def as_json(handler: str, *arguments: str, **options) -> dict:
    done = invoke(handler, "--json", *arguments, **options)
    (line,) = done.stdout.splitlines(keepends=True)
    assert line.endswith(b"\n")
    return json.loads(line)


# -- the result ------------------------------------------------------------------------------------


def test_result_and_log(tmp_path) -> None:
    """
    The result is on standard output to the byte; Start line, log, End line and summary, in this
    order and each on its own line, are on standard error.
    """
    done = invoke("chatty", "--memory", "256", "--request-id", "the-id")

    assert (done.returncode, done.stdout) == (0, b"result")
    lines = done.stderr.decode().splitlines()
    assert lines[0] == "FC Invoke Start RequestId: the-id"
    assert lines[1] == "printed"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]{8}\.\d{3}Z the-id \[INFO\] logged", lines[2])
    assert lines[3:6] == [
        "from a child",
        "no newline at the end",
        "FC Invoke End RequestId: the-id",
    ]
    summary = re.fullmatch(
        r"Duration: (\d+\.\d\d) ms, Billed Duration: (\d+) ms, "
        r"Memory Size: 256 MB, Max Memory Used: (\d+\.\d\d) MB",
        lines[6],
    )
    assert summary
    assert len(lines) == 7
    assert 0 <= int(summary[2]) - float(summary[1]) < 1
    assert float(summary[3]) > 1


def test_all_256_values() -> None:
    """What the handler returns and what it gets may be any bytes."""
    assert bytes(range(256)) * 3 == invoke("every_byte").stdout
    assert bytes(range(256)) == invoke("echo", "-", input=bytes(range(256))).stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], b""),
        (["--event", '{"key": "值"}'], '{"key": "值"}'.encode()),
        (["--event", b"\xff not UTF-8"], b"\xff not UTF-8"),
        (["--event", ""], b""),
        (["-"], b"from stdin"),
        (["--event", "-"], b"from stdin"),
        (["--event-file", "-"], b"from stdin"),
        (["--event-file", "/dev/stdin"], b"from stdin"),
        (["--event-file", str(HANDLERS / "index.py")], (HANDLERS / "index.py").read_bytes()),
    ],
    ids=["none", "text", "bytes", "empty", "dash", "event dash", "file dash", "/dev/stdin", "file"],
)
def test_event(arguments: list[str | bytes], expected: bytes) -> None:
    """The event comes from an option, a file or standard input; without any it is empty."""
    done = invoke("echo", *arguments, input=b"from stdin")

    assert (0, expected) == (done.returncode, done.stdout)


def test_largest_event(tmp_path) -> None:
    """An event of 32 MiB is passed on, one byte more is bad usage, and so is one without end."""
    file = tmp_path / "event"
    with file.open("wb") as out:
        out.truncate(32 * 1024 * 1024)
    there = invoke("look", "--event-file", str(file), "--timeout", "20", "--memory", "2048")
    echoed = invoke("echo", "--event-file", str(file), "--timeout", "20", "--memory", "2048")
    with file.open("ab") as out:
        out.write(b"x")
    larger = invoke("echo", "--event-file", str(file))
    endless = invoke("echo", "--event-file", "/dev/zero")

    assert there.returncode == 1  # 32 MiB of NUL are no JSON: the handler saw them, and said so
    assert (echoed.returncode, len(echoed.stdout)) == (0, 32 * 1024 * 1024)
    assert not echoed.stdout.strip(b"\0")
    for refused in (larger, endless):
        assert (refused.returncode, refused.stdout) == (2, b"")
        assert b"more than 33554432 bytes" in refused.stderr


def test_zip(tmp_path) -> None:
    """Code may be a .zip, whose name becomes the function's; what was unpacked is removed."""
    package = tmp_path / "2 my-code.zip"
    with zipfile.ZipFile(package, "w") as archive:
        archive.write(HANDLERS / "index.py", "index.py")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    done = run(
        *COMMAND, "invoke", "--code", str(package), "--handler", "index.look",
        env=environment(TMPDIR=str(scratch)),
    )  # fmt: skip

    assert json.loads(done.stdout)["function"] == "_2-my-code"
    assert list(scratch.iterdir()) == []


def test_what_the_handler_sees(tmp_path) -> None:
    """Options and environment end up in context and environment of the handler."""
    seen = json.loads(
        invoke(
            "look",
            *("--event", '["TYPED", "EMPTY", "EQUALS", "INHERITED", "NOT_PASSED"]'),
            *("--env", "TYPED=a b", "--env", "EMPTY=", "--env", "EQUALS=a=b", "--env", "INHERITED"),
            *("--request-id", "r-1", "--region", "cn-hangzhou", "--account-id", "123"),
            *("--timeout", "7", "--memory", "300", "--name", "a_name"),
            env=environment(INHERITED="from the shell", NOT_PASSED="x", **CREDENTIALS),
        ).stdout
    )

    assert seen["environment"] == {
        "TYPED": "a b",
        "EMPTY": "",
        "EQUALS": "a=b",
        "INHERITED": "from the shell",
        "NOT_PASSED": None,
    }
    assert (seen["request_id"], seen["region"], seen["account_id"]) == ("r-1", "cn-hangzhou", "123")
    assert (seen["function"], seen["timeout"], seen["memory"]) == ("a_name", 7, 300)
    assert (seen["key_id"], seen["secret_chars"], seen["token_chars"]) == (
        KEY_ID,
        len(SECRET),
        len(TOKEN),
    )


def test_layer_and_preload(tmp_path) -> None:
    """A layer's python folder is importable, a preloaded module is no obstacle."""
    (tmp_path / "python").mkdir()
    (tmp_path / "python" / "from_a_layer.py").write_text("WORD = 'layered'")
    done = invoke("layered", "--layer", str(tmp_path), "--preload", "decimal")

    assert (done.returncode, done.stdout) == (0, b"layered")


def test_repeat() -> None:
    """``--repeat`` meets a cold instance once, then the warm one, and ends at a failure."""
    plain = invoke("count", "--repeat", "3", "--initializer", "index.init")
    lines = invoke("fail_second", "--repeat", "3", "--json")

    assert (plain.returncode, plain.stdout) == (0, b"234")
    assert plain.stderr.count(b"Cold start, initialization: ") == 1
    assert plain.stderr.count(b"Warm instance\n") == 2
    assert plain.stderr.count(b"initializer ran") == 1
    results = [json.loads(line) for line in lines.stdout.splitlines()]
    assert lines.returncode == 1
    assert [(each["ok"], each["cold_start"]) for each in results] == [(True, True), (False, False)]


# -- JSON ------------------------------------------------------------------------------------------


def test_json_of_a_success() -> None:
    """``--json`` is one line with everything; the log is in it, and not on standard error."""
    done = invoke("chatty", "--json", "--request-id", "r-1")
    result = json.loads(done.stdout)

    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.count(b"\n") == 1
    assert list(result) == [
        *("ok", "function", "request_id", "outcome"),
        *("payload", "payload_is_base64", "log", "log_is_base64"),
        *("cold_start", "duration_ms", "billed_duration_ms", "init_duration_ms"),
        *("memory_mb", "usage"),
    ]
    assert result["ok"] is True
    assert (result["function"], result["request_id"]) == ("cli", "r-1")
    assert result["outcome"] == {"name": "returned", "description": "returned"}
    assert (result["payload"], result["payload_is_base64"]) == ("result", False)
    assert result["log"].startswith("printed\n")
    assert result["log_is_base64"] is False
    assert result["cold_start"] is True
    assert result["init_duration_ms"] > 0
    assert 0 <= result["billed_duration_ms"] - result["duration_ms"] <= 1.01
    assert result["memory_mb"] == 512
    assert result["usage"]["child_processes"] == 1
    assert set(result["usage"]) == {
        *("user_s", "system_s", "peak_memory_bytes", "child_processes", "leftover_processes"),
    }


def test_json_of_bytes() -> None:
    """A result, or a log, that is no UTF-8 is base64, and marked."""
    result = as_json("binary_log")

    assert (base64.b64decode(result["payload"]), result["payload_is_base64"]) == (b"\xff", True)
    assert (base64.b64decode(result["log"]), result["log_is_base64"]) == (b"\xff\xfe\n", True)


def test_json_of_a_failure() -> None:
    """The outcome has its name and details, the payload is FC's error body; stderr has one line."""
    raised = invoke("fail", "--json")
    result = json.loads(raised.stdout)
    hung = as_json("hang", "--timeout", "0.2")
    not_begun = as_json("echo", "--initializer", "index.bad_init")

    assert raised.returncode == 1
    assert raised.stderr == b"error: raised: ValueError: it is broken\n"
    assert not result["ok"]
    assert result["outcome"]["name"] == "raised"
    assert result["outcome"]["error_type"] == "ValueError"
    assert result["outcome"]["message"] == "it is broken"
    assert "in fail" in result["outcome"]["traceback"]
    assert json.loads(result["payload"])["errorMessage"] == "it is broken"
    assert (hung["outcome"]["name"], hung["outcome"]["limit_s"]) == ("timed_out", 0.2)
    assert "in hang" in hung["outcome"]["stack"]
    assert hung["log"].startswith("before the hang\n")
    assert not_begun["outcome"]["name"] == "initialization_failed"
    assert not_begun["outcome"]["cause"]["name"] == "raised"
    assert not_begun["outcome"]["cause"]["message"] == "no database"


# -- exit codes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("handler", "arguments", "code", "said"),
    [
        ("fail", [], 1, b"error: raised: ValueError: it is broken\nTraceback"),
        ("unsendable", [], 1, b"error: response rejected: TypeError: {1, 2} is not JSON"),
        ("nothing", [], 3, b"error: initialization failed: HandlerNotFound: Handler 'nothing'"),
        ("echo", ["--initializer", "index.bad_init"], 3, b"failed: RuntimeError: no database\nTra"),
        (
            "echo",
            ["--initializer", "index.hang_at_start", "--initialization-timeout", "0.3"],
            3,
            b"error: initialization failed: no result within 0.3 s",
        ),
        ("hang", ["--timeout", "0.3"], 124, b"error: timed out: no result within 0.3 s"),
        ("hog", ["--memory", "64", "--timeout", "20"], 137, b"error: out of memory: "),
        ("crash", [], 134, b"error: crashed: killed by SIGSEGV"),
        ("leave", [], 134, b"error: crashed: exited with code 7"),
    ],
)
def test_failure(handler: str, arguments: list[str], code: int, said: bytes) -> None:
    """
    Every outcome has its exit code. Standard output stays empty; standard error has the log, FC's
    lines and a readable reason.
    """
    done = invoke(handler, *arguments, "--request-id", "r-1")

    assert (code, b"") == (done.returncode, done.stdout)
    assert (
        b"FC Invoke End RequestId: r-1, Error: Unhandled function error\nDuration: " in done.stderr
    )
    assert b"\n" + said in done.stderr or said in done.stderr
    assert b"fc_runtime" not in done.stderr  # no frame of ours


def test_stack_of_a_timeout_is_shown_once() -> None:
    """Where it hung is in the log, below what it printed, and is not repeated."""
    shown = invoke("hang", "--timeout", "0.2").stderr

    assert shown.count(b"in hang") == 1
    assert shown.index(b"before the hang\n") < shown.index(b"in hang")


def test_no_room_for_a_process() -> None:
    """If no process can be started the code says: try again later."""
    program = (
        "import sys\n"
        "from fc_runtime.pool import exec_zygote\n"
        "def popen(*_, **__): raise BlockingIOError(11, 'Resource temporarily unavailable')\n"
        "exec_zygote.subprocess.Popen = popen\n"
        "from fc_runtime.cli import main\n"
        "sys.exit(main())\n"
    )
    done = run(
        sys.executable, "-c", program, "invoke", "--code", str(HANDLERS), "--handler", "index.echo"
    )

    assert (done.returncode, done.stdout) == (75, b"")
    assert done.stderr.startswith(b"error: cannot start a process: ")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--code", "/no/such/folder"], b"--code '/no/such/folder': there is no /no/such/folder"),
        (["--code", "/etc/passwd"], b"--code '/etc/passwd': neither a folder nor a .zip file"),
        (["--handler", "index"], b"--handler 'index': 'module.function', such as 'index.handler'"),
        (["--handler", "other.handler"], b"--handler 'other.handler': there is no other.py in "),
        (["--initializer", "index."], b"--initializer 'index.': 'module.function'"),
        (["--timeout", "-1"], b"--timeout -1.0: a positive, finite number of seconds"),
        (["--timeout", "nan"], b"--timeout nan: a positive, finite number of seconds"),
        (["--initialization-timeout", "0"], b"--initialization-timeout 0.0: a positive"),
        (["--memory", "1"], b"--memory 1: from 32 to 32768"),
        (["--layer", "/no/such/layer"], b"--layer '/no/such/layer': there is no such folder"),
        (["--preload", "a b"], b"--preload 'a b': a module's name"),
        (["--env", "FC_REGION=x"], b"--env['FC_REGION'] 'FC_REGION': reserved"),
        (["--env", "=hidden"], b"--env[''] '': letters, digits and _"),
        (["--request-id", "a b"], b"--request-id 'a b': 1 to 128 visible ASCII characters"),
        (["--name", "a.b"], b"--name 'a.b': letters, digits"),
        (["--event-file", "/no/such/file"], b"--event-file /no/such/file: No such file or dir"),
        (["--event-file", "/"], b"--event-file /: Is a directory"),
        (["--event", "a", "-"], b"only one of --event, --event-file and - may name the event"),
        (["event"], b"unexpected 'event': an event goes into --event"),
        (["--env", "NOT_THERE"], b"--env NOT_THERE: not set in the environment; write NOT_THERE="),
        (["--env", b"BYTES=\xff"], b"--env BYTES: its value is not UTF-8"),
    ],
)
def test_bad_usage_in_one_line(arguments: list[str], said: bytes) -> None:
    """What a function cannot be is told in one line: option, value, and what would do."""
    done = invoke("echo", *arguments)

    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"error: " + said)
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--memory", "many"],
        ["--repeat", "0"],
        ["--log-level", "loud"],
        ["--timeout"],
        ["--no-such-option"],
    ],
)
def test_bad_usage(arguments: list[str]) -> None:
    """What does not even make sense as a command line is told with the option's name."""
    done = invoke("echo", *arguments)

    assert (done.returncode, done.stdout) == (2, b"")
    assert arguments[0].encode() in done.stderr
    assert TRACEBACK not in done.stderr


def test_code_is_required() -> None:
    """Without ``--code`` there is nothing to run."""
    done = run(*COMMAND, "invoke", "--handler", "index.echo")

    assert (done.returncode, done.stdout) == (2, b"")
    assert b"--code" in done.stderr


# -- secrets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("handler", ["look", "fail", "hang", "crash", "nothing"])
@pytest.mark.parametrize("form", [["--json"], ["--log-format", "pretty"]], ids=["json", "plain"])
def test_no_secret_is_shown(handler: str, form: list[str]) -> None:
    """However talkative, nothing that is printed holds a secret."""
    done = invoke(
        handler, "-vv", *form, "--timeout", "0.3", "--env", "PASSWORD",
        env=environment(PASSWORD="pass-of-the-test", **CREDENTIALS),
    )  # fmt: skip

    shown = done.stdout + done.stderr
    assert b"zygote.started" in done.stderr
    for secret in (SECRET, TOKEN, "pass-of-the-test"):
        assert secret.encode() not in shown


@pytest.mark.parametrize("missing", list(CREDENTIALS)[:2])
def test_half_of_the_credentials(missing: str) -> None:
    """Credentials of which a part is missing are bad usage, named without their values."""
    there = {name: value for name, value in CREDENTIALS.items() if name != missing}
    done = invoke("look", env=environment(**there))

    assert (done.returncode, done.stdout) == (2, b"")
    assert f"{missing} is not set".encode() in done.stderr
    assert not any(value.encode() in done.stderr for value in there.values())


def test_no_credentials() -> None:
    """Without any in the environment there are none, and an empty variable is none."""
    seen = json.loads(invoke("look", env=environment(ALIBABA_CLOUD_SECURITY_TOKEN="")).stdout)

    assert not seen["key_id"]


# -- the supervisor's events -----------------------------------------------------------------------


def test_events_are_off_by_default() -> None:
    """Nobody who has not asked hears of zygotes and instances."""
    shown = invoke("hang", "--timeout", "0.2").stderr

    assert b"zygote" not in shown
    assert b"instance" not in shown


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-v"], {"zygote.started", "instance.exited", "zygote.exited"}),
        (["--log-level", "info"], {"zygote.started", "instance.exited", "zygote.exited"}),
        (
            ["-vv"],
            {"zygote.started", "instance.started", "instance.exited", "zygote.exited"},
        ),
        (["-v", "--log-level", "debug"], {"instance.started"}),
    ],
)
def test_events_as_json(arguments: list[str], expected: set[str]) -> None:
    """Where nobody reads it, each event of the supervisor is a JSON line on standard error."""
    done = invoke("echo", "--json", *arguments)
    events = [json.loads(line) for line in done.stderr.splitlines()]

    assert expected <= {event["event"] for event in events}
    assert all({"event", "level", "timestamp"} <= set(event) for event in events)
    assert done.stdout.count(b"\n") == 1


def test_warnings_only() -> None:
    """``--log-level warning`` shows what is not in the ordinary run of things."""
    quiet = invoke("echo", "--json", "--log-level", "warning")
    crashed = invoke("crash", "--json", "--log-level", "warning")

    assert quiet.stderr == b""
    assert json.loads(crashed.stderr.splitlines()[0])["event"] == "instance.exited"


def test_events_for_people() -> None:
    """``--log-format pretty`` is readable and, where it is no terminal, without escapes."""
    done = invoke("echo", "-v", "--log-format", "pretty")

    assert b"zygote.started" in done.stderr
    assert b"{" not in done.stderr
    assert ESCAPE not in done.stderr


# -- signals ---------------------------------------------------------------------------------------


class Started:
    """A command under way whose handler has said on a FIFO that it hangs, and who runs."""

    def __init__(self, process: subprocess.Popen[bytes], said: list[str]) -> None:
        self.process = process
        self.folder = Path(said[2])
        self.pidfds = [os.pidfd_open(int(pid)) for pid in said[:2]]

    def ended(self) -> bool:
        """Have handler and its child ended, in time?"""
        until = time.monotonic() + LONG_S
        for pidfd in self.pidfds:
            poller = select.poll()
            poller.register(pidfd, select.POLLIN)
            if not poller.poll(max(0.0, until - time.monotonic()) * 1000):
                return False
        return True


@contextmanager
def hanging(tmp_path: Path, *arguments: str, prefix: tuple[str, ...] = ()) -> Iterator[Started]:
    fifo = tmp_path / "ready"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    command = [*prefix, *COMMAND, "invoke", *arguments, "--handler", "index.hang_with_child"]
    options = ["--env", f"READY={fifo}", "--timeout", "60"]
    started = None
    process = subprocess.Popen(
        [*command, *options],
        env=environment(TMPDIR=str(tmp_path)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        poller = select.poll()
        poller.register(reader, select.POLLIN)
        assert poller.poll(LONG_S * 1000), "the handler has not begun"
        started = Started(process, os.read(reader, 4096).decode().split())
        yield started
    finally:
        os.close(reader)
        process.kill()
        process.communicate()
        for pidfd in started.pidfds if started else ():
            os.close(pidfd)


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_signal_ends_everything(tmp_path, signum: signal.Signals, code: int) -> None:
    """
    Ctrl-C, SIGTERM and a closed terminal end command, handler and the handler's children, remove
    what was unpacked, and say nothing.
    """
    package = tmp_path / "code.zip"
    with zipfile.ZipFile(package, "w") as archive:
        archive.write(HANDLERS / "index.py", "index.py")
    with hanging(tmp_path, "--code", str(package)) as started:
        assert started.folder.is_relative_to(tmp_path)
        started.process.send_signal(signum)
        stdout, stderr = started.process.communicate(timeout=LONG_S)

        assert (code, b"", b"") == (started.process.returncode, stdout, stderr)
        assert started.ended()
        assert not started.folder.exists()


def test_many_signals(tmp_path) -> None:
    """An impatient second Ctrl-C does not get in the way of the first."""
    with hanging(tmp_path, "--code", str(HANDLERS)) as started:
        for _ in range(20):
            started.process.send_signal(signal.SIGINT)
        _, stderr = started.process.communicate(timeout=LONG_S)

        assert (started.process.returncode, stderr) == (130, b"")
        assert started.ended()


def test_signal_at_a_bad_moment() -> None:
    """A signal that comes while Python runs a ``__del__``, which drops it, is not lost."""
    program = (
        "import os, signal, sys\n"
        "from fc_runtime.cli import main, sources\n"
        "class Last:\n"
        "    def __del__(self): os.kill(os.getpid(), signal.SIGTERM)\n"
        "def event_bytes(*_):\n"
        "    Last()\n"
        "    return b'not for the handler'\n"
        "sources.event_bytes = event_bytes\n"
        "sys.exit(main())\n"
    )
    done = run(
        *(sys.executable, "-c", program, "invoke", "--code", str(HANDLERS)),
        *("--handler", "index.echo"),
    )

    assert (done.returncode, done.stdout, done.stderr) == (143, b"", b"")


def test_kill_ends_everything(tmp_path) -> None:
    """Even SIGKILL leaves nobody running."""
    with hanging(tmp_path, "--code", str(HANDLERS)) as started:
        started.process.kill()

        assert started.ended()


def test_nohup(tmp_path) -> None:
    """Under nohup the end of the terminal changes nothing."""
    with hanging(tmp_path, "--code", str(HANDLERS), prefix=("nohup",)) as started:
        started.process.send_signal(signal.SIGHUP)
        started.process.send_signal(signal.SIGTERM)
        started.process.communicate(timeout=LONG_S)

        assert started.process.returncode == 143
        assert started.ended()


def test_ctrl_c_while_reading() -> None:
    """Ctrl-C while it waits for the event on standard input is as quiet."""
    process = subprocess.Popen(
        [*INVOKE, "--handler", "index.echo", "-"],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stdin
        process.stdin.write(b"x" * (1024 * 1024))  # more than a pipe holds: it has begun to read
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        process.wait(LONG_S)
        assert process.stdout
        assert process.stderr

        assert (process.returncode, process.stdout.read(), process.stderr.read()) == (130, b"", b"")


# -- streams that are not as they should be --------------------------------------------------------


def test_reader_that_leaves() -> None:
    """``| head -c1`` gets its byte; the command ends as one that SIGPIPE ends, silently."""
    process = subprocess.Popen(
        [*INVOKE, "--handler", "index.big", "--json"],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stdout
        assert process.stderr
        first = os.read(process.stdout.fileno(), 1)
        process.stdout.close()
        stderr = process.stderr.read()
        process.wait(LONG_S)

    assert (process.returncode, first, stderr) == (141, b"{", b"")


@pytest.mark.parametrize(
    ("redirection", "reason"),
    [("> /dev/full", b"No space left on device"), (">&-", b"Bad file descriptor")],
)
def test_result_that_cannot_be_written(redirection: str, reason: bytes) -> None:
    """A result that nobody can have is an error, in one line."""
    done = run("sh", "-c", f'exec "$@" {redirection}', "sh", *INVOKE, "--handler", "index.echo",
               "--event", "x", "--json")  # fmt: skip

    assert done.returncode == 74
    assert done.stderr == b"error: standard output: " + reason + b"\n"


@pytest.mark.parametrize("asked", ["--help", "--version", "serve --help"])
def test_help_that_cannot_be_written(asked: str) -> None:
    """The same, of what is no result."""
    done = run("sh", "-c", 'exec "$@" > /dev/full', "sh", *COMMAND, *asked.split())

    assert done.returncode == 74
    assert done.stderr == b"error: standard output: No space left on device\n"


@pytest.mark.parametrize("redirection", ["2>&-", "2> /dev/full", "0<&- 2>&-"])
def test_log_that_nobody_reads(redirection: str) -> None:
    """The log may be lost, the result is not."""
    done = run("sh", "-c", f'exec "$@" {redirection}', "sh", *INVOKE, "--handler", "index.chatty",
               "-vv")  # fmt: skip

    assert (done.returncode, done.stdout) == (0, b"result")


# -- help, version, installation -------------------------------------------------------------------


def test_help() -> None:
    """The help names every option and exit code, and is plain text in a pipe."""
    overview = run(*COMMAND, "--help")
    done = run(*COMMAND, "invoke", "--help")

    assert (overview.returncode, overview.stderr) == (0, b"")
    assert b"invoke" in overview.stdout
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode()
    for option in (
        *("--code", "--handler", "--event", "--event-file", "--timeout", "--memory", "--env"),
        *("--initializer", "--json", "--request-id", "--region", "--account-id", "--repeat"),
        *("--preload", "--layer", "--log-level", "--verbose", "--log-format"),
        *CREDENTIALS,
    ):
        assert option in text
    codes = re.findall(r"^ +(\d+)  \S", text, re.MULTILINE)
    assert [*map(int, codes)] == [0, 1, 2, 3, 70, 74, 75, 124, 130, 134, 137, 141, 143]
    assert "\x1b" not in text
    assert "─" not in text


@pytest.mark.parametrize(
    "command",
    [
        COMMAND,
        [sys.executable, "-m", "fc_runtime.cli"],
        [f"{Path(sys.executable).parent}/fc-runtime"],
    ],
    ids=["fc_runtime", "fc_runtime.cli", "script"],
)
def test_version(command: list[str]) -> None:
    """However it is started, it is the same program."""
    done = run(*command, "--version")

    assert (done.returncode, done.stderr) == (0, b"")
    assert re.fullmatch(rb"fc-runtime \d+\.\d+\.\d+\S*\n", done.stdout)


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_missing_extra(package: str) -> None:
    """Without the extra, one line says what to install."""
    done = run(
        sys.executable,
        "-c",
        f"import sys; sys.modules[{package!r}] = None\n"
        "from fc_runtime.cli import main; sys.exit(main())",
        "--help",
    )

    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.count(b"\n") == 1
    assert f"needs the package {package}".encode() in done.stderr
    assert b"pip install 'fc-runtime[cli]'" in done.stderr


def test_library_does_not_pay_for_the_command() -> None:
    """Importing the library loads nothing that only the command line needs."""
    done = run(
        sys.executable,
        "-c",
        "import sys, fc_runtime\nprint({'typer', 'rich', 'structlog'} & set(sys.modules))",
    )

    assert done.stdout == b"set()\n"


# -- a person at a terminal ------------------------------------------------------------------------


@contextmanager
def terminal() -> Iterator[tuple[int, Callable[[], bytes]]]:
    """One end for a process, and what to call for what it has written, once it has ended."""
    ours, theirs = pty.openpty()

    def shown() -> bytes:
        pieces = []
        poller = select.poll()
        poller.register(ours, select.POLLIN)
        while poller.poll(0):
            pieces.append(os.read(ours, 65536))
        return b"".join(pieces)

    try:
        yield theirs, shown
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize(
    ("setting", "styled"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
    ids=["colour", "NO_COLOR", "dumb"],
)
def test_terminal(setting: dict[str, str], styled: bool) -> None:
    """On a terminal lines and help have styles, unless asked not to; a result never has."""
    env = environment(**setting)
    with terminal() as (tty, shown):
        done = invoke("chatty", "-v", stderr=tty, env=env)
        log = shown()
        run(*COMMAND, "invoke", "--help", stdout=tty, stderr=tty, env=env)
        text = shown()

    assert done.stdout == b"result"
    assert b"FC Invoke Start" in log
    assert b"zygote.started" in log
    assert b'"event"' not in log
    assert styled == (ESCAPE in log)
    assert b"--handler" in re.sub(rb"\x1b\[[\d;]*m", b"", text)
    assert styled == (ESCAPE in text)
    assert styled == ("─" in text.decode())


@pytest.mark.parametrize(
    ("option", "value"),
    [("--sandbox", "chroot"), ("--isolation", "chains"), ("--scratch", "tmp"), ("--network", "no")],
)
def test_what_holds_it_is_checked(option: str, value: str) -> None:
    """A tier, a sandbox, a scratch or a network that there is not: bad usage, named."""
    done = invoke("handler", option, value)

    assert (2, b"") == (done.returncode, done.stdout)
    assert f"{option} '{value}'".encode() in done.stderr
