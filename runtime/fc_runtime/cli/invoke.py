"""
``fc-runtime invoke``: run a handler here, as Function Compute would.

Plain: the result on standard output, byte for byte; log, Function Compute's lines and a readable
error on standard error. If there is no result, standard output stays empty: the error body that
Function Compute answers would be taken for a result by whatever reads the pipe. ``--json`` has it.
"""

import os
from typing import Final

import typer

from fc_runtime.cli import logs, options, output, report, sources, stopping
from fc_runtime.cli.exits import Exit, code_of
from fc_runtime.errors import InvalidFunctionError, RefusedError
from fc_runtime.function import Function
from fc_runtime.outcome import Result
from fc_runtime.runtime import Runtime

_OPTIONS: Final = {"memory_mb": "--memory", "layers": "--layer"}  # where it is not the field's name


def invoke(
    *,
    standard_input: options.StandardInput = None,
    code: options.Code,
    handler: options.Handler = "index.handler",
    initializer: options.Initializer = None,
    event: options.Event = None,
    event_file: options.EventFile = None,
    timeout: options.Timeout = 3.0,
    initialization_timeout: options.InitializationTimeout = 30.0,
    memory: options.Memory = 512,
    isolation: options.Isolation = "auto",
    sandbox: options.Sandbox = "standard",
    network: options.Network = None,
    scratch: options.Scratch = "keep",
    env: options.Env = None,
    layer: options.Layer = None,
    preload: options.Preload = None,
    name: options.Name = None,
    request_id: options.RequestId = None,
    region: options.Region = "",
    account_id: options.AccountId = "",
    repeat: options.Repeat = 1,
    as_json: options.AsJson = False,
    verbose: options.Verbose = 0,
    log_level: options.LogLevel = logs.Level.OFF,
    log_format: options.LogFormat = logs.Format.AUTO,
) -> None:
    """
    Run a handler on this machine, as Function Compute would.

    The result goes to standard output, byte for byte and without a newline. The log, FC's lines
    about it and errors go to standard error. A failed invocation leaves standard output empty,
    except with --json.
    """
    try:
        function = Function(
            name=sources.name_from(code) if name is None else name,
            code=code,
            handler=handler,
            initializer=initializer,
            timeout=timeout,
            initialization_timeout=initialization_timeout,
            memory_mb=memory,
            environment=sources.environment(env or ()),
            credentials=sources.credentials(os.environ),
            max_instances=1,  # and so no standby: nobody else will ask
            preload=preload or (),
            layers=layer or (),
            sandbox=sandbox,
            network=network,
            scratch=scratch,
        )
        stopping.check()
        data = sources.event_bytes(standard_input, event, event_file)
        runtime = Runtime(
            isolation=isolation,
            max_event_bytes=sources.MAX_EVENT_BYTES,
            region=region,
            account_id=account_id,
            log=logs.logger(logs.level_of(log_level, verbose), log_format),
        )
        try:
            runtime.register(function)
            ended = Exit.RETURNED
            for _ in range(repeat):
                # In another thread: a signal is raised in this one, where it only ends the wait.
                under_way = runtime.submit(function.name, data, request_id=request_id, check=False)
                stopping.check()
                result = under_way.result()
                ended = _deliver(result, memory, as_json=as_json, compare=repeat > 1)
                if not result.ok:
                    break
        finally:
            stopping.hold()
            runtime.close(0.0)
    except InvalidFunctionError as error:
        ended = _fail(Exit.USAGE, f"{_option(error.field)} {error.value!r}: {error.mend}")
    except sources.SourceError as error:
        ended = _fail(Exit.USAGE, str(error))
    except RefusedError as error:
        ended = _fail(Exit.REFUSED, str(error))
    except BrokenPipeError:
        ended = Exit.BROKEN_PIPE
    except (OSError, output.OutputError) as error:
        ended = _fail(Exit.FILE, str(error))
    raise typer.Exit(ended)


def _deliver(result: Result, memory_mb: int, *, as_json: bool, compare: bool) -> Exit:
    """Show *result*; the exit code that goes with it. Raises what `output.result` raises."""
    if as_json:
        if not result.ok:
            output.say(f"error: {report.headline(result.outcome)}", "bold red")
        indent = 2 if os.isatty(output.STDOUT) else None
        output.result(report.json_line(result, memory_mb, indent=indent))
        return code_of(result.outcome)
    output.say(report.start_line(result), "dim")
    output.tell(report.log_block(result))
    output.say(report.end_line(result), "dim")
    output.say(report.summary_line(result, memory_mb), "dim")
    if compare:
        output.say(report.temperature(result), "dim")
    if result.ok:
        output.result(result.payload)
    else:
        output.say(f"error: {report.headline(result.outcome)}", "bold red")
        place = report.whereabouts(result)
        if place:
            output.say(place)
    return code_of(result.outcome)


def _fail(code: Exit, message: str) -> Exit:
    output.say(f"error: {message}", "bold red")
    return code


def _option(field: str) -> str:
    """The option that sets *field* of a `Function`."""
    if field.startswith("environment"):
        return f"--env{field.removeprefix('environment')}"
    return _OPTIONS.get(field, f"--{field.replace('_', '-')}")
