"""
kill -9 of the daemon while a client deploys and invokes: what was acknowledged is there after a
restart and answers, what was not is there whole or not at all, and nobody is left running.
"""

import os
import random
import subprocess
import threading
from pathlib import Path

from alibabacloud_fc20230330 import models
from alibabacloud_tea_openapi.exceptions import ClientException
from service.clients.conftest import KEY  # type: ignore[import-not-found]
from support.daemon import base64_zip, forget_connections
from support.official import Fc3
from support.serving import Served
from support.stage import marked, until

ROUNDS = 10
LONGEST_S = 1.5
OLD_ONES = 3  # of those that earlier rounds have checked


def code(word: str) -> models.InputCodeLocation:
    """That answers with *word*; nobody has had it before."""
    text = f"def handler(event, context):\n    return {word!r}\n"
    return models.InputCodeLocation(zip_file=base64_zip(index=text))


class Deploying(threading.Thread):
    """
    Creates, invokes, updates, invokes, one function after another, until the daemon is gone.

    *may_say*: what each function that was acknowledged may answer; *asked*: the one whose creation
    was under way.
    """

    def __init__(self, served: Served, turn: int, mark: str) -> None:
        super().__init__()
        self.may_say: dict[str, set[str]] = {}
        self.asked = ""
        self.wrong: list[str] = []
        self.killed = threading.Event()
        self.begun = threading.Event()
        self._client = Fc3(served.url, KEY)
        self._turn = turn
        self._mark = mark

    def run(self) -> None:
        number = 0
        try:
            while True:
                self._deploy(f"f_{self._turn}_{number}")
                number += 1
        except Exception as error:  # noqa: BLE001 (whatever the client makes of a lost connection)
            if not self.killed.is_set() or isinstance(error, ClientException):
                self.wrong.append(repr(error))
        finally:
            self.begun.set()

    def _deploy(self, name: str) -> None:
        self.asked = name
        body = models.CreateFunctionInput(
            function_name=name,
            runtime="python3.10",
            handler="index.handler",
            code=code(f"{name} first"),
            environment_variables={"LD_TEST_MARK": self._mark},
        )
        self._client.sdk.create_function(models.CreateFunctionRequest(body=body))
        self.may_say[name] = {f"{name} first"}
        self._invoke(name)
        self.begun.set()
        self.may_say[name].add(f"{name} second")
        update = models.UpdateFunctionInput(code=code(f"{name} second"))
        self._client.sdk.update_function(name, models.UpdateFunctionRequest(body=update))
        self.may_say[name] = {f"{name} second"}
        self._invoke(name)

    def _invoke(self, name: str) -> None:
        said = self._client.invoke(name).body.decode()
        if said not in self.may_say[name]:
            self.wrong.append(f"{name} said {said!r}, not {self.may_say[name]}")


def serve(home: Path) -> Served:
    """On the same data as before."""
    keys = f"{KEY.id}:{KEY.secret}"
    return Served(home, "--data-dir", home / "data", FC_RUNTIME_ACCESS_KEYS=keys)


def names(client: Fc3) -> set[str]:
    found: set[str] = set()
    token = None
    while True:
        request = models.ListFunctionsRequest(limit=100, next_token=token)
        page = client.sdk.list_functions(request).body
        found |= {function.function_name for function in page.functions}
        token = page.next_token
        if not token:
            return found


class Held:
    """What each function that is there may answer, and whose creation was not acknowledged."""

    def __init__(self) -> None:
        self.may_say: dict[str, set[str]] = {}
        self.recent: set[str] = set()
        self.asked = ""

    def check(self, client: Fc3) -> None:
        """Of the last round everything, of those before it some."""
        there = names(client)
        assert self.may_say.keys() <= there
        for name in there - self.may_say.keys():
            assert name == self.asked
            self.may_say[name] = {f"{name} first"}
            self.recent.add(name)
        old = random.sample(sorted(there), min(OLD_ONES, len(there)))
        for name in {*self.recent, *old}:
            said = client.invoke(name).body.decode()
            assert said in self.may_say[name]
            self.may_say[name] = {said}

    def add(self, deploying: Deploying) -> None:
        self.may_say |= deploying.may_say
        self.recent = set(deploying.may_say)
        self.asked = deploying.asked


def test_daemon_is_killed_again_and_again(home: Path) -> None:
    """Ten times, at any moment; each restart finds the account as the client was told that it is."""
    mark = f"fc-kill9-{os.getpid()}"
    held = Held()
    for turn in range(ROUNDS):
        with serve(home) as served:
            held.check(Fc3(served.url, KEY))
            deploying = Deploying(served, turn, mark)
            deploying.start()
            assert deploying.begun.wait(60)
            try:
                served.process.wait(random.uniform(0, LONGEST_S))
            except subprocess.TimeoutExpired:
                deploying.killed.set()
                served.process.kill()
            served.wait()
            deploying.join(60)
            forget_connections()
        assert [] == deploying.wrong
        assert deploying.killed.is_set(), served.errors
        until(lambda: marked(mark) == [], what="all have ended with the daemon")
        held.add(deploying)
    with serve(home) as served:
        held.check(Fc3(served.url, KEY))
        assert [] == list((home / "data").rglob(".unfinished*"))
        forget_connections()
        assert served.stop() == 0
    assert len(held.may_say) >= ROUNDS
