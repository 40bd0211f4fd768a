"""
What a function may do besides its invocations: `pre_freeze` after each of them, `pre_stop` before
an instance of it is retired in good order (spec 3).

Nobody waits for a hook, and nobody is told what came of it, except in the runtime's log. It is an
invocation like any other to the instance that runs it, in a thread of this module's. Meanwhile the
instance belongs to the hook: after an invocation it stays LEASED, before its end it is STOPPING and
`held`, so that it is not buried under the hook's hands.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from fc_worker import messages as m

from fc_runtime.dispatch import settle
from fc_runtime.dispatch.drive_sync import drive
from fc_runtime.dispatch.watch import Ending
from fc_runtime.outcome import RETURNED, describe
from fc_runtime.pool.instance import Instance
from fc_runtime.pool.lifecycle import State
from fc_runtime.pool.request import Request, request_headers
from fc_runtime.pool.serving import Serving
from fc_runtime.pool.threads import Threads

if TYPE_CHECKING:
    from fc_runtime.pool.core import Core

HOOK_THREADS: Final = 64
SHOWN_BYTES: Final = 16 * 1024  # of what a hook wrote, head and tail
LOST: Final = "hook_failed"  # the instance is not to be used any more


class Hooks:
    def __init__(self, core: "Core") -> None:
        self._core = core
        self.threads = Threads("fc-runtime-hooks", HOOK_THREADS, core.supervisor.after)

    def freeze(self, instance: Instance, request: Request) -> None:
        """The caller of *request* has his answer: run `pre_freeze`, then give the instance back."""
        self.threads.run(partial(self._freeze, instance, request))

    def _freeze(self, instance: Instance, request: Request) -> None:
        pool = instance.pool
        why_stop = self._run(instance, "pre_freeze", request.request_id)
        if why_stop == LOST:
            self._core.supervisor.endings.end(instance, LOST)
            pool.lost(instance)
        else:
            pool.release(instance, why_stop)

    def before_stop(self, instance: Instance, then: Callable[[Instance, bool], None]) -> bool:
        """
        Have `pre_stop` run, and *then* called with the instance and whether it is as it was.
        False, and nothing is done, if it has ended by itself.
        """
        with instance.pool.roster.lock:
            if instance.exit is not None or instance.state is not State.STOPPING:
                return False
            instance.held = True

        def stop() -> None:
            why_stop = self._run(instance, "pre_stop", self._core.new_request_id())
            with instance.pool.roster.lock:
                instance.held = False
            then(instance, why_stop is None)

        self.threads.run(stop)
        return True

    def _run(self, instance: Instance, hook: str, request_id: str) -> str | None:
        """Why the instance is not to be kept (`LOST`: it can be asked nothing more), or None."""
        function = instance.pool.function
        limit_s: float = getattr(function, f"{hook}_timeout")
        try:
            headers = request_headers(request_id, self._core.credentials_of(function))
        except Exception as error:  # noqa: BLE001 (whatever a credentials callable raises)
            self._say(instance, hook, request_id, f"no credentials: {type(error).__name__}")
            return None
        headers[m.TIMEOUT_NS] = int(limit_s * 1e9)
        headers[m.HOOK] = getattr(function, hook)
        request = Request(instance.pool, b"", headers, request_id, headers[m.TIMEOUT_NS])
        serving = Serving(self._core, request, instance, cold=False)
        try:
            ending = drive(serving.call)
        finally:
            serving.let_go()
        cause, why_stop = _verdict(serving, ending, limit_s)
        self._say(instance, hook, request_id, cause, cut=serving.call.log_was_cut)
        return why_stop

    def _say(
        self, instance: Instance, hook: str, request_id: str, cause: str, *, cut: bool = False
    ) -> None:
        log = instance.take_log(cut=cut)
        if not log and not cause:
            return
        told = {
            "function": instance.pool.name,
            "instance": instance.id,
            "instance_id": instance.name,
            "hook": hook,
            "request_id": request_id,
            "log": _shown(log),
        }
        if cause:
            self._core.supervisor.log.warning("instance.hook_failed", cause=cause, **told)
        else:
            self._core.supervisor.log.info("instance.hook_logged", **told)


def _verdict(serving: Serving, ending: Ending, limit_s: float) -> tuple[str, str | None]:
    """What went wrong, or nothing; and why not to keep the instance, or None."""
    reply = serving.call.exchange.reply
    if ending is Ending.TIMED_OUT:
        return f"not done within {limit_s:g} s", LOST
    if ending is not Ending.ANSWERED or reply is None:
        return f"the instance was lost: {ending.name.lower()}", LOST
    status = reply.headers[m.STATUS]
    if status == m.STATUS_DECLINED:
        return "the invocation before left what cannot be undone", LOST
    outcome, _ = settle.answered(serving.call)
    cause = "" if outcome is RETURNED else describe(outcome)
    if status == m.STATUS_EXITING:
        return f"it ended its process: {cause}", LOST
    serving.instance.may_write_late = m.THREADED in reply.headers
    unclean = reply.headers.get(m.UNCLEAN)
    return cause, f"unclean_{unclean}" if unclean else None


def _shown(log: bytes) -> str:
    if len(log) > SHOWN_BYTES:
        half = SHOWN_BYTES // 2
        log = log[:half] + b"\n[%d bytes left out]\n" % (len(log) - 2 * half) + log[-half:]
    return log.decode("utf-8", "backslashreplace")
