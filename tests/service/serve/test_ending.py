"""How a daemon ends: what is under way may finish, a second Ctrl-C does not wait, the host is told."""

import signal
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from support.serving import LONG_S, Served
from support.stage import Gate, wait_gone

Make = Callable[..., Path]


def assert_is_told(reply: httpx.Response) -> None:
    """Who still waits when the daemon ends reads why, in the words of the API."""
    assert (503, "application/json") == (reply.status_code, reply.headers["content-type"])
    assert "ServiceUnavailable" == reply.json()["ErrorCode"]
    assert reply.headers["x-fc-request-id"] == reply.json()["RequestId"]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_drains(home: Path, project: Make, gate: Gate, signum: signal.Signals) -> None:
    """
    Told to stop, it accepts nothing new, answers what is under way, and ends with 0.
    """
    with Served(home, project(), "--no-auth") as served, ThreadPoolExecutor() as threads:
        reply = threads.submit(served.invoke, "hi", gate.event().encode())
        gate.entered(LONG_S)
        served.send_signal(signum)
        served.wait_for("daemon.not_accepting")
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{served.url}/readyz")
        assert not reply.done()
        gate.let()

        assert (200, "from s.yaml") == (reply.result().status_code, reply.result().text)
        assert served.wait() == 0
        assert not served.events("tasks.lost")  # there were none


def test_interrupt_on_a_terminal(home: Path, project: Make, gate: Gate) -> None:
    """Ctrl-C reaches the functions' processes too: what is under way may finish all the same."""
    with Served(home, project(), "--no-auth") as served, ThreadPoolExecutor() as threads:
        reply = threads.submit(served.invoke, "hi", gate.event().encode())
        gate.entered(LONG_S)
        served.interrupt_all()
        served.wait_for("daemon.not_accepting")
        gate.let()

        assert reply.result().text == "from s.yaml"
        assert served.wait() == 0


def test_grace_is_over(home: Path, project: Make, gate: Gate) -> None:
    """What has not ended within the grace is ended, with its processes; the exit code is 0."""
    with (
        Served(home, project(), "--no-auth", "--grace", "0.2") as served,
        ThreadPoolExecutor() as threads,
    ):
        reply = threads.submit(served.invoke, "hi", gate.event().encode())
        _, pid = gate.entered(LONG_S)
        served.send_signal(signal.SIGTERM)

        assert served.wait() == 0
        assert wait_gone(pid)
        assert_is_told(reply.result())
        (cut,) = served.events("daemon.cut_short")
        assert (1, "grace_over") == (cut["requests"], cut["cause"])


def test_second_interrupt(home: Path, project: Make, gate: Gate) -> None:
    """A second Ctrl-C ends at once what the first had let finish: 130, and nothing is left."""
    with Served(home, project(), "--no-auth") as served, ThreadPoolExecutor() as threads:
        reply = threads.submit(served.invoke, "hi", gate.event().encode())
        _, pid = gate.entered(LONG_S)
        served.send_signal(signal.SIGINT)
        served.wait_for("daemon.draining")
        served.send_signal(signal.SIGINT)

        assert served.wait() == 130
        assert wait_gone(pid)
        assert_is_told(reply.result())
        assert not served.events("library.told")  # by the server, of an error that was none


def test_hang_up_reads_the_manifest_again(home: Path, project: Make) -> None:
    """What is new in it is served, what is gone is not; one that is wrong changes nothing."""
    folder = project()
    file = folder / "s.yaml"
    text = file.read_text()
    with Served(home, folder, "--no-auth") as served:
        assert served.invoke("hi").text == "from s.yaml"
        file.write_text(text.replace("timeout: 60", "timeout: never"))
        served.send_signal(signal.SIGHUP)
        refused = served.wait_for("manifest.refused")
        assert "s.yaml:12" in refused
        assert served.invoke("hi").status_code == 200
        file.write_text(text.replace("functionName: hi", "functionName: other"))
        served.send_signal(signal.SIGHUP)
        served.wait_for("manifest.applied")

        assert served.invoke("other").text == "from s.yaml"
        assert served.invoke("hi").status_code == 404
        assert served.stop() == 0


def test_service_manager(home: Path, project: Make, tmp_path: Path) -> None:
    """``NOTIFY_SOCKET`` hears when it is ready, reloads, and stops."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(LONG_S)
        heard: list[str] = []
        with Served(home, project(), "--no-auth", NOTIFY_SOCKET=str(tmp_path / "notify")) as served:
            heard.append(manager.recv(256).decode())
            assert httpx.get(f"{served.url}/readyz").status_code == 200
            served.send_signal(signal.SIGHUP)
            heard += [manager.recv(256).decode() for _ in range(2)]
            assert served.stop() == 0
            heard.append(manager.recv(256).decode())

    assert ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"] == [
        text.partition("\n")[0] for text in heard
    ]


def test_idle_connections_do_not_hold_it_up(home: Path) -> None:
    """A client that keeps its connection without asking anything is no work under way."""
    with Served(home, "--no-auth") as served, httpx.Client() as client:
        client.get(f"{served.url}/healthz")
        host, port = served.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))):
            ended = threading.Thread(target=served.stop)
            ended.start()
            ended.join(LONG_S)
            assert not ended.is_alive()
            assert served.process.returncode == 0
            assert served.events("daemon.cut_short") == []
