"""
Nonces that were used: a signed request counts once, however much memory that takes or not.

They are kept by the second in which their request says it was made, for as long as such a request
would be let in. When there are too many, the oldest seconds are forgotten, and with them goes the
right to come from there: a request that old is refused, never let in twice. So only a client whose
clock is behind notices, and only while more than `MOST` requests come in a quarter of an hour.
"""

import threading
from hashlib import blake2b
from typing import Final

from fc_runtime.service.auth.request import SKEW_S

MOST: Final = 1_000_000  # of about 80 bytes each


class Nonces:
    """Any thread."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._by_second: dict[int, set[int]] = {}
        self._count = 0
        self._not_before = 0

    def use(self, key_id: str, nonce: bytes, sent: int, now: float) -> bool:
        """
        Was it new? Never twice for the same.

        Args:
            sent: seconds since the epoch, of the request; within the skew of *now*.
        """
        digest = blake2b(key_id.encode() + b"\0" + nonce, digest_size=16).digest()
        mark = int.from_bytes(digest, "big")
        with self._lock:
            self._forget_until(int(now) - SKEW_S - 1)
            if sent < self._not_before:
                return False
            used = self._by_second.setdefault(sent, set())
            if mark in used:
                return False
            used.add(mark)
            self._count += 1
            while self._count > self._most:
                self._forget_until(min(self._by_second) + 1)
            return True

    def __len__(self) -> int:
        return self._count

    def _forget_until(self, second: int) -> None:
        """What was sent before *second* is let in no more."""
        if second <= self._not_before:
            return
        self._not_before = second
        for old in [sent for sent in self._by_second if sent < second]:
            self._count -= len(self._by_second.pop(old))
