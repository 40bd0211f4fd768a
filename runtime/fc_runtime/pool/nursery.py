"""
Who comes up: instances started for a caller, and standbys started in nobody's time.

A standby is decided on under the roster's lock, where it is counted in `warming`, and started on
a `background` thread; a caller, under the lock, has no time to start even a thread, so a top-up
goes by way of the supervisor. Whoever is counted is taken off again by `_warm_one`, whatever came
of it, or by `_give_up`, if it had no thread. Who leaves, and when, is not decided here.
"""

import time
from functools import partial
from typing import TYPE_CHECKING, Final

from fc_worker import messages as m

from fc_runtime.credentials import Credentials
from fc_runtime.dispatch.drive_sync import drive
from fc_runtime.dispatch.watch import Ending
from fc_runtime.errors import FcRuntimeError, OverloadedError, RuntimeClosedError
from fc_runtime.outcome import RETURNED, Result, Usage
from fc_runtime.pool import undertaker
from fc_runtime.pool.grants import Leave
from fc_runtime.pool.instance import Instance
from fc_runtime.pool.lifecycle import Trigger
from fc_runtime.pool.request import NOTHING, Request, request_headers
from fc_runtime.pool.serving import STARTS, Declined, Serving

if TYPE_CHECKING:
    from fc_runtime.pool.core import Core
    from fc_runtime.pool.pool import Pool

HEAD_START_S: Final = 0.002  # most calls are over by then
TRIES: Final = 3  # to have instances up that die as soon as they are


def start_instance(pool: "Pool") -> Instance:
    """A new instance, being forked. Raises OverloadedError if the host has no room for it."""
    core = pool.core
    for _ in range(STARTS):
        zygote = pool.keeper.running()
        try:
            instance = Instance(core.next_id(), pool, zygote, core.max_response_bytes)
        except (ConnectionResetError, BrokenPipeError):
            zygote.ended.wait(1.0)
            continue  # it has just ended: the next one is fresh
        except OSError as error:
            raise OverloadedError(f"cannot start an instance: {error}") from error
        with pool.roster.lock:
            pool.roster.live.add(instance)
            pool.roster.asleep = False
        return instance
    raise OverloadedError(f"{pool.name}: its zygote keeps dying")


def warm_up(pool: "Pool") -> tuple[Instance | None, Result | None]:
    """
    Start and initialise an instance in nobody's time: it, or why it would not come up.

    Raises OverloadedError if the host has no room for it.
    """
    core = pool.core
    function = pool.function
    request_id = core.new_request_id()
    headers = request_headers(request_id, core.credentials_of(function))
    request = Request(pool, b"", headers, request_id, int(function.timeout * 1e9))
    for _ in range(STARTS):
        serving = Serving(core, request, start_instance(pool), cold=True, invoke=False)
        ending = drive(serving.call)
        try:
            failure = serving.conclude_warm_up(ending)
        except Declined:
            continue
        return (serving.instance, None) if failure is None else (None, failure)
    raise OverloadedError(f"{pool.name}: no process would start")


def initialize(
    core: "Core", name: str, *, request_id: str, credentials: Credentials | None
) -> Result | None:
    """
    Have one instance ready, in the name of a request: what its initialisation wrote, and why it
    failed if it did. None if there is an instance already.

    Raises RefusedError subclasses: the host has no room, or there is no such function.
    """
    pool = core.pool(name)
    request = core.request(
        name,
        b"",
        json_value=NOTHING,
        timeout=None,
        request_id=request_id,
        credentials=credentials,
        http=None,
    )
    with pool.roster.lock:
        if pool.roster.is_up(1):
            return None
        pool.roster.warming += 1
    instance: Instance | None = None
    trouble: Result | Exception | None = None
    try:
        for _ in range(STARTS):
            serving = Serving(core, request, start_instance(pool), cold=True, invoke=False)
            began_ns = time.monotonic_ns()
            ending = drive(serving.call)
            well = (
                ending is Ending.ANSWERED and serving.call.headers()[m.STATUS] == m.STATUS_RETURNED
            )
            log = serving.instance.take_log(cut=serving.call.log_was_cut) if well else b""
            try:
                trouble = serving.conclude_warm_up(ending)
            except Declined:
                continue
            if trouble is not None:
                return trouble
            instance = serving.instance
            took_ms = (time.monotonic_ns() - began_ns) / 1e6
            return Result(b"", RETURNED, log, request_id, name, 0.0, took_ms, True, Usage())
        raise OverloadedError(f"{name}: no process would start")
    except Exception as error:
        trouble = error
        raise
    finally:
        _take_in(pool, instance, trouble)


def warm(pool: "Pool", count: int) -> None:
    """Have *count* instances ready, in a while; `wait_until_warm` waits for them."""
    with pool.roster.lock:
        missing = pool.roster.missing_of(count)
        pool.roster.warming += missing
    _start_standbys(pool, missing)


def wait_until_warm(pool: "Pool", count: int, within_s: float) -> Result | None:
    """
    Until *count* instances are there, or one failed to come up: then why.

    Raises what kept one from being tried: OverloadedError, or what a credentials callable did.
    """
    until = time.monotonic() + within_s
    name = pool.name
    roster = pool.roster
    setbacks = roster.setbacks
    with roster.lock:
        troubles = setbacks.troubles
        known = setbacks.known_failure(time.monotonic_ns())
        if known is not None and not roster.is_up(count):
            return known
    for _ in range(TRIES):
        warm(pool, count)
        with roster.changed:
            roster.changed.wait_for(
                lambda: roster.is_up(count) or roster.end is not None or not roster.warming,
                max(0.0, until - time.monotonic()),
            )
            if roster.end is Leave.MOVED:
                break
            if roster.end is not None:
                raise RuntimeClosedError(f"{name} was unregistered meanwhile")
            if roster.is_up(count):
                return None
            trouble = setbacks.trouble_since(troubles)
            if isinstance(trouble, Exception):
                raise trouble
            if trouble is not None:
                return trouble
            if roster.warming:
                raise OverloadedError(f"not warm within {within_s:g} s")
        # It came up and is gone again.
    else:
        raise OverloadedError(f"{name}: its instances do not stay up")
    return wait_until_warm(pool.core.pool(name), count, until - time.monotonic())


def plan_top_up(pool: "Pool", not_before_s: float = 0.0) -> None:
    """
    Under the lock: have started what is missing, as soon as that makes sense. Not while a killed
    tree comes to its end: a start would take the CPU from it, and whoever needs one gets leave.

    Args:
        not_before_s: seconds that whoever has just been served shall have the CPUs to himself.
    """
    roster = pool.roster
    try:
        if not roster.top_up_planned and not roster.dying and roster.missing() > 0:
            delay_s = max(roster.setbacks.delay_s, not_before_s)
            pool.core.supervisor.after(delay_s, partial(_top_up, pool))
            roster.top_up_planned = True
    except RecursionError:
        pass  # his caller's, whose call need not fail of it: whoever comes next plans it


def _top_up(pool: "Pool") -> None:
    with pool.roster.lock:
        pool.roster.top_up_planned = False
        missing = 0 if pool.roster.dying else pool.roster.missing()
        pool.roster.warming += missing
    _start_standbys(pool, missing)


def _start_standbys(pool: "Pool", count: int) -> None:
    for begun in range(count):
        try:
            pool.core.supervisor.background.run(partial(_warm_one, pool))
        except OverloadedError as error:
            _give_up(pool, count - begun, error)
            return


def _give_up(pool: "Pool", count: int, error: OverloadedError) -> None:
    """No thread for so many standbys: nobody waits for them, and they are tried again later."""
    _say_not_started(pool, error)
    roster = pool.roster
    with roster.lock:
        roster.warming -= count
        roster.setbacks.note_trouble(error, time.monotonic_ns())
        roster.hand_out()
        plan_top_up(pool)
        roster.changed.notify_all()
    undertaker.leave_if_empty(pool)


def _warm_one(pool: "Pool") -> None:
    """On a background thread: start one and put it on the stack."""
    instance: Instance | None = None
    trouble: Result | Exception | None = None
    try:
        instance, trouble = warm_up(pool)
    except Exception as error:  # noqa: BLE001 (no room, or whatever a credentials callable raises)
        trouble = error
        _say_not_started(pool, error)
    except BaseException as error:  # noqa: BLE001 (that as well: it must not end its callers)
        trouble = FcRuntimeError(f"{pool.name}: its credentials could not be had: {error!r}")
        _say_not_started(pool, error)
    _take_in(pool, instance, trouble)


def _take_in(pool: "Pool", instance: Instance | None, trouble: Result | Exception | None) -> None:
    """Put on the stack what was counted in `warming`, or note why it did not come up."""
    roster = pool.roster
    keep = has_died = False
    with roster.lock:
        roster.warming -= 1
        if instance is not None:
            instance.advance(Trigger.READY)
            has_died = instance.exit is not None  # asked once: it may be heard at any moment
            keep = roster.end is None and not instance.zygote.gone and not has_died
            if has_died:
                roster.setbacks.note_death(time.monotonic_ns())
            if keep:
                instance.idle_since_ns = time.monotonic_ns()
                roster.idle.insert(0, instance)  # unused ones serve last
                roster.setbacks.note_standby()
            else:
                instance.advance(Trigger.STOP)
        if trouble is not None:
            roster.setbacks.note_trouble(trouble, time.monotonic_ns())
        roster.hand_out()
        undertaker.plan_expiry(pool)
        if not keep:
            plan_top_up(pool)
        roster.changed.notify_all()
    if instance is not None and not keep:
        undertaker.dismiss(instance, undertaker.DIED if has_died else "closed")
    undertaker.leave_if_empty(pool)


def _say_not_started(pool: "Pool", error: BaseException) -> None:
    pool.core.supervisor.log.warning(
        "instance.not_started", function=pool.name, cause=type(error).__name__
    )
