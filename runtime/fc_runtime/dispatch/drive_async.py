"""
The asyncio driver: the same moves as `drive_sync`, but waiting is the event loop's business.

Works on any loop with ``add_reader`` (asyncio's own, uvloop).
"""

import asyncio

from fc_runtime.dispatch.call import Call
from fc_runtime.dispatch.watch import Ending


async def drive(call: Call) -> Ending:
    """Carry *call* to its end. Whatever it raises, cancellation too, spoils the instance."""
    channel = call.channel
    exchange = call.exchange
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(channel.response_fd, ready.set)
    watched = -1
    writing = False
    try:
        while True:
            if exchange.unsent:
                try:
                    exchange.sent(channel.write(exchange.unsent))
                except BrokenPipeError:
                    exchange.unsent.clear()
            if bool(exchange.unsent) != writing:
                writing = not writing
                if writing:
                    loop.add_writer(channel.request_fd, ready.set)
                else:
                    loop.remove_writer(channel.request_fd)
            if watched < 0 <= channel.pidfd:
                watched = channel.pidfd
                loop.add_reader(watched, ready.set)
            channel.due_ns = call.latest_ns
            until = loop.time() + call.wait_ms() / 1000
            if not call.has_early:
                timer = loop.call_at(until, ready.set)
                await ready.wait()
                timer.cancel()
                ready.clear()
            ending = call.read()
            if ending is None and loop.time() >= until:
                ending = call.look()
            if ending is not None:
                return ending
    finally:
        channel.due_ns = 0
        loop.remove_reader(channel.response_fd)
        if writing:
            loop.remove_writer(channel.request_fd)
        if watched >= 0:
            loop.remove_reader(watched)
