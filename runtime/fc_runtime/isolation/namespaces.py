"""
The pid namespace tier: each instance lives in a pid namespace of its own, whose process 1 holds it.

Whatever the handler starts is in it and cannot leave it, whoever its parent becomes. When process 1
is killed the kernel kills all the others, and counts nobody twice or not at all: there is no walk
to race with. Memory and processes are watched, as in the portable tier; the namespace's own
``pid_max`` bounds the latter where the kernel has one (Linux 6.14).

Needs root, or user namespaces.
"""

from fc_runtime.isolation import host
from fc_runtime.isolation.portable import TreeCell
from fc_runtime.isolation.tiers import Limits, UnavailableError


class PidNamespaces:
    name = "pidns"
    source = "measured by polling"
    enforces: frozenset[str] = frozenset()

    @classmethod
    def open(cls) -> "PidNamespaces":
        """Raises UnavailableError."""
        refused = host.tried().pid_namespace
        if refused is not None:
            raise UnavailableError(refused, host.NAMESPACES_MEND)
        return cls()

    def cell(self, _number: int, limits: Limits) -> TreeCell:
        return TreeCell(limits)

    def make_ready(self) -> None:
        pass

    def close(self) -> None:
        pass
