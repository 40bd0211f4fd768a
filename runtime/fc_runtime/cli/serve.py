"""
``fc-runtime serve``: Function Compute's own API on this machine, until it is told to stop.

Here is the command and what its options mean together; `serving` puts the daemon together, and is
loaded when it is needed: no other command pays for a server.
"""

import gc
import os
import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import typer

from fc_runtime.cli import logs, options, output, serve_options as these, sources, stopping
from fc_runtime.cli.asked import Asked, OneFunction
from fc_runtime.cli.exits import Exit
from fc_runtime.errors import InvalidFunctionError
from fc_runtime.pool.events import Log

WHAT_IT_SAYS: Final = (
    "Standard output gets one line, http://HOST:PORT, as soon as connections are accepted; all "
    "else is on standard error. SIGTERM or Ctrl-C: nothing new is accepted, what is under way may "
    "end; a second Ctrl-C ends it at once. SIGHUP: the manifest is read again."
)
MEANINGS: Final = {
    Exit.RETURNED: "told to stop, and all that was under way has ended or had its grace",
    Exit.USAGE: "bad usage: an option, the manifest or the keys are not as they must be",
    Exit.UNAVAILABLE: "the address cannot be listened on",
    Exit.INTERNAL: "a bug in fc-runtime",
    Exit.FILE: "the data folder cannot be used, or standard output not be written",
    Exit.INTERRUPTED: "ended at once by a second Ctrl-C",
}


_ACCOUNT_ID: Final = re.compile(r"[0-9]{1,32}")
_REGION: Final = re.compile(r"[A-Za-z0-9-]{1,64}")


class UsageError(Exception):
    """Options that do not go together. One line, for people."""


def serve(
    *,
    folder: these.Folder = None,
    template: these.Template = None,
    watch: these.Watch = False,
    custom_runtime: these.CustomRuntime = False,
    http: these.Http = None,
    code: these.Code = None,
    handler: these.Handler = None,
    name: these.Name = None,
    initializer: these.Initializer = None,
    timeout: these.Timeout = None,
    memory: these.Memory = None,
    env: these.Env = None,
    host: these.Host = None,
    port: these.Port = None,
    data_dir: these.DataDir = None,
    store: these.Store = None,
    account_id: these.AccountId = None,
    region: these.Region = None,
    access_keys: these.AccessKeys = None,
    no_auth: these.NoAuth = False,
    force: these.Force = False,
    local_code: these.LocalCode = False,
    role_credentials: these.RoleCredentials = None,
    max_instances: these.MaxInstances = 10,
    max_queue: these.MaxQueue = 1000,
    grace: these.Grace = 30.0,
    isolation: these.Isolation = "auto",
    sandbox: these.Sandbox = "standard",
    access_log: these.AccessLog = True,
    function_log: these.FunctionLog = True,
    verbose: options.Verbose = 0,
    log_level: options.LogLevel = logs.Level.INFO,
    log_format: options.LogFormat = logs.Format.AUTO,
) -> None:
    """
    Serve Function Compute's API on this machine: its SDKs, tools and HTTP triggers work unchanged.

    Serves the functions of a project's s.yaml, or one with --code; with neither, an empty account
    that is deployed to through the API.
    """
    log = logs.logger(logs.level_of(log_level, verbose), log_format)
    os.environ.pop(these.STORE_NAME, None)  # nothing started later inherits a password
    try:
        _check_of_arns(account_id, region)
        if custom_runtime:
            _refuse(
                "is not for --custom-runtime, which serves the one function that the platform or "
                "--code names",
                ("FOLDER", folder),
                ("--template", template),
                ("--watch", watch),
                ("--data-dir", data_dir),
                ("--store", store),
                ("--access-keys", access_keys),
                ("--local-code", local_code),
                ("--role-credentials", role_credentials),
            )
            ended = _custom_runtime(
                env,
                isolation=isolation,
                max_queue=max_queue,
                log=log,
                host=host,
                port=port,
                code=None if code is None else str(code),
                name=name,
                handler=handler,
                initializer=initializer,
                timeout=timeout,
                memory_mb=memory,
                http=http,
                concurrency=max_instances,
                grace=grace,
                sandbox=sandbox,
                region=region,
                account_id=account_id,
            )
        else:
            _refuse("is for --custom-runtime: elsewhere the trigger says it", ("--http", http))
            serving = _serving()

            asked = Asked(
                one=_one(
                    code=code,
                    handler=handler,
                    name=name,
                    initializer=initializer,
                    timeout=timeout,
                    memory=memory,
                    env=env,
                ),
                folder=folder,
                template=template,
                watch=watch,
                host=these.HOST if host is None else host,
                port=these.PORT if port is None else port,
                data_dir=data_dir,
                store=store,
                account_id=account_id or these.ACCOUNT_ID,
                region=region or these.REGION,
                access_keys=access_keys,
                auth=not no_auth,
                local_code=local_code,
                role_credentials=role_credentials,
                max_instances=max_instances,
                max_queue=max_queue,
                grace_s=grace,
                isolation=isolation,
                sandbox=sandbox,
                access_log=access_log,
                function_log=function_log,
                json_log=log is not None and logs.is_json(log_format),
            )
            _check_together(asked, force=force)
            ended = serving.serve(asked, log)
    except UsageError as error:
        ended = _fail(Exit.USAGE, str(error))
    except ImportError as error:
        if (error.name or "").startswith("fc_runtime"):
            raise
        ended = _fail(
            Exit.USAGE,
            f"fc-runtime serve needs the package {error.name or error}, which is not installed; "
            "install it with: pip install 'fc-runtime[serve]'",
        )
    raise typer.Exit(ended)


def _one(
    *,
    code: Path | None,
    handler: str | None,
    name: str | None,
    initializer: str | None,
    timeout: int | None,
    memory: int | None,
    env: list[str] | None,
) -> OneFunction | None:
    if code is not None:
        return OneFunction(
            code=code,
            handler=handler,
            name=name,
            initializer=initializer,
            timeout=timeout,
            memory=memory,
            env=env or [],
        )
    _refuse(
        "is for the one function of --code; of a project, its manifest says it",
        ("--handler", handler),
        ("--name", name),
        ("--initializer", initializer),
        ("--timeout", timeout),
        ("--memory", memory),
        ("--env", env),
    )
    return None


def _refuse(why: str, *options: tuple[str, object]) -> None:
    for option, value in options:
        if value:
            raise UsageError(f"{option} {why}")


def _check_of_arns(account_id: str | None, region: str | None) -> None:
    """Both become parts of ARNs, which no client could take apart again otherwise."""
    if account_id and not _ACCOUNT_ID.fullmatch(account_id):
        raise UsageError(f"--account-id {account_id!r}: digits, such as {these.ACCOUNT_ID}")
    if region and not _REGION.fullmatch(region):
        raise UsageError(f"--region {region!r}: letters, digits and -, such as cn-hangzhou")


def _check_together(asked: Asked, *, force: bool) -> None:
    from fc_runtime.service.listening import is_loopback  # noqa: PLC0415 (of the service)

    if asked.one is not None and (asked.folder or asked.template):
        raise UsageError("--code serves one function: leave it out, or the folder and --template")
    if asked.folder is not None and asked.template is not None:
        raise UsageError("--template names the manifest: leave the folder out")
    if asked.auth or force or is_loopback(asked.host):
        return
    raise UsageError(
        f"--no-auth with --host {asked.host}: other machines could run any code here; leave one of "
        "them out, or add --force if you mean it"
    )


def _serving() -> ModuleType:
    """A web server, a database: nothing that a collection would find, but much to look through."""
    collects = gc.isenabled()
    gc.disable()
    try:
        from fc_runtime.cli import serving  # noqa: PLC0415

        gc.freeze()
    finally:
        if collects:
            gc.enable()
    return serving


def _custom_runtime(
    env: list[str] | None, *, isolation: str, max_queue: int, log: Log | None, **given: Any
) -> int:
    """What is not *given* (None), the platform's environment says."""
    from fc_runtime.service.custom.run import run_custom  # noqa: PLC0415 (a web server)
    from fc_runtime.service.custom.settings import CustomSettings  # noqa: PLC0415

    try:
        settings = CustomSettings.from_environment(os.environ, **given)
        if env:
            more = {**settings.environment, **sources.environment(env)}
            settings = replace(settings, environment=more)
    except (InvalidFunctionError, sources.SourceError) as error:
        raise UsageError(str(error)) from error
    stopping.hold()
    return run_custom(settings, isolation=isolation, max_queue=max_queue, log=log)


def _fail(code: Exit, message: str) -> Exit:
    output.say(f"error: {message}", "bold red")
    return code
