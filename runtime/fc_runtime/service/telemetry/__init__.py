"""
What watches the daemon: health, metrics, spans, the access log.

`Telemetry` holds them; `Watched` is the ASGI application around all others.
"""

from fc_runtime.service.telemetry.telemetry import Telemetry
from fc_runtime.service.telemetry.watched import Watched

__all__ = ["Telemetry", "Watched"]
