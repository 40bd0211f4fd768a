"""Threads that come and go, and what happens when the host has no room for one."""

import threading
from collections.abc import Callable

import pytest
from fc_runtime.errors import OverloadedError
from fc_runtime.pool.threads import Threads
from support.stage import WITHIN_S


class Host:
    """Lets threads start, or not."""

    def __init__(self) -> None:
        self.has_room = True
        self._start = threading.Thread.start

    def start(self, thread: threading.Thread) -> None:
        if not self.has_room:
            raise RuntimeError("can't start new thread")
        self._start(thread)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host()

    def start(thread: threading.Thread) -> None:  # bound to the thread, which `made.start` is not
        made.start(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    return made


def test_work_is_refused_where_there_is_no_thread_for_it(host: Host) -> None:
    """It is told, it is not done behind the caller's back later, and with room all is as ever."""
    threads = Threads("test", 2)
    refused, done = threading.Event(), threading.Event()
    host.has_room = False
    with pytest.raises(OverloadedError, match="can't start new thread"):
        threads.run(refused.set)

    assert 0 == threads.backlog
    host.has_room = True
    threads.run(done.set)
    assert done.wait(WITHIN_S)
    threads.close()
    assert not refused.is_set()


def test_one_thread_does_the_work_of_all(host: Host) -> None:
    """Where there is one already, no room for another only means that work waits for it."""
    threads = Threads("test", 2)
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        go_on.wait(WITHIN_S)

    threads.run(wait)
    assert begun.wait(WITHIN_S)
    host.has_room = False
    threads.run(done.set)

    assert 1 == threads.backlog
    go_on.set()
    assert done.wait(WITHIN_S)
    threads.close()


def test_work_that_has_to_be_done_waits_for_room(host: Host) -> None:
    """Nothing is refused, and nothing is done twice: it is looked again until there is room."""
    asked: list[tuple[float, Callable[[], None]]] = []
    threads = Threads("test", 2, lambda seconds, task: asked.append((seconds, task)))
    done = threading.Semaphore(0)
    host.has_room = False
    threads.run(done.release)
    for _ in range(3):
        seconds, look_again = asked.pop()
        assert seconds > 0
        look_again()
    assert not done.acquire(blocking=False)

    host.has_room = True
    asked.pop()[1]()
    assert done.acquire(timeout=WITHIN_S)
    threads.close()
    assert not asked
    assert not done.acquire(blocking=False)


def test_closing_can_wait_for_what_is_being_done() -> None:
    """Who closes is told whether all of it has been done, within the time that he has."""
    threads = Threads("test", 2)
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait(WITHIN_S)
        done.set()

    threads.run(work)
    assert begun.wait(WITHIN_S)
    assert not threads.close(0.0)

    threading.Timer(0.05, go_on.set).start()
    assert threads.close(WITHIN_S)
    assert done.is_set()
    assert threads.close(0.0)


def test_who_has_left_has_ended_when_it_is_closed() -> None:
    """Not only told so: an interpreter that ends finds no thread of ours on its way out."""
    threads = Threads("test", 1)
    kept = threading.local()
    served = threading.Event()
    who: list[threading.Thread] = []

    class Slow:
        def __del__(self) -> None:  # when the thread ends, and all it has to itself
            threading.Event().wait(0.2)

    def work() -> None:
        who.append(threading.current_thread())
        kept.value = Slow()
        served.set()

    threads.run(work)
    assert served.wait(WITHIN_S)

    assert threads.close(WITHIN_S)
    assert not who[0].is_alive()
