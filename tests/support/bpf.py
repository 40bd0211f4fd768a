"""
What the kernel would answer: seccomp programs, interpreted (linux/filter.h, linux/seccomp.h).

Only the instructions that libseccomp emits; any other is an error of the test.
"""

import struct

X86_64 = 0xC000003E  # AUDIT_ARCH_*
AARCH64 = 0xC00000B7
I386 = 0x40000003

KILL_PROCESS = 0x8000_0000
ALLOW = 0x7FFF_0000

_LOAD, _AND, _RETURN, _ALWAYS = 0x20, 0x54, 0x06, 0x05
_JUMPS = {
    0x15: lambda a, k: a == k,
    0x25: lambda a, k: a > k,
    0x35: lambda a, k: a >= k,
    0x45: lambda a, k: bool(a & k),
}


def refusal(error: int) -> int:
    """The answer that makes a call fail with errno *error*."""
    return 0x0005_0000 | error


def answer(program: bytes, arch: int, number: int, *arguments: int) -> int:
    """The 32 bits that *program* returns for one system call."""
    padded = [value % 2**64 for value in (*arguments, *[0] * (6 - len(arguments)))]
    data = struct.pack("<IIQ6Q", number % 2**32, arch, 0, *padded)
    instructions = list(struct.iter_unpack("<HBBI", program))
    at, a = 0, 0
    while True:
        code, if_true, if_false, k = instructions[at]
        at += 1
        if code == _RETURN:
            return k
        if code == _LOAD:
            (a,) = struct.unpack_from("<I", data, k)
        elif code == _AND:
            a &= k
        elif code == _ALWAYS:
            at += k
        else:
            at += if_true if _JUMPS[code](a, k) else if_false
