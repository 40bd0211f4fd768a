"""
What watches the daemon: health, metrics, spans, the access log.

`Telemetry` holds the figures; `Counted` and `Watched` are ASGI applications around others.
"""

from fc_runtime.service.telemetry.telemetry import Telemetry
from fc_runtime.service.telemetry.watched import Counted, Watched

__all__ = ["Counted", "Telemetry", "Watched"]
