"""
An invocation that failed, as the answer tells it: its headers, its line in the log, and the code
that the process ends with.
"""

import logging
import os
import signal
from contextlib import suppress
from typing import Any, Final

from fc_worker import messages as m, respond

_NOT_THE_HANDLERS: Final = (
    f"{os.path.dirname(__file__)}/serve.py",
    f"{os.path.dirname(os.__file__)}/asyncio/",
)


def exit_code(error: BaseException) -> int:
    """What the interpreter would end with; asked of the base classes, for *error* may lie."""
    kind = type(error)
    if issubclass(kind, SystemExit):
        code = _code_of(error)
        return int.__and__(code, 0xFF) if issubclass(type(code), int) else int(code is not None)
    return 128 + signal.SIGINT if issubclass(kind, KeyboardInterrupt) else 1


_code_of: Final = SystemExit.__dict__["code"].__get__


def frames_above_the_handler(error: BaseException) -> int:
    """How many frames at the top of its traceback are ours, or the event loop's."""
    count = 0
    step = respond.traceback_of(error)
    while step is not None and step.tb_frame.f_code.co_filename.startswith(_NOT_THE_HANDLERS):
        count += 1
        step = step.tb_next
    return count


def failed(status: int, error_type: str, message: str, traceback: str) -> dict[str, Any]:
    return {
        m.STATUS: status,
        m.ERROR_TYPE: error_type,
        m.ERROR_MESSAGE: message,
        m.TRACEBACK: traceback,
    }


def log_failure(text: str) -> None:
    """
    FC logs the error body at ERROR before it answers with it (spec 6.2). Logging is the handler's
    to break: then the bare text stands there.
    """
    try:
        logging.getLogger().error(text)
    except BaseException:  # noqa: BLE001 (a filter may even exit; the answer has to leave)
        with suppress(OSError):
            os.write(1, f"{text}\n".encode())
