"""The management API over a furnished account, and its own description of itself."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fc_runtime.service.account import Account
from fc_runtime.service.api import management_routes
from starlette.applications import Starlette
from support import daemon


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    with daemon.account_in(tmp_path) as account:
        yield account


@pytest.fixture
def url(account: Account) -> Iterator[str]:
    with daemon.serving(Starlette(routes=management_routes(account))) as url:
        yield url


@pytest.fixture
def http(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=60.0) as client:
        yield client
