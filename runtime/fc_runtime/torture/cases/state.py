"""
Cases of what a handler breaks of its own process, in which the next event was to be handled.

What matters is the next call: it is answered, by this process or by a fresh one.
"""

from functools import partial
from typing import Final

from fc_runtime.torture.case import Case, crashed, either, raised, returned, timed_out

_soiled: Final = returned(b"soiled")
_any_way: Final = either(_soiled, crashed(), raised("RuntimeError"))
_broken: Final = partial(Case, handler="state", expect=_any_way)

CASES: Final = (
    Case(
        name="process-state",
        row=29,
        what="changes folder, umask, environment, signal handlers and streams",
        handler="state",
        deed="soil",
        probe=b"look",
        expect=_soiled,
    ),
    Case(
        name="environ-replaced",
        row=29,
        what="puts a dict in the place of os.environ",
        handler="state",
        deed="replace_environ",
        probe=b"look",
        expect=_soiled,
    ),
    Case(
        name="environ-cleared-in-c",
        row=29,
        what="clears the environment behind Python's back",
        handler="state",
        deed="environ_in_c",
        probe=b"look",
        expect=_soiled,
    ),
    Case(
        name="folder-gone",
        row=29,
        what="goes to a folder that is no more",
        handler="state",
        deed="hide_the_folder",
        probe=b"look",
        expect=_soiled,
    ),
    _broken(
        name="interpreter-state",
        row=29,
        what="changes sys.path, locale, recursion limit, priority and CPUs",
        deed="soil_deeply",
    ),
    _broken(name="no-descriptors", row=29, what="may open no file any more", deed="no_more_files"),
    _broken(name="all-descriptors", what="opens every descriptor there is", deed="all_files"),
    _broken(name="no-file-bytes", row=29, what="may write to no file", deed="no_more_bytes"),
    _broken(name="no-processes", row=29, what="may start no process", deed="no_more_processes"),
    _broken(name="no-modules", what="empties sys.modules", deed="no_modules"),
    _broken(name="no-builtins", what="deletes built-in functions", deed="no_builtins"),
    _broken(name="os-broken", what="replaces functions of os", deed="break_os"),
    _broken(name="time-broken", what="replaces the clocks", deed="break_time"),
    _broken(name="json-broken", what="replaces the encoder of JSON", deed="break_json"),
    _broken(name="root-logger-broken", what="breaks the root logger", deed="break_logging"),
    _broken(name="signals-broken", what="replaces functions of signal", deed="break_signals"),
    _broken(name="audit-hook", what="forbids much with an audit hook", deed="audit"),
    _broken(
        name="trace-function",
        what="raises in every call of ours, by a trace function",
        deed="trace",
    ),
    _broken(
        name="profile-function",
        what="raises in every call at all, by a profile function",
        deed="profile",
    ),
    _broken(
        name="interrupt-later",
        what="has an exception on its way to whatever comes next",
        deed="interrupt_later",
    ),
    _broken(name="worker-patched", what="patches the worker's modules", deed="patch_the_worker"),
    _broken(
        name="worker-found", what="finds the worker above it, and breaks it", deed="find_the_worker"
    ),
    _broken(name="busy-thread", what="leaves a busy thread", deed="busy_thread"),
    _broken(
        name="thread-that-stays",
        what="leaves a busy thread that never gives way",
        deed="switch_threads_never",
        timeout=1.0,
        expect=either(_soiled, timed_out(), crashed()),
    ),
)
