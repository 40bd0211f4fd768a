"""Who sent a request, and whether he may: signatures, signed URLs, tokens, access keys."""

from fc_runtime.service.auth.authenticator import Authenticator, Pending
from fc_runtime.service.auth.keys import AccessKey, AccessKeys
from fc_runtime.service.auth.request import Caller, Request
from fc_runtime.service.auth.triggers import (
    AUTH_TYPES,
    Admitted,
    authorize_http,
    check_auth_config,
)

__all__ = [
    "AUTH_TYPES",
    "AccessKey",
    "AccessKeys",
    "Admitted",
    "Authenticator",
    "Caller",
    "Pending",
    "Request",
    "authorize_http",
    "check_auth_config",
]
