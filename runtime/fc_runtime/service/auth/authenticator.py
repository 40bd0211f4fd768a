"""
Who sent a request. One question, asked before anything else is done for it.

In two steps, because a body may be large and is not held for this: `begin` settles everything that
the head of a request can, `Pending.finish` compares the body's hash once it has gone by.
"""

import hmac
import time
from dataclasses import dataclass
from typing import Final

from fc_runtime.service.auth import acs3, fc_scheme
from fc_runtime.service.auth.keys import AccessKeys
from fc_runtime.service.auth.nonces import Nonces
from fc_runtime.service.auth.request import Caller, Clock, Request, denied, missing

PROXY: Final = b"/2016-08-15/proxy/"  # where the query is signed too (spec 8.A)


@dataclass(frozen=True, slots=True)
class Pending:
    """
    Args:
        body_sha256: what the body's hash has to be, in hex; None where the body is not signed,
            and need not be hashed.
    """

    caller: Caller
    body_sha256: str | None = None

    def finish(self, sha256_hex: str) -> Caller:
        """Raises ApiError 403 if this is not the body that was signed."""
        wanted = self.body_sha256
        if wanted is not None and not hmac.compare_digest(wanted.encode(), sha256_hex.encode()):
            raise denied("the body is not the one that x-acs-content-sha256 was made of")
        return self.caller


class Authenticator:
    """
    Args:
        keys: None lets everybody in (``--no-auth``).
        account: whose keys they are; there is one account.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        keys: AccessKeys | None,
        *,
        account: str,
        clock: Clock = time.time,
        nonces: Nonces | None = None,
    ) -> None:
        self._keys = keys
        self._account = account
        self._clock = clock
        self._nonces = Nonces() if nonces is None else nonces

    @property
    def is_off(self) -> bool:
        return self._keys is None

    def begin(self, request: Request, *, http_trigger: bool = False) -> Pending:
        """
        Everything but the body. Does not block.

        Args:
            http_trigger: the request is for an HTTP trigger, by whatever path; those below
                ``/2016-08-15/proxy/`` are recognised.
        Raises: ApiError: 400 ``MissingRequiredHeader``, 403 ``AccessDenied``,
            ``InvalidAccessKeyID`` or ``SignatureNotMatch``.
        """
        keys = self._keys
        if keys is None:
            return Pending(Caller("", self._account))
        now = self._clock()
        signs_query = http_trigger or request.raw_path.startswith(PROXY)
        authorization = request.header(b"authorization")
        if authorization is None:
            if signs_query and fc_scheme.is_signed_url(request):
                key = fc_scheme.verify_url(request, keys, now)
                return Pending(Caller(key.id, self._account))
            raise missing("Authorization")
        if authorization.startswith(fc_scheme.SCHEME):
            key = fc_scheme.verify_header(request, keys, now, signs_query=signs_query)
            return Pending(Caller(key.id, self._account))
        if authorization.startswith(acs3.SCHEME + b" "):
            verified = acs3.verify(request, keys, self._nonces, now)
            return Pending(Caller(verified.key.id, self._account), verified.body_sha256)
        raise denied("Authorization must be by the scheme FC or ACS3-HMAC-SHA256")

    def check(self, request: Request, body_sha256: str, *, http_trigger: bool = False) -> Caller:
        """Both steps at once, for a body that is here already. Raises ApiError."""
        return self.begin(request, http_trigger=http_trigger).finish(body_sha256)
