"""Request ids, shaped as FC's own (spec 6.9), unique, and cheap. Nobody's own are taken over."""

import itertools
import secrets
import time


class RequestIds:
    """FC 2's are 36 characters long, as a UUID is; FC 3's 32, with the second in them."""

    def __init__(self) -> None:
        self._fc2 = (
            f"-{secrets.token_hex(2)}-4{secrets.token_hex(2)[1:]}-a{secrets.token_hex(2)[1:]}-"
        )
        self._fc3 = f"-{secrets.token_hex(4)}-"
        self._numbers = itertools.count(secrets.randbits(40))

        self._now = 0
        self._begins = ("", "")  # of those of this second

    def new(self, *, fc2: bool) -> str:
        now = int(time.time())
        if now != self._now:
            self._now = now
            self._begins = (f"1-{now:08x}{self._fc3}", f"{now:08x}{self._fc2}")
        return f"{self._begins[fc2]}{next(self._numbers):012x}"
