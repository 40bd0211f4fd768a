"""What a command logs of an error: the traceback, for people and for programs, and no locals."""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import sys
from fc_runtime.cli.logs import Format, Level, logger
log = logger(Level.INFO, Format(sys.argv[1]))
secret = "not-" + "to-be-told"
try:
    1 / 0
except ZeroDivisionError:
    log.exception("broken")
"""


@pytest.mark.parametrize("form", ["json", "pretty"])
def test_a_traceback(form: str) -> None:
    """All of it, and nothing of what was in the variables."""
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM, form], stderr=subprocess.PIPE, text=True, check=True
    ).stderr

    assert "Traceback (most recent call last)" in told
    assert "ZeroDivisionError: division by zero" in told
    assert "not-to-be-told" not in told
    if form == "json":
        assert "broken" == json.loads(told)["event"]
