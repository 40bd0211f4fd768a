"""Time as the store has it: milliseconds since the epoch, for processes on several machines."""

import time

from sqlalchemy import Connection


def now_ms() -> int:
    """By this machine's clock: when a task is due may be off by as much as clocks differ."""
    return time.time_ns() // 1_000_000


def database_ms(connection: Connection) -> int:
    """By the one clock that all who share the database can see: what leases go by."""
    if connection.dialect.name != "postgresql":
        return now_ms()  # a file is shared on one machine
    told = connection.exec_driver_sql("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::int8")
    return int(told.scalar_one())
