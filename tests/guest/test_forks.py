"""A host that forks: the child has no part in the runtime, and does it no harm."""

from collections.abc import Callable
from pathlib import Path

from support.stage import Program

FORKING = """
import os, sys, threading, traceback
from fc_runtime import Runtime, RuntimeClosedError

def in_child(work):
    "Run *work* in a forked child; its exit status."
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        HOW_THE_CHILD_ENDS
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

runtime = Runtime()
runtime.register("who", code=HANDLERS + "/gate", handler="index.whoami", max_instances=4)
runtime.warm("who", 2)
first = runtime.invoke("who").text
BODY
assert runtime.invoke("who").text == first
runtime.close()
"""


def forking(program: Callable[..., Program], body: str, child_ends: str = "os._exit(0)") -> None:
    """Run a program that forks as *body* says; all has to be well with it."""
    host = program(FORKING.replace("BODY", body).replace("HOW_THE_CHILD_ENDS", child_ends))

    assert (0, "", "") == host.finish(20)
    assert [] == host.survivors()


def test_in_a_forked_child_every_use_is_refused(program: Callable[..., Program]) -> None:
    """RuntimeClosedError, which says whose it is; closing is allowed and does nothing."""
    forking(
        program,
        """
def refused():
    for use in (
        lambda: runtime.invoke("who"),
        lambda: runtime.submit("who"),
        lambda: runtime.warm("who"),
        lambda: runtime.register("more", code=HANDLERS + "/gate"),
        lambda: runtime.unregister("who"),
        lambda: list(runtime.map("who", [b""])),
        runtime.__enter__,
    ):
        try:
            use()
        except RuntimeClosedError as error:
            assert str(os.getppid()) in str(error), error
        else:
            raise AssertionError("not refused")
    runtime.close()
    repr(runtime)
    runtime.stats()

assert in_child(refused) == 0
""",
    )


def test_a_childs_ordinary_exit_ends_nothing_of_the_parents(
    program: Callable[..., Program],
) -> None:
    """sys.exit in the child runs its atexit hooks and finalizers: the parent's workers live on."""
    forking(program, "assert in_child(lambda: None) == 0", child_ends="sys.exit(0)")


def test_a_child_that_drops_the_runtime(program: Callable[..., Program]) -> None:
    """Garbage collection in the child is not the parent's business either."""
    forking(
        program,
        """
def drop():
    global runtime
    import gc
    del runtime
    gc.collect()

assert in_child(drop) == 0
""",
    )


def test_a_child_may_have_a_runtime_of_its_own(program: Callable[..., Program]) -> None:
    """Made after the fork, it works, and ends with the child."""
    forking(
        program,
        """
def own():
    with Runtime() as mine:
        mine.register("who", code=HANDLERS + "/gate", handler="index.whoami")
        assert mine.invoke("who").text != first

assert in_child(own) == 0
""",
    )


def test_a_child_holds_no_descriptor_of_the_runtime(program: Callable[..., Program]) -> None:
    """All copies are closed in the child: pipes, sockets, memory files, pidfds."""
    forking(
        program,
        """
def links():
    found = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{fd}"))
        except OSError:
            pass
    return found

def holds_nothing():
    ours = [link for link in links() if "fc-log" in link or "socket:" in link
            or "anon_inode:" in link]
    assert not ours, ours
    assert sum("pipe:" in link for link in links()) <= 2, links()  # stdout and stderr

assert in_child(holds_nothing) == 0
""",
    )


def test_forks_while_threads_are_invoking(program: Callable[..., Program]) -> None:
    """
    Two hundred forks while other threads start, end and lease instances: no child hangs on a lock
    that a thread of the parent held, and no invocation is lost.
    """
    forking(
        program,
        """
runtime.register("fresh", code=HANDLERS + "/gate", handler="index.echo", max_invocations=1,
                 max_instances=4)
stop = threading.Event()
wrong = []

def call():
    number = 0
    while not stop.is_set():
        number += 1
        if runtime.invoke("fresh", str(number)).text != str(number):
            wrong.append(number)

def refused():
    try:
        runtime.invoke("fresh")
    except RuntimeClosedError:
        return
    raise AssertionError("not refused")

threads = [threading.Thread(target=call) for _ in range(3)]
for thread in threads:
    thread.start()
for _ in range(200):
    assert in_child(refused) == 0
stop.set()
for thread in threads:
    thread.join()
assert not wrong
""",
    )


def test_a_fork_with_a_call_in_flight(program: Callable[..., Program], tmp_path: Path) -> None:
    """The parent's call is answered, while the child still lives and after it has gone."""
    forking(
        program,
        """
runtime.register("slow", code=HANDLERS + "/gate", handler="index.echo", max_instances=2)
reading, writing = os.pipe()
futures = [runtime.submit("slow", str(n) * 100_000) for n in range(10)]
pid = os.fork()
if pid == 0:
    os.close(writing)
    os.read(reading, 1)
    os._exit(0)
assert [future.result().text[0] for future in futures] == list("0123456789")
os.close(reading)
os.close(writing)
assert os.waitpid(pid, 0)[1] == 0
""",
    )


def test_a_fork_while_a_first_process_is_started(program: Callable[..., Program]) -> None:
    """
    A child forked at any moment of a first start, that lives on: the start does not wait for it,
    as it would if the child held a copy of the pipe that tells of the exec.
    """
    forking(
        program,
        """
import time
children = []
reading, writing = os.pipe()
for number in range(20):
    name = f"first-{number}"
    runtime.register(name, code=HANDLERS + "/gate", handler="index.echo")
    future = runtime.submit(name, b"x")
    time.sleep(number * 0.0003)
    children.append(os.fork())
    if children[-1] == 0:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    assert future.result(5).ok
    runtime.unregister(name)
os.close(reading)
os.close(writing)
for pid in children:
    assert os.waitpid(pid, 0)[1] == 0
""",
    )


def test_closing_while_a_forked_child_lives(program: Callable[..., Program]) -> None:
    """close() does not wait for the child, which holds nothing that our processes wait on."""
    forking(
        program,
        """
import time
reading, writing = os.pipe()
other = Runtime()
other.register("who", code=HANDLERS + "/gate", handler="index.whoami")
other.invoke("who")
pid = os.fork()
if pid == 0:
    os.close(writing)
    os.read(reading, 1)
    os._exit(0)
before = time.monotonic()
other.close()
assert time.monotonic() - before < 3, time.monotonic() - before
os.close(reading)
os.close(writing)
assert os.waitpid(pid, 0)[1] == 0
""",
    )


def test_a_multiprocessing_pool_in_the_host(program: Callable[..., Program]) -> None:
    """The host's own fork pool works beside the runtime, made before or after it."""
    host = program(
        """
import multiprocessing
from fc_runtime import Runtime

def square(number):
    return number * number

if __name__ == "__main__":
    fork = multiprocessing.get_context("fork")
    with fork.Pool(2) as before, Runtime() as runtime:
        runtime.register("who", code=HANDLERS + "/gate", handler="index.whoami")
        pid = runtime.invoke("who").text
        with fork.Pool(2) as after:
            assert before.map(square, range(10)) == after.map(square, range(10))
            after.close()
            after.join()
        before.close()
        before.join()
        assert runtime.invoke("who").text == pid
    print("fine")
"""
    )

    assert (0, "fine\n", "") == host.finish(20)
    assert [] == host.survivors()
