"""
From "this qualifier of this function" to something that the runtime serves.

Found once for each change of the account, then kept: what was found for a name is a dictionary's
entry until `Account.revision` moves. A version is registered with the runtime when it is first
asked for, and again when anything of it has changed; the runtime swaps the code with no call lost.
After a change `Deployer.settle` also registers what is to be kept warm, and takes out what is gone.

Reading the account blocks, so it is done in a thread. Nothing of one key is done twice at the same
time, and never is something older put in the place of something newer.
"""

import asyncio
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import structlog

from fc_runtime.aio import AsyncRuntime
from fc_runtime.credentials import CredentialsSource
from fc_runtime.errors import FunctionNotFoundError, InvalidFunctionError
from fc_runtime.function import Function
from fc_runtime.service.account.targets import Target
from fc_runtime.service.deployment import (
    Deployment,
    check_runtime,
    function_of,
    key_of,
    load_error_of,
)
from fc_runtime.service.errors import ApiError
from fc_runtime.service.plans import Holder, Plan, Plans
from fc_runtime.service.settings import Settings

MOST_NAMES: Final = 10_000  # kept at the same time; far more than anybody has functions
_log = structlog.get_logger(__name__)


class Choice(NamedTuple):
    """What a name stands for: versions, and the share of traffic up to and with each."""

    deployments: tuple[Deployment, ...]
    up_to: tuple[float, ...]

    def one(self) -> Deployment:
        """One of them, by weight."""
        if len(self.deployments) == 1:
            return self.deployments[0]
        drawn = random.random() * self.up_to[-1]  # noqa: S311 (traffic, not secrets)
        for deployment, up_to in zip(self.deployments, self.up_to, strict=True):
            if drawn < up_to:
                return deployment
        return self.deployments[-1]


class Deployer:
    """
    Args:
        credentials_of: for the role of a function; asked when it is registered.
    """

    def __init__(
        self,
        account: Holder,
        runtime: AsyncRuntime,
        settings: Settings,
        credentials_of: Callable[[str], CredentialsSource | None] = lambda _role: None,
    ) -> None:
        self._account = account
        self._runtime = runtime
        self._settings = settings
        self._plans = Plans(account, settings)
        self._credentials_of = credentials_of
        self._revision = -1
        self._choices: dict[tuple[str, str, str | None], Choice] = {}
        self._deployed: dict[str, tuple[int, Deployment]] = {}  # by key: as of which revision
        self._locks: dict[str, asyncio.Lock] = {}
        self._settling = asyncio.Lock()

    # -- what the gateway asks -----------------------------------------------------------------

    def known(self, service: str, function: str, qualifier: str | None) -> Deployment | None:
        """As `deploy`, if it has been found before and nothing has changed since."""
        if self._revision != self._account.revision:
            self._revision = self._account.revision
            self._choices.clear()
        choice = self._choices.get((service, function, qualifier))
        return None if choice is None else choice.one()

    async def deploy(self, service: str, function: str, qualifier: str | None) -> Deployment:
        """
        What serves that qualifier (None for LATEST), ready to be invoked by its ``key``; or with
        a ``load_error``. FC3: *service* is empty.

        Raises ApiError: 404; 403 for one that is switched off; 429 for one that is to have no
        instances; 501 for a runtime that is
        not run here; 400 for what this machine cannot do.
        """
        known = self.known(service, function, qualifier)
        if known is not None:
            return known
        revision = self._account.revision
        plans = await asyncio.to_thread(self._plans.of, service, function, qualifier)
        deployments = [await self._deployed_by(plan, revision) for plan in plans]
        total = 0.0
        up_to = [total := total + plan.weight for plan in plans]
        choice = Choice(tuple(deployments), tuple(up_to))
        loads = all(deployment.load_error is None for deployment in deployments)
        # Else it is looked at anew each time: the file may be there by then.
        if loads and revision == self._account.revision and revision == self._revision:
            if len(self._choices) >= MOST_NAMES:
                self._choices.clear()
            self._choices[service, function, qualifier] = choice
        return choice.one()

    # -- after a change ------------------------------------------------------------------------

    async def settle(self) -> None:
        """
        Make the runtime hold what the account says now: what was registered, and what is to be
        kept warm. What cannot be is logged; whoever invokes it is told.
        """
        async with self._settling:
            revision, before = self._account.revision, self.deployed()
            wanted, present = await asyncio.to_thread(self._plans.all, before)
            for key in before:  # and no other: who has come meanwhile has not been looked for
                if key not in present:
                    await self._remove(key, revision)
            for plan in wanted:
                try:
                    await self._deployed_by(plan, revision)
                except ApiError as error:
                    _log.warning("deployment.refused", key=key_of(plan.target), error=str(error))

    async def refresh(self, service: str, function: str) -> list[str]:
        """
        The code in the folder of a function has changed: new calls get the new code, running ones
        end on the old. The keys of what was registered anew.
        """
        again = [
            deployment
            for _, deployment in list(self._deployed.values())
            if (deployment.target.service, deployment.target.function) == (service, function)
            and "folder" in (deployment.target.document.get("code") or {})
        ]
        self._choices.clear()
        for deployment in again:
            deployment.stamp = None
            plans = await asyncio.to_thread(
                self._plans.of, service, function, deployment.target.qualifier
            )
            for plan in plans:
                if key_of(plan.target) == deployment.key:
                    await self._deployed_by(plan, self._account.revision)
        return [deployment.key for deployment in again]

    # -- the parts -----------------------------------------------------------------------------

    async def _deployed_by(self, plan: Plan, revision: int) -> Deployment:
        if plan.disabled is not None:
            why = f": {plan.disabled}" if plan.disabled else ""
            raise ApiError(
                403,
                "InvocationDisabled",
                f"invocations of function '{plan.target.function}' are switched off{why}",
            )
        if plan.throttled:
            raise ApiError(
                429,
                "ResourceThrottled",
                f"function '{plan.target.function}' has a reserved concurrency of 0",
                {"Retry-After": "1"},
            )
        check_runtime(plan.target)
        key = key_of(plan.target)
        async with self._locks.setdefault(key, asyncio.Lock()):
            as_of, deployment = self._deployed.get(key, (-1, None))
            if deployment is not None and (as_of > revision or deployment.stamp == plan.stamp):
                return deployment
            made = Deployment(key, plan.target, plan.stamp)
            try:
                function = await asyncio.to_thread(self._function_of, plan)
                await self._runtime.register(function)
            except InvalidFunctionError as error:
                made.load_error = load_error_of(error, plan.target)
                made.stamp = None  # the next call tries again
            self._deployed[key] = (revision, made)
            return made

    def deployed(self) -> dict[str, Target]:
        """All that has been registered, by key. Any thread."""
        return {key: made.target for key, (_, made) in list(self._deployed.items())}

    async def _remove(self, key: str, revision: int) -> None:
        async with self._locks.setdefault(key, asyncio.Lock()):
            as_of, _ = self._deployed.get(key, (revision, None))
            if as_of > revision:
                return  # it has been made anew meanwhile
            self._deployed.pop(key, None)
            try:
                await self._runtime.unregister(key)
            except FunctionNotFoundError:
                return  # it never could be registered

    def _function_of(self, plan: Plan) -> Function:
        target = plan.target
        code = target.document.get("code") or {}
        folder = Path(code["folder"]) if "folder" in code else self._unpacked(code)
        layers = [
            layer["arn"] if isinstance(layer, Mapping) else str(layer)
            for layer in target.document.get("layers") or ()
        ]
        role = target.document.get("role") or target.service_document.get("role") or ""
        return function_of(
            target,
            self._settings,
            code=folder,
            layers=self._account.layer_folders(layers) if layers else (),
            credentials=self._credentials_of(str(role)),
            min_instances=plan.least,
            max_instances=plan.most,
        )

    def _unpacked(self, code: Mapping[str, Any]) -> Path:
        return self._account.packages.folder(str(code["digest"]))
