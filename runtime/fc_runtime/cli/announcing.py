"""What a person sees once the daemon serves: its functions, where they are, and how to call one."""

import base64
import hashlib
import hmac
import os
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from fc_runtime.cli import output
from fc_runtime.pool.events import Log
from fc_runtime.service.account import Account
from fc_runtime.service.auth import AccessKeys
from fc_runtime.service.store import Entry

RUNTIME: Final = "python3.10"  # of a function that was not given one
MOST_SHOWN: Final = 50
BODY: Final = '{"key": "value"}'
CONTENT_TYPE: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Keys:
    """
    Args:
        first_id: of the one to show how to call with.
        file: where people find it; None if it was in the environment.
    """

    keys: AccessKeys
    first_id: str
    file: Path | None


def announce(
    account: Account, keys: Keys | None, *, manifest: Path | None, is_strict: bool
) -> None:
    """
    To standard error. Blocks for a moment: it reads the account.

    Args:
        is_strict: the sandbox of functions keeps the file with the keys from them.
    """
    functions = account.functions()
    if manifest is not None:
        output.say(f"from {manifest}", "dim")
    if not functions:
        output.say("no function yet: deploy some through the API", "dim")
    for entry in functions[:MOST_SHOWN]:
        output.say(f"  {_spoken(entry)}")
        output.say(f"    POST {account.base_url}{path_of(entry)}")
        for trigger in account.triggers(entry.scope, entry.name):
            if trigger.document["triggerType"] == "http":
                kind = trigger.document["triggerConfig"].get("authType", "anonymous")
                output.say(f"    HTTP {trigger_url(account, entry, trigger)} ({kind})")
    if len(functions) > MOST_SHOWN:
        output.say(f"  and {len(functions) - MOST_SHOWN} more")
    if keys is None:
        output.say("no authentication: whoever reaches this address may do anything", "yellow")
    elif keys.file is not None:
        output.say(f"access key, as id:secret: {keys.file}", "dim")
        if not is_strict:
            output.say("functions can read it: for those not trusted, --sandbox strict", "dim")
    if functions:
        output.say(_to_paste(account, functions[0], keys))


def warn(warnings: Iterable[str], log: Log | None) -> None:
    """Of a manifest: each an event of *log*, or, without one, a line for people."""
    for warning in warnings:
        if log is None:
            output.say(f"warning: {warning}", "yellow")
        else:
            log.warning("manifest.warned", warning=warning)


def first_id(file: Path | None) -> str:
    """Of the keys in *file*, which has been read before and found to be good."""
    lines = [] if file is None else file.read_text(encoding="utf-8").splitlines()
    keys = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return keys[0].partition(":")[0] if keys else ""


def path_of(entry: Entry) -> str:
    """Where it is invoked (spec 7.A)."""
    name = quote(entry.name)
    if entry.scope:
        return f"/2016-08-15/services/{quote(entry.scope)}/functions/{name}/invocations"
    return f"/2023-03-30/functions/{name}/invocations"


def trigger_url(account: Account, entry: Entry, trigger: Entry) -> str:
    owner = f".{entry.scope}" if entry.scope else ""
    return f"{account.base_url}/_fc/http/{trigger.name}.{entry.name}{owner}/"


def _to_paste(account: Account, entry: Entry, keys: Keys | None) -> str:
    """
    A line that calls *entry*. A signature is good for a quarter of an hour, so it is shown only
    where a person reads it, and never lands in a log.
    """
    url = f"{account.base_url}{path_of(entry)}"
    for trigger in account.triggers(entry.scope, entry.name):
        config = trigger.document["triggerConfig"]
        if trigger.document["triggerType"] == "http" and config.get("authType") == "anonymous":
            return f"curl {shlex.quote(trigger_url(account, entry, trigger))}"
    if keys is None:
        return _curl(url)
    if not os.isatty(output.STDERR):
        return f"call it with an SDK: endpoint {account.base_url}, and an access key"
    return f"# good for 15 minutes:\n{_curl(url, _signed(path_of(entry), keys))}"


def _curl(url: str, headers: Sequence[str] = ()) -> str:
    parts = ["curl", "-d", BODY]
    for header in (f"Content-Type: {CONTENT_TYPE}", *headers):
        parts += ["-H", header]
    return shlex.join([*parts, url])


def _signed(path: str, keys: Keys) -> list[str]:
    """The scheme FC (spec 8.A)."""
    key = keys.keys.get(keys.first_id)
    if key is None or key.security_token:  # its file has changed since, or the token is a secret
        return []
    date = formatdate(usegmt=True)
    text = f"POST\n\n{CONTENT_TYPE}\n{date}\n{unquote(path)}"
    signature = base64.b64encode(
        hmac.digest(key.secret.encode(), text.encode(), hashlib.sha256)
    ).decode()
    return [f"Date: {date}", f"Authorization: FC {key.id}:{signature}"]


def _spoken(entry: Entry) -> str:
    code = entry.document.get("code", {})
    where = f"  {code['folder']}" if "folder" in code else ""
    owner = f"{entry.scope}/" if entry.scope else ""
    return f"{owner}{entry.name}  {entry.document['handler']}{where}"
