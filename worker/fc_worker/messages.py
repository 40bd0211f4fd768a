"""
What the frames say: the values both sides exchange, as plain msgpack-able maps.

Two channels carry them. The *instance pipes* (see `wire`) carry one invocation's bytes; the
*control socket* of a zygote carries what starts and ends processes. Neither carries a pickle,
and nothing read from a worker is trusted: `fc_runtime.dispatch.exchange` checks every field.
"""

import signal
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, Self, TypeAlias

Step: TypeAlias = Sequence[Any]  # of a sandbox plan: [name, *arguments], see `sandbox`


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """All a worker must know of its function before the first event. Sent once, to the zygote."""

    function: str
    code: str  # absolute path of the unpacked code folder
    handler: str
    initializer: str | None
    timeout_s: float
    memory_mb: int
    environment: Mapping[str, str]  # what the function declares, FC's own variables excluded
    preload: tuple[str, ...]
    layers: tuple[str, ...]  # absolute paths of unpacked layer folders
    max_response_bytes: int
    plan: Sequence[Step] = ()  # what each instance does before anything of the function is loaded
    sealed: bool = False  # the zygote uses no file of the function's: preloads come from outside
    identity: int | None = None  # the user and group that the plan changes to
    empty_scratch: bool = False  # between invocations
    tells_imports: bool = False  # a worker tells what it imported from outside of its folders
    learned: tuple[str, ...] = ()  # modules that the zygote imports if that does no harm
    denied: Mapping[str, str] = field(default_factory=dict)  # those it does not, and why
    tried: bool = False  # an earlier zygote of this function has imported all of `learned`
    region: str = ""
    account_id: str = ""
    service: str = ""
    qualifier: str = "LATEST"
    version_id: str = ""
    log_project: str = ""
    log_store: str = ""

    def to_map(self) -> dict[str, Any]:
        return asdict(self)

    def library_path(self) -> str:
        """Where a function's shared libraries are looked for (spec 9.B)."""
        layers = [f"{layer}/lib" for layer in self.layers]
        return ":".join([self.code, f"{self.code}/lib", "/usr/local/lib", *layers, "/opt/lib"])

    @classmethod
    def from_map(cls, data: Mapping[str, Any]) -> Self:
        known = {one.name for one in fields(cls)}
        values = {key: value for key, value in data.items() if key in known}
        values["preload"] = tuple(values["preload"])
        values["layers"] = tuple(values["layers"])
        values["learned"] = tuple(values.get("learned", ()))
        values["plan"] = tuple(values.get("plan", ()))
        return cls(**values)


# Header keys of the instance frames. One or two letters: they are packed on every warm call.
REQUEST_ID: Final = "r"
CREDENTIALS: Final = "c"  # [access_key_id, access_key_secret, security_token], absent without
TIMEOUT_NS: Final = "t"  # of the handler, counted from the moment it starts
RETRY_COUNT: Final = "n"
HTTP: Final = "w"  # an HTTP request, all but its body: JSON, as FC's x-fc-http-params
HOOK: Final = "hk"  # a handler string, to be called with the context alone
HTTP_STATUS: Final = "ws"
HTTP_HEADERS: Final = "wh"  # names and values in turn, one a line
INSTANCE: Final = "i"  # FC_INSTANCE_ID, told once, with INITIALIZE
RUN_NS: Final = "rn"  # what the handler took, by the worker's clock
INIT_NS: Final = "ns"  # what import and initializer took, by the worker's clock
INIT_LOG: Final = "il"  # bytes that import and initializer wrote to the log
IMPORTED: Final = "im"  # with READY: modules from outside of the function's folders, a line each

STATUS: Final = "s"  # one of the STATUS_ values below
ERROR_TYPE: Final = "et"
ERROR_MESSAGE: Final = "em"
TRACEBACK: Final = "tb"
EXIT_CODE: Final = "x"
USER_US: Final = "u"
SYSTEM_US: Final = "y"
PEAK_RSS: Final = "p"  # bytes, high-water mark of the worker process alone
CHILDREN: Final = "k"  # processes that the worker itself started during the invocation
LEFT_BEHIND: Final = "l"  # of those and theirs, killed because they outlived the handler
UNCLEAN: Final = "d"  # a word for what could not be undone: the instance must be replaced
THREADED: Final = "h"  # threads outlived the handler, so its log may still grow

MAX_HTTP_HEADER_BYTES: Final = 64 * 1024  # of a response
MAX_HTTP_HEADERS: Final = 500

STATUS_RETURNED: Final = 0
STATUS_RAISED: Final = 1
STATUS_REJECTED: Final = 2  # the result is too large, or cannot be encoded
STATUS_EXITING: Final = 3  # a BaseException ends this process, as FC has it (spec 1.11)
STATUS_DECLINED: Final = 4  # no handler code ran: what the last invocation left cannot be undone

# At a deadline the supervisor sends it to a worker, whose faulthandler then writes every thread's
# Python stack to a pipe. High, so that no handler's own use of it is likely.
STACK_SIGNAL: Final = signal.SIGRTMAX - 1

# What host and zygote say to each other: one msgpack map a datagram, "op" names it.
OP: Final = "op"
CONFIGURE: Final = "configure"  # host: the first message, a `WorkerConfig`
SPAWN: Final = "spawn"  # host: fork an instance; brings its four descriptors, "join", "scratch"
REAP: Final = "reap"  # host: this pid means nothing to us any more
SWEEP: Final = "sweep"  # host: an instance left somebody behind, who may be yours to reap
PRELOADING: Final = "preloading"  # zygote: which "module" is next; it may be the last we hear
UP: Final = "up"  # zygote: preloaded and ready to fork; what was "learned", "refused", "spoilt"
FORKED: Final = "forked"  # zygote: brings the pidfd, and that of process 1 of a pid namespace
FORK_FAILED: Final = "fork_failed"
EXITED: Final = "exited"  # zygote: dead and its tree swept; not reaped before REAP
MAX_DATAGRAM_BYTES: Final = 128 * 1024
