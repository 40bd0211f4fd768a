"""
``fc-runtime serve`` at work: what was asked for becomes a daemon, which is run to its end.

    manifest (or the one function) → address → folder → keys → account → app → until told to stop

Everything that can be wrong is found before anything is started, in that order, and is one line on
standard error. Nothing of it is undone by hand: each step is left again as it was entered.
"""

import asyncio
import os
import socket
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, Final

from fc_runtime.aio import AsyncRuntime
from fc_runtime.cli import announcing, output, sources
from fc_runtime.cli.asked import Asked
from fc_runtime.cli.exits import Exit
from fc_runtime.cli.project import Project
from fc_runtime.errors import InvalidFunctionError, StoreError as TaskStoreError
from fc_runtime.function import SANDBOXES
from fc_runtime.outcome import Result
from fc_runtime.pool.events import SILENCE, Log
from fc_runtime.service import daemon, home, listening
from fc_runtime.service.applying import apply
from fc_runtime.service.assembly import Assembly
from fc_runtime.service.auth import AccessKeys, Authenticator
from fc_runtime.service.auth.keys import ENVIRONMENT_NAME
from fc_runtime.service.database import StoreError
from fc_runtime.service.deployment import Deployment
from fc_runtime.service.gateway.tail import framed
from fc_runtime.service.guarded import limits_of_this_process
from fc_runtime.service.home import Home, HomeError
from fc_runtime.service.identity import RoleCredentials
from fc_runtime.service.listening import ListenError
from fc_runtime.service.manifest import Manifest, ManifestError
from fc_runtime.service.settings import Settings
from fc_runtime.service.watching import Watcher

_ENDS: Final = {daemon.Ended.DRAINED: Exit.RETURNED, daemon.Ended.AT_ONCE: Exit.INTERRUPTED}


def serve(asked: Asked, log: Log | None) -> Exit:
    """Until told to stop; the exit code. What goes wrong is said."""
    try:
        return _serve(asked, log)
    except (ManifestError, sources.SourceError) as error:
        return _fail(Exit.USAGE, str(error))
    except InvalidFunctionError as error:
        return _fail(Exit.USAGE, f"{_option(error.field)} {error.value}: {error.mend}")
    except ListenError as error:
        return _fail(Exit.UNAVAILABLE, str(error))
    except BrokenPipeError:
        return Exit.BROKEN_PIPE
    except (HomeError, StoreError, TaskStoreError, output.OutputError) as error:
        return _fail(Exit.FILE, str(error))


def _serve(asked: Asked, log: Log | None) -> Exit:
    project = Project(asked)
    manifest = project.load()
    settings = Settings(
        account_id=asked.account_id,
        region=asked.region,
        max_instances=asked.max_instances,
        sandbox=asked.sandbox,
    )
    _check_word("sandbox", asked.sandbox, SANDBOXES)
    credentials = RoleCredentials(file=asked.role_credentials)
    given = _given_keys(asked) if asked.auth else None
    runtime = AsyncRuntime(
        isolation=asked.isolation,
        max_queue=asked.max_queue,
        max_event_bytes=2 * settings.max_body_bytes,  # of an HTTP trigger it holds base64
        region=settings.region,
        account_id=settings.account_id,
        log=log,
    )
    with (
        listening.listen(asked.host, asked.port) as sock,
        Home(_folder(asked, manifest), project.name) as where,
    ):
        keys = (given or _own_keys(where)) if asked.auth else None
        assembly = Assembly(
            where,
            settings,
            runtime=runtime,
            credentials=credentials,
            authenticator=Authenticator(
                None if keys is None else keys.keys, account=asked.account_id
            ),
            host=asked.host,
            local_code=asked.local_code,
            access_log=asked.access_log,
            heard=_heard if asked.function_log else None,
            store=asked.store,
        )
        with assembly:
            assembly.account.base_url = listening.url_of(sock, asked.host)
            serving = Serving(asked, project, assembly, keys, SILENCE if log is None else log)
            serving.apply(manifest)
            if where.was_left:
                serving.log.info("daemon.took_up", folder=str(where.folder))
            return _ENDS[daemon.run(lambda: serving.run(sock), serving.log)]


class Serving:
    """One daemon: the parts that meet in it."""

    def __init__(
        self,
        asked: Asked,
        project: Project,
        assembly: Assembly,
        keys: announcing.Keys | None,
        log: Log,
    ) -> None:
        self.log = log
        self._asked = asked
        self._project = project
        self._assembly = assembly
        self._keys = keys
        self._manifest: Manifest | None = None

    def apply(self, manifest: Manifest | None) -> None:
        """Blocks. Raises ManifestError."""
        if manifest is None:
            return
        announcing.warn(manifest.warnings, self.log if self._asked.json_log else None)
        apply(manifest, self._assembly.account, self._manifest)
        self._manifest = manifest

    async def run(self, sock: socket.socket) -> daemon.Ended:
        return await daemon.Daemon(
            self._assembly,
            sock,
            grace_s=self._asked.grace_s,
            log=self.log,
            ready=self._announce,
            reload=self._reload,
            beside=self._watch if self._asked.watch else None,
            limits=limits_of_this_process(),
        ).run()

    def _announce(self) -> None:
        account = self._assembly.account
        output.result(f"{account.base_url}\n".encode())
        announcing.announce(
            account,
            self._keys,
            manifest=self._project.file,
            is_strict=self._asked.sandbox == "strict",
        )

    async def _reload(self) -> None:
        """A manifest that cannot be used changes nothing."""
        try:
            manifest = await asyncio.to_thread(self._project.load)
            await asyncio.to_thread(self.apply, manifest)
        except (ManifestError, sources.SourceError) as error:
            self.log.warning("manifest.refused", reason=str(error))
            return
        self._assembly.app.settle()
        self.log.info(
            "manifest.applied", functions=0 if manifest is None else len(manifest.functions)
        )

    def _watch(self) -> Coroutine[Any, Any, None]:
        return Watcher(
            self._assembly.account,
            self.log,
            manifest=self._project.file,
            as_read=self._project.stamp,
            zips=self._zips,
            reload=self._reload,
            settle=self._assembly.app.settle,
        ).run()

    def _zips(self) -> dict[tuple[str, str], Path]:
        functions = () if self._manifest is None else self._manifest.functions
        return {(plan.service, plan.name): plan.path for plan in functions if plan.path.is_file()}


def _folder(asked: Asked, manifest: Manifest | None) -> Path | None:
    """Where the account is kept; None for a folder that goes with the daemon."""
    if asked.data_dir is not None:
        return asked.data_dir
    return home.of_the_user(os.environ) if manifest is None else None


def _given_keys(asked: Asked) -> announcing.Keys | None:
    """None if there are none, which is fine on an address that only this machine reaches."""
    first = os.environ.get(ENVIRONMENT_NAME, "").lstrip(", ").partition(":")[0]
    keys = AccessKeys.load(os.environ, asked.access_keys)
    if keys:
        file = None if first else asked.access_keys
        return announcing.Keys(keys, first or announcing.first_id(file), file)
    if asked.access_keys is not None:
        raise sources.SourceError(f"--access-keys {asked.access_keys}: there is no key in it")
    if not listening.is_loopback(asked.host):
        raise sources.SourceError(
            f"--host {asked.host}: other machines reach it, so it needs keys: set "
            f"{ENVIRONMENT_NAME} to id:secret, or name a file with --access-keys"
        )
    return None


def _own_keys(where: Home) -> announcing.Keys:
    """For whoever can read the daemon's folder."""
    file = where.make_keys()
    return announcing.Keys(AccessKeys.load({}, file), announcing.first_id(file), file)


def _option(field: str) -> str:
    """The option that sets *field*."""
    if field.startswith("environment"):
        return f"--env{field.removeprefix('environment')}"
    return "--memory" if field == "memory_mb" else f"--{field.replace('_', '-')}"


def _check_word(name: str, value: str, words: Sequence[str]) -> None:
    if value not in words:
        raise InvalidFunctionError(name, value, f"one of {', '.join(words)}")


def _heard(deployment: Deployment, result: Result) -> None:
    output.tell(
        framed(
            result,
            initializes=deployment.initializes,
            memory_mb=deployment.memory_mb,
            init_log_bytes=result.init_log_bytes,
        )
    )


def _fail(code: Exit, message: str) -> Exit:
    output.say(f"error: {message}", "bold red")
    return code
