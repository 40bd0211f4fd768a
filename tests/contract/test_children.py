"""
Processes that a handler starts, leaves behind or copies itself into, and what else it may change
about its own: nothing of it reaches the next invocation (design D11).
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from fc_runtime import HandlerError, Raised
from support.callers import Caller, Deployed
from support.processes import printed_pids, still_running

Deploy = Callable[..., Deployed]

SQUARES = [n * n for n in range(10)]


@pytest.fixture
def spawning(deploy: Deploy) -> Deployed:
    """The event names what to do; one instance at a time, with time enough."""
    return deploy("spawning", "index.dispatch", timeout=60.0, max_instances=1)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("check_output", "hello\n"),
        ("pipeline", "PIPELINE"),
        ("asyncio_subprocess", "hello\n"),
        ("pool", SQUARES),
        ("executor", SQUARES),
        ("process", ["from the process", 0]),
        ("exit_codes", [0, 1, 7, 3, -15, 9]),
        ("fork_while_another_thread_logs", [1, "alone"]),
    ],
)
def test_processes_work_as_anywhere(spawning: Deployed, how: str, expected: object) -> None:
    """subprocess, os.system, fork, multiprocessing, executors: all of it, exit codes true."""
    for _ in range(2):
        result = spawning(how)
        assert expected == (result.text if isinstance(expected, str) else result.json())
        assert 0 == result.usage.leftover_processes


def test_helper_process_of_multiprocessing_is_a_leftover(spawning: Deployed) -> None:
    """
    Start method "spawn" works, time after time, though the tracker process that multiprocessing
    leaves behind is ended like any other.
    """
    for _ in range(2):
        result = spawning("spawned_process")
        assert ["spawned", 0] == result.json()
        assert 1 == result.usage.leftover_processes


@pytest.mark.parametrize(
    ("how", "error_type", "text"),
    [
        ("failing_command", "CalledProcessError", "returned non-zero exit status 1"),
        ("missing_command", "FileNotFoundError", "/no/such/binary"),
    ],
)
def test_command_that_fails_is_the_handlers_exception(
    spawning: Deployed, how: str, error_type: str, text: str
) -> None:
    """What subprocess raises comes out as it is."""
    with pytest.raises(HandlerError, match=text) as caught:
        spawning(how)

    assert error_type == caught.value.result.outcome.error_type


def test_child_processes_are_counted(deploy: Deploy) -> None:
    """`Usage.child_processes` tells how many the worker started in this invocation."""
    function = deploy("spawning", "index.counted")

    assert [3, 0, 1] == [function(n).usage.child_processes for n in ("3", "0", "1")]


def test_cpu_time_of_children_is_told(deploy: Deploy) -> None:
    """`Usage` sums up what waited-for children used."""
    usage = deploy("spawning", "index.counted", timeout=60.0)("20").usage

    assert usage.user_s + usage.system_s > 0.001


# -- left behind -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "who"),
    [
        ("leave_child", "child"),
        ("leave_daemon", "daemon"),
        ("leave_writer", "writer"),
        ("leave_stopped", "stopped"),
    ],
)
def test_what_outlives_a_successful_handler_is_ended(
    spawning: Deployed, how: str, who: str
) -> None:
    """The result is returned, the leftovers are counted and gone, the instance serves on."""
    result = spawning(how)

    assert b"left" == result.payload
    assert result.usage.leftover_processes >= 1
    assert [who] == list(printed_pids(result.log))
    assert {} == still_running(result.log)
    again = spawning("pid")
    assert not again.cold_start
    assert b"" == again.log
    assert 0 == again.usage.leftover_processes


def test_what_outlives_a_failing_handler_is_ended_too(spawning: Deployed) -> None:
    """An exception is no excuse for leaving a child."""
    result = spawning.fail("leave_after_error")

    assert Raised("LookupError", "and left a child") == result.outcome
    assert ["child"] == list(printed_pids(result.log))
    assert {} == still_running(result.log)


def test_zombies_are_reaped(spawning: Deployed) -> None:
    """A child that ended and was not waited for is no leftover process, and leaves no zombie."""
    assert [b"left"] * 3 == [spawning("leave_zombie").payload for _ in range(3)]
    assert b"[]" == spawning("children").payload


# -- copies ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "payload"),
    [
        ("fork_and_return", b"the worker's"),
        ("fork_and_answer_first", b"the worker's"),
        ("fork_and_raise", b"the worker's"),
        ("fork_and_exit", b"the worker's"),
        ("fork_twice", b"anybody's"),
    ],
)
def test_only_the_worker_answers(spawning: Deployed, how: str, payload: bytes) -> None:
    """A handler that forks and returns in both: one answer, and the copies are gone."""
    before = spawning("pid").json()

    for _ in range(2):
        assert payload == spawning(how).payload

    assert before == spawning("pid").json()
    assert b"[]" == spawning("children").payload


# -- state -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "how",
    [
        "soil",
        "soil_cwd",
        "soil_umask",
        "soil_environment",
        "soil_environment_deeply",
        "soil_handlers",
        "soil_alarm",
        "soil_cpu_timers",
        "soil_mask",
    ],
)
def test_process_state_is_put_back(spawning: Deployed, how: str) -> None:
    """
    Working directory, umask, environment, signal handlers, pending timers: the next invocation
    finds them as the first did, in this process or in a fresh one.
    """
    fresh = spawning("look").json()

    spawning(how)
    after = spawning("look").json()

    for seen in (fresh, after):
        del seen["pid"]
        del seen["environment"]["FC_INSTANCE_ID"]
        seen["environment"].pop("TMPDIR", None)  # an instance's own, where it has no other /tmp
    assert fresh == after


def test_what_a_module_set_while_it_was_loaded_stays(caller: Caller, tmp_path: Path) -> None:
    """Also behind the back of `os.environ`: children of every invocation see the same."""
    (tmp_path / "index.py").write_text(
        "import os, subprocess\n"
        "os.putenv('SET_AT_IMPORT', 'yes')\n"
        "def handler(event, context):\n"
        "    os.environ['SOILED'] = 'yes'\n"
        "    return subprocess.check_output(['sh', '-c', 'echo $SET_AT_IMPORT'])\n"
    )
    caller.register("f", code=tmp_path, max_instances=1)

    assert [b"yes\n"] * 3 == [caller.invoke("f").payload for _ in range(3)]


def test_fork_hooks_of_a_preload_run_after_those_of_threading_and_logging(
    caller: Caller, tmp_path: Path
) -> None:
    """
    Whoever registers some has imported those modules, and counts on theirs: in the child the other
    threads are forgotten, and a log handler's lock is free.
    """
    (tmp_path / "library.py").write_text("""
import logging, os, threading

seen = []
handler = logging.Handler()

def look():
    is_free = handler.lock.acquire(blocking=False)
    if is_free:
        handler.lock.release()
    seen.append([threading.active_count(), is_free])

os.register_at_fork(after_in_child=look)
""")
    (tmp_path / "index.py").write_text("""
import json, library, os, threading

def handler(event, context):
    held, may_go_on = threading.Event(), threading.Event()

    def hold():
        with library.handler.lock:
            held.set()
            may_go_on.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    told, tell = os.pipe()
    if not os.fork():
        os.write(tell, json.dumps(library.seen[-1]).encode())
        os._exit(0)
    os.close(tell)
    os.wait()
    may_go_on.set()
    thread.join()
    with open(told) as answer:
        return answer.read()
""")
    caller.register("f", code=tmp_path, preload=["library"])

    assert [1, True] == caller.invoke("f").json()


def test_what_a_preload_does_for_the_handler_is_put_back(caller: Caller, tmp_path: Path) -> None:
    """It has the functions of `signal` from before the fork, and under names of its own."""
    (tmp_path / "library.py").write_text("from signal import SIGUSR1, signal\n")
    (tmp_path / "index.py").write_text(
        "import library, signal\n"
        "def handler(event, context):\n"
        "    before = library.signal(library.SIGUSR1, signal.SIG_IGN)\n"
        "    return before.name\n"
    )
    caller.register("f", code=tmp_path, preload=["library"], max_instances=1)

    assert ["SIG_DFL"] * 3 == [caller.invoke("f").text for _ in range(3)]
