"""One folder with the handlers for all cases of a tier and a sandbox."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest
from fc_runtime.torture.stage import Grounds


@pytest.fixture(scope="session")
def grounds() -> Iterator[Callable[[str, str], Grounds]]:
    """``grounds(tier, sandbox)``, made once."""
    with ExitStack() as stack:

        @cache
        def made(tier: str, sandbox: str) -> Grounds:
            return stack.enter_context(Grounds(tier, sandbox))

        yield made
