"""
The command ``fc-runtime``.

`main` is the way in: it makes the process fit to run in (descriptors, signals), says what to
install if typer or rich is missing, and only then loads the commands (`app`, `invoke`). What is
printed is made in `report`, leaves through `output`, and the exit codes are in `exits`.
"""

import traceback

from fc_runtime.cli import output, stopping
from fc_runtime.cli.exits import Exit


def main() -> int:
    """Run the command line of this process; its exit code, for ``sys.exit``."""
    try:
        output.fill_standard_descriptors()  # first: what install opens must not land there
        stopping.install()
        try:
            import rich  # noqa: F401, PLC0415 (both may be missing: they are an extra)
            import typer  # noqa: F401, PLC0415
        except ImportError as error:
            output.say(
                f"fc-runtime: the command line needs the package {error.name}, which is not "
                "installed; install it with: pip install 'fc-runtime[cli]'"
            )
            return Exit.USAGE
        from fc_runtime.cli.app import run  # noqa: PLC0415 (needs typer)

        return run()
    except stopping.Stopped as stopped:
        return 128 + stopped.signal
    except Exception:  # noqa: BLE001 (exit code 1 would say that the handler failed)
        output.say(f"{traceback.format_exc()}fc-runtime: internal error, please report it")
        return Exit.INTERNAL
