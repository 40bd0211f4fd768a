"""A service with HTTP triggers, for a test of its own."""

from collections.abc import Iterator

import pytest
from support.http_service import HttpService


@pytest.fixture
def service() -> Iterator[HttpService]:
    """With default settings."""
    with HttpService() as running:
        yield running
