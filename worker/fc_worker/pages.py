"""
What a fork shares with its zygote stays shared as long as neither writes to it: here is done what
keeps the instances from writing to more pages than they must.

CPython's allocator serves small blocks, of one size each, out of pools of 16 KiB, and after many
imports most pools have gaps. New objects of an instance would go into those, a few to each page of
the zygote's, and each such page would be copied. With the gaps filled they go into pools of their
own, side by side (measured: docs/adr/0016).
"""

import sys
from typing import Final

POOL_BITS: Final = 14  # of an address within a pool; so with CPython 3.10 and later, on 64 bits
LARGEST: Final = 512
STEP: Final = 16
_HEADER_BYTES: Final = 48  # of a pool
_BYTES_BYTES: Final = 33  # of an empty bytes object
_MOST: Final = 4096  # blocks of one size; there were at most 900 gaps
_fillers: list[list[object]] = []


def fill_gaps() -> int:
    """
    Fill the gaps in the pools of this process, for good; how many blocks that took.

    A few milliseconds. With another allocator, whose blocks do not come as expected, nothing is
    kept.
    """
    filled = 0
    for size in range(STEP, LARGEST + 1, STEP):
        fillers = _gaps(size)
        if fillers is None:
            break
        _fillers.append(fillers)
        filled += len(fillers)
    return filled


def forget_lookups() -> None:
    """
    CPython keeps the last attributes that it found, and a reference to the name of each. What an
    instance looks up takes their place, and to drop a reference is to write to the name's page.
    """
    sys._clear_type_cache()  # noqa: SLF001 (nothing else does it on all versions)


def _gaps(size: int) -> list[object] | None:
    """What fills all gaps of blocks of *size* bytes; None if an empty pool does not come."""
    nearly_all = ((1 << POOL_BITS) - _HEADER_BYTES) // size * 9 // 10
    fillers: list[object] = []
    pool, here = -1, 0
    for index in range(_MOST):
        block = _block(size, index)
        fillers.append(block)
        here = here + 1 if id(block) >> POOL_BITS == pool else 1
        pool = id(block) >> POOL_BITS
        if here > nearly_all:  # this one was empty: it is for the instances
            del fillers[-here:]
            return fillers
    return None


def _block(size: int, index: int) -> object:
    """An object of *size* bytes that the garbage collector does not know."""
    if size == STEP:
        return object()
    if size == 2 * STEP:
        return 0.5 + index
    return bytes(size - _BYTES_BYTES)
