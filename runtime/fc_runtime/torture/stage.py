"""
What one case is played on: a runtime of its own, the function, its mark, and what lies around.

The handlers are copied to a folder that the run makes, so that whoever writes to his code writes
there, and with a secret beside it. A case that attacks the walls also gets a neighbour, which is
another function with a secret of its own, and the sockets of a host that listens.
"""

import ctypes
import hashlib
import json
import os
import secrets
import shutil
import socket
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import psutil
from fc_worker import tree

from fc_runtime.errors import FcRuntimeError
from fc_runtime.function import Function
from fc_runtime.runtime import Runtime
from fc_runtime.torture import footing
from fc_runtime.torture.case import Case, Seen

ATTACKS: Final = Path(__file__).parent / "attacks"
MARK_VARIABLE: Final = "LD_TORTURE_MARK"  # LD_: what a zygote is exec'd with, and not given later
SECRET_VARIABLE: Final = "LD_TORTURE_SECRET"  # noqa: S105 (where it is, not what)
PROBE_S: Final = 5.0


class Grounds:
    """What all cases of a run share: the folder with the handlers, and who limits them."""

    def __init__(self, tier: str, sandbox: str) -> None:
        self.tier = tier
        self.sandbox = sandbox
        self.folder = Path(tempfile.mkdtemp(prefix="fc-torture-"))
        self.folder.chmod(0o755)  # a sandbox may have another user, who has to reach the code
        self.code = self.folder / "code"
        self.neighbour = self.folder / "neighbour"
        ignored = shutil.ignore_patterns("__pycache__")
        for folder in (self.code, self.neighbour):
            shutil.copytree(ATTACKS, folder, ignore=ignored)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


class Stage:
    """One case on its own runtime. Use it in a ``with``; whatever is left is ended at its end."""

    def __init__(self, grounds: Grounds, case: Case) -> None:
        self.grounds = grounds
        self.case = case
        self.mark = f"fct-{secrets.token_hex(4)}"  # a process's name has room for fifteen
        self.name = self.named("victim")
        self.runtime = Runtime(**self.host_options())
        self._stack = ExitStack()

    def host_options(self) -> dict[str, Any]:
        return {"isolation": self.grounds.tier, **self.case.host}

    def __enter__(self) -> Self:
        self.register(self.case.options.get("environment", {}))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.clear_surroundings()
        finally:
            self.runtime.close(0.0)

    def named(self, function: str) -> str:
        """The name of a function of this case: its processes bear the mark by it."""
        return f"{function}-{self.mark}"

    # -- functions -----------------------------------------------------------------------------

    def function(self, environment: dict[str, str], **more: Any) -> Function:
        """The case's function, with *environment*."""
        options = {
            "handler": f"{self.case.handler}.dispatch",
            "code": self.grounds.code,
            "timeout": max(PROBE_S, self.case.timeout),
            "memory_mb": 256,
            "max_instances": 1,  # and so no standby: what is there is the one that served
            "preload_learned": False,  # and so no second zygote, which comes when it likes
            "sandbox": self.grounds.sandbox,
            **self.case.options,
            "environment": {MARK_VARIABLE: self.mark, **environment},
            **more,
        }
        return Function.made_from(self.name, options)

    def register(self, environment: dict[str, str]) -> None:
        self.runtime.register(self.function(environment))

    def register_another(self, name: str, handler: str, **environment: str) -> None:
        """A function of the neighbour's folder, which is not attacked."""
        self.runtime.register(
            self.named(name),
            code=self.grounds.neighbour,
            handler=handler,
            timeout=PROBE_S,
            max_instances=1,
            preload_learned=False,
            sandbox=self.grounds.sandbox,
            environment={MARK_VARIABLE: self.mark, **environment},
        )

    # -- calls ---------------------------------------------------------------------------------

    def invoke(
        self, event: bytes | str, *, timeout: float | None = None, name: str | None = None
    ) -> Seen:
        started = time.monotonic()
        try:
            result = self.runtime.invoke(name or self.name, event, timeout=timeout, check=False)
        except FcRuntimeError as error:
            return Seen(error=error, took_s=time.monotonic() - started)
        return Seen(result=result, took_s=time.monotonic() - started)

    def attack(self) -> Seen:
        """The case's deed, once."""
        return self.invoke(self.case.deed, timeout=self.case.timeout)

    def probe(self) -> Seen:
        """A call that does no harm."""
        return self.invoke(self.case.probe)

    # -- processes -----------------------------------------------------------------------------

    def marked(self) -> dict[int, footing.Marked]:
        """Whoever was started for this case, zygotes and instances included."""
        return footing.marked(self.mark)

    def threaded(self) -> list[footing.Marked]:
        """Those of them with more than one thread."""
        found = []
        for pid, one in self.marked().items():
            with suppress(psutil.Error):
                if psutil.Process(pid).num_threads() > 1:
                    found.append(one)
        return found

    def zygotes(self) -> list[int]:
        """Children of ours: a zygote for each function that has instances."""
        return [pid for pid in tree.children(os.getpid()) if footing.bears(pid, self.mark)]

    def instances(self) -> int:
        """How many the runtime knows of, once none is on its way up."""
        while True:
            functions = self.runtime.stats()["functions"].values()
            if not any(function["warming"] for function in functions):
                return sum(function["processes"] for function in functions)
            footing.wait_for_any((), footing.POLL_S)

    def resident_bytes(self) -> int:
        """Of all its processes, the zygote's included."""
        total = 0
        for pid in self.marked():
            with suppress(psutil.Error):
                total += int(psutil.Process(pid).memory_info().rss)
        return total

    # -- what lies around ----------------------------------------------------------------------

    def surroundings(self) -> dict[str, Any]:
        """Makes what attacks on the walls look for; tells where it is, and how to know it."""
        secret = f"torture-secret-{secrets.token_hex(16)}"
        folder = self.grounds.folder
        paths = {
            "secret_path": folder / "secret.txt",
            "neighbour_secret_path": self.grounds.neighbour / "secret.txt",
            "shm_path": Path(f"/dev/shm/{self.mark}"),  # noqa: S108 (a name nobody can guess)
        }
        for path in paths.values():
            path.write_text(secret)
            path.chmod(0o644)  # the sandbox shall refuse, not the mode
            self._stack.callback(path.unlink, missing_ok=True)
        kept = ctypes.create_string_buffer(secret.encode())
        self._stack.callback(bytes, kept)  # alive as long as the stage is
        neighbour = self._neighbour(secret)
        facts: dict[str, Any] = {
            **{name: str(path) for name, path in paths.items()},
            "secret_sha": hashlib.sha256(secret.encode()).hexdigest(),
            "environ_sha": hashlib.sha256(Path("/proc/self/environ").read_bytes()).hexdigest(),
            "host": os.getpid(),
            "host_address": ctypes.addressof(kept),
            "zygotes": self.zygotes(),
            "neighbour_code": str(self.grounds.neighbour),
            **neighbour,
            **self._sockets(),
        }
        facts["sessions"] = {
            str(pid): os.getsid(pid)
            for pid in (facts["host"], facts["neighbour"], *facts["zygotes"])
        }
        return facts

    def clear_surroundings(self) -> None:
        self._stack.close()

    def _neighbour(self, secret: str) -> dict[str, Any]:
        self.register_another("neighbour", "neighbour.dispatch", **{SECRET_VARIABLE: secret})
        told = self.runtime.invoke(self.named("neighbour"), b"ping").json()
        self._stack.callback(self._tidy_neighbour, told["scratch"])
        name = self.named("neighbour")
        zygotes = [pid for pid in self.zygotes() if footing.bears(pid, name)]
        instance = next(
            pid
            for zygote in zygotes
            for pid in tree.children(zygote)
            if not footing.is_process_1(pid)
        )
        return {
            "neighbour": instance,
            "neighbour_address": told["address"],
            "scratch_path": told["scratch"],
        }

    def _tidy_neighbour(self, scratch: str) -> None:
        with suppress(FcRuntimeError):
            self.runtime.invoke(self.named("neighbour"), b"tidy")
            self.runtime.unregister(self.named("neighbour"))
        Path(scratch).unlink(missing_ok=True)

    def _sockets(self) -> dict[str, Any]:
        abstract = f"{self.mark}-abstract"
        path = self.grounds.folder / "host.sock"
        self._stack.callback(path.unlink, missing_ok=True)
        for address in (f"\0{abstract}", str(path)):
            listening = self._stack.enter_context(socket.socket(socket.AF_UNIX))
            listening.bind(address)
            listening.listen(8)
        path.chmod(0o777)
        tcp = self._stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        return {"abstract": abstract, "socket_path": str(path), "port": tcp.getsockname()[1]}


def heirs(stage: Stage) -> Seen:
    """As `storm`, when the host has a secret open, inheritably, and in a variable of its own."""
    name = f"FCT_{stage.mark[-8:]}"
    try:
        facts = stage.surroundings()
        path = Path(facts["secret_path"])
        os.environ[name] = path.read_text()
        with path.open("rb") as secret:
            os.set_inheritable(secret.fileno(), True)
            stage.register({})  # and so a fresh zygote
            return stage.invoke(f"{stage.case.deed} {json.dumps(facts)}")
    finally:
        os.environ.pop(name, None)
        stage.clear_surroundings()


def storm(stage: Stage) -> Seen:
    """An attack on the walls: the deed is told what there is to reach for."""
    try:
        facts = json.dumps(stage.surroundings())
        return stage.invoke(f"{stage.case.deed} {facts}", timeout=stage.case.timeout)
    finally:
        stage.clear_surroundings()
