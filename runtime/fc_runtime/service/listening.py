"""The socket that requests come in by: bound before anything else, so that a port in use is told
before any work is done."""

import errno
import ipaddress
import socket
from typing import Final

BACKLOG: Final = 2048
# A peer that went without a word is found out within two minutes or so.
_KEEPALIVE_IDLE_S: Final = 60
_KEEPALIVE_INTERVAL_S: Final = 15
_KEEPALIVE_PROBES: Final = 4


class ListenError(Exception):
    """One line for people: what is in the way, and what to do."""


def listen(host: str, port: int) -> socket.socket:
    """
    A listening socket. *port* 0 takes a free one. Raises ListenError.

    What is set here, accepted connections inherit.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise ListenError(f"--host {host}: no address of this machine: {error}") from error
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_IDLE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _KEEPALIVE_INTERVAL_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _KEEPALIVE_PROBES)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise ListenError(_explained(host, port, error)) from error
    sock.setblocking(False)
    return sock


def url_of(sock: socket.socket, host: str) -> str:
    """``http://HOST:PORT``, in which *host* is as it was asked for."""
    port = sock.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_loopback(host: str) -> bool:
    """Can only this machine reach it? A name counts if all its addresses do."""
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host, None, flags=socket.AI_PASSIVE)}
    except (OSError, UnicodeError):
        return False
    return bool(host) and all(
        ipaddress.ip_address(str(address).split("%")[0]).is_loopback for address in found
    )


def _explained(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is in use: choose another with --port, or 0 for a free one"
    if error.errno == errno.EACCES:
        return f"port {port} of {host} needs more rights: choose one from 1024 on with --port"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"--host {host}: no address of this machine"
    return f"{host}:{port} cannot be listened on: {error.strerror or error}"
