"""
What a command line only points at: the event, variables, credentials.

No secret is taken from an option, where every user of the machine could read it, and none is
repeated in a message.
"""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from fc_runtime.cli import stopping
from fc_runtime.credentials import Credentials

MAX_EVENT_BYTES: Final = 32 * 1024 * 1024  # FC's own, spec 12
STANDARD_INPUT: Final = "-"
KEY_ID: Final = "ALIBABA_CLOUD_ACCESS_KEY_ID"
KEY_SECRET: Final = "ALIBABA_CLOUD_ACCESS_KEY_SECRET"  # noqa: S105 (where it is, not what)
TOKEN: Final = "ALIBABA_CLOUD_SECURITY_TOKEN"  # noqa: S105 (idem)


class SourceError(Exception):
    """There is nothing, or the wrong thing, where a command line points. One line, for people."""


def event_bytes(argument: str | None, text: str | None, path: str | None) -> bytes:
    """
    The event, from whichever source was named; empty if none was.

    Raises: SourceError.
    """
    if argument is not None and argument != STANDARD_INPUT:
        raise SourceError(
            f"unexpected {argument!r}: an event goes into --event, and - reads standard input"
        )
    if sum(source is not None for source in (argument, text, path)) > 1:
        raise SourceError("only one of --event, --event-file and - may name the event")
    if STANDARD_INPUT in (argument, text, path):
        return _read(0, "standard input")
    if path is not None:
        return _read(path, f"--event-file {path}")
    return b"" if text is None else os.fsencode(text)  # the very bytes that were typed


def _read(source: int | str, name: str) -> bytes:
    pieces: list[bytes] = []
    left = MAX_EVENT_BYTES + 1
    try:
        with open(source, "rb", buffering=0, closefd=source != 0) as file:
            while left:
                if source == 0:
                    stopping.wait_readable(0)
                if not (piece := file.read(left)):
                    break
                pieces.append(piece)
                left -= len(piece)
    except OSError as error:
        raise SourceError(f"{name}: {error.strerror or error}") from error
    if not left:
        raise SourceError(f"{name}: more than {MAX_EVENT_BYTES} bytes, no event may have more")
    return b"".join(pieces)


def environment(pairs: Iterable[str]) -> dict[str, str]:
    """``NAME=VALUE`` as it stands, ``NAME`` with its value in our own environment."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            if name not in os.environ:
                raise SourceError(
                    f"--env {name}: not set in the environment; write {name}=VALUE to set it here"
                )
            value = os.environ[name]
        try:
            value.encode()
        except UnicodeEncodeError:
            raise SourceError(f"--env {name}: its value is not UTF-8") from None
        found[name] = value
    return found


def credentials(variables: Mapping[str, str]) -> Credentials | None:
    """What ``context.credentials`` will hold; None if the environment has none."""
    key_id, secret, token = (variables.get(name) or "" for name in (KEY_ID, KEY_SECRET, TOKEN))
    if not (key_id or secret or token):
        return None
    for name, value in ((KEY_ID, key_id), (KEY_SECRET, secret)):
        if not value:
            raise SourceError(
                f"{name} is not set, though other credentials are in the environment; "
                "set it, or unset them"
            )
    return Credentials(access_key_id=key_id, access_key_secret=secret, security_token=token)


def name_from(code: str) -> str:
    """A function's name made from that of its code, within the rules for names."""
    stem = Path(code).absolute().name.removesuffix(".zip")
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", stem).lstrip("-")[:100]
    if not name:
        return "function"
    return name if not name[0].isdigit() else f"_{name}"
