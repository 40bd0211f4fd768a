"""
Bytes to descriptors 1 and 2, unbuffered and in the order of the calls.

Standard output is a result that somebody relies on: what cannot be written there is an error.
Standard error is for people: if nobody reads it, the result still counts.
"""

import os
import select
from contextlib import suppress
from typing import Final

STDOUT: Final = 1
STDERR: Final = 2


def fill_standard_descriptors() -> None:
    """
    Put something into 0, 1 and 2 where they are closed, or the next pipe opened would be
    standard output to whoever writes there. Reading it is at its end, writing fails.
    """
    for fd in (0, STDOUT, STDERR):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDONLY)  # takes the lowest number, which is this one


class OutputError(Exception):
    """Standard output cannot be written."""


def result(data: bytes) -> None:
    """Write to standard output. Raises BrokenPipeError, or OutputError if it is anything else."""
    try:
        _write(STDOUT, data)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"standard output: {error.strerror}") from error


def give_up_result() -> None:
    """What Python keeps for standard output and cannot write is not tried again at the end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, STDOUT)
    os.close(nowhere)


def tell(data: bytes) -> None:
    """Write to standard error, if anybody listens there."""
    with suppress(OSError):
        _write(STDERR, data)


def _write(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(fd, rest) :]
        except BlockingIOError:  # whoever shares it with us made it so
            select.select([], [fd], [])


def say(text: str, style: str = "") -> None:
    """A line, or several, to standard error; in *style*, rich's words, where a person reads it."""
    if style and is_styled(STDERR):
        from rich.color import ColorSystem  # noqa: PLC0415 (only a terminal pays for it)
        from rich.style import Style  # noqa: PLC0415

        text = Style.parse(style).render(text, color_system=ColorSystem.STANDARD)
    tell(f"{text}\n".encode(errors="backslashreplace"))


def is_styled(fd: int) -> bool:
    """Is *fd* a terminal, of a person who has nothing against styles?"""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb":
        return False
    return os.isatty(fd)


class StandardError:
    """Standard error as the text file that structlog wants. Never raises."""

    def write(self, text: str) -> int:
        tell(text.encode(errors="backslashreplace"))
        return len(text)

    def flush(self) -> None:
        pass
