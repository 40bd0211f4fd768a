"""What a first instance imported, the next generation of its zygote imports before it forks."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from fc_runtime import Result, Runtime
from support.installed import interpreter, outside
from support.stage import Recorder, until, wait_gone

__all__ = ["interpreter", "outside"]

# Enough to be worth a generation.
SLOW = """
import time
began = time.process_time()
while time.process_time() < began + 0.08:
    pass
"""
GENERATION_S = 40.0  # a real one takes the time of its imports, three times
TELLS = """
import os, sys
HAD = {{name for name in {names!r} if name in sys.modules}}
import {imports}
def handler(event, context):
    return {{
        "had": sorted(HAD),
        "importers": {{name: getattr(sys.modules[name], "PID", 0) for name in {names!r}}},
        "zygote": os.getppid(),
    }}
"""

Tell = Callable[..., Path]


@pytest.fixture(autouse=True)
def good(outside: Path) -> None:
    """A module that is worth learning, and can be."""
    (outside / "good.py").write_text(f"{SLOW}import os\nPID = os.getpid()\n")


@pytest.fixture
def telling(tmp_path: Path) -> Tell:
    """Writes a handler that imports modules and tells which of them were there before it did."""

    def write(*names: str) -> Path:
        code = tmp_path / "code"
        code.mkdir(exist_ok=True)
        text = TELLS.format(names=names, imports=", ".join(names))
        (code / "index.py").write_text(text)
        return code

    return write


def learned(log: Recorder) -> dict[str, Any]:
    """What the generation that has come up tells, once it serves."""
    (told,) = log.wait_for("zygote.learned", within_s=GENERATION_S)
    return told


def an_instance_of(runtime: Runtime, name: str, zygote: int) -> Result:
    """The answer of an instance that this zygote has forked; older ones are worn out first."""
    found: Result = until(
        lambda: (result := runtime.invoke(name)).json()["zygote"] == zygote and result,
        what="an instance of the new generation",
    )
    return found


def test_what_the_first_instance_imported_is_there_before_the_next_begins(
    runtime: Runtime, telling: Tell, log: Recorder
) -> None:
    """It has been imported once, by the zygote; the one that had to do without goes."""
    runtime.register("f", code=telling("good"), max_invocations=1)

    first = runtime.invoke("f").json()
    told = learned(log)
    later = an_instance_of(runtime, "f", told["pid"]).json()

    assert ([], ["good"]) == (first["had"], later["had"])
    assert told["pid"] == later["importers"]["good"] != first["zygote"]
    assert (["good"], {}, None) == (told["modules"], told["refused"], told["spoilt"])
    log.wait_for("zygote.exited", pid=first["zygote"])
    assert psutil.pid_exists(told["pid"])


def test_numpy_and_oss2_are_learned(runtime: Runtime, telling: Tell, log: Recorder) -> None:
    """Threads that end themselves before a fork are none, and only outermost imports are named."""
    pytest.importorskip("numpy")
    pytest.importorskip("oss2")
    code = telling("numpy", "oss2")
    runtime.register("f", code=code, max_invocations=1, timeout=30.0, memory_mb=1024)

    runtime.invoke("f")
    told = learned(log)

    assert (["numpy", "oss2"], {}) == (told["modules"], told["refused"])
    assert ["numpy", "oss2"] == an_instance_of(runtime, "f", told["pid"]).json()["had"]


def test_no_two_instances_draw_the_same_numbers(
    runtime: Runtime, tmp_path: Path, log: Recorder
) -> None:
    """A generator that is seeded when its module is imported is seeded again after the fork."""
    pytest.importorskip("numpy")
    (tmp_path / "index.py").write_text(
        "import os, random, numpy.random\n"
        "def handler(event, context):\n"
        "    drawn = [random.random(), float(numpy.random.rand())]\n"
        "    return {'drawn': drawn, 'zygote': os.getppid()}\n"
    )
    runtime.register("f", code=tmp_path, max_invocations=1, timeout=30.0, memory_mb=1024)
    runtime.invoke("f")
    pid = learned(log)["pid"]

    drawn = [an_instance_of(runtime, "f", pid).json()["drawn"] for _ in range(3)]

    assert 6 == len({number for numbers in drawn for number in numbers})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import threading; threading.Thread(target=time.sleep, args=[600]).start()", "a thread"),
        (
            (
                "import os, threading\n"
                "def start(): threading.Thread(target=time.sleep, args=[600], daemon=True).start()\n"
                "os.register_at_fork(after_in_child=start)"
            ),
            "a thread",
        ),
        ("import os; KEPT = os.open('/dev/null', os.O_RDONLY)", "a descriptor"),
        ("import mmap; KEPT = mmap.mmap(-1, 4096)", "memory that is shared"),
        ("import subprocess; KEPT = subprocess.Popen(['sleep', '600'])", "a process"),
        ("import os; os.environ['LEFT'] = 'behind'", "the environment"),
        ("import os; os.chdir('/')", "the working directory"),
        ("import os; os.umask(0o007)", "the umask"),
        ("import signal; signal.signal(signal.SIGTERM, print)", "handles signals"),
        ("import signal; signal.setitimer(signal.ITIMER_REAL, 600)", "a timer"),
        ("import gc; gc.disable()", "garbage collector"),
        ("print('hello')", "writes to the log"),
        ("import sys; sys.stdout = sys.__stderr__", "a stream"),
    ],
)
def test_what_a_fork_must_not_share_is_left_to_the_instances(
    runtime: Runtime, outside: Path, telling: Tell, log: Recorder, *, text: str, reason: str
) -> None:
    """The module is refused, the log says why, and what else was imported is learned all the same."""
    (outside / "unfit.py").write_text(f"import time\n{text}\n")
    runtime.register("f", code=telling("unfit", "good"), max_invocations=1)

    assert runtime.invoke("f").ok
    told = learned(log)

    assert {"unfit"} == set(told["refused"])
    assert reason in told["refused"]["unfit"]
    later = an_instance_of(runtime, "f", told["pid"])
    assert ["good"] == later.json()["had"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("raise ValueError('not twice')", "ValueError: not twice"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("os._exit(3)", "ended the process (3)"),
        ("os.kill(os.getpid(), 11)", "ended the process (-11)"),
    ],
)
def test_a_module_that_fails_in_the_zygote_breaks_nothing(
    runtime: Runtime,
    outside: Path,
    telling: Tell,
    log: Recorder,
    *,
    tmp_path: Path,
    text: str,
    reason: str,
) -> None:
    """The first import, an instance's, goes well; the second, the trial's, does not."""
    mark = tmp_path / "mark"
    (outside / "unfit.py").write_text(
        f"import os\nif os.path.exists({str(mark)!r}):\n    os.unlink({str(mark)!r})\n    {text}\n"
    )
    runtime.register("f", code=telling("good", "unfit"), max_invocations=1)
    runtime.warm("f", 1)
    mark.touch()

    told = learned(log)

    assert (["good"], {"unfit"}) == (told["modules"], set(told["refused"]))
    assert reason in told["refused"]["unfit"]
    assert ["good"] == an_instance_of(runtime, "f", told["pid"]).json()["had"]


def test_denied_modules_and_what_imports_them(
    runtime: Runtime, outside: Path, telling: Tell, log: Recorder
) -> None:
    """``preload_denied`` holds for a module wherever its import is hidden."""
    (outside / "denied.py").write_text("")
    (outside / "hides_it.py").write_text("import denied\n")
    code = telling("hides_it", "good", "denied")
    runtime.register("f", code=code, max_invocations=1, preload_denied=["denied"])

    runtime.invoke("f")
    told = learned(log)

    assert ["good"] == told["modules"]
    assert {
        "hides_it": "it imports denied: preload_denied names it",
        "denied": "preload_denied names it",
    } == told["refused"]


def test_nothing_of_the_functions_own_runs_in_the_zygote(
    runtime: Runtime, outside: Path, telling: Tell, tmp_path: Path, log: Recorder
) -> None:
    """
    Modules of code folder and layers are left to the instances, and so is what would pick up one
    of them, even where it could do without.
    """
    layer = tmp_path / "layer"
    (layer / "python").mkdir(parents=True)
    code = telling("picks_it_up", "good", "mine", "layered")
    for place, name in ((code, "mine"), (layer / "python", "layered")):
        (place / f"{name}.py").write_text("import os\nPID = os.getpid()\n")
    (outside / "picks_it_up.py").write_text("try: import mine\nexcept ImportError: pass\n")
    runtime.register("f", code=code, layers=[layer], max_invocations=1)

    runtime.invoke("f")
    told = learned(log)
    later = an_instance_of(runtime, "f", told["pid"]).json()

    assert (["good"], {"picks_it_up"}) == (told["modules"], set(told["refused"]))
    assert "mine" in told["refused"]["picks_it_up"]
    assert ["good"] == later["had"]
    assert told["pid"] not in {later["importers"]["mine"], later["importers"]["layered"]}


def test_new_code_knows_nothing_of_what_the_old_imported(
    runtime: Runtime, outside: Path, telling: Tell, log: Recorder
) -> None:
    """Registered again, a function starts with a plain zygote, and learns what it imports now."""
    (outside / "other.py").write_text(f"{SLOW}import os\nPID = os.getpid()\n")
    runtime.register("f", code=telling("good"), max_invocations=1)
    runtime.invoke("f")
    old = learned(log)["pid"]

    runtime.register("f", code=telling("other", "good"), max_invocations=1)
    first = runtime.invoke("f").json()

    assert [] == first["had"]
    assert old != first["zygote"]
    told = log.wait_for("zygote.learned", 2, GENERATION_S)[1]
    assert ["other", "good"] == told["modules"]


def test_a_quick_start_and_an_unwilling_function_learn_nothing(
    runtime: Runtime, telling: Tell, log: Recorder, tmp_path: Path
) -> None:
    """No second zygote for what costs next to nothing, nor with ``preload_learned=False``."""
    quick = tmp_path / "quick"
    quick.mkdir()
    (quick / "index.py").write_text("import colorsys\ndef handler(event, context): return event\n")
    runtime.register("quick", code=quick)
    runtime.register("unwilling", code=telling("good"), preload_learned=False)
    runtime.register("f", code=telling("good"))
    for name in ("quick", "unwilling", "f"):
        runtime.invoke(name)

    learned(log)  # by then the others would have begun

    started = {name: len(log.of("zygote.started", function=name)) for name in runtime.functions()}
    assert {"quick": 1, "unwilling": 1, "f": 2} == started


def test_nobody_waits_for_a_generation_that_does_not_come(
    runtime: Runtime, outside: Path, telling: Tell, tmp_path: Path, log: Recorder
) -> None:
    """
    While its trial hangs the old zygote forks on, and the end of the runtime is the end of both.
    """
    mark, trial = tmp_path / "mark", tmp_path / "trial"
    os.mkfifo(trial)
    (outside / "hanging.py").write_text(
        f"import os, time\nif os.path.exists({str(mark)!r}):\n"
        f"    open({str(trial)!r}, 'w').write(str(os.getpid()))\n    time.sleep(3600)\n"
    )
    runtime.register("f", code=telling("good", "hanging"), min_instances=3)
    runtime.warm("f", 3)
    old = runtime.invoke("f").json()["zygote"]
    mark.touch()

    hanging = int(trial.read_text())
    mark.unlink()
    runtime.warm("f", 5)
    runtime.close(drain=0.0)

    assert [] == log.of("zygote.learned")
    assert {old} < {event["pid"] for event in log.of("zygote.started")}
    assert wait_gone(hanging)


def test_a_generation_that_is_killed_while_it_comes_up(
    runtime: Runtime, outside: Path, telling: Tell, tmp_path: Path, log: Recorder
) -> None:
    """The one that serves is none the worse, and what the trial had started is gone with it."""
    mark, trial = tmp_path / "mark", tmp_path / "trial"
    os.mkfifo(trial)
    (outside / "hanging.py").write_text(
        f"import os, time\nif os.path.exists({str(mark)!r}):\n"
        f"    open({str(trial)!r}, 'w').write(str(os.getpid()))\n    time.sleep(3600)\n"
    )
    runtime.register("f", code=telling("good", "hanging"))
    runtime.warm("f", 1)
    mark.touch()
    hanging = int(trial.read_text())
    mark.unlink()
    coming = log.of("zygote.started")[1]["pid"]

    os.kill(coming, signal.SIGKILL)

    log.wait_for("zygote.exited", pid=coming)
    assert wait_gone(hanging)
    runtime.warm("f", 4)
    assert coming != runtime.invoke("f").json()["zygote"]
