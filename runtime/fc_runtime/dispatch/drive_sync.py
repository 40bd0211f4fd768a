"""
The sync driver: write, wait, read in the caller's own thread. No queue, no hand-off.

A driver only moves bytes, waits until the next look, and reports the end of file.
"""

from fc_runtime.dispatch.call import Call
from fc_runtime.dispatch.watch import FIRST_MS, Ending


def drive(call: Call) -> Ending:
    """Carry *call* to its end. Anything it raises leaves the instance unusable."""
    channel = call.channel
    exchange = call.exchange
    wait_ms: float = FIRST_MS if call.roomy else call.wait_ms()
    while True:
        if exchange.unsent:
            try:
                exchange.sent(channel.write(exchange.unsent))
            except BrokenPipeError:
                exchange.unsent.clear()  # it may have answered before it closed its ears
        if call.has_early or channel.wait(wait_ms, writing=bool(exchange.unsent)):
            ending = call.read()
        else:
            ending = call.look()
        if ending is not None:
            return ending
        wait_ms = call.wait_ms()
