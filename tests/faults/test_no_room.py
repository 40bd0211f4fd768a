"""
No room on the host: descriptors, processes, threads, disk. Who has what he needs is served, who
does not is told what is missing; with room again, all is as before, and nothing has leaked.

Each runs in a program of its own, whose limits are nobody else's.
"""

import json
import os
import shutil
import signal
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from fc_runtime import Runtime
from support.processes import workers
from support.stage import WITHIN_S, Program, Recorder, until

MiB = 1024 * 1024

FEW = """
import errno, json, os, resource, sys, threading
from fc_runtime import InvalidFunctionError, OverloadedError, Runtime
from fc_runtime import FcRuntimeError

told = {}


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def fill():
    # Leaves no descriptor free; what it holds.
    held = []
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
    try:
        while True:
            held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as error:
        assert error.errno == errno.EMFILE
    return held


def make_room(held, count=None):
    for fd in held[:count]:
        os.close(fd)
    del held[:count]


def why(work):
    try:
        return ["done", str(work())]
    except FcRuntimeError as error:
        return [type(error).__name__, str(error)]


def options(name, **more):
    # No second zygote, which would come when it likes: descriptors are counted here.
    return {"code": HANDLERS + "/gate", "handler": f"index.{name}", "timeout": 30.0,
            "environment": {"LD_TEST_MARK": MARK}, "preload_learned": False, **more}


def settled(runtime, name):
    # Every start in nobody's time is over.
    while runtime.stats()["functions"][name]["warming"]:
        threading.Event().wait(0.01)

"""


def told(program: Program) -> dict:
    """What the program found out, once it has ended well, with nothing left."""
    code, out, err = program.finish(60)
    assert (0, "") == (code, err), err
    assert [] == program.survivors()
    found: dict = json.loads(out)
    return found


def test_no_descriptor_left(host: Callable[..., Program]) -> None:
    """
    RLIMIT_NOFILE: warm calls go on, large ones and those that are looked at, too. Who needs a new
    instance, or a new zygote, is refused, and told why. Registering and stats work.
    """
    found = told(
        host(
            FEW
            + """
with Runtime(isolation=ISOLATION) as runtime:
    runtime.register("warm", **options("echo"))
    runtime.invoke("warm")
    runtime.warm("warm", 2)
    settled(runtime, "warm")
    before = descriptors()
    held = fill()
    told["warm"] = [runtime.invoke("warm", str(n)).text for n in range(50)]
    told["large"] = len(runtime.invoke("warm", b"x" * 5_000_000).payload)
    runtime.register("cold", **options("whoami"))
    told["cold"] = [why(lambda: runtime.invoke("cold")) for _ in range(20)]
    told["to warm"] = why(lambda: runtime.warm("cold"))
    told["stats"] = sorted(runtime.stats()["functions"])
    told["serving"] = [runtime.stats()["functions"][name]["serving"] for name in ("cold", "warm")]
    make_room(held)
    told["again"] = why(lambda: runtime.invoke("cold"))[0]
    told["warm again"] = runtime.invoke("warm", "well").text
    runtime.unregister("cold")
    while descriptors() > before:
        threading.Event().wait(0.01)
    told["leaked"] = descriptors() - before
print(json.dumps(told))
"""
        )
    )

    assert [str(number) for number in range(50)] == found["warm"]
    assert 5_000_000 == found["large"]
    assert {"OverloadedError"} == {name for name, _ in found["cold"]}
    assert all("Too many open files" in text for _, text in found["cold"])
    assert "OverloadedError" == found["to warm"][0]
    assert ["cold", "warm"] == found["stats"]
    assert [0, 0] == found["serving"]
    assert "done" == found["again"]
    assert "well" == found["warm again"]
    assert found["leaked"] <= 0  # at first one may not have been heard to be forked yet


@pytest.mark.parametrize("room", range(1, 13))
def test_room_for_a_part_of_a_start(host: Callable[..., Program], room: int) -> None:
    """
    With so many descriptors to spare a start gets that far, and no further: it is refused, or
    done; whatever it had opened is closed again, and no process is left that nobody knows of.
    """
    found = told(
        host(
            FEW
            + """
room = int(sys.argv[1])
with Runtime(isolation=ISOLATION) as runtime:
    for name in ("known", "new"):  # with a zygote, and without
        runtime.register(name, **options("whoami", idle_timeout=3600.0, max_invocations=1))
    runtime.invoke("known")
    settled(runtime, "known")
    held = fill()
    make_room(held, room)
    for name in ("known", "new"):
        told[name] = [why(lambda: runtime.invoke(name)) for _ in range(5)]
    make_room(held)
    told["again"] = [why(lambda: runtime.invoke(name))[0] for name in ("known", "new")]
    told["serving"] = [one["serving"] for one in runtime.stats()["functions"].values()]
told["left"] = descriptors()
print(json.dumps(told))
""",
            str(room),
        )
    )

    for outcome, text in [*found["known"], *found["new"]]:
        assert outcome == "done" or (outcome == "OverloadedError" and text), text
    assert ["done", "done"] == found["again"]
    assert [0, 0] == found["serving"]
    assert 4 == found["left"]  # stdin, stdout, stderr, and the one that looks


UNPRIVILEGED = """
import os, sys
if os.getuid() == 0:  # whom no limit holds; this user is nobody else, and reads what root has
    os.execvp("setpriv", ["setpriv", f"--reuid={100_000 + os.getpid()}", "--clear-groups",
        "--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search",
        "--bounding-set=-all,+dac_read_search", "--", sys.executable, *sys.orig_argv[1:]])
"""


CROWD = """
def crowd():
    # Threads, as many as this user may have: they count as processes do. Zygotes have this limit.
    resource.setrlimit(resource.RLIMIT_NPROC, (40, 40))
    there = []
    try:
        while True:
            leave = threading.Event()
            one = threading.Thread(target=leave.wait, daemon=True)
            one.start()
            there.append((one, leave))
    except RuntimeError:
        return there


def disperse(there, count=None):
    for one, leave in there[:count]:
        leave.set()
        one.join()
    del there[:count]


"""
can_be_limited = pytest.mark.skipif(
    os.getuid() == 0 and not shutil.which("setpriv"), reason="root, and no setpriv to be less"
)
# Other tiers need rights that a user who can be limited has not, or hide the interpreter from him.
in_a_tier_for_all = pytest.mark.parametrize("isolation", ["portable"])


@can_be_limited
@in_a_tier_for_all
def test_no_process_left(host: Callable[..., Program]) -> None:
    """
    RLIMIT_NPROC, which counts threads too: a start is refused and says so, warm calls go on, and
    with room again the next call is served.
    """
    found = told(
        host(
            UNPRIVILEGED
            + FEW
            + CROWD
            + """
with Runtime(isolation=ISOLATION) as runtime:
    for name in ("warm", "cold"):
        runtime.register(name, **options("whoami"))
    runtime.invoke("warm")
    runtime.warm("warm", 2)
    settled(runtime, "warm")
    there = crowd()
    told["warm"] = [why(lambda: runtime.invoke("warm"))[0] for _ in range(20)]
    told["cold"] = [why(lambda: runtime.invoke("cold")) for _ in range(5)]
    disperse(there)
    told["again"] = [why(lambda: runtime.invoke(name))[0] for name in ("warm", "cold")]
    told["serving"] = [one["serving"] for one in runtime.stats()["functions"].values()]
print(json.dumps(told))
"""
        )
    )

    assert ["done"] * 20 == found["warm"]
    assert {"OverloadedError"} == {name for name, _ in found["cold"]}
    assert all("Resource temporarily unavailable" in text for _, text in found["cold"])
    assert ["done", "done"] == found["again"]
    assert [0, 0] == found["serving"]


@can_be_limited
@in_a_tier_for_all
@pytest.mark.parametrize("verb", ["invoke", "submit"])
@pytest.mark.parametrize("room", range(1, 7))
def test_room_for_a_part_of_a_first_call(
    host: Callable[..., Program], verb: str, room: int
) -> None:
    """
    The first call of a program starts threads, a zygote, a worker, a standby. With room for so
    many of them it is refused or done, soon; with room for all the next one is done.
    """
    found = told(
        host(
            UNPRIVILEGED
            + FEW
            + CROWD
            + """
import time
room, verb = int(sys.argv[1]), sys.argv[2]
with Runtime(isolation=ISOLATION) as runtime:
    runtime.register("new", **options("whoami", initialization_timeout=5.0))

    def call():
        if verb == "invoke":
            return runtime.invoke("new")
        return runtime.submit("new").result(20)

    there = crowd()
    disperse(there, room)
    began = time.monotonic()
    told["first"] = [why(call) for _ in range(3)]
    told["took_s"] = time.monotonic() - began
    disperse(there)
    began = time.monotonic()
    told["again"] = why(call)
    told["took_s"] += time.monotonic() - began
    told["serving"] = [one["serving"] for one in runtime.stats()["functions"].values()]
print(json.dumps(told))
""",
            str(room),
            verb,
        )
    )

    for outcome, text in found["first"]:
        assert outcome == "done" or (outcome == "OverloadedError" and text), text
    assert "done" == found["again"][0]
    assert [0] == found["serving"]
    assert found["took_s"] < 5.0


def test_no_thread_for_a_standby(
    isolation: str, handlers: Path, log: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A standby that could not even be begun is nobody that later callers could wait for."""
    tried = threading.Event()
    start = threading.Thread.start

    def start_no_standby(thread: threading.Thread) -> None:
        if thread.name.startswith("fc-runtime-background"):
            tried.set()
            raise RuntimeError("can't start new thread")
        start(thread)

    with Runtime(isolation=isolation, log=log) as runtime:
        runtime.register("who", code=handlers / "gate", handler="index.whoami")
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", start_no_standby)
            for _ in range(2):
                runtime.invoke("who")
            assert tried.wait(WITHIN_S)
        (pid,) = workers(log.of("zygote.started")[0]["pid"])
        os.kill(pid, signal.SIGKILL)
        until(lambda: not runtime.stats()["functions"]["who"]["idle"])

        try:
            assert runtime.submit("who").result(WITHIN_S).ok
        finally:
            runtime.close(0.0)


# -- disk --------------------------------------------------------------------------------------

FULL = """
import os, subprocess, sys, tempfile
if "IN_PRIVATE" not in os.environ:
    os.environ["IN_PRIVATE"] = "1"
    os.execvp("unshare", ["unshare", "-m", "--", sys.executable, *sys.orig_argv[1:]])
DISK, ZIP = sys.argv[1:3]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,nr_inodes=100", "none", DISK], check=True)
tempfile.tempdir = DISK


def fill_disk(what):
    # With bytes, or with files.
    try:
        if what == "bytes":
            with open(DISK + "/full", "wb", buffering=0) as full:
                while full.write(b"x" * 4096):
                    pass
        for number in range(1000):
            os.close(os.open(f"{DISK}/full-{number}", os.O_CREAT | os.O_WRONLY))
    except OSError as error:
        assert error.errno == errno.ENOSPC


def clear_disk():
    for name in os.listdir(DISK):
        if name.startswith("full"):
            os.unlink(f"{DISK}/{name}")


"""


@pytest.fixture
def package(handlers: Path, tmp_path: Path) -> Path:
    """The code of ``gate`` as a .zip, with half a MiB beside it."""
    path = tmp_path / "package.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(handlers / "gate" / "index.py", "index.py")
        archive.writestr("data.bin", bytes(MiB // 2))
    return path


def can_mount() -> bool:
    return shutil.which("unshare") is not None and os.getuid() == 0


@pytest.mark.skipif(not can_mount(), reason="needs root, to mount a small disk of its own")
@pytest.mark.parametrize(
    ("before", "what"),
    [
        ("the first", "bytes"),
        ("the first", "files"),
        ("another", "bytes"),
        ("another", "files"),
    ],
)
def test_no_disk_left(
    host: Callable[..., Program], package: Path, tmp_path: Path, before: str, what: str
) -> None:
    """
    A package that cannot be unpacked is refused, with the reason, and nothing of it stays on the
    disk; who is there already is served. With room again it is unpacked and serves.
    """
    disk = tmp_path / "disk"
    disk.mkdir()
    found = told(
        host(
            FULL
            + FEW
            + """
what, before = sys.argv[3:]
more = {**options("whoami"), "code": ZIP}
with Runtime(isolation=ISOLATION) as runtime:
    runtime.register("there", **(more if before == "another" else options("whoami")))
    runtime.invoke("there")
    fill_disk(what)
    told["refused"] = [why(lambda: runtime.register("zipped", **more)) for _ in range(3)]
    told["there"] = why(lambda: runtime.invoke("there"))[0]
    told["functions"] = sorted(runtime.functions())
    clear_disk()
    told["left"] = [folder for folder, _, _ in os.walk(DISK) if "zipped" in folder]
    told["again"] = why(lambda: runtime.register("zipped", **more))[0]
    told["answer"] = why(lambda: runtime.invoke("zipped"))[0]
told["at the end"] = os.listdir(DISK)
print(json.dumps(told))
""",
            str(disk),
            str(package),
            what,
            before,
        )
    )

    for kind, text in found["refused"]:
        assert "OverloadedError" == kind
        assert "No space left on device" in text
    assert "done" == found["there"]
    assert ["there"] == found["functions"]
    assert [] == found["left"]
    assert ["done", "done"] == [found["again"], found["answer"]]
    assert [] == found["at the end"]
