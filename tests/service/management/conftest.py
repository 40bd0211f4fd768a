"""An account, and the management API over it with the official clients of all three versions."""

from collections.abc import Iterator
from pathlib import Path

import fc2
import httpx
import pytest
from alibabacloud_fc20230330.client import Client as Fc3Client
from alibabacloud_fc_open20210406.client import Client as OpenClient
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
    """For what no client would send."""
    with httpx.Client(base_url=url) as client:
        yield client


@pytest.fixture
def v2016(url: str) -> fc2.Client:
    return daemon.fc2_client(url)


@pytest.fixture
def v2021(url: str) -> OpenClient:
    return daemon.open_client(url)


@pytest.fixture
def v2023(url: str) -> Fc3Client:
    return daemon.fc3_client(url)
