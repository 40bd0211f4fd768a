"""
A daemon within the test: an account in a folder, an ASGI app on a port of its own, real clients.

The app runs under uvicorn in a thread. The clients are the official ones; they keep connections for
ever, so `forget_connections` has to end what they hold before a test may call itself clean.
"""

import gc
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import fc2
import uvicorn
import uvloop
from alibabacloud_fc20230330.client import Client as Fc3Client
from alibabacloud_fc_open20210406.client import Client as OpenClient
from alibabacloud_tea_openapi.models import Config as OpenConfig
from alibabacloud_tea_openapi.utils_models import Config as Fc3Config
from darabonba.core import DaraCore
from support.accounts import ECHO, account_in, base64_zip, zipped
from Tea.core import TeaCore

__all__ = [
    "ECHO",
    "KEY",
    "SECRET",
    "account_in",
    "base64_zip",
    "fc2_client",
    "fc3_client",
    "forget_connections",
    "open_client",
    "serving",
    "zipped",
]

KEY, SECRET = "test-key", "test-secret"
uvloop.new_event_loop().close()  # what it opens once and for all is not a test's doing


@contextmanager
def serving(app, *, lifespan: str = "off", http: Any = "auto") -> Iterator[str]:
    """
    The URL of *app*, which answers until the end of the block; *lifespan*: "on" starts it too.
    *http*: the server's protocol, any that speaks ASGI by default.
    """
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            http=http,
            log_config=None,
            lifespan=lifespan,
            ws="none",
            timeout_graceful_shutdown=5,
        )
    )
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        host, port = listening.getsockname()
        yield f"http://{host}:{port}"
    finally:
        forget_connections()
        server.should_exit = True
        thread.join()
        listening.close()


def forget_connections() -> None:
    """
    Those that the Alibaba Cloud clients keep for the life of the process.

    A reply that was an error is not read to its end; its connection goes with the exception.
    """
    for core in (TeaCore, DaraCore):
        while core._sessions:
            core._sessions.popitem()[1].close()
    gc.collect()


def fc2_client(url: str) -> fc2.Client:
    """Of API 2016-08-15."""
    return fc2.Client(endpoint=url, accessKeyID=KEY, accessKeySecret=SECRET)


def open_client(url: str) -> OpenClient:
    """Of API 2021-04-06."""
    config = OpenConfig(access_key_id=KEY, access_key_secret=SECRET, protocol="http")
    config.endpoint = url.removeprefix("http://")
    return OpenClient(config)


def fc3_client(url: str) -> Fc3Client:
    """Of API 2023-03-30."""
    config = Fc3Config(access_key_id=KEY, access_key_secret=SECRET, protocol="http")
    config.endpoint = url.removeprefix("http://")
    return Fc3Client(config)
