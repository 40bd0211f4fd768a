"""
Many connections that are kept alive, as plain sockets of one loop: what a load tool is made of.

A request is signed as ``aliyun-fc2`` signs, once for all: the signature is of path and time, and a
quarter of an hour is longer than any load here.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from email.utils import formatdate
from urllib.parse import urlsplit

from fc2.auth import Auth

SILENT_S = 60.0  # no reply takes so long


@dataclass(frozen=True)
class Reply:
    """Names of headers are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """One of many; a reply is read before the next request is sent. It opens when it is needed."""

    def __init__(self, url: str, path: str, key: str, secret: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = str(parts.hostname), int(parts.port or 80)
        headers = {
            "date": formatdate(usegmt=True),
            "content-type": "application/octet-stream",
            "x-fc-log-type": "Tail",
        }
        headers["authorization"] = Auth(key, secret, "").sign_request("POST", path, headers, None)
        lines = [f"{name}: {value}" for name, value in headers.items()]
        self._head = "\r\n".join([f"POST {path} HTTP/1.1", f"host: {parts.netloc}", *lines, ""])
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.opened = 0

    async def post(self, event: bytes) -> Reply:
        """Raises OSError, or IncompleteReadError, if the connection ends instead."""
        reader, writer = await self._open()
        writer.write(self._request(event))
        await writer.drain()
        async with asyncio.timeout(SILENT_S):
            status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            pairs = (line.partition(": ") for line in lines if line)
            headers = {name.lower(): value for name, _, value in pairs}
            body = await reader.readexactly(int(headers["content-length"]))
        return Reply(int(status.split()[1]), headers, body)

    async def leave(self, event: bytes, *, half: bool) -> None:
        """Send it, or its first *half*, and be gone."""
        _, writer = await self._open()
        request = self._request(event)
        writer.write(request[: len(request) - len(event) // 2] if half else request)
        await writer.drain()
        await self.close()

    async def close(self) -> None:
        if self._streams is not None:
            writer, self._streams = self._streams[1], None
            writer.close()
            with suppress(ConnectionError):  # the other side may have been faster
                await writer.wait_closed()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port, limit=2**20)
            self.opened += 1
        return self._streams

    def _request(self, event: bytes) -> bytes:
        return f"{self._head}content-length: {len(event)}\r\n\r\n".encode() + event


@asynccontextmanager
async def connections(
    count: int, url: str, path: str, key: str, secret: str
) -> AsyncIterator[list[Connection]]:
    """Closed at the end."""
    made = [Connection(url, path, key, secret) for _ in range(count)]
    try:
        yield made
    finally:
        for one in made:
            await one.close()
