"""
A daemon as a command talks to it: JSON over HTTP, signed as the official clients sign.

Standard library only: a script that looks at its tasks pays for no client.
"""

import hashlib
import hmac
import http.client
import json
import os
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from fc_runtime.cli.tasks_options import ENDPOINT
from fc_runtime.service.auth.keys import AccessKey, AccessKeys

TIMEOUT_S: Final = 60.0
UNSIGNED: Final = "MissingRequiredHeader"
NO_KEY: Final = (
    "; no key was found to sign with: set FC_RUNTIME_ACCESS_KEYS, or name the file that the daemon "
    "has named when it started, with --access-keys"
)
_SCHEME: Final = "ACS3-HMAC-SHA256"
_MOST_BYTES: Final = 256 * 1024 * 1024  # of an answer


class RemoteError(Exception):
    """The daemon cannot be reached, or what answers is none. One line, for people."""


class RefusedByDaemonError(Exception):
    """It answered with an error of its own: code and message, in one line."""


class Remote:
    """
    Args:
        endpoint: as the daemon prints it when it starts.
        key: None for one that asks for none.
    Raises: RemoteError for an endpoint that is no URL.
    """

    def __init__(self, endpoint: str, key: AccessKey | None) -> None:
        parts = urlsplit(endpoint if "://" in endpoint else f"http://{endpoint}")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
            raise RemoteError(f"--endpoint {endpoint}: a URL such as {ENDPOINT} is needed")
        self._endpoint = endpoint
        self._host = parts.netloc
        made = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        self._connection = made(parts.netloc, timeout=TIMEOUT_S)
        self._key = key

    def call(
        self, method: str, path: str, query: Mapping[str, str | int] | None = None
    ) -> dict[str, Any]:
        """
        What it answers, decoded; empty if it answers nothing.

        Args:
            path: with its parts quoted.
        Raises: RemoteError, RefusedByDaemonError.
        """
        pairs = sorted((name, str(value)) for name, value in (query or {}).items())
        written = urlencode(pairs, quote_via=quote, safe="~")
        headers = {"host": self._host, "accept": "application/json"}
        if self._key is not None:
            headers |= _signed(self._key, method, path, written, self._host)
        try:
            self._connection.request(method, f"{path}?{written}" if written else path, b"", headers)
            reply = self._connection.getresponse()
            body = reply.read(_MOST_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise RemoteError(
                f"{self._endpoint}: {error}; is fc-runtime serve running there?"
            ) from error
        try:
            told = json.loads(body) if body else {}
        except ValueError as error:
            raise RemoteError(f"{self._endpoint}: what answers there is no fc-runtime") from error
        if reply.status >= http.client.BAD_REQUEST:
            if "Code" not in told:  # a proxy's, or a server's that is none of ours
                raise RemoteError(f"{self._endpoint}: what answers there is no fc-runtime")
            mend = NO_KEY if self._key is None and told["Code"] == UNSIGNED else ""
            raise RefusedByDaemonError(f"{told['Code']}: {told['Message']}{mend}")
        return dict(told)


def key_of(access_keys: Path | None, data_dir: Path | None, key_id: str | None) -> AccessKey | None:
    """
    The key to sign with: of the environment, of the file that is named, or the daemon's own; the
    first, unless *key_id* says which. None if there is none. Raises InvalidFunctionError.
    """
    file = access_keys
    if file is None and data_dir is not None and (data_dir / "access-keys").exists():
        file = data_dir / "access-keys"
    keys = AccessKeys.load(os.environ, file)
    return keys.get(key_id) if key_id is not None else keys.first


def _signed(key: AccessKey, method: str, path: str, query: str, host: str) -> dict[str, str]:
    """The headers of a request without a body (spec 8.B)."""
    digest = hashlib.sha256(b"").hexdigest()
    signed = {
        "host": host,
        "x-acs-content-sha256": digest,
        "x-acs-date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "x-acs-signature-nonce": secrets.token_hex(16),
    }
    if key.security_token:
        signed |= {"x-acs-accesskey-id": key.id, "x-acs-security-token": key.security_token}
    names = ";".join(sorted(signed))
    lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
    canonical = f"{method}\n{path}\n{query}\n{lines}\n{names}\n{digest}"
    text = f"{_SCHEME}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.digest(key.secret.encode(), text.encode(), "sha256").hex()
    authorization = f"{_SCHEME} Credential={key.id},SignedHeaders={names},Signature={signature}"
    return {**signed, "Authorization": authorization}
