"""
What one invocation may not leave to the next (D11): working directory, umask, pending timers,
signal handlers, environment, and the streams. Taken once, after the initializer; put back after
every answer, while the caller is already gone.
"""

# The functions themselves, not those of `signal` and `os` that `Deeds` listens to.
import _signal  # type: ignore[import-not-found]
import errno
import os
import posix
import signal
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from fc_worker import capture
from fc_worker.learn import Imports

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_GROWTH: Final = 0.75
_SIGNALS: Final = tuple(
    signal.Signals[name]
    for name in (
        *("SIGHUP", "SIGINT", "SIGPIPE", "SIGALRM", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGCHLD"),
        *("SIGVTALRM", "SIGPROF"),
    )
)
_CPU_TIMERS: Final = (signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)


class Deeds:
    """
    What the handler did that has to be counted or undone, heard as it does it: so that the many
    invocations that did nothing of the kind need not be looked at afterwards.

    Heard from CPython's audit events; the few functions that raise none are wrapped.
    """

    STARTS: Final = frozenset(
        {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"}
    )
    CHANGES: Final = frozenset({"os.chdir", "os.putenv", "os.unsetenv"})
    SILENT: Final = (
        (os, "umask"),
        (signal, "alarm"),
        (signal, "setitimer"),
        (signal, "signal"),
        (signal, "set_wakeup_fd"),
        (signal, "pthread_sigmask"),
    )

    def __init__(self) -> None:
        self.started = 0  # processes, since the last invocation began
        self.changed = False
        self.variables: set[bytes] = set()  # of the environment, set or unset
        self.imports: Imports | None = None  # who wants to hear of them, for as long as it does
        sys.addaudithook(self._heard)
        for module, name in self.SILENT:
            setattr(module, name, self._listening(getattr(module, name)))

    def forget(self) -> None:
        """What has been done up to now is to stay."""
        self.changed = False
        self.variables.clear()

    def _heard(self, event: str, args: Any) -> None:
        if event in self.STARTS:
            self.started += 1
            self.changed = True
        elif event in self.CHANGES:
            self.changed = True
            if event != "os.chdir":
                self.variables.add(args[0])
        elif event == "import" and self.imports is not None:
            self.imports.heard(args[0])

    def _listening(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def heard(*args: Any, **kwargs: Any) -> Any:
            self.changed = True
            return function(*args, **kwargs)

        return heard


class Baseline:
    """The state to go back to."""

    def __init__(self, code: str, memory_bytes: int) -> None:
        self._code_fd = os.open(code, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._log_fd = os.dup(1)
        self._umask = posix.umask(0o022)
        posix.umask(self._umask)
        self._handlers: list[Any] = list(map(_signal.getsignal, _SIGNALS))
        # Not one that the module has set, for a profiler.
        self._timers = [which for which in _CPU_TIMERS if not _signal.getitimer(which)[0]]
        self._mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, ())
        self._statm_fd = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
        # What it may grow to before another takes its place: most of what was free at first.
        self._most_pages = self._pages() + int(_GROWTH * (memory_bytes // _PAGE - self._pages()))
        self._environ = os.environ
        self._environment: dict[Any, Any] = {}
        self.keep_environment()
        capture.keep()

    def keep_environment(self) -> None:
        """The environment as it is now is right: credentials have just been renewed."""
        self._environment = dict(_raw_environment() or {})

    def has_grown(self) -> bool:
        """Does it hold so much that one of its next invocations may run out of memory?"""
        try:
            return self._pages() > self._most_pages
        except (OSError, ValueError, IndexError):
            return False  # the handler closed it: nobody can tell

    def _pages(self) -> int:
        """Resident: 2 µs on a kept descriptor."""
        return int(os.pread(self._statm_fd, 64, 0).split()[1])

    def environ_replaced(self) -> bool:
        """What nobody hears: another object in the place of the environment."""
        return os.environ is not self._environ

    def put_back(self, deeds: Deeds) -> str | None:
        """Undo what the handler changed; a word for what could not be undone, or None."""
        try:
            os.dup2(self._log_fd, 1)
            os.dup2(self._log_fd, 2)
        except OSError:
            return "streams"  # it closed our copy: nothing of it would be logged any more
        posix.umask(self._umask)
        _signal.alarm(0)
        for which in self._timers:
            _signal.setitimer(which, 0)
        if list(map(_signal.getsignal, _SIGNALS)) != self._handlers:
            for number, handler in zip(_SIGNALS, self._handlers, strict=True):
                if handler is not None:  # None: set by C code, before us; Python cannot set it
                    _signal.signal(number, handler)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, self._mask)
        try:
            os.fchdir(self._code_fd)
        except OSError:
            return "cwd"  # the handler closed our descriptor, or hid the folder
        current = _raw_environment()
        if current is None or os.environ is not self._environ:
            return "environment"  # os.environ is something else now
        if deeds.variables:
            for name in deeds.variables - self._environment.keys():
                os.unsetenv(name)  # putenv behind the back of os.environ reaches children only
            os.environ.clear()
            os.environ.update(
                {os.fsdecode(key): os.fsdecode(value) for key, value in self._environment.items()}
            )
        deeds.forget()  # last: what is done here is heard too
        return None


def scratch_folder() -> str:
    """Where this instance's files are: its own /tmp, or what stands in for it."""
    return os.environ.get("TMPDIR", "/tmp")  # noqa: S108 (its own: see `sandbox`)


def empty_folder(folder: str) -> bool:
    """
    Remove all that is in *folder*; False if something of the handler's stays. What is mounted in
    it, such as code that lies below /tmp, is read-only and not the handler's.
    """
    emptied = True
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return False
    for entry in entries:
        try:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)
            elif not os.path.ismount(entry.path):
                if entry.stat(follow_symlinks=False).st_uid == os.geteuid():
                    os.chmod(entry.path, 0o700)  # the handler may have locked it
                emptied = empty_folder(entry.path) and emptied
                if not os.listdir(entry.path):
                    os.rmdir(entry.path)
        except OSError as error:
            emptied = emptied and error.errno == errno.EBUSY  # a file that is mounted
    return emptied


def _raw_environment() -> dict[Any, Any] | None:
    """The dict below os.environ: comparing it costs 0.3 µs, through the mapping 8 µs."""
    return getattr(os.environ, "_data", None)
