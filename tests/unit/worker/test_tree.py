"""
Process trees by /proc. These tests start real processes, and wait on pipes and pidfds for them.
"""

import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fc_worker import tree

PYTHON = [sys.executable, "-I", "-S", "-c"]
WORKER = str(Path(tree.__file__).parents[1])
# Two below the root, and one below each; everybody says who he is.
FAMILY = """
sh -c 'sleep 1000 & echo $!; echo $$; wait' &
sh -c 'sleep 1000 & echo $!; echo $$; wait' &
wait
"""
# Processes that each start the next and end: whoever is found has a successor already.
HOPPERS = """
import os, sys
def hop():
    for _ in range(4_000):  # each stays a zombie of the stopped root: a host has 32,768 numbers
        if os.fork():
            os._exit(0)
    os._exit(0)
if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    from fc_worker import kernel
    kernel.become_subreaper()
    for _ in range(6):
        if not os.fork():
            hop()
    os.close(int(sys.argv[2]))
    os.write(1, b"up")
    os.read(0, 1)
"""
# Its first thread ends, as pthread_exit() would; the second one has a child.
HEADLESS = """
import ctypes, os, subprocess, threading
def go_on():
    stat = f"/proc/self/task/{os.getpid()}/stat"
    while open(stat).read().rpartition(")")[2].split()[0] != "Z":
        pass
    child = subprocess.Popen(["sleep", "1000"])
    os.write(1, f"{os.getpid()} {child.pid}\\n".encode())
    child.wait()
threading.Thread(target=go_on).start()
ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[os.uname().machine], 0)
"""


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts a program; at the end it and everybody below it is killed."""
    started: list[subprocess.Popen[bytes]] = []

    def run(*command: str, **options: Any) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            tree.kill_descendants(process.pid)
            process.kill()
        process.communicate()


@pytest.fixture
def family(start: Callable[..., subprocess.Popen[bytes]]) -> tuple[int, set[int]]:
    """A root with two children and two grandchildren: its pid, and theirs."""
    root = start("sh", "-c", FAMILY)
    assert root.stdout is not None
    return root.pid, {int(root.stdout.readline()) for _ in range(4)}


def spawn(*command: str) -> int:
    """A child of this very process, without `subprocess`, which would want to reap it."""
    return os.posix_spawnp(command[0], command, os.environ)


def ended(pid: int, within_s: float = 10.0) -> bool:
    """Has it ended, or does it now?"""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        return bool(poller.poll(within_s * 1000))
    finally:
        os.close(pidfd)


def zombie() -> int:
    pid = spawn("true")
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return pid


def gone() -> int:
    pid = spawn("true")
    os.waitpid(pid, 0)
    return pid


def test_children_and_descendants(family: tuple[int, set[int]]) -> None:
    """Children are the direct ones; descendants all of them; nobody is his own."""
    root, below = family
    direct = set(tree.children(root))

    assert 2 == len(direct)
    assert direct < below
    assert below == set(tree.descendants(root))
    assert 4 == len(tree.descendants(root))
    assert {root} <= set(tree.children(os.getpid()))
    assert {root, *below} <= set(tree.descendants(os.getpid()))


def test_spared_branches(family: tuple[int, set[int]]) -> None:
    """Who is spared is left out with everybody below him."""
    root, below = family
    spared = tree.children(root)[0]

    assert below - {spared} - set(tree.children(spared)) == set(
        tree.descendants(root, spare=[spared])
    )
    assert [] == tree.descendants(root, spare=tree.children(root))


def test_the_scan_equals_the_children_files(
    family: tuple[int, set[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel without the children files is told the same from everybody's parent pid."""
    root, below = family
    pids = [os.getpid(), root, *below]
    by_files = [sorted(tree.children(pid)) for pid in pids]
    monkeypatch.setattr(tree, "_HAS_CHILDREN_FILES", False)

    assert by_files == [sorted(tree.children(pid)) for pid in pids]
    assert below == set(tree.descendants(root))


def test_the_scan_passes_over_what_it_may_not_see(
    family: tuple[int, set[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a /proc that hides other users' processes, ours are still found."""
    root, below = family

    def guarded(path: str, *args: Any, **options: Any) -> Any:
        if path == "/proc/1/stat":
            raise PermissionError(path)
        return Path(path).open(*args, **options)

    monkeypatch.setattr(tree, "open", guarded, raising=False)

    assert set(tree.children(root)) == set(tree._children_by_scan(root))
    assert set(tree.children(root)) < below


def test_children_of_another_thread() -> None:
    """The kernel lists children by the thread that started them: all threads are asked."""
    pids: list[int] = []
    started, leave = threading.Event(), threading.Event()

    def run() -> None:
        pids.append(spawn("sleep", "1000"))
        started.set()
        leave.wait(10)

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(10)

    assert pids[0] in tree.children(os.getpid())
    os.kill(pids[0], signal.SIGKILL)
    leave.set()
    thread.join()
    os.waitpid(pids[0], 0)


def test_zombies_are_children() -> None:
    """Somebody has to reap them, so they are told; who is gone has none, and is none."""
    dead = zombie()
    assert dead in tree.children(os.getpid())
    assert [] == tree.children(dead)
    assert [] == tree._children_by_scan(dead)

    os.waitpid(dead, 0)
    assert dead not in tree.children(os.getpid())
    assert [] == tree.children(dead)
    assert [] == tree.descendants(dead)


@pytest.mark.parametrize("ask", [tree.is_zombie, tree.is_exiting])
def test_the_living_and_the_dead(ask: Callable[[int], bool]) -> None:
    """Alive: no. Dead and not waited for: yes. Gone: yes."""
    assert not ask(os.getpid())
    dead = zombie()
    assert ask(dead)
    os.waitpid(dead, 0)
    assert ask(gone())


def test_the_stopped_are_alive(start: Callable[..., subprocess.Popen[bytes]]) -> None:
    """A stopped process is neither dead nor dying."""
    pid = start("cat").pid
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)

    assert not tree.is_zombie(pid)
    assert not tree.is_exiting(pid)


def test_a_name_made_to_mislead(
    tmp_path: Path, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    """A process names itself as it likes: parentheses, spaces and states in it change nothing."""
    liar = tmp_path / "x) Z 1 4 4 4 4"
    liar.symlink_to("/bin/sh")
    process = start(str(liar), "-c", "echo up; read line")
    assert process.stdout is not None
    process.stdout.readline()

    assert b") Z 1" in Path(f"/proc/{process.pid}/stat").read_bytes()
    assert not tree.is_zombie(process.pid)
    assert not tree.is_exiting(process.pid)
    assert process.pid in tree._children_by_scan(os.getpid())


def test_a_tree_is_killed(family: tuple[int, set[int]]) -> None:
    """Everybody below is killed and counted; the root is left to whoever asked."""
    root, below = family

    assert 4 == tree.kill_descendants(root)
    assert all(map(ended, below))
    assert not ended(root, within_s=0) or tree.is_zombie(root)


def test_the_stopped_are_killed(family: tuple[int, set[int]]) -> None:
    """SIGKILL needs nobody's cooperation, not even that of who has stopped himself."""
    root, below = family
    for pid in below:
        os.kill(pid, signal.SIGSTOP)

    assert 4 == tree.kill_descendants(root)
    assert all(map(ended, below))


def test_nobody_below() -> None:
    """Nothing to do is no error, nor is somebody who is gone."""
    assert 0 == tree.kill_descendants(gone())


def test_no_time_at_all(family: tuple[int, set[int]]) -> None:
    """Without time to look nobody is found: the bound is kept, the caller looks again."""
    root, below = family

    assert 0 == tree.kill_descendants(root, within_s=0)
    assert below == set(tree.descendants(root))


def test_a_tree_that_forks_faster_than_one_looks(
    start: Callable[..., subprocess.Popen[bytes]],
) -> None:
    """
    Processes that fork and end without pause cannot outrun it for long: looked at again and again
    below a root that holds their orphans, nobody is left.
    """
    watched, held = os.pipe()  # at its end when nobody is left who holds the other end
    root = start(*PYTHON, HOPPERS, WORKER, str(held), pass_fds=[held])
    os.close(held)
    assert root.stdout is not None
    assert b"up" == root.stdout.read(2)
    os.kill(root.pid, signal.SIGSTOP)
    poller = select.poll()
    poller.register(watched, 0)

    assert any(tree.kill_descendants(root.pid) >= 0 and poller.poll(20) for _ in range(50))
    os.close(watched)


def test_a_process_whose_first_thread_has_ended(
    start: Callable[..., subprocess.Popen[bytes]],
) -> None:
    """It looks like a zombie, but its other threads go on, and so may their children: all are killed."""
    root = start("sh", "-c", '"$@" & wait', "sh", *PYTHON, HEADLESS)
    assert root.stdout is not None
    headless, child = map(int, root.stdout.readline().split())

    assert tree.is_zombie(headless)
    assert {headless, child} == set(tree.descendants(root.pid))
    tree.kill_descendants(root.pid)
    assert ended(child)
    assert ended(headless)


def test_sweeping_spares_who_is_known() -> None:
    """Strays are ended and reaped; known children, and what is not ours, are not touched."""
    known = [*tree.children(os.getpid()), spawn("sleep", "1000")]
    stray, dead = spawn("sleep", "1000"), zombie()

    assert (1, []) == tree.sweep_children(lambda: known)
    for pid in (stray, dead):
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    assert (0, 0) == os.waitpid(known[-1], os.WNOHANG)
    assert (0, []) == tree.sweep_children(lambda: known)

    assert (1, []) == tree.sweep_children(lambda: known[:-1])


def test_orphans_that_come_while_sweeping() -> None:
    """
    As a subreaper one inherits the children of one's dead: daemons that detached themselves and
    grandchildren that appear only when their parents are gone are ended as well.
    """
    program = """
import json, os, subprocess, sys
sys.path.insert(0, sys.argv[1])
from fc_worker import kernel, tree
kernel.become_subreaper()
daemon = "setsid sh -c 'sleep 1000 & sleep 1000 & wait' & exit 0"
subprocess.run(["sh", "-c", daemon])
subprocess.Popen(["sh", "-c", "sh -c 'sleep 1000 & wait' & wait"])
before = tree.descendants(os.getpid())
killed, survivors = tree.sweep_children()
told = [len(before), killed, survivors, tree.descendants(os.getpid())]
print(json.dumps(told), flush=True)
os._exit(0)
"""
    done = subprocess.run(
        [*PYTHON, program, WORKER], capture_output=True, timeout=20, check=True, text=True
    )
    before, killed, survivors, after = json.loads(done.stdout)

    assert before >= 1
    assert killed >= 1
    assert [] == survivors == after


def test_who_cannot_be_killed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweep keeps its bound, and tells the pids that are left."""
    known = tree.children(os.getpid())
    stray = spawn("sleep", "1000")
    with monkeypatch.context() as patched:
        patched.setattr(tree, "_signal", lambda _pid, _number: None)
        _, survivors = tree.sweep_children(lambda: known, within_s=0.05)

    assert [stray] == survivors
    assert (1, []) == tree.sweep_children(lambda: known)


@pytest.mark.parametrize("error", [ProcessLookupError, PermissionError])
def test_signals_that_do_not_arrive(
    monkeypatch: pytest.MonkeyPatch, error: type[OSError], family: tuple[int, set[int]]
) -> None:
    """Who is gone, or runs as somebody else, stops nobody from ending the others."""
    root, below = family
    refused = min(below - set(tree.children(root)))
    kill = os.kill

    def guarded(pid: int, number: int) -> None:
        if pid == refused:
            raise error
        kill(pid, number)

    with monkeypatch.context() as patched:
        patched.setattr(os, "kill", guarded)
        tree.kill_descendants(root)

    assert all(ended(pid) for pid in below - {refused})
    assert not ended(refused, within_s=0)
    os.kill(refused, signal.SIGKILL)


def test_reaping_who_is_not_there() -> None:
    """Gone, or another's child: nothing to wait for."""
    tree._reap([gone(), 1], 0.0)
