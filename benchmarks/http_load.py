"""
Load for `http_call`: POST over keep-alive connections, each with one request under way, from a
process of its own. `wrk` where it is installed; else this file, which takes more of a CPU, and so
makes all servers look slower.
"""

import asyncio
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

UNITS = {"us": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Requests a second, and two percentiles of their latency in ns."""

    rate: float
    p50: float
    p99: float


def load(url, body, connections, seconds):
    """Raises ValueError if any request failed."""
    if shutil.which("wrk"):
        return with_wrk(url, body, connections, seconds)
    argv = [sys.executable, __file__, url, str(connections), str(seconds)]
    done = subprocess.run(argv, input=body, stdout=subprocess.PIPE, check=True)
    return Seen(**json.loads(done.stdout))


def with_wrk(url, body, connections, seconds):
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(f"wrk.method = 'POST'\nwrk.body = [==[{body.decode()}]==]\n")
        script.flush()
        argv = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
        done = subprocess.run(
            [*argv, "-s", script.name, url], stdout=subprocess.PIPE, text=True, check=True
        )
    said = done.stdout
    if "Non-2xx" in said or "Socket errors" in said:
        raise ValueError(said.strip().splitlines()[-3])
    quantiles = dict(re.findall(r"^ +(50|99)% +(\S+)$", said, re.MULTILINE))
    rate = float(re.search(r"Requests/sec: +([\d.]+)", said)[1])
    return Seen(rate=rate, p50=in_ns(quantiles["50"]), p99=in_ns(quantiles["99"]))


def in_ns(text):
    number, unit = re.fullmatch(r"([\d.]+)(\w+)", text).groups()
    return float(number) * UNITS[unit]


class Client(asyncio.Protocol):
    """One connection: the next request goes out when the reply to the last one is whole."""

    def __init__(self, request, until, latencies):
        self._request = request
        self._until = until
        self._latencies = latencies
        self._got = b""
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self._transport = transport
        self._send()

    def _send(self):
        self._started = time.perf_counter_ns()
        self._transport.write(self._request)

    def data_received(self, data):
        self._got += data
        head, mark, body = self._got.partition(b"\r\n\r\n")
        if not mark or len(body) < int(re.search(rb"(?i)content-length: *(\d+)", head)[1]):
            return
        if b" 200 " not in head[:13]:
            raise ValueError(head[:100])
        now = time.perf_counter_ns()
        self._latencies.append(now - self._started)
        self._got = b""
        if now < self._until:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, error):
        if error is None:
            self.closed.set_result(None)
        else:
            self.closed.set_exception(error)


async def own_load(url, body, connections, seconds):
    parts = urlsplit(url)
    request = (
        f"POST {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    latencies = []
    begun = time.perf_counter_ns()
    until = begun + int(seconds * 1e9)
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(
            lambda: Client(request, until, latencies), parts.hostname, parts.port
        )
        for _ in range(connections)
    ]
    await asyncio.gather(*(client.closed for _, client in made))
    took_s = (time.perf_counter_ns() - begun) / 1e9
    latencies.sort()
    return Seen(
        rate=len(latencies) / took_s,
        p50=latencies[len(latencies) // 2],
        p99=latencies[int(len(latencies) * 0.99)],
    )


if __name__ == "__main__":
    _, target, count, duration = sys.argv
    event = sys.stdin.buffer.read()
    found = asyncio.run(own_load(target, event, int(count), float(duration)))
    print(json.dumps({"rate": found.rate, "p50": found.p50, "p99": found.p99}))
