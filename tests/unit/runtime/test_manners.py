"""Who is about to be killed does not take the CPU from his killer, and gets it back if spared."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from fc_runtime.isolation.manners import Manners

USUAL = os.sched_param(0)


@pytest.fixture
def process() -> Iterator[int]:
    """One that sleeps."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as started:
        yield started.pid
        started.kill()


def test_who_is_taught_is_a_batch_until_untaught(process: int) -> None:
    """The one policy of Linux whose processes do not pre-empt anybody when they wake up."""
    manners = Manners()
    manners.teach([process])
    taught = os.sched_getscheduler(process)
    manners.unteach()

    assert os.SCHED_BATCH == taught
    assert os.SCHED_OTHER == os.sched_getscheduler(process)


@pytest.mark.parametrize("policy", [os.SCHED_BATCH, os.SCHED_IDLE])
def test_who_has_chosen_a_policy_keeps_it(process: int, policy: int) -> None:
    """A handler's own word counts."""
    os.sched_setscheduler(process, policy, USUAL)
    manners = Manners()
    manners.teach([process])
    taught = os.sched_getscheduler(process)
    manners.unteach()

    assert policy == taught == os.sched_getscheduler(process)


def test_who_chooses_one_meanwhile_keeps_it(process: int) -> None:
    """It is put back only if it is as it was left."""
    manners = Manners()
    manners.teach([process])
    os.sched_setscheduler(process, os.SCHED_IDLE, USUAL)
    manners.unteach()

    assert os.SCHED_IDLE == os.sched_getscheduler(process)


def test_a_thread_born_meanwhile_goes_back_with_its_process() -> None:
    """It inherits how its creator was scheduled."""
    program = (
        "import threading, time; input(); thread = threading.Thread(target=time.sleep, args=(60,));"
        "thread.start(); print(thread.native_id, flush=True)"
    )
    pipe = subprocess.PIPE
    argv = [sys.executable, "-c", program]
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True) as process:
        manners = Manners()
        manners.teach([process.pid])
        assert process.stdin is not None
        assert process.stdout is not None
        print(file=process.stdin, flush=True)
        thread = int(process.stdout.readline())
        born = os.sched_getscheduler(thread)
        manners.unteach()
        after = os.sched_getscheduler(thread)
        process.kill()

    assert (os.SCHED_BATCH, os.SCHED_OTHER) == (born, after)


def test_who_has_ended_is_in_nobodys_way() -> None:
    """Between the list and the call, or between the two calls."""
    manners = Manners()
    with subprocess.Popen(["/bin/sleep", "60"]) as ended:
        manners.teach([ended.pid])
        ended.kill()
    manners.teach([ended.pid])

    manners.unteach()
