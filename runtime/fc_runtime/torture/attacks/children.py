"""What a handler starts, leaves behind, or copies itself into."""

import concurrent.futures
import asyncio
import errno
import json
import mmap
import multiprocessing
import os
import signal
import struct
import subprocess
import sys
import threading
import time

from door import MARK, door, forever, libc, show_mark

ARM = os.uname().machine == "aarch64"
LIMIT = 400  # of processes at the same time: a host without any limit shall not notice


# -- past the deadline -------------------------------------------------------------------------


def waiting_for_a_child():
    subprocess.run(["sleep", "999"])


def waiting_for_a_pipeline():
    subprocess.run("sleep 998 | sleep 999 | cat", shell=True)


def daemon():
    """Double fork, own session, no descriptors, no environment, deaf."""
    r, w = os.pipe()
    if not os.fork():
        os.setsid()
        if not os.fork():
            show_mark()
            os.environ.clear()
            os.chdir("/")
            os.write(w, b"x")
            os.closerange(0, 65536)
            forever()
        os._exit(0)
    os.wait()
    os.read(r, 1)
    os.close(r)
    os.close(w)


def exec_daemon():
    """The same, as another program: only its name is left of the mark."""
    r, w = os.pipe()
    if not os.fork():
        os.setsid()
        if not os.fork():
            os.dup2(os.open("/dev/null", os.O_RDWR), 0)
            os.closerange(3, w)
            os.set_inheritable(w, False)  # closed by the exec, which is what the reader waits for
            os.execve("/bin/sleep", [MARK, "997"], {})
        os._exit(0)
    os.close(w)
    os.wait()
    os.read(r, 1)
    os.close(r)


def daemon_and_hang():
    daemon()
    exec_daemon()
    while True:
        signal.pause()


# -- after a good end --------------------------------------------------------------------------


def leaving_a_child():
    subprocess.Popen(["sleep", "999"])
    return "left"


def leaving_a_daemon():
    daemon()
    return "left"


def leaving_a_program():
    exec_daemon()
    return "left"


def leaving_a_writer():
    subprocess.Popen("while :; do echo late; done", shell=True)
    return "left"


def leaving_a_stopped_child():
    child = os.fork()
    if not child:
        os.kill(os.getpid(), signal.SIGSTOP)
        forever()
    os.waitpid(child, os.WUNTRACED)
    return "left"


def leaving_zombies():
    for _ in range(50):
        if not os.fork():
            os._exit(0)
    return "left"


def leaving_what_keeps_being_born():
    """A chain of processes, each the parent of the next, is under way when the handler returns."""
    chain()
    return "left"


def renouncing_its_orphans():
    """Gives up being a subreaper, so that a daemon of it goes to somebody else."""
    libc.prctl(36, 0, 0, 0, 0)
    daemon()
    return "left"


def leaving_a_reaper():
    """A child that takes over the orphans below it, and has a daemon."""
    r, w = os.pipe()
    if not os.fork():
        libc.prctl(36, 1, 0, 0, 0)
        os.setsid()
        daemon()
        os.write(w, b"x")
        forever()
    os.read(r, 1)
    return "left"


def leaving_an_exited_thread_group():
    """A process whose first thread has ended: a zombie to look at, with a child and a thread."""
    r, w = os.pipe()
    if not os.fork():

        def go_on():
            if not os.fork():
                forever()
            os.write(w, b"x")
            forever()

        threading.Thread(target=go_on).start()
        libc.syscall(93 if ARM else 60, 0)  # exit, of this thread only
    os.read(r, 1)
    return "left"


# -- hiding ------------------------------------------------------------------------------------


def leaving_under_another_name():
    """A name to confuse whoever takes /proc/PID/stat apart."""
    r, w = os.pipe()
    if not os.fork():
        name = b") Z 0 (\n" + MARK.encode()[-6:]
        libc.prctl(15, name, 0, 0, 0)
        os.write(w, b"x")
        forever()
    os.read(r, 1)
    return "left"


def leaving_by_a_thread():
    """The child of a thread that is no more."""
    r, w = os.pipe()

    def start():
        if not os.fork():
            os.write(w, b"x")
            forever()

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    os.read(r, 1)
    return "left"


def leaving_a_sibling():
    """CLONE_PARENT: not a child of the worker's, but of whoever is its parent."""
    r, w = os.pipe()
    if libc.syscall(220 if ARM else 56, 0x8000 | signal.SIGCHLD, 0, 0, 0, 0) == 0:
        os.write(w, b"x")
        forever()
    os.close(w)
    os.read(r, 1)
    return "left"


def leaving_in_a_namespace():
    """The first process of a world of processes of its own, and a second one there."""
    r, w = os.pipe()
    if not os.fork():
        if libc.unshare(0x20000000) and libc.unshare(0x30000000):  # NEWPID, or NEWUSER with it
            os.write(w, b"-")
            os._exit(0)
        if not os.fork():
            os.fork()
            os.write(w, b"x")
            forever()
        os._exit(0)
    os.close(w)
    return "left" if os.read(r, 1) == b"x" else "not allowed"


def leaving_in_another_cgroup():
    """A daemon that goes to the topmost cgroup of every kind that lets it."""
    r, w = os.pipe()
    if not os.fork():
        os.setsid()
        if not os.fork():
            with open("/proc/self/mountinfo") as mounts:
                for line in mounts:
                    if " - cgroup" in line:
                        try:
                            with open(f"{line.split()[4]}/cgroup.procs", "w") as file:
                                file.write("0")
                        except OSError:
                            pass
            os.write(w, b"x")
            forever()
        os._exit(0)
    os.wait()
    os.read(r, 1)
    return "left"


def leaving_as_somebody_else():
    """A daemon that is another user's, if there are the rights to that."""
    r, w = os.pipe()
    if not os.fork():
        try:
            os.setgid(65534)
            os.setuid(65534)
        except OSError:
            pass
        show_mark()
        os.write(w, b"x")
        forever()
    os.read(r, 1)
    return "left"


def zygote():
    """The worker's parent, if it is one that may be harmed: never anybody else."""
    parent = os.getppid()
    with open(f"/proc/{parent}/cmdline", "rb") as file:
        if parent > 1 and b"fc_worker.zygote" in file.read():
            return parent
    raise OSError("there is no zygote to be seen")


def killing_its_zygote():
    try:
        os.kill(zygote(), signal.SIGKILL)
    except OSError:
        return "refused"
    return "killed"


def stopping_its_zygote():
    """Whoever is to report that this process has ended does not."""
    try:
        os.kill(zygote(), signal.SIGSTOP)
    except OSError:
        pass
    os._exit(3)


def killing_its_zygote_and_leaving():
    """With both dead, a daemon belongs to nobody whom we know."""
    daemon()
    try:
        os.kill(zygote(), signal.SIGKILL)
    except OSError:
        pass
    os._exit(3)


# -- too many ----------------------------------------------------------------------------------


def budget():
    """A counter that all forks share; what it counts is bounded, though not exact."""
    return mmap.mmap(-1, 4096)


def take(counter):
    (used,) = struct.unpack_from("i", counter)
    struct.pack_into("i", counter, 0, used + 1)
    return used < LIMIT


def fork_bomb():
    """Everybody forks, and nobody leaves."""
    counter = budget()
    while take(counter):
        try:
            os.fork()
        except OSError:
            pass
    while True:
        signal.pause()


def fork_until_refused():
    """As many children as there may be; the kernel's answer to the one too many."""
    for number in range(LIMIT):
        try:
            child = os.fork()
        except OSError as error:
            return {"children": number, "errno": errno.errorcode[error.errno]}
        if not child:
            forever()
    return {"children": LIMIT, "errno": None}


def threads_until_refused():
    hold = threading.Event()
    for number in range(LIMIT):
        try:
            threading.Thread(target=hold.wait, daemon=True).start()
        except RuntimeError:
            hold.set()
            return {"threads": number, "refused": True}
    hold.set()
    return {"threads": LIMIT, "refused": False}


def chain():
    """Each forks the next and goes: whoever is found has gone when the signal comes."""
    until = time.monotonic() + 8
    if not os.fork():
        while time.monotonic() < until:
            if os.fork():
                os._exit(0)
        os._exit(0)


def fork_race():
    for _ in range(3):
        chain()
    while True:
        signal.pause()


# -- copies of the worker ----------------------------------------------------------------------


def returning_twice():
    if os.fork():
        time.sleep(0.05)
        return "the worker's"
    return "the copy's"


def raising_in_the_copy():
    if os.fork():
        os.wait()
        return "the worker's"
    raise LookupError("the copy's")


def killed_by_its_child():
    parent = os.getpid()
    if not os.fork():
        os.kill(parent, signal.SIGKILL)
        os._exit(0)
    while True:
        signal.pause()


# -- what has to work --------------------------------------------------------------------------


def commands():
    listed = subprocess.check_output(["ls", "-l", os.path.dirname(__file__)])
    try:
        subprocess.run(["false"], check=True)
    except subprocess.CalledProcessError as error:
        failed = error.returncode
    try:
        subprocess.run(["/no/such/program"])
    except FileNotFoundError:
        missing = True
    return [b"door.py" in listed, failed, missing, os.waitstatus_to_exitcode(os.system("exit 3"))]


def square(n):
    return n * n


def fork_in_fork():
    """A child that has a child of its own, and hears from it by a pipe."""
    outer_r, outer_w = os.pipe()
    if not os.fork():
        r, w = os.pipe()
        if not os.fork():
            os.write(w, b"from the grandchild")
            os._exit(0)
        os.close(w)
        os.write(outer_w, os.read(r, 100))
        os._exit(0)
    os.close(outer_w)
    heard = os.read(outer_r, 100)
    os.close(outer_r)
    os.wait()
    return heard


def libraries():
    """All that starts processes, within the handler."""

    async def run():
        process = await asyncio.create_subprocess_exec("echo", "3", stdout=subprocess.PIPE)
        return int((await process.communicate())[0])

    with multiprocessing.Pool(2) as pool:
        first = pool.map(square, range(3))
    with concurrent.futures.ProcessPoolExecutor(2) as executor:
        second = list(executor.map(square, range(3)))
    return [first, second, asyncio.run(run())]


dispatch = door(globals())
