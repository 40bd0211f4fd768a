"""
``fc-runtime serve``: Function Compute's own API on this machine, until it is told to stop.

Here is the command and what its options mean together; `serving` puts the daemon together, and is
loaded when it is needed: no other command pays for a server.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from fc_runtime.cli import logs, options, output, serve_options as these, sources
from fc_runtime.cli.exits import Exit

if TYPE_CHECKING:
    from fc_runtime.service.manifest import Manifest

WHAT_IT_SAYS: Final = (
    "Standard output gets one line, http://HOST:PORT, as soon as connections are accepted; all else "
    "is on standard error. SIGTERM or Ctrl-C: nothing new is accepted, what is under way may end; a "
    "second Ctrl-C ends it at once. SIGHUP: the manifest is read again."
)
MEANINGS: Final = {
    Exit.RETURNED: "told to stop, and all that was under way has ended or had its grace",
    Exit.USAGE: "bad usage: an option, the manifest or the keys are not as they must be",
    Exit.UNAVAILABLE: "the address cannot be listened on",
    Exit.INTERNAL: "a bug in fc-runtime",
    Exit.FILE: "the data folder cannot be used, or standard output not be written",
    Exit.INTERRUPTED: "ended at once by a second Ctrl-C",
}
PROJECT_ONLY: Final = "--code serves one function without a manifest"


def serve(  # noqa: PLR0914 (an option each)
    *,
    folder: these.Folder = None,
    template: these.Template = None,
    watch: these.Watch = False,
    custom_runtime: these.CustomRuntime = False,
    code: these.Code = None,
    handler: these.Handler = None,
    name: these.Name = None,
    initializer: these.Initializer = None,
    timeout: these.Timeout = None,
    memory: these.Memory = None,
    env: these.Env = None,
    host: these.Host = "127.0.0.1",
    port: these.Port = 9000,
    data_dir: these.DataDir = None,
    account_id: these.AccountId = "123456789012",
    region: these.Region = "local",
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
    verbose: options.Verbose = 0,
    log_level: options.LogLevel = logs.Level.INFO,
    log_format: options.LogFormat = logs.Format.AUTO,
) -> None:
    """
    Serve Function Compute's API on this machine: its SDKs, tools and HTTP triggers work unchanged.

    Serves the functions of a project's s.yaml, or one with --code; with neither, an empty account
    that is deployed to through the API.
    """
