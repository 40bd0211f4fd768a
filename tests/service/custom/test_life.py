"""
The life of a custom runtime's program: start, pre-stop, signals, idle connections, and what it is
outside of Function Compute.
"""

import os
import signal
import socket
import threading
from pathlib import Path

import httpx
import pytest
from fc_runtime.service.custom.run import KEEP_ALIVE_S
from support.fc_platform import Platform, Program, platform


def environ_of(handlers: Path, **more: str) -> dict[str, str]:
    return {
        "FC_FUNC_CODE_PATH": str(handlers / "on_platform"),
        "FC_FUNCTION_TIMEOUT": "30",
        **more,
    }


def on_fc(handlers: Path, **more: str) -> dict[str, str]:
    return environ_of(handlers, FC_INSTANCE_ID="c-1-2-3", **more)


def test_a_life_on_function_compute(handlers: Path, tmp_path: Path) -> None:
    """Initialize, invoke, pass through, pre-stop, SIGTERM: all answered, and it ends with 0."""
    last_words = tmp_path / "last_words"
    headers = {
        "x-fc-function-initializer": "index.initializer",
        "x-fc-instance-lifecycle-pre-stop-handler": "index.pre_stop",
    }
    program = Program(on_fc(handlers, LAST_WORDS=str(last_words)))
    try:
        instance = Platform(program, headers)
        with instance.client:
            assert 200 == instance.initialize().status_code
            assert b"hello" == instance.invoke(b"echo hello").content
            assert 200 == instance.pass_through("GET", "/").status_code
            assert not last_words.exists()

            answer = instance.pre_stop(x_fc_request_id="1-stop")

            assert (200, "200") == (answer.status_code, answer.headers["x-fc-status"])
            words = last_words.read_text()  # one of each worker: a spare one may be up, too
            assert {"pre_stop"} == set(words.split())
            assert program.says("FC PreStop End RequestId: 1-stop\n")
    finally:
        code = program.stop()
    assert 0 == code
    assert words == last_words.read_text()  # they are not asked twice


def test_pre_freeze_is_answered(handlers: Path) -> None:
    """``/pre-freeze`` is answered at once: the hook has run after the invocation already."""
    with platform(on_fc(handlers)) as instance:
        answer = instance.client.get("/pre-freeze")

    assert (200, "200") == (answer.status_code, answer.headers["x-fc-status"])


def test_what_a_pre_stop_hook_says(handlers: Path) -> None:
    """It is in the log, between the lines of the platform's request (spec 3)."""
    headers = {"x-fc-instance-lifecycle-pre-stop-handler": "index.spoken_pre_stop"}
    with platform(on_fc(handlers), headers) as instance:
        instance.invoke(b"echo hello")
        instance.pre_stop(x_fc_request_id="1-stop")

        assert instance.program.says(
            "FC PreStop Start RequestId: 1-stop\nlast words\nFC PreStop End RequestId: 1-stop\n"
        )


def test_a_pre_stop_hook_that_fails(handlers: Path) -> None:
    """The log says so, and why; the platform is answered as ever (spec 3)."""
    headers = {"x-fc-instance-lifecycle-pre-stop-handler": "index.broken_pre_stop"}
    with platform(on_fc(handlers), headers) as instance:
        instance.invoke(b"echo hello")
        answer = instance.pre_stop(x_fc_request_id="1-stop")

        assert (200, "200") == (answer.status_code, answer.headers["x-fc-status"])
        assert "no last words\n" in instance.program.output
        assert instance.program.says(
            "FC PreStop End RequestId: 1-stop, Error: RuntimeError: nothing to say\n"
        )


def test_hooks_without_a_request(handlers: Path) -> None:
    """After an invocation, and at SIGTERM, a hook's words have lines of their own."""
    headers = {
        "x-fc-instance-lifecycle-pre-stop-handler": "index.spoken_pre_stop",
        "x-fc-instance-lifecycle-pre-freeze-handler": "index.pre_freeze",
    }
    program = Program(on_fc(handlers))
    try:
        instance = Platform(program, headers)
        with instance.client:
            instance.invoke(b"echo hello", x_fc_request_id="1-cold")
        assert program.says(
            "FC PreFreeze Start RequestId: 1-cold\ngoing cold\nFC PreFreeze End RequestId: 1-cold\n"
        )
    finally:
        code = program.stop()
    assert 0 == code
    assert "\nlast words\nFC PreStop End RequestId: " in program.output


def test_sigterm_lets_a_call_end(handlers: Path, tmp_path: Path) -> None:
    """What runs when SIGTERM comes is answered; then it ends with 0."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    with platform(on_fc(handlers)) as instance:
        answers: list[httpx.Response] = []
        caller = threading.Thread(
            target=lambda: answers.append(instance.invoke(b"announce " + bytes(gate)))
        )
        caller.start()
        instance.program.wait_for("FC Invoke Start")
        instance.program.process.send_signal(signal.SIGTERM)
        assert "here\n" == gate.read_text()
        caller.join()
        code = instance.program.ended()

    assert b"went on" == answers[0].content
    assert 0 == code


def test_a_client_who_leaves(handlers: Path) -> None:
    """The invocation is stopped, FC's line says so (spec 6.6), and the next call is served."""
    with platform(on_fc(handlers)) as instance:
        url = httpx.URL(instance.program.url())
        with socket.create_connection((url.host, url.port)) as caller:
            caller.sendall(
                b"POST /invoke HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"
                b"x-fc-request-id: 1-gone\r\n\r\nhang"
            )
            instance.program.wait_for("FC Invoke Start RequestId: 1-gone")
        assert instance.program.says(
            "FC Invoke End RequestId: 1-gone, Error: Invocation canceled by client"
        )

        assert b"on" == instance.invoke(b"echo on").content


def test_connections_are_kept() -> None:
    """FC keeps them, and asks for 15 minutes at least (spec 9.A)."""
    assert KEEP_ALIVE_S >= 15 * 60


def test_many_calls_over_one_connection(handlers: Path) -> None:
    """Answers come in order, none crossed."""
    with platform(on_fc(handlers)) as instance:
        for number in range(50):
            text = b"%d" % number
            assert text == instance.invoke(b"echo " + text).content


def test_outside_of_fc_a_worker_is_ready(handlers: Path) -> None:
    """Nobody sends ``/initialize`` there: the first worker is up before the port is."""
    with platform(environ_of(handlers, FC_INITIALIZER="index.initializer")) as instance:
        before, listening, _ = instance.program.output.partition("http://")

        assert listening
        assert "the initializer speaks\n" in before
        assert instance.invoke(b"state").json()["initialized_by"]


@pytest.mark.parametrize("path", ["/initialize", "/pre-stop"])
def test_behind_knative_nobody_plays_the_platform(handlers: Path, path: str) -> None:
    """Whoever reaches the service is a client: no header is believed, no hook is his to call."""
    environ = environ_of(
        handlers, K_SERVICE="orders", FC_FUNCTION_HANDLER="index.http", FC_REGION="here"
    )
    del environ["FC_FUNC_CODE_PATH"]
    environ["FC_FUNC_CODE_PATH"] = str(handlers / "on_platform")
    with platform(environ) as instance:
        headers = {"x-fc-function-handler": "index.handler", "x-fc-control-path": path}
        answer = instance.client.get(path, headers=headers)
        again = instance.client.get("/")

    assert (201, path) == (answer.status_code, answer.json()["rawPath"])
    assert 201 == again.status_code


def test_port_of_a_container_platform(handlers: Path) -> None:
    """``PORT`` is honoured where FC's own variables are not there."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with platform(environ_of(handlers, FC_SERVER_PORT="", PORT=str(port))) as instance:
        assert port == httpx.URL(instance.program.url()).port


def test_a_port_in_use_is_one_line(handlers: Path) -> None:
    """It says which, and does not start."""
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        program = Program(on_fc(handlers, FC_SERVER_PORT=str(port)))
        code = program.ended()

    assert 69 == code
    assert program.errors.startswith(f"fc-runtime: port {port} of 0.0.0.0 is in use")
    assert 1 == program.errors.count("\n")


@pytest.mark.parametrize(
    ("name", "value"),
    [("FC_SERVER_PORT", "http"), ("FC_SERVER_PORT", "70000"), ("FC_FUNC_CODE_PATH", "/no/such")],
)
def test_what_cannot_work_is_one_line(handlers: Path, name: str, value: str) -> None:
    """The variable or the folder is named; nothing is started."""
    program = Program({**environ_of(handlers), name: value})
    code = program.ended()

    assert 2 == code
    assert 1 == program.errors.count("\n")
    assert value in program.errors


def test_sigterm_ends_a_start(handlers: Path, tmp_path: Path) -> None:
    """A program that is still starting its first worker need not come up to be stopped."""
    (tmp_path / "index.py").write_text(
        "import os, time\n"
        "os.close(os.open(os.environ['GATE'], os.O_WRONLY))\n"
        "time.sleep(60)\n"
        "def handler(event, context): ...\n"
    )
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    program = Program(
        {"FC_FUNC_CODE_PATH": str(tmp_path), "GATE": str(gate), "FC_INITIALIZATION_TIMEOUT": "60"}
    )
    try:
        gate.read_text()  # until the import has begun
    finally:
        code = program.stop(within_s=20.0)

    assert 0 == code
    assert "http://" not in program.output
