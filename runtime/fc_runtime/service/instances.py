"""The instances that there are, as the management API shows them."""

import time
from typing import Any, Final

from fc_runtime.errors import FunctionNotFoundError, RuntimeClosedError
from fc_runtime.lean import Lean
from fc_runtime.pool.instance import Instance
from fc_runtime.pool.lifecycle import State
from fc_runtime.service.deployer import Deployer

_READY: Final = (State.IDLE, State.LEASED)


class Instances:
    """Asked by the API, in any thread: `Configs.instances` and `Configs.provisioned`."""

    def __init__(self, deployer: Deployer, lean: Lean) -> None:
        self._deployer = deployer
        self._lean = lean

    def listed(self, service: str, function: str, qualifier: str) -> list[dict[str, Any]]:
        """
        Those that can serve, of one qualifier; the oldest first.

        LATEST has the version 0, as the official client's documentation has it.
        """
        now_ns, now_ms = time.monotonic_ns(), time.time_ns() // 1_000_000
        return [
            {
                "instanceId": instance.name,
                "versionId": "0" if version == "LATEST" else version,
                "qualifier": qualifier,
                "status": "Running",
                "createdTimeMs": now_ms - (now_ns - instance.born_ns) // 1_000_000,
            }
            for version, instance in self._ready(service, function, qualifier)
        ]

    def count(self, service: str, function: str, qualifier: str) -> int:
        return len(self._ready(service, function, qualifier))

    def _ready(self, service: str, function: str, qualifier: str) -> list[tuple[str, Instance]]:
        found: list[tuple[str, Instance]] = []
        for key, target in self._deployer.deployed().items():
            if (target.service, target.function, target.qualifier) != (
                service,
                function,
                qualifier,
            ):
                continue
            try:
                instances = self._lean.instances(key)
            except (FunctionNotFoundError, RuntimeClosedError):
                continue  # it has just gone, or its code could not be loaded
            found += [(target.version_id, each) for each in instances if each.state in _READY]
        return sorted(found, key=lambda pair: pair[1].born_ns)
