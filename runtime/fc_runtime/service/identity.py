"""
What a function may do in the cloud: the credentials of its role.

From the first of these that there is:

1. a file that the daemon was told of, with what the Security Token Service answers in JSON;
2. the environment: ``ALIBABA_CLOUD_ACCESS_KEY_ID``, ``_SECRET`` and ``_SECURITY_TOKEN``;
3. Alibaba Cloud's own chain (the package ``alibabacloud-credentials``), for a function with a role,
   and only if it is asked for: it reads profiles in the home folder and asks the network.

Here nobody assumes the role: whatever is found stands in for it. No secret is ever logged.
"""

import json
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import structlog

from fc_runtime.credentials import Credentials, CredentialsSource
from fc_runtime.errors import InvalidFunctionError
from fc_runtime.service.errors import ApiError

FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 60.0
# Whoever sets one of these has told Alibaba Cloud's chain where to look, and so wants it.
CHAIN_NAMES: Final = (
    "ALIBABA_CLOUD_CREDENTIALS_URI",
    "ALIBABA_CLOUD_CREDENTIALS_FILE",
    "ALIBABA_CLOUD_PROFILE",
    "ALIBABA_CLOUD_ECS_METADATA",
    "ALIBABA_CLOUD_OIDC_TOKEN_FILE",
)
# A word with a digit, this long, may be a key: messages of the chain can quote what it was sent.
_LIKE_A_SECRET: Final = re.compile(r"(?=[\w+/=-]*\d)[\w+/=-]{16,}")

_log = structlog.get_logger("fc_runtime.service.identity")


class RoleCredentials:
    """
    One for the daemon; `source` makes what a `Function` takes as its ``credentials``.

    Args:
        file: of 1 above; read again for each renewal, so that it can be replaced in place.
        environ: of 2.
        chain: True, False, or None: if one of `CHAIN_NAMES` is set.
        clock: seconds, steady.
    Raises: InvalidFunctionError for a *file* that will not do, or a *chain* without its package.
    """

    def __init__(
        self,
        *,
        file: Path | None = None,
        environ: Mapping[str, str] = os.environ,
        chain: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._for_all: CredentialsSource | None = None
        self._for_roles: CredentialsSource | None = None
        if file is not None:
            _read(file)  # now, rather than at the first invocation
            self._for_all = BackingOff(lambda: _read(file), str(file), clock)
            return
        key_id = environ.get("ALIBABA_CLOUD_ACCESS_KEY_ID", "")
        secret = environ.get("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "")
        if key_id and secret:
            self._for_all = Credentials(
                access_key_id=key_id,
                access_key_secret=secret,
                security_token=environ.get("ALIBABA_CLOUD_SECURITY_TOKEN", ""),
            )
            return
        if chain is None:
            chain = any(environ.get(name) for name in CHAIN_NAMES)
        if chain:
            self._for_roles = BackingOff(_chain(), "the default credentials chain", clock)

    def source(self, role: str) -> CredentialsSource | None:
        """
        For a function with *role*, an ARN or "". None: it gets no credentials.

        A callable among these raises ApiError 503 when it can give none.
        """
        return self._for_all or (self._for_roles if role else None)


class BackingOff:
    """
    Asks, and after a failure not again at once: 1 s later, then 2, 4, ... up to a minute; who comes
    in between is told of the last failure. One asks at a time, for all functions.
    """

    def __init__(
        self, ask: Callable[[], Credentials], place: str, clock: Callable[[], float]
    ) -> None:
        self._ask = ask
        self._place = place
        self._clock = clock
        self._lock = threading.Lock()
        self._wait_s = 0.0
        self._not_before = 0.0
        self._reason = ""

    def __call__(self) -> Credentials:
        with self._lock:
            now = self._clock()
            if self._wait_s and now < self._not_before:
                raise self._refusal(self._not_before - now)
            try:
                credentials = self._ask()
            except Exception as error:  # noqa: BLE001  whatever the chain of others may raise
                self._wait_s = min(self._wait_s * 2 or FIRST_WAIT_S, LONGEST_WAIT_S)
                self._not_before = self._clock() + self._wait_s
                self._reason = _LIKE_A_SECRET.sub("…", f"{type(error).__name__}: {error}")[:500]
                _log.warning(
                    "credentials.unavailable",
                    source=self._place,
                    reason=self._reason,
                    retry_in_s=self._wait_s,
                )
                # Not its cause: what the chain's exception holds is not ours to show.
                raise self._refusal(self._wait_s) from None
            self._wait_s = 0.0
            return credentials

    def _refusal(self, wait_s: float) -> ApiError:
        return ApiError(
            503,
            "ServiceUnavailable",
            f"no credentials for the function's role from {self._place}: {self._reason}",
            {"Retry-After": str(max(1, round(wait_s)))},
        )


def _chain() -> Callable[[], Credentials]:
    try:
        client = import_module("alibabacloud_credentials.client")
    except ImportError as error:
        raise InvalidFunctionError(
            "role_credentials", "the default credentials chain", "pip install 'fc-runtime[aliyun]'"
        ) from error
    made: list[Any] = []

    def ask() -> Credentials:
        if not made:  # making it can fail too, if a profile is incomplete
            made.append(client.Client())
        found = made[0].get_credential()
        if not (found.access_key_id and found.access_key_secret):
            raise LookupError("what it found is no access key")
        # It renews what it keeps by itself, in good time, and does not say when that expires; so it
        # is asked for each invocation.
        return Credentials(
            access_key_id=found.access_key_id,
            access_key_secret=found.access_key_secret,
            security_token=found.security_token or "",
        )

    return ask


def _read(file: Path) -> Credentials:
    mend = "a JSON object with AccessKeyId, AccessKeySecret, and maybe SecurityToken and Expiration"
    try:
        document = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise InvalidFunctionError(
            "role_credentials", str(file), f"a file that can be read ({error.strerror})"
        ) from error
    except ValueError:  # a decoder's error holds the text
        raise InvalidFunctionError("role_credentials", str(file), mend) from None
    if isinstance(document, dict) and isinstance(document.get("Credentials"), dict):
        document = document["Credentials"]  # the whole answer of AssumeRole
    names = ("AccessKeyId", "AccessKeySecret", "SecurityToken", "Expiration")
    if not isinstance(document, dict):
        raise InvalidFunctionError("role_credentials", str(file), mend)
    values = [document.get(name) or "" for name in names]
    if not all(isinstance(value, str) for value in values) or not (values[0] and values[1]):
        raise InvalidFunctionError("role_credentials", str(file), mend)
    try:
        expires_at = datetime.fromisoformat(values[3]).timestamp() if values[3] else None
    except ValueError as error:
        raise InvalidFunctionError(
            "role_credentials", str(file), "an Expiration like 2024-01-31T12:00:00Z"
        ) from error
    return Credentials(
        access_key_id=values[0],
        access_key_secret=values[1],
        security_token=values[2],
        expires_at=expires_at,
    )
