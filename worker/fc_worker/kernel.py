"""The two prctl calls that CPython does not offer, and nothing else of libc."""

import ctypes
from typing import Final

_PR_SET_CHILD_SUBREAPER: Final = 36
_PR_SET_NO_NEW_PRIVS: Final = 38

_libc: Final = ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}, {value}) failed")


def become_subreaper() -> None:
    """Orphans below this process become its children (Linux 3.4). Not inherited by fork."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def forbid_new_privileges() -> None:
    """No set-uid program gains anything below this process (Linux 3.5). Inherited, for good."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
