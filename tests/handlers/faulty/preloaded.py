"""Comes to the gate in the zygote, if ``PHASE`` says so."""

import os

if os.environ.get("PHASE") == "preload" and os.path.exists(os.environ["SWITCH"]):
    import faults

    faults.wait_at_the_gate()
