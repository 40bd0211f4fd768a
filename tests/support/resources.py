"""Functions to hang things on, made without HTTP."""

import pytest
from fc_runtime.service.account import Account
from fc_runtime.service.errors import ApiError
from fc_runtime.service.store import Entry
from support.daemon import base64_zip


def document(**changes) -> dict:
    """Of a function that echoes, as either family would send it."""
    return {
        "runtime": "python3.10",
        "handler": "index.handler",
        "code": {"zipFile": base64_zip()},
        **changes,
    }


def fc3_function(account: Account, name: str = "echo", **changes) -> Entry:
    return account.create_function("", name, document(**changes))


def fc2_function(account: Account, service: str = "svc", name: str = "echo", **changes) -> Entry:
    """With its service, unless that is there."""
    if account.store.get("service", "", service) is None:
        account.create_service(service, {})
    return account.create_function(service, name, document(**changes))


def refused(code: str, match: str | None = None):
    """What the block does is refused with *code*; *match*: a pattern that the reason has."""
    return pytest.raises(ApiError, match=match, check=lambda error: error.code == code)


def refused_by(error: type[Exception], status: int, code: str):
    """Likewise, as a client whose errors are *error* tells it."""
    return pytest.raises(error, check=lambda e: (status, code) == (e.status_code, e.code))
