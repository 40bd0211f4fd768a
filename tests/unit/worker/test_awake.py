"""Staying awake between two events."""

import os
import select
import time

import pytest
from fc_worker import awake


def test_who_stays_awake_hears_what_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    It ends at once when there is something to read, and soon when there is nothing; whatever a
    handler has made of the module `select`: gevent replaces its functions, eventlet deletes some.
    """
    monkeypatch.setattr(awake, "AWAKE_NS", 20_000_000_000)
    monkeypatch.delattr(select, "poll")
    reading, writing = os.pipe()
    ear = awake.Ear(reading)
    try:
        os.write(writing, b"an event")
        began = time.monotonic()
        ear.stay_awake()
        assert time.monotonic() - began < 10  # it did not wait for the end of its time
        os.read(reading, 8)
        monkeypatch.setattr(awake, "AWAKE_NS", 1)
        ear.stay_awake()
    finally:
        os.close(reading)
        os.close(writing)
