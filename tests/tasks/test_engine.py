"""What becomes of a task: states, retries, ages, stops, destinations (spec 7.B)."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from fc_runtime import FunctionNotFoundError, OverloadedError
from fc_runtime.outcome import Raised, Result, Returned
from fc_runtime.tasks import (
    Attempt,
    Destination,
    FunctionDestination,
    Policy,
    Query,
    Record,
    Status,
    Store,
    Submission,
    UndeliverableError,
    destination_event,
)
from support.engines import QUICK, SOON, Gate, Running, echo, ended, fails, result, wait_until

Run = Callable[[Attempt], Awaitable[Result]]
S = Status


def states(record: Record) -> list[Status]:
    return [event.status for event in record.events]


def test_a_task_runs(store: Store) -> None:
    """Accepted, taken, run, written down: with what came of it, when, and by whom."""
    with Running(store, echo):
        task = store.accept(Submission(function="f", event=b"hello"))
        record = ended(store, task)

    assert S.SUCCEEDED is record.status
    assert (b"hello", b"hello") == (record.event, record.payload)
    assert (Returned(), "", "c-1") == (record.outcome, record.error_type, record.instance_id)
    assert (1, 0) == (record.deliveries, record.retries)
    assert [S.ENQUEUED, S.DEQUEUED, S.RUNNING, S.SUCCEEDED] == states(record)
    assert [1, 2, 3, 4] == [event.number for event in record.events]
    assert record.started_ms is not None
    assert record.ended_ms is not None
    assert record.accepted_ms <= record.started_ms <= record.ended_ms
    assert 0 == store.depth().held


def test_what_was_there_before_runs(store: Store) -> None:
    """Tasks that nobody had an engine for wait until somebody has."""
    tasks = [store.accept(Submission(function=f"f{number}")) for number in range(3)]

    with Running(store, echo):
        assert {S.SUCCEEDED} == {ended(store, task).status for task in tasks}


def test_while_it_runs(store: Store) -> None:
    """One that lasts is seen to be Running, by whoever looks."""
    gate = Gate()
    with Running(store, gate):
        task = store.accept(Submission(function="f"))
        gate.wait_for(lambda it: it.inside == 1)
        running = wait_until(store, "f", task.task_id, lambda one: one.status is S.RUNNING)
        assert 1 == store.depth().held
        gate.let_through()
        record = ended(store, task)

    assert running.started_ms is not None
    assert running.ended_ms is None
    assert [S.ENQUEUED, S.DEQUEUED, S.RUNNING, S.SUCCEEDED] == states(record)


def test_what_an_attempt_knows(store: Store) -> None:
    """Its event, ids and meta; and that it is the first."""
    gate = Gate()
    with Running(store, gate):
        store.accept(
            Submission(
                function="f",
                event=b"e",
                task_id="t",
                request_id="r",
                qualifier="q",
                meta={"a": 1},
            )
        )
        gate.wait_for(lambda it: it.inside == 1)
        gate.let_through()

    (attempt,) = gate.seen
    assert ("f", "q", "t", "r") == (
        attempt.function,
        attempt.qualifier,
        attempt.task_id,
        attempt.request_id,
    )
    assert (b"e", {"a": 1}, 0) == (attempt.event, attempt.meta, attempt.retry_count)


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_errors_of_the_function_are_tried_again(store: Store, retries: int) -> None:
    """As often as was asked for, then it has failed; each attempt knows how many there were."""
    seen: list[int] = []

    async def run(attempt: Attempt) -> Result:
        seen.append(attempt.retry_count)
        return await fails(attempt)

    with Running(store, run):
        record = ended(store, store.accept(Submission(function="f", max_retries=retries)))

    assert list(range(retries + 1)) == seen
    assert S.FAILED is record.status
    assert (retries, retries + 1) == (record.retries, record.deliveries)
    assert Raised("ValueError", "no") == record.outcome
    assert "UnhandledInvocationError" == record.error_type
    assert b'{"errorMessage": "no"}' == record.payload
    again = [S.DEQUEUED, S.RUNNING, S.RETRYING] * retries
    assert [S.ENQUEUED, *again, S.DEQUEUED, S.RUNNING, S.FAILED] == states(record)
    assert "ValueError: no" == record.events[-1].detail


def test_a_retry_may_succeed(store: Store) -> None:
    """What came of the last attempt is what came of the task."""

    async def run(attempt: Attempt) -> Result:
        return await (fails if attempt.retry_count < 2 else echo)(attempt)

    with Running(store, run):
        record = ended(store, store.accept(Submission(function="f", event=b"x")))

    assert (S.SUCCEEDED, 2, b"x") == (record.status, record.retries, record.payload)
    assert (Returned(), "") == (record.outcome, record.error_type)


def test_retries_wait(store: Store) -> None:
    """Between two attempts there is the back-off of the policy: it is Retrying, and due then."""
    policy = Policy(beat=0.05, poll=0.05)
    with Running(store, fails, policy=policy):
        task = store.accept(Submission(function="f"))
        record = wait_until(store, "f", task.task_id, lambda one: one.status is S.RETRYING)

    assert 1 == record.retries
    failed_ms = record.events[-1].at_ms
    assert 800 <= record.due_ms - failed_ms <= 1000


def test_what_is_ours_does_not_count(store: Store) -> None:
    """No room, or a bug: tried again however few retries are left."""

    async def run(attempt: Attempt) -> Result:
        if attempt.retry_count < 5:
            raise OverloadedError("full") if attempt.retry_count % 2 else KeyError("bug")
        return await echo(attempt)

    with Running(store, run) as running:
        record = ended(store, store.accept(Submission(function="f", max_retries=0)))
        setbacks = running.engine.stats()["setbacks"]

    assert (S.SUCCEEDED, 0, 6) == (record.status, record.retries, record.deliveries)
    assert 5 == setbacks


def test_a_function_that_is_not_there(store: Store) -> None:
    """What will not be otherwise the next time is not tried again."""

    async def run(attempt: Attempt) -> Result:
        raise FunctionNotFoundError(f"no function {attempt.function!r}")

    with Running(store, run):
        record = ended(store, store.accept(Submission(function="f")))

    assert (S.INVALID, 1) == (record.status, record.deliveries)
    assert "fc.refused.function_not_found" == record.error_type
    assert "no function 'f'" in record.events[-1].detail


def test_too_old(store: Store) -> None:
    """One that could not begin in time has Expired, and no attempt begins any more."""
    gate = Gate()
    with Running(store, gate, concurrency=lambda name: int(name == "blocker")):
        store.accept(Submission(function="blocker"))
        gate.wait_for(lambda it: it.inside == 1)
        late = store.accept(Submission(function="nobody's", max_age=1.0))
        never = store.accept(Submission(function="blocker", max_age=1.0))
        record = ended(store, late)
        assert ended(store, never)
        gate.let_through()

    assert (S.EXPIRED, 0) == (record.status, record.deliveries)
    assert "EventAgeExceeded" == record.error_type
    assert S.EXPIRED is store.get("blocker", never.task_id).status
    assert ["blocker"] == [attempt.function for attempt in gate.seen]


def test_no_retry_after_its_time(store: Store) -> None:
    """A retry that would come too late is not waited for: it has failed."""
    with Running(store, fails, policy=Policy(poll=0.05)):
        record = ended(store, store.accept(Submission(function="f", max_age=1.0, max_retries=8)))

    assert S.FAILED is record.status
    assert record.retries <= 1
    assert record.events[-1].detail.endswith("too old for another attempt")


def test_delays(store: Store) -> None:
    """One with a delay runs when it is due, not before; others pass it by."""
    with Running(store, echo):
        late = store.accept(Submission(function="f", delay=2.0))
        soon = store.accept(Submission(function="f"))
        first = ended(store, soon)
        second = ended(store, late)

    assert second.started_ms is not None
    assert second.started_ms >= late.due_ms == late.accepted_ms + 2000
    assert first.ended_ms is not None
    assert first.ended_ms <= second.started_ms


def test_stop_while_it_runs(store: Store) -> None:
    """Its attempt is cancelled, it ends as Stopped, is not tried again, and nobody else is hurt."""
    gate = Gate()
    with Running(store, gate):
        task = store.accept(Submission(function="f", on_failure="told"))
        other = store.accept(Submission(function="f"))
        gate.wait_for(lambda it: it.inside == 2)

        assert S.STOPPING is store.stop("f", task.task_id).status
        record = ended(store, task)
        gate.wait_for(lambda it: it.inside == 1)
        gate.let_through()
        assert S.SUCCEEDED is ended(store, other).status

    assert S.STOPPED is record.status
    assert record.destination_status is None, "nobody is told of what was stopped by hand"
    assert [task.task_id] == [attempt.task_id for attempt in gate.cancelled]
    assert [S.STOPPING, S.STOPPED] == [s for s in states(record) if s in (S.STOPPING, S.STOPPED)]


def test_stop_from_another_process(opened: Callable[..., Store]) -> None:
    """Whoever has the same database can stop it: its owner looks, once a beat."""
    store, elsewhere = opened(), opened()
    gate = Gate()
    with Running(store, gate):
        task = store.accept(Submission(function="f"))
        gate.wait_for(lambda it: it.inside == 1)
        elsewhere.stop("f", task.task_id)
        record = ended(elsewhere, task)

    assert S.STOPPED is record.status
    assert [task.task_id] == [attempt.task_id for attempt in gate.cancelled]


def test_stop_before_its_turn(store: Store) -> None:
    """One that was taken from the queue and has not begun ends without having run."""
    gate = Gate()
    seen: list[str] = []

    async def run(attempt: Attempt) -> Result:
        seen.append(attempt.task_id)
        return result(attempt) if attempt.task_id.startswith("quick") else await gate(attempt)

    with Running(store, run, concurrency=1):
        for number in range(20):  # so that it is thought quick, and others are taken ahead
            ended(store, store.accept(Submission(function="f", task_id=f"quick{number}")))
        store.accept(Submission(function="f", task_id="blocks"))
        gate.wait_for(lambda it: it.inside == 1)
        store.accept(Submission(function="f", task_id="next"))
        wait_until(store, "f", "next", lambda one: one.status is S.DEQUEUED)
        store.stop("f", "next")
        record = wait_until(store, "f", "next", lambda one: one.ended)
        gate.let_through()

    assert (S.STOPPED, 0, None) == (record.status, record.deliveries, record.started_ms)
    assert "next" not in seen


def test_stop_between_two_attempts(store: Store) -> None:
    """One that waits for a retry is stopped at once."""
    with Running(store, fails, policy=Policy(poll=0.05)):
        task = store.accept(Submission(function="f"))
        wait_until(store, "f", task.task_id, lambda one: one.status is S.RETRYING)
        record = store.stop("f", task.task_id)

    assert (S.STOPPED, 1) == (record.status, record.deliveries)


def test_a_stop_wins_over_a_retry(opened: Callable[..., Store]) -> None:
    """Asked to stop while its attempt fails, it is not queued again, although no beat has come."""
    store, elsewhere = opened(), opened()
    gate = Gate()

    async def run(attempt: Attempt) -> Result:
        await gate(attempt)
        return await fails(attempt)

    with Running(store, run, policy=Policy(poll=0.05, beat=60.0, retry=SOON)):
        task = store.accept(Submission(function="f"))
        gate.wait_for(lambda it: it.inside == 1)
        elsewhere.stop("f", task.task_id)
        gate.let_through()
        record = ended(store, task)

    assert (S.STOPPED, 1) == (record.status, record.deliveries)


def test_once_more_by_hand(store: Store) -> None:
    """What has failed runs again when asked, from its first attempt on, and may then succeed."""
    good = asyncio.Event()

    async def run(attempt: Attempt) -> Result:
        return await (echo if good.is_set() else fails)(attempt)

    with Running(store, run):
        task = store.accept(Submission(function="f", event=b"x", max_retries=1))
        assert S.FAILED is ended(store, task).status
        good.set()
        store.retry("f", task.task_id)
        record = wait_until(store, "f", task.task_id, lambda one: one.status is S.SUCCEEDED)

    assert (0, b"x", "") == (record.retries, record.payload, record.error_type)
    assert 3 == record.deliveries


def test_a_long_result_is_not_kept(opened: Callable[..., Store]) -> None:
    """It has succeeded, and says that its result was too long, and how long."""
    store = opened(payload_bytes=10)
    with Running(store, echo):
        short = ended(store, store.accept(Submission(function="f", event=b"x" * 10)))
        long = ended(store, store.accept(Submission(function="f", event=b"x" * 11)))

    assert (S.SUCCEEDED, b"x" * 10, "") == (short.status, short.payload, short.error_type)
    assert (S.SUCCEEDED, None, "ResultNotKept") == (long.status, long.payload, long.error_type)
    assert "its result, 11 bytes, was not kept" == long.events[-1].detail


# -- destinations ------------------------------------------------------------------------------


class Told:
    """A destination that remembers, and raises what it was given first."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)
        self.events: list[Record] = []

    def __call__(self, where: str, ended: Record) -> Destination:
        assert where == "told"
        return self

    async def deliver(self, ended: Record) -> None:
        self.events.append(ended)
        if self._errors:
            raise self._errors.pop(0)


def test_success_is_told(store: Store) -> None:
    """With event and result, once, and only to who asked for success."""
    told = Told()
    with Running(store, echo, destinations=told):
        task = store.accept(Submission(function="f", event=b"x", on_success="told", on_failure="?"))
        record = ended(store, task)

    assert (S.SUCCEEDED, "Succeeded") == (record.status, record.destination_status)
    (event,) = told.events
    assert (S.SUCCEEDED, b"x", b"x") == (event.status, event.event, event.payload)
    assert record.outcome == Returned(), "telling changes nothing of what is told"
    assert record.instance_id == "c-1"


@pytest.mark.parametrize(
    ("run", "submission", "status"),
    [
        (fails, {"max_retries": 1}, S.FAILED),
        (echo, {"max_age": 1.0, "delay": 1.5}, S.EXPIRED),
    ],
    ids=["failed", "expired"],
)
def test_failure_is_told(
    store: Store, run: Run, submission: dict[str, float], status: Status
) -> None:
    """When no attempt is left, or there is no time for one."""
    told = Told()
    with Running(store, run, destinations=told):
        task = store.accept(
            Submission(function="f", on_success="?", on_failure="told", **submission)  # type: ignore[arg-type]
        )
        record = ended(store, task)

    assert (status, "Succeeded") == (record.status, record.destination_status)
    assert [status] == [event.status for event in told.events]


def test_telling_is_tried_again(store: Store) -> None:
    """A destination that fails is asked again; the task has ended meanwhile, and runs no more."""
    gate_count: list[str] = []

    async def run(attempt: Attempt) -> Result:
        gate_count.append(attempt.task_id)
        return await echo(attempt)

    told = Told(OSError("not now"), OSError("nor now"))
    with Running(store, run, destinations=told):
        record = ended(store, store.accept(Submission(function="f", on_success="told")))

    assert "Succeeded" == record.destination_status
    assert 3 == len(told.events)
    assert 1 == len(gate_count)
    assert 1 == record.deliveries


@pytest.mark.parametrize(
    ("errors", "times"),
    [([OSError("no")] * 9, 3), ([UndeliverableError("never")], 1)],
    ids=["too often", "hopeless"],
)
def test_telling_is_given_up(store: Store, errors: list[Exception], times: int) -> None:
    """After so many tries, or at once where another would be no use; the task stays as it is."""
    told = Told(*errors)
    policy = Policy(delivery=SOON, poll=0.05, delivery_tries=3)
    with Running(store, echo, destinations=told, policy=policy):
        record = ended(store, store.accept(Submission(function="f", on_success="told")))

    assert (S.SUCCEEDED, "Failed") == (record.status, record.destination_status)
    assert times == len(told.events)
    assert f"destination: {errors[0]}" == record.events[-1].detail


def test_another_function_is_told_once(store: Store) -> None:
    """Its task is accepted with FC's event, and once, however often it is told."""

    class Twice(FunctionDestination):
        async def deliver(self, ended: Record) -> None:
            await FunctionDestination.deliver(self, ended)
            await FunctionDestination.deliver(self, ended)

    def resolve(where: str, _ended: Record) -> Destination:
        return Twice(store, where)

    seen: list[Attempt] = []

    async def run(attempt: Attempt) -> Result:
        seen.append(attempt)
        return await (fails if attempt.function == "f" else echo)(attempt)

    with Running(store, run, destinations=resolve):
        task = store.accept(
            Submission(
                function="f",
                event=b"in",
                max_retries=0,
                on_failure="g",
                meta={"functionArn": "acs:fc:cn:1:functions/f"},
            )
        )
        record = ended(store, task)
        wait_until(store, "g", _only(store, "g").task_id, lambda one: one.ended)

    second = _only(store, "g")
    told = json.loads(store.get("g", second.task_id).event or b"")
    assert destination_event(record) == told
    assert {
        "requestId": task.request_id,
        "functionArn": "acs:fc:cn:1:functions/f",
        "condition": "RetriesExhausted",
        "approximateInvokeCount": 1,
    } == told["requestContext"]
    assert ("in", '{"errorMessage": "no"}') == (told["requestPayload"], told["responsePayload"])
    assert {"statusCode": 200, "functionError": "UnhandledInvocationError"} == told[
        "responseContext"
    ]
    assert ["f", "g"] == [attempt.function for attempt in seen]


def _only(store: Store, function: str) -> Record:
    (record,) = store.list(Query(function=function)).records
    return record


# -- fairness and limits -----------------------------------------------------------------------


def test_concurrency_of_a_function(store: Store) -> None:
    """No more of a function run at the same time than it may; others beside it do."""
    gate = Gate()
    limits = {"narrow": 2, "wide": 5}
    tasks = [
        store.accept(Submission(function=name)) for name in ("narrow", "wide") for _ in range(8)
    ]
    with Running(store, gate, concurrency=limits.__getitem__):
        gate.wait_for(lambda it: it.inside == 7)
        inside = [attempt.function for attempt in gate.seen]
        assert {"narrow": 2, "wide": 5} == {name: inside.count(name) for name in limits}
        while not all(store.get(task.function, task.task_id).ended for task in tasks):
            gate.let_through()
            gate.wait_for(lambda it: it.inside or len(it.seen) == len(tasks))

    assert 7 == gate.most_inside
    assert 16 == len(gate.seen)


def test_a_flood_starves_nobody(store: Store) -> None:
    """Thousands of one function are queued, all places taken: another's task runs all the same."""
    gate = Gate()
    for _ in range(300):
        store.accept_soon(Submission(function="flood"))
    policy = Policy(most_running=8, poll=0.05, beat=0.05)
    with Running(store, gate, concurrency=1000, policy=policy) as running:
        gate.wait_for(lambda it: it.inside == 6)
        store.accept(Submission(function="other"))
        gate.wait_for(lambda it: it.seen[-1].function == "other")
        assert 6 == [attempt.function for attempt in gate.seen].count("flood")
        gate.let_through()
        gate.wait_for(lambda it: len(it.seen) >= 10)
        running.stop(drain=0.0)

    assert gate.most_inside <= 8


def test_functions_take_turns(store: Store) -> None:
    """With one place in all, a hundred functions get it one after the other, whoever has most."""
    order: list[str] = []

    async def run(attempt: Attempt) -> Result:
        order.append(attempt.function)
        return await echo(attempt)

    names = [f"f{number:03}" for number in range(100)]
    last = None
    for _ in range(3):
        for name in names:
            last = store.accept_soon(Submission(function=name))
    for _ in range(200):
        last = store.accept_soon(Submission(function="a-flood"))
    assert last is not None
    last.result()
    with Running(store, run, concurrency=1, policy=Policy(most_running=1, poll=0.02)):
        for name in names:
            assert ended(store, _first(store, name)).status is S.SUCCEEDED
    begun = order[: 3 * len(names)]

    assert begun.count("a-flood") <= len(begun) // 4, begun


def _first(store: Store, function: str) -> Record:
    return store.list(Query(function=function, ascending=True, limit=1)).records[0]


def test_functions_that_are_not_known_here(store: Store) -> None:
    """More of them than are looked at in one turn do not hide one that is."""
    for number in range(100):
        store.accept_soon(Submission(function=f"a{number}"))
    task = store.accept(Submission(function="z"))

    with Running(store, echo, concurrency=lambda name: int(name == "z")):
        assert S.SUCCEEDED is ended(store, task).status
    assert 100 == store.depth().waiting


# -- ending ------------------------------------------------------------------------------------


def test_stopping_waits_for_what_runs(store: Store) -> None:
    """Without a limit it is carried through; what has not begun waits for the next engine."""
    gate = Gate()
    with Running(store, gate, concurrency=1) as running:
        first = store.accept(Submission(function="f"))
        gate.wait_for(lambda it: it.inside == 1)
        second = store.accept(Submission(function="f"))
        gate.let_through()
        gate.wait_for(lambda it: len(it.seen) == 2)
        third = store.accept(Submission(function="f"))
        gate.let_through()
        running.stop(drain=0.0)

    for task in (first, second, third):
        assert store.get("f", task.task_id).status in (S.SUCCEEDED, S.ENQUEUED)
    assert 0 == store.depth().held
    with Running(store, echo):
        for task in (first, second, third):
            assert S.SUCCEEDED is ended(store, task).status


def test_stopping_in_a_hurry(store: Store) -> None:
    """What still runs is ended, and goes back to the queue: the next engine runs it again."""
    gate = Gate()
    with Running(store, gate) as running:
        task = store.accept(Submission(function="f"))
        gate.wait_for(lambda it: it.inside == 1)
        running.stop(drain=0.0)

    assert [task.task_id] == [attempt.task_id for attempt in gate.cancelled]
    back = store.get("f", task.task_id)
    assert (S.ENQUEUED, 1) == (back.status, back.deliveries)
    seen: list[int] = []

    async def run(attempt: Attempt) -> Result:
        seen.append(attempt.retry_count)
        return await echo(attempt)

    with Running(store, run):
        assert S.SUCCEEDED is ended(store, task).status
    assert [1] == seen, "it may have been begun before"


def test_stats(store: Store) -> None:
    """What an engine has done, and does, in numbers."""
    gate = Gate()
    with Running(store, gate) as running:
        task = store.accept(Submission(function="f"))
        gate.wait_for(lambda it: it.inside == 1)
        assert {"f": {"running": 1, "ready": 0}} == running.engine.stats()["functions"]
        gate.let_through()
        ended(store, task)
        stats = json.loads(json.dumps(running.engine.stats()))

    assert (0, 0, 1) == (stats["running"], stats["ready"], stats["attempts"])
    assert {"Succeeded": 1} == stats["ended"]
    assert QUICK.most_running == Policy().most_running
