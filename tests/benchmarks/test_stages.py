"""The stages of a warm call, taken for real: the marks still meet the way that a call goes."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import stages


def test_a_warm_call_is_cut_into_stages() -> None:
    """Most calls go the usual way, every stage is there, and both sides' system calls are counted."""
    argv = [sys.executable, str(Path(stages.__file__)), "--placement", "one_cpu"]
    told = subprocess.run(argv, capture_output=True, check=True, text=True, timeout=60)
    found = json.loads(told.stdout)
    profile, counted = found["profile"], found["system_calls"]

    assert [name for name, _, _ in stages.STAGES] == [one["stage"] for one in profile["stages"]]
    assert profile["calls"] > profile["of"] / 2
    assert profile["sum_ns"] == pytest.approx(sum(one["ns"] for one in profile["stages"]))
    assert {"caller", "worker"} == profile["switches_per_call"].keys()
    if shutil.which("strace") is None or "unavailable" in counted:
        pytest.skip("strace is not to be had here")
    for side in ("caller", "worker"):  # one may have been under way when strace came
        assert counted[side]["write"] >= counted["calls"] - 1
        assert counted[side]["read"] >= counted["calls"] - 1
