"""An account in a folder, and code for its functions."""

import base64
import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fc_runtime.service.account import Account
from fc_runtime.service.packages import Packages
from fc_runtime.service.store import Store

ECHO = "def handler(event, context):\n    return event\n"


@contextmanager
def account_in(folder: Path, **options) -> Iterator[Account]:
    """As the daemon makes it, from whatever is in *folder* already."""
    store = Store(folder / "state.db")
    try:
        yield Account(
            store,
            Packages(folder / "packages"),
            account_id="123456789012",
            region="local",
            **options,
        )
    finally:
        store.close()


def zipped(**files: str) -> bytes:
    """A zip of Python modules by name; without any, of an ``index`` that echoes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in (files or {"index": ECHO}).items():
            archive.writestr(zipfile.ZipInfo(f"{name}.py"), text)  # the same at any time
    return packed.getvalue()


def base64_zip(**files: str) -> str:
    """As the API's ``zipFile``."""
    return base64.b64encode(zipped(**files)).decode()
