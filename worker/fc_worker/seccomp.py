"""
Puts a seccomp filter on this process. What is in it, the supervisor has decided and compiled.

No library: the program is an array that the kernel reads once. It checks each instruction and
refuses a program that could loop, or read what it must not, so only the frame is checked here.
"""

import ctypes
import errno
from typing import Final

_PR_SET_SECCOMP: Final = 22
_SECCOMP_MODE_FILTER: Final = 2
_INSTRUCTION_BYTES: Final = 8  # struct sock_filter
_MOST_INSTRUCTIONS: Final = 4096  # BPF_MAXINSNS

_libc: Final = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    """struct sock_fprog"""

    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def install_seccomp(program: bytes) -> None:
    """
    Every later system call of this thread, and of all it starts, is judged by *program*. For good.

    Call it while there is one thread, after `kernel.forbid_new_privileges`: without that the kernel
    wants CAP_SYS_ADMIN. Several filters may be installed; each can only refuse more.

    Raises:
        ValueError: *program* is not 1 to 4096 instructions of 8 bytes; nothing was installed.
        OSError: the kernel would not. EACCES: no_new_privs is not set. EINVAL: the program makes
            no sense, or the kernel was built without CONFIG_SECCOMP_FILTER.
    """
    count, rest = divmod(len(program), _INSTRUCTION_BYTES)
    if rest or not 0 < count <= _MOST_INSTRUCTIONS:
        raise ValueError(
            f"a seccomp filter has 1 to {_MOST_INSTRUCTIONS} instructions of "
            f"{_INSTRUCTION_BYTES} bytes; this one has {len(program)} bytes"
        )
    instructions = ctypes.create_string_buffer(program, len(program))
    header = _Program(count, ctypes.addressof(instructions))
    mode = ctypes.c_ulong(_SECCOMP_MODE_FILTER)
    if _libc.prctl(_PR_SET_SECCOMP, mode, ctypes.byref(header)) != 0:
        number = ctypes.get_errno()
        why = "no_new_privs is not set" if number == errno.EACCES else "the kernel refused it"
        raise OSError(number, f"the seccomp filter was not installed: {why}")
