"""
How long hypothesis looks. `make check` wants an answer in seconds; to dig deeper:

    HYPOTHESIS_PROFILE=fuzz python -m pytest tests/unit -k hostile
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile("unit", max_examples=60, deadline=None)
settings.register_profile(
    "fuzz", max_examples=20_000, deadline=None, suppress_health_check=list(HealthCheck)
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "unit"))
