"""
The hot path without ASGI: a warm invocation from parsed request to reply, in callbacks.

Taken is what nearly every invocation is: its whole request came in one piece, its function has
been found before, its event is small. It costs no task, no scope and no messages. Everything else
is left to `Invoke`: before anything has been done (`Express.begin` returns None), or later with
what has been done so far (`Invoke.BEGUN`). The two must not be told apart by their replies;
tests/service/gateway asks both.
"""

import time
from functools import lru_cache
from typing import Final, NamedTuple, Protocol
from urllib.parse import unquote

from fc_runtime.errors import FunctionNotFoundError, OverloadedError, RuntimeClosedError
from fc_runtime.flight import Flight
from fc_runtime.lean import Lean
from fc_runtime.outcome import Result
from fc_runtime.service.deployer import Deployer
from fc_runtime.service.deployment import Deployment
from fc_runtime.service.errors import ApiError
from fc_runtime.service.gateway import paths, replies
from fc_runtime.service.gateway.invoke import Begun, Invoke, wants_log
from fc_runtime.service.gateway.presence import Presence

Headers = list[tuple[bytes, bytes]]
KEPT: Final = 4096  # as of `paths`


class Link(Protocol):
    """The connection, as far as a passage needs it."""

    def reply(self, passage: "Passage", head: bytes, body: bytes) -> None:
        """The end of it."""

    def pass_on(self, passage: "Passage", begun: Begun) -> None:
        """`Invoke` is to go on with it."""

    @property
    def common_headers(self) -> Headers: ...


class Asked(NamedTuple):
    """The head of a request, and what it asks for: the same whenever it is sent again."""

    url: bytes
    headers: Headers
    path: paths.Asked
    with_log: bool
    fc2: bool  # which of the two shapes its request id has


class Passage:
    """
    One request on the express way. To the connection it is what uvicorn calls a cycle; so it is
    told when the client has gone.
    """

    __slots__ = (
        *("_express", "asked", "body", "deployment", "disconnected", "flight", "link"),
        *("keep_alive", "request_id", "response_complete", "since"),
    )
    more_body: Final = False

    def __init__(
        self,
        express: "Express",
        link: Link,
        asked: Asked,
        body: bytes,
        *,
        keep_alive: bool,
    ) -> None:
        self._express = express
        self.link = link
        self.asked = asked
        self.body = body
        self.keep_alive = keep_alive
        self.disconnected = False
        self.response_complete = False
        self.since = time.monotonic()
        self.flight: Flight | None = None

    deployment: Deployment
    request_id: str

    @property
    def message_event(self) -> "Passage":
        return self

    def set(self) -> None:
        """uvicorn's way to say that the client has gone."""
        if self.disconnected:
            self._express.left(self)

    def landed(self, flight: Flight) -> None:
        self._express.landed(self, flight)


class Express:
    """Beside the *invoke* that it passes on to."""

    def __init__(self, invoke: Invoke, deployer: Deployer, lean: Lean, presence: Presence) -> None:
        self._invoke = invoke
        self._deployer = deployer
        self._lean = lean
        self._presence = presence
        self._common: Headers = []
        self._common_lines = b""

    def begin(self, link: Link, asked: Asked, body: bytes, *, keep_alive: bool) -> Passage | None:
        """None if nothing has been done. Else the passage, which may have ended."""
        invoke = self._invoke
        if invoke.draining:
            return None
        deployment = self._deployer.known(*asked.path)
        if deployment is None or deployment.load_error is not None:
            return None
        try:
            pool = self._lean.takes(deployment.key, len(body))
        except (FunctionNotFoundError, RuntimeClosedError):
            return None
        if pool is None:
            return None
        passage = Passage(self, link, asked, body, keep_alive=keep_alive)
        passage.deployment = deployment
        request_id = passage.request_id = invoke.new_request_id(fc2=asked.fc2)
        if not self._presence.take(passage, len(body)):
            return None
        try:
            invoke.check(asked.url, asked.headers, body)
            flight = self._lean.start(pool, body, request_id, passage.landed)
            if not flight.over:
                passage.flight = flight
        except OverloadedError as error:
            self._refuse(passage, invoke.overloaded(error))
        except Exception as error:  # noqa: BLE001 (told by `Invoke`, whatever it is)
            self._refuse(passage, error)
        return passage

    def landed(self, passage: Passage, flight: Flight) -> None:
        passage.flight = None  # which knows whom to tell: else only the collector would end the two
        result = flight.result
        if result is None:
            begun = Begun(passage.request_id, passage.deployment, flight)
            passage.link.pass_on(passage, begun)
        else:
            try:
                self._reply(passage, result)
            except Exception as error:  # noqa: BLE001 (told by `Invoke`)
                self._refuse(passage, error)
        self._presence.forget(passage, len(passage.body))

    def left(self, passage: Passage) -> None:
        """Its client. In the air it is let be: it will have landed, or been passed on, soon."""
        flight = passage.flight
        if flight is not None and not flight.over and flight.instance is None:
            self._lean.abandon(flight)
            self._presence.forget(passage, len(passage.body))
            self._invoke.count(None)

    def _refuse(self, passage: Passage, error: Exception) -> None:
        self._presence.forget(passage, len(passage.body))
        passage.link.pass_on(passage, Begun(passage.request_id, refusal=error))

    def _reply(self, passage: Passage, result: Result) -> None:
        deployment = passage.deployment
        link = passage.link
        common = link.common_headers
        if common is not self._common:  # the server makes them anew once a second
            self._common, self._common_lines = common, replies.lines(common)
        head = replies.head_of(
            deployment, result, self._common_lines, with_log=passage.asked.with_log
        )
        link.reply(passage, head, result.payload)
        elapsed_ms = (time.monotonic() - passage.since) * 1000
        self._invoke.told(deployment, result, elapsed_ms)
        self._invoke.count(None if passage.disconnected else 200)


def asked_by(url: bytes, headers: Headers) -> Asked | None:
    """None for whatever else than a plain invocation, and for one that is not right."""
    path = route(url)
    if path is None:
        return None
    try:
        return Asked(url, headers, path, wants_log(headers), not url.startswith(b"/2023"))
    except ApiError:
        return None


@lru_cache(KEPT)
def route(url: bytes) -> paths.Asked | None:
    """What an invocation asks for; None for any other target, and for one that is not right."""
    if not url.startswith(b"/") or b"#" in url:
        return None
    raw, _, query = url.partition(b"?")
    try:
        path = unquote(raw.decode("ascii"))
        return paths.asked(path, query) if paths.is_invocation(path) else None
    except (ApiError, UnicodeDecodeError):
        return None
