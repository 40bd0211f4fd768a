"""What a handler does with processes, and what it leaves behind, one function each."""

import asyncio
import concurrent.futures
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time


def say(who, pid=None):
    os.write(1, f"pid {identity(pid or os.getpid())} {who}\n".encode())


def identity(number):
    """How anybody knows this process, for good: numbers and namespaces are used again."""
    with open(f"/proc/{number}/stat") as told:
        started = told.read().rpartition(")")[2].split()[19]
    return f"{number}:{os.stat('/proc/self/ns/pid').st_ino}:{started}"


def dispatch(event, context):
    return globals()[event.decode()](event, context)


def pid(event, context):
    return os.getpid()


# -- processes that are waited for -------------------------------------------------------------


def check_output(event, context):
    return subprocess.check_output(["echo", "hello"])


def pipeline(event, context):
    return subprocess.run("cat | tr a-z A-Z", shell=True, input=event, capture_output=True).stdout


def exit_codes(event, context):
    codes = [subprocess.call(["true"]), subprocess.call(["false"])]
    codes.append(subprocess.call("exit 7", shell=True))
    codes.append(os.waitstatus_to_exitcode(os.system("exit 3")))
    child = subprocess.Popen(["sleep", "1000"])
    child.terminate()
    codes.append(child.wait())
    forked = os.fork()
    if not forked:
        os._exit(9)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1]))
    return codes


def fork_while_another_thread_logs(event, context):
    """Its lock is the child's as well, to whom nobody would give it back."""
    logs, may_go_on = threading.Event(), threading.Event()

    class Slow(logging.Handler):
        def emit(self, record):
            if record.msg == "slow":
                logs.set()
                may_go_on.wait()

    logger = logging.Logger("slow")
    logger.addHandler(Slow())
    thread = threading.Thread(target=logger.warning, args=("slow",))
    thread.start()
    logs.wait()
    told, tell = os.pipe()
    forked = os.fork()
    if not forked:
        logger.warning("quick")
        os.write(tell, b"alone" if threading.enumerate() == [threading.current_thread()] else b"")
        os._exit(1)
    os.close(tell)
    status = os.waitpid(forked, 0)[1]
    may_go_on.set()
    thread.join()
    with open(told) as answer:
        return [os.waitstatus_to_exitcode(status), answer.read()]


def failing_command(event, context):
    subprocess.run(["false"], check=True)


def missing_command(event, context):
    subprocess.run(["/no/such/binary"], check=True)


def square(n):
    return n * n


def pool(event, context):
    with multiprocessing.Pool(3) as workers:
        return workers.map(square, range(10))


def executor(event, context):
    with concurrent.futures.ProcessPoolExecutor(2) as workers:
        return list(workers.map(square, range(10)))


def process(event, context):
    parent, child = multiprocessing.Pipe()
    worker = multiprocessing.Process(target=child.send, args=("from the process",))
    worker.start()
    answer = parent.recv()
    worker.join()
    return [answer, worker.exitcode]


def spawned_process(event, context):
    method = multiprocessing.get_context("spawn")
    queue = method.Queue()
    worker = method.Process(target=queue.put, args=("spawned",))
    worker.start()
    answer = queue.get()
    worker.join()
    return [answer, worker.exitcode]


def asyncio_subprocess(event, context):
    async def run():
        process = await asyncio.create_subprocess_exec("echo", "hello", stdout=subprocess.PIPE)
        return (await process.communicate())[0]

    return asyncio.run(run())


def counted(event, context):
    for _ in range(int(event)):
        subprocess.run(["true"], check=True)


# -- processes that are left behind ------------------------------------------------------------


def leave_child(event, context):
    say("child", subprocess.Popen(["sleep", "1000"]).pid)
    return "left"


def leave_daemon(event, context):
    r, w = os.pipe()
    if not os.fork():
        os.setsid()
        if not os.fork():
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            say("daemon")
            os.environ.clear()
            os.write(w, b"x")
            os.closerange(0, 65536)
            while True:
                time.sleep(1000)
        os._exit(0)
    os.read(r, 1)
    os.wait()
    return "left"


def leave_writer(event, context):
    """A child that keeps writing to the log."""
    child = subprocess.Popen("while :; do echo late; done", shell=True)
    say("writer", child.pid)
    return "left"


def leave_stopped(event, context):
    child = subprocess.Popen("kill -STOP $$", shell=True)
    say("stopped", child.pid)
    os.waitpid(child.pid, os.WUNTRACED)
    return "left"


def leave_zombie(event, context):
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    return "left"


def leave_after_error(event, context):
    say("child", subprocess.Popen(["sleep", "1000"]).pid)
    raise LookupError("and left a child")


# -- copies of the worker ----------------------------------------------------------------------


def fork_and_return(event, context):
    """Parent and child both return: an answer each."""
    if os.fork():
        time.sleep(0.05)
        return "the worker's"
    return "the copy's"


def fork_twice(event, context):
    for _ in range(2):
        os.fork()
    time.sleep(0.05)
    return "anybody's"


def fork_and_raise(event, context):
    if os.fork():
        os.wait()
        return "the worker's"
    raise LookupError("the copy's")


def fork_and_exit(event, context):
    if os.fork():
        os.wait()
        return "the worker's"
    sys.exit(3)


def fork_and_answer_first(event, context):
    """The copy returns at once, the worker when the copy has ended."""
    if os.fork():
        os.wait()
        return "the worker's"
    return "the copy's"


# -- state -------------------------------------------------------------------------------------


def on_signal(number, frame):
    pass


def soil(event, context):
    os.chdir("/tmp")
    os.umask(0o077)
    os.environ["LEFT"] = "behind"
    os.environ["PATH"] = "/nowhere"
    del os.environ["HOME"]
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGUSR1, signal.SIGHUP):
        signal.signal(number, on_signal)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.alarm(1)
    return "soiled"


def soil_cwd(event, context):
    os.chdir("/")


def soil_umask(event, context):
    os.umask(0o777)


def soil_environment(event, context):
    os.environ["LEFT"] = "behind"


def soil_environment_deeply(event, context):
    os.environ = {"LEFT": "behind", "PATH": "/nowhere"}


def soil_handlers(event, context):
    signal.signal(signal.SIGTERM, on_signal)


def soil_alarm(event, context):
    signal.setitimer(signal.ITIMER_REAL, 0.2)


def soil_cpu_timers(event, context):
    signal.setitimer(signal.ITIMER_VIRTUAL, 100)
    signal.signal(signal.SIGPROF, on_signal)
    signal.setitimer(signal.ITIMER_PROF, 100)


def soil_mask(event, context):
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR1])


def look(event, context):
    umask = os.umask(0)
    os.umask(umask)
    signals = (
        signal.SIGTERM,
        signal.SIGINT,
        signal.SIGCHLD,
        signal.SIGUSR1,
        signal.SIGHUP,
        signal.SIGPIPE,
        signal.SIGPROF,
    )
    return {
        "cwd": os.getcwd(),
        "umask": umask,
        "environment": {name: os.environ[name] for name in sorted(os.environ)},
        "environment of a child": sorted(
            line
            for line in subprocess.check_output(["/usr/bin/env"]).decode().splitlines()
            if line.split("=")[0] in ("LEFT", "PATH", "HOME")
        ),
        "signals": [str(signal.getsignal(number)) for number in signals],
        "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "timers": [
            signal.getitimer(which)[0]
            for which in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
        ],
        "pid": os.getpid(),
    }


def children(event, context):
    """Pids of this process's own children."""
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return file.read().split()
