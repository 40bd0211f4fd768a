"""
The supervisor's events on standard error: readable lines on a terminal, JSON otherwise.

Only the command line configures structlog. The library never does: it says nothing until it is
given a logger.
"""

import logging
import os
from enum import StrEnum
from typing import Final, TextIO, cast

from fc_runtime.cli import output
from fc_runtime.pool.events import Log


class Level(StrEnum):
    OFF = "off"
    WARNING = "warning"
    INFO = "info"
    DEBUG = "debug"


class Format(StrEnum):
    AUTO = "auto"
    PRETTY = "pretty"
    JSON = "json"


_TALKATIVE: Final = (Level.OFF, Level.INFO, Level.DEBUG)  # no -v, -v, -vv
_NUMBERS: Final = {
    Level.WARNING: logging.WARNING,
    Level.INFO: logging.INFO,
    Level.DEBUG: logging.DEBUG,
}


def level_of(named: Level, verbose: int) -> Level:
    """What ``--log-level`` and so many ``--verbose`` come to: the more talkative of the two."""
    asked = _TALKATIVE[min(verbose, len(_TALKATIVE) - 1)]
    order = list(Level)
    return max(named, asked, key=order.index)


def is_json(form: Format) -> bool:
    """Are the events for programs, on the standard error that we have?"""
    return form is Format.JSON or (form is Format.AUTO and not os.isatty(output.STDERR))


def logger(level: Level, form: Format) -> Log | None:
    """Configure structlog; what to hand to ``Runtime(log=…)``."""
    if level is Level.OFF:
        return None
    import structlog  # noqa: PLC0415 (only who wants the events pays for it)

    pretty = not is_json(form)
    renderers: list[structlog.types.Processor]
    if pretty:
        console = structlog.dev.ConsoleRenderer(
            colors=output.is_styled(output.STDERR),
            exception_formatter=structlog.dev.plain_traceback,  # others show locals: secrets
        )
        renderers = [console]
    else:
        renderers = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(
                fmt="%H:%M:%S.%f" if pretty else "iso", utc=not pretty
            ),
            *renderers,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_NUMBERS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", output.StandardError())),
        cache_logger_on_first_use=True,
    )
    return cast("Log", structlog.get_logger())
