"""
From a fresh process to a worker: what a fork inherits from the zygote is prepared here once, and
what is each instance's own is done here in its own process.

Two ways in: forked by the zygote, or, when it may not fork, exec'd, with all it has to know in a
memfd.
"""

import importlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Never

import msgpack

from fc_worker import capture, fork_hooks, keys, messages as m, sandbox, serve
from fc_worker.kernel import become_subreaper
from fc_worker.lane import Window
from fc_worker.load import prepare_sys_path
from fc_worker.readied import Readied
from fc_worker.rooms import Stage

DESCRIPTORS: Final = 5  # request in, response out, log, stacks, window
EXEC_BOOT: Final = "from fc_worker.birth import exec_main; exec_main()"
MOST_WORDS: Final = 4096  # about a birth, or why there was none


def prepare(config: m.WorkerConfig) -> Readied:
    """
    All that a fork inherits, done once in the zygote and not in the time of every cold start:
    limits, environment, folder, streams (objects over descriptors 0 to 2, whatever those are),
    and what is returned.
    """
    with suppress(OSError):
        # The kernel's own OOM killer shall take a worker before anything else on the host.
        oom = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
        os.write(oom, b"700")
        os.close(oom)
    if config.preload or config.learned:
        fork_hooks.restore()
    environment = environment_of(config)
    os.environ.clear()
    os.environ.update(environment)
    if "TZ" in environment:
        time.tzset()
    if not config.sealed:
        os.chdir(config.code)
    # Also: nothing printed by a preload may wait in a buffer for the first worker.
    capture.install()
    serve.watch_crashes()
    return Readied(config)


def work(
    readied: Readied,
    descriptors: list[int],
    stage: Stage,
    preload: Sequence[str] = (),
) -> Never:
    """Turn this fresh process, in which all is prepared, into a worker."""
    request_fd, response_fd, log_fd, stack_fd, window_fd = descriptors
    refusal: sandbox.SandboxError | None = None
    try:
        sandbox.enter(readied.config.plan, stage)
    except sandbox.SandboxError as error:
        refusal = error
        if stage.births_fd >= 0:  # nobody is a worker yet
            os.write(stage.births_fd, str(refusal).encode())
            os._exit(sandbox.FAILED_EXIT_CODE)
    if stage.owners_fd >= 0:
        os.close(stage.owners_fd)
    os.setsid()
    become_subreaper()
    os.dup2(log_fd, 1)
    os.dup2(log_fd, 2)
    os.close(log_fd)
    window = Window(window_fd)
    os.close(window_fd)
    for name in preload if not refusal else ():
        with suppress(Exception, SystemExit):  # the handler's own import tells what is wrong
            importlib.import_module(name)
    if preload:
        take_back_keys(readied.config)
    _reseed()
    fork_hooks.restore()
    serve.watch_deadlines(stack_fd)
    serve.Worker(readied, request_fd, response_fd, window, refusal).run()


def take_back_keys(config: m.WorkerConfig) -> None:
    """Those that a preload has put into the environment are not the function's."""
    keys.adopt(None, config.environment)


def _reseed() -> None:
    """A generator that was seeded before the fork would give every instance the same numbers."""
    module = sys.modules.get("numpy.random")  # that of `random` sees to it by itself
    if module is not None:
        with suppress(Exception):  # somebody has put another generator in its place
            module.seed()


def environment_of(config: m.WorkerConfig) -> dict[str, str]:
    """What a function's process starts with (spec 9.B): FC's names win over the function's."""
    layers = [f"{layer}/bin" for layer in config.layers]
    return {
        "PATH": ":".join([*layers, "/opt/bin", "/usr/local/bin", "/usr/bin", "/bin"]),
        "LANG": "C.UTF-8",
        "HOME": "/tmp",  # noqa: S108 (FC's only writable folder)
        "PYTHONIOENCODING": "utf-8:surrogateescape",
        # As the zygote was exec'd with it, unless sealed: the dynamic loader reads it only then.
        "LD_LIBRARY_PATH": config.library_path(),
        **config.environment,
        "FC_FUNC_CODE_PATH": config.code,
        "FC_FUNCTION_NAME": config.function,
        "FC_FUNCTION_HANDLER": config.handler,
        "FC_FUNCTION_MEMORY_SIZE": str(config.memory_mb),
        "FC_ACCOUNT_ID": config.account_id,
        "FC_REGION": config.region,
        "FC_SERVICE_NAME": config.service,
        "FC_QUALIFIER": config.qualifier,
        "FC_VER_ID": config.version_id,
        "FC_RUNTIME_VERSION": f"python{sys.version_info.major}.{sys.version_info.minor}",
    }


def boot_code(statement: str) -> str:
    """``python -c`` text that finds our packages wherever they are; sys.path stays as it was."""
    files = map(os.path.abspath, (__file__, msgpack.__file__))
    homes = [os.path.dirname(os.path.dirname(file)) for file in files]
    return (
        f"import sys; fresh = [path for path in {homes!r} if path not in sys.path]; "
        "sys.path[:0] = fresh; import fc_worker.zygote; "
        f"sys.path[:] = sys.path[len(fresh):]; {statement}"
    )


def whom(told: bytes) -> tuple[int, int]:
    """
    Pids of process 1 and of the worker, from what was *told* of their births. Raises OSError,
    with what the plan failed at.
    """
    if len(told) != sandbox.BIRTHS.size:
        raise OSError(told.decode("utf-8", "replace") or "the sandbox could not be entered")
    first, worker = sandbox.BIRTHS.unpack(told)
    return first, worker


def fresh_signals() -> None:
    """Nothing of the host's signal set-up reaches a handler."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)


def by_exec(config: m.WorkerConfig, descriptors: list[int], stage: Stage) -> int:
    """Start a worker where forking is not safe: a thread may hold anything. Its pid."""
    told = os.memfd_create("fc-config", os.MFD_CLOEXEC)
    shared = [fd for fd in (stage.births_fd, stage.owners_fd) if fd >= 0]
    first = max(*descriptors, told, *shared, 0) + 1  # so that no dup2 hits another's source
    numbers = {fd: first + index for index, fd in enumerate([*descriptors, told, *shared])}
    brought = {
        "config": config.to_map(),
        "join": list(stage.join),
        "scratch": stage.scratch,
        "births_fd": numbers.get(stage.births_fd, -1),
        "owners_fd": numbers.get(stage.owners_fd, -1),
    }
    os.write(told, msgpack.packb(brought))
    actions = [(os.POSIX_SPAWN_DUP2, fd, number) for fd, number in numbers.items()]
    try:
        return os.posix_spawn(
            sys.executable,
            [
                sys.executable,
                "-P",
                "-W",
                "ignore",
                "-c",
                boot_code(EXEC_BOOT),
                str(first),
                config.function,
            ],
            {
                name: value
                for name, value in os.environ.items()
                if not (config.sealed and name.startswith("LD_"))
            },
            file_actions=actions,
        )
    finally:
        os.close(told)


def exec_main() -> None:
    """``python -c … FIRST_FD FUNCTION``: a worker that could not be forked."""
    first = int(sys.argv[1])
    *descriptors, told_fd = range(first, first + DESCRIPTORS + 1)
    sys.argv[1:] = []
    sys.dont_write_bytecode = True
    size = os.fstat(told_fd).st_size
    brought = msgpack.unpackb(os.pread(told_fd, size, 0))
    os.close(told_fd)
    stage = Stage(brought["join"], brought["scratch"], brought["births_fd"], brought["owners_fd"])
    for fd in (*descriptors, stage.births_fd, stage.owners_fd):
        if fd >= 0:
            os.set_inheritable(fd, False)
    fresh_signals()
    config = m.WorkerConfig.from_map(brought["config"])
    readied = prepare(config)
    prepare_sys_path(config.code, config.layers)
    try:
        work(readied, descriptors, stage, config.preload)
    finally:
        os._exit(70)
