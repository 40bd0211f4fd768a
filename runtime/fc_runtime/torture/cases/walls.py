"""
Cases of handlers that reach for the host and for others. Promised behind walls only: elsewhere
they run as the user of the host, and the table shows what that lets them do.
"""

from typing import Final

from fc_runtime.torture.case import Case, refused, told
from fc_runtime.torture.plays import looking_for_things
from fc_runtime.torture.promises import Power
from fc_runtime.torture.stage import heirs, storm

_WITH_FACTS: Final = {  # what is to be reached is told to the handler
    "environ_of_the_host": "reads the environment of the host",
    "environ_of_a_neighbour": "reads the environment of another function",
    "everybody": "searches the environments of all processes",
    "memory_of_the_host": "reads the memory of the host",
    "memory_of_a_neighbour": "reads the memory of another function",
    "tracing": "attaches to the host and to another function as a debugger",
    "signalling": "may signal the host, a zygote or another function",
    "prlimit_of_a_neighbour": "reads and changes the limits of another function",
    "secret_beside_the_code": "reads a file beside its code folder",
    "through_a_descriptor": "reads it through the roots and folders of processes",
    "code_of_a_neighbour": "reads the code of another function",
    "writing_to_the_code": "writes to its code folder",
    "writing_outside": "writes to /etc, /usr and the interpreter's library",
    "shared_memory_of_the_host": "reads shared memory of the host",
    "scratch_of_a_neighbour": "reads the scratch folder of another function",
    "abstract_socket": "connects to an abstract socket of the host",
    "socket_file": "connects to a socket file of the host",
    "tcp_to_the_host": "connects to a port of the host",
}
_ALONE: Final = {
    "shadow": "reads /etc/shadow",
    "devices": "opens memory and log of the kernel, and makes a device",
    "settings_of_the_kernel": "opens settings of the kernel to write to them",
    "raw_sockets": "opens raw sockets",
    "mounting": "mounts a file system",
    "namespaces": "makes or enters namespaces",
    "bpf": "loads into the kernel with bpf",
    "keyring": "uses the kernel's keyrings",
    "io_uring": "sets up an io_uring",
    "perf_events": "opens performance counters",
    "userfaultfd": "opens a userfaultfd",
    "file_handles": "opens files by handle, past every folder",
    "clock": "sets the clock, to the time that it is",
    "host_name": "sets the host's name, to what it is",
    "root": "is or becomes root",
    "chroot": "changes its root",
    "limits": "raises its own limits, priority and oom score",
    "another_cgroup": "moves a child out of the cgroup that holds it",
}
_ROWS: Final = {
    "limits": 33,
    "another_cgroup": 33,
    "tracing": 33,
    "environ_of_a_neighbour": 33,
    "clock": 34,
}
_WALLS: Final = frozenset({Power.WALLS})


def _case(deed: str, what: str, *, with_facts: bool) -> Case:
    return Case(
        name=deed.replace("_", "-"),
        row=_ROWS.get(deed),
        what=what,
        handler="walls",
        deed=deed,
        expect=refused(),
        needs=_WALLS,
        play=storm if with_facts else None,
        timeout=5.0,
    )


CASES: Final = (
    *(_case(deed, what, with_facts=True) for deed, what in _WITH_FACTS.items()),
    *(_case(deed, what, with_facts=False) for deed, what in _ALONE.items()),
    Case(
        name="things-left",
        what="leaves a file and System V shared memory",
        handler="walls",
        deed="leaving_things",
        play=looking_for_things,
        expect=told("nothing of it on the host", lambda left: not any(left.values())),
        needs=_WALLS,
    ),
    Case(
        name="handed-down",
        what="looks for what it has inherited: descriptors, variables, a terminal",
        handler="walls",
        deed="handed_down",
        play=heirs,
        expect=refused(),
    ),
    Case(
        name="set-uid-programs",
        row=33,
        what="runs programs that would give it another user",
        handler="walls",
        deed="set_uid_programs",
        expect=refused(),
        needs=frozenset({Power.LIMITS}),
    ),
)
