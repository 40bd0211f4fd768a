"""
What holds the instances of one runtime: the isolation tier, the plan of each function's sandbox,
and the folder on disk that is this runtime's own.

All of it is found, or made, when it is first needed: a runtime that was only constructed has asked
nothing of its host.
"""

import secrets
import shutil
import tempfile
import threading
from dataclasses import replace
from pathlib import Path

from fc_worker import messages as m

from fc_runtime.errors import InvalidFunctionError, OverloadedError
from fc_runtime.function import Function
from fc_runtime.isolation import host, tiers
from fc_runtime.isolation.profiles import FIRST_IDENTITY, IDENTITIES, PROFILES, Cage, make_plan
from fc_runtime.isolation.tiers import Isolation


class Holding:
    def __init__(self, name: str) -> None:
        """
        Raises InvalidFunctionError if there is no tier called *name*, or this host lacks it.
        """
        tiers.check_name(name)
        self._lock = threading.Lock()
        self._folder: str | None = None
        self._isolation: Isolation | None = None
        if name != "auto":  # asked for, so it has to be there
            self._isolation = tiers.choose(name)

    @property
    def isolation(self) -> Isolation:
        """The tier; found when the first instance, or somebody who asks, needs it."""
        with self._lock:
            if self._isolation is None:
                self._isolation = tiers.choose("auto")
            return self._isolation

    def check(self, function: Function) -> None:
        """Raises InvalidFunctionError if this host cannot give what *function* asks for."""
        if function.sandbox == "strict":
            refused = host.strict_refusal()
            if refused is not None:
                raise InvalidFunctionError(
                    "sandbox", "strict", f"not to be had here: {refused}; see fc-runtime doctor"
                )
        if function.cpu is not None and "cpu" not in self.isolation.enforces:
            raise InvalidFunctionError(
                "cpu",
                function.cpu,
                f"the {self.isolation.name} tier cannot limit it; see fc-runtime doctor",
            )

    def planned(self, function: Function, config: m.WorkerConfig) -> m.WorkerConfig:
        """*config* with the plan of its instances' sandbox, as this host allows."""
        isolation = self.isolation
        cage = Cage(
            profile=PROFILES[function.sandbox],
            code=config.code,
            layers=config.layers,
            memory_mb=function.memory_mb,
            processes=function.max_processes,
            scratch=function.scratch,
            scratch_mb=function.scratch_mb,
            network=function.network == "host",
            identity=FIRST_IDENTITY + secrets.randbelow(IDENTITIES),
        )
        plan = make_plan(
            cage,
            host.tried().rights(),
            isolation.name,
            counts_processes="processes" in isolation.enforces,
        )
        return replace(
            config,
            plan=tuple(plan.steps),
            sealed=plan.sealed,
            identity=plan.identity,
            empty_scratch=function.scratch == "empty",
        )

    def folder(self) -> Path:
        """
        Of this runtime alone; it is gone after `close`.

        Raises OverloadedError if the host has no room for it.
        """
        with self._lock:
            if self._folder is None:
                try:
                    self._folder = tempfile.mkdtemp(prefix="fc-runtime-")
                except OSError as error:  # if no folder would do, tempfile says which ones it tried
                    raise OverloadedError(f"cannot make a temporary folder: {error}") from error
            return Path(self._folder)

    def scratch_folder(self, number: int) -> str:
        """A new folder for instance *number*, on a host that allows it no /tmp of its own."""
        made = self.folder() / f"scratch-{number}"
        made.mkdir(mode=0o700)
        return str(made)

    def close(self) -> None:
        """Nothing of it is left on the host. All instances are gone by now."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        if self._isolation is not None:
            self._isolation.close()

    def forget(self) -> None:
        """In a forked child of the host, where a lock may be held for good."""
        self._lock = threading.Lock()
