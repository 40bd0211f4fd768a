"""Ends of the whole program: forgotten close, sys.exit, Ctrl-C. Prompt, silent, and clean."""

import signal
import time
from collections.abc import Callable

import pytest
from support.stage import Gate, Program, until

PROMPT_S = (
    10.0  # with the interpreter's own start and end, on a busy machine; handlers would take 60
)

START = """
import os, signal, sys, threading, time, asyncio
from fc_runtime import AsyncRuntime, Runtime, OverloadedError, RuntimeClosedError

def made(**options):
    runtime = Runtime(**options)
    runtime.register("who", code=HANDLERS + "/gate", handler="index.whoami",
                     environment={"LD_TEST_MARK": MARK})
    runtime.register("gated", code=HANDLERS + "/gate", timeout=60.0, max_instances=1,
                     environment={"LD_TEST_MARK": MARK})
    return runtime
"""


def left(host: Program) -> list[int]:
    """Who is there after the program has ended: nobody, at once."""
    return host.survivors()


@pytest.mark.parametrize(
    "code",
    [
        "runtime = made(); runtime.invoke('who')",
        "runtime = made(); runtime.warm('who', 3)",
        "runtime = made(); runtime.submit('who')",
        "made().invoke('who')",
        "runtime = made()",
        "runtime = made(); runtime.itself = runtime; runtime.invoke('who')",
        "runtime = made(); runtime.invoke('who'); sys.exit(0)",
        "with made() as runtime: runtime.invoke('who')",
        "with made() as runtime: sys.exit(runtime.invoke('who').ok - 1)",
        (
            "runtime = AsyncRuntime()\n"
            "async def main():\n"
            "    await runtime.register('who', code=HANDLERS + '/gate', handler='index.whoami')\n"
            "    await runtime.invoke('who')\n"
            "asyncio.run(main())"
        ),
        "threading.Thread(target=lambda: made().invoke('who')).start()",
        "runtime = made(); runtime.close(); del runtime",
    ],
    ids=lambda code: code.replace("\n", " ")[:60],
)
def test_the_interpreter_ends_without_close(program: Callable[..., Program], code: str) -> None:
    """Exit code 0, soon, not a word on stdout or stderr, and not a process left."""
    before = time.monotonic()
    host = program(f"{START}\n{code}\n")

    assert (0, "", "") == host.finish()
    assert time.monotonic() - before < PROMPT_S
    assert [] == left(host)


@pytest.mark.parametrize("way", ["submit", "thread", "queue"])
def test_the_interpreter_ends_with_calls_in_flight(
    program: Callable[..., Program], gate: Gate, way: str
) -> None:
    """Nobody waits for handlers when the program is over; they are ended."""
    begin = {
        "submit": "runtime.submit('gated', EVENT)",
        "thread": "threading.Thread(target=lambda: runtime.invoke('gated', EVENT, check=False),\n"
        "                 daemon=True).start()",
        "queue": "futures = [runtime.submit('gated', EVENT) for _ in range(5)]",
    }[way]
    host = program(
        f"{START}\nEVENT = {gate.event()!r}\nruntime = made()\n{begin}\n"
        "signal.sigwait([signal.SIGUSR1])\n",
        preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1]),
    )
    gate.entered()
    before = time.monotonic()
    host.signal(signal.SIGUSR1)

    assert (0, "", "") == host.finish()
    assert time.monotonic() - before < PROMPT_S
    assert [] == left(host)


def test_sys_exit_in_with_does_not_wait(program: Callable[..., Program], gate: Gate) -> None:
    """The exit code is the program's, and the running handler does not hold it up."""
    host = program(
        f"""{START}
with made() as runtime:
    runtime.submit("gated", {gate.event()!r})
    while runtime.stats()["functions"]["gated"]["serving"] == 0:
        pass
    sys.exit(42)
"""
    )
    before = time.monotonic()

    assert (42, "", "") == host.finish()
    assert time.monotonic() - before < PROMPT_S
    assert [] == left(host)


CALLS = {
    "invoke": "runtime.invoke('gated', EVENT)",
    "in with": "with runtime: runtime.invoke('gated', EVENT)",
    "future": "runtime.submit('gated', EVENT).result()",
    "queueing": "runtime.submit('gated', EVENT); time.sleep(0.1); runtime.invoke('gated', EVENT)",
    "closing": "runtime.submit('gated', EVENT); time.sleep(0.1); runtime.close()",
    "leaving": "\nwith runtime: runtime.submit('gated', EVENT); time.sleep(0.1)",
    "map": "list(runtime.map('gated', [EVENT] * 3))",
}


def interrupt(host: Program, gate: Gate, within_s: float) -> str:
    """Ctrl-C once the handler is at work; what the program said on stderr."""
    gate.entered()
    assert "now" == host.line()
    time.sleep(0.15)  # into the call that follows: nothing tells from outside
    before = time.monotonic()
    host.signal(signal.SIGINT)
    code, out, err = host.finish()

    assert time.monotonic() - before < within_s
    assert (-signal.SIGINT, "") == (code, out)
    assert [] == left(host)
    return err


@pytest.mark.parametrize("call", list(CALLS))
def test_ctrl_c(program: Callable[..., Program], gate: Gate, call: str) -> None:
    """
    The program ends at once, of KeyboardInterrupt, with one traceback: its own. No orphan, and no
    second message of ours.
    """
    host = program(
        f"{START}\nEVENT = {gate.event()!r}\nruntime = made()\n"
        f"print('now', flush=True)\n{CALLS[call]}\n"
    )
    err = interrupt(host, gate, PROMPT_S)

    assert 1 == err.count("Traceback"), err
    assert err.rstrip().endswith("KeyboardInterrupt"), err
    assert "Exception ignored" not in err, err


def test_ctrl_c_in_asyncio(program: Callable[..., Program], gate: Gate) -> None:
    """asyncio.run turns it into a cancellation, and then into KeyboardInterrupt."""
    host = program(
        f"""{START}
async def main():
    async with AsyncRuntime() as runtime:
        await runtime.register("gated", code=HANDLERS + "/gate", timeout=60.0,
                               environment={{"LD_TEST_MARK": MARK}})
        print("now", flush=True)
        await runtime.invoke("gated", {gate.event()!r})
asyncio.run(main())
"""
    )
    err = interrupt(host, gate, PROMPT_S)

    assert err.rstrip().endswith("KeyboardInterrupt"), err
    assert "never retrieved" not in err, err
    assert "Exception ignored" not in err, err


def test_a_task_that_nobody_ended(program: Callable[..., Program], gate: Gate) -> None:
    """The interpreter closes its coroutine when no thread can be started any more: it ends."""
    host = program(
        f"""{START}
runtime = AsyncRuntime()
async def main():
    global task
    await runtime.register("slow", code=HANDLERS + "/gate", handler="index.forever", timeout=60.0,
                           environment={{"LD_TEST_MARK": MARK}})
    task = asyncio.ensure_future(runtime.invoke("slow", {gate.event()!r}))
    while not runtime.stats()["functions"]["slow"]["processes"]:
        await asyncio.sleep(0)
loop = asyncio.new_event_loop()
loop.run_until_complete(main())
loop.close()
"""
    )

    code, out, err = host.finish(PROMPT_S)
    assert (0, "") == (code, out)
    assert "Traceback" not in err, err
    assert [] == left(host)


def test_ctrl_c_that_the_program_takes(program: Callable[..., Program], gate: Gate) -> None:
    """Who catches KeyboardInterrupt goes on: the instance is gone, the slot is free."""
    host = program(
        f"""{START}
runtime = made()
print("now", flush=True)
try:
    runtime.invoke("gated", {gate.event()!r})
except KeyboardInterrupt:
    print(runtime.invoke("gated", b"{{}}").ok, runtime.stats()["functions"]["gated"]["serving"])
runtime.close()
"""
    )
    gate.entered()
    assert "now" == host.line()
    host.signal(signal.SIGINT)

    assert (0, "True 0\n", "") == host.finish()
    assert [] == left(host)


def test_ctrl_c_again_and_again(program: Callable[..., Program]) -> None:
    """
    A program that is interrupted at random moments of cold and warm calls, and catches it, has
    its slots, its descriptors and its answers after fifty of them.
    """
    host = program(
        f"""{START}
import random
runtime = made()
runtime.register("fresh", code=HANDLERS + "/gate", handler="index.echo", max_instances=1,
                 max_invocations=2, environment={{"LD_TEST_MARK": MARK}})
runtime.invoke("fresh", b"x")
interrupts = 0

def soon(delay):
    time.sleep(delay)
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

for number in range(50):
    thread = threading.Thread(target=soon, args=(random.uniform(0, 0.01),))
    try:
        thread.start()
        while True:
            assert runtime.invoke("fresh", str(number)).text == str(number)
    except KeyboardInterrupt:
        interrupts += 1
    thread.join()
for number in range(10):
    assert runtime.invoke("fresh", str(number)).text == str(number)
deadline = time.monotonic() + 5
while runtime.stats()["functions"]["fresh"]["serving"] and time.monotonic() < deadline:
    time.sleep(0.01)
assert runtime.stats()["functions"]["fresh"]["serving"] == 0, runtime.stats()
runtime.close()
print(interrupts)
"""
    )

    assert (0, "50\n", "") == host.finish(30)
    until(lambda: not left(host))


# -- a host that is short of something ---------------------------------------------------------


def test_too_few_descriptors(program: Callable[..., Program]) -> None:
    """
    With RLIMIT_NOFILE reached calls that need a new process are refused with OverloadedError,
    which says what is missing; idle instances still serve; and afterwards all is as before.
    """
    host = program(
        f"""{START}
import resource
runtime = made()
runtime.invoke("who")
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
hoard = []
try:
    while True:
        hoard.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
refusals = 0
while True:
    try:
        assert runtime.invoke("who").ok
        runtime.invoke("gated", b"{{}}")
    except OverloadedError as error:
        assert "Too many open files" in str(error) or "zygote" in str(error), error
        refusals += 1
    else:
        break
    os.close(hoard.pop())
assert refusals, "there was room all the time"
assert hoard, "there was never enough room"
while hoard:
    os.close(hoard.pop())
assert runtime.invoke("gated", b"{{}}").ok
before = len(os.listdir("/proc/self/fd"))
for _ in range(3):
    assert runtime.invoke("gated", b"{{}}").ok
assert runtime.stats()["functions"]["gated"]["serving"] == 0
runtime.close()
print("fine")
"""
    )

    assert (0, "fine\n", "") == host.finish(20)
    assert [] == left(host)


def test_the_last_descriptors_go_while_an_instance_is_forked(
    program: Callable[..., Program],
) -> None:
    """There was room for it when it was asked for, so it is watched, and its call is answered."""
    host = program(
        f"""{START}
import resource
from fc_runtime.pool.instance import Instance
runtime = made()
runtime.invoke("who")
taken = []
begun = Instance.__init__

def then_fill_up(instance, *args):
    begun(instance, *args)
    try:
        while True:
            taken.append(os.dup(0))
    except OSError:
        pass

Instance.__init__ = then_fill_up
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
for _ in range(5):
    runtime.register("more", code=HANDLERS + "/gate", handler="index.echo",
                     environment={{"LD_TEST_MARK": MARK}})
    now = max(map(int, os.listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (now + 20, hard))
    assert runtime.invoke("more", b"here").text == "here"
    assert taken
    while taken:
        os.close(taken.pop())
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    runtime.unregister("more")
runtime.close()
print("fine")
"""
    )

    assert (0, "fine\n", "") == host.finish(30)
    assert [] == left(host)


def test_more_callers_than_descriptors(program: Callable[..., Program]) -> None:
    """
    Forty callers where there is room for a few instances: each is answered or refused, nobody
    waits for ever, no descriptor and no process is lost.
    """
    host = program(
        f"""{START}
import resource
runtime = made()
runtime.register("many", code=HANDLERS + "/gate", handler="index.echo", max_instances=40,
                 idle_timeout=0.2, environment={{"LD_TEST_MARK": MARK}})
runtime.invoke("who")
before = len(os.listdir("/proc/self/fd"))
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
answered = refused = 0
for future in [runtime.submit("many", str(n)) for n in range(40)]:
    try:
        answered += future.result(20).ok
    except OverloadedError:
        refused += 1
assert answered and answered + refused == 40, (answered, refused)
assert runtime.invoke("many", b"still").text == "still"
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))  # to look needs one, too
deadline = time.monotonic() + 10
while runtime.stats()["functions"]["many"]["processes"] and time.monotonic() < deadline:
    time.sleep(0.02)
assert not runtime.stats()["functions"]["many"]["processes"], runtime.stats()
assert len(os.listdir("/proc/self/fd")) <= before + 2, os.listdir("/proc/self/fd")
runtime.close()
print("fine")
"""
    )

    assert (0, "fine\n", "") == host.finish(30)
    assert [] == left(host)
