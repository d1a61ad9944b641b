"""Network addresses: how they are written, and which one a service listens on."""

import ipaddress
import socket
from collections.abc import Callable
from typing import Any

LOOPBACK = "127.0.0.1"


def to_netloc(host: str, port: int) -> str:
    """Write a host and a port as URLs and messages do, an IPv6 address in brackets."""
    if host.startswith("/"):
        return f"{host} (port {port})"  # the folder of a Unix socket
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_address(text: str) -> str | None:
    """Read an IP address, with or without brackets; None for anything else."""
    is_bracketed = text.startswith("[") and text.endswith("]")
    try:
        return str(ipaddress.ip_address(text[1:-1] if is_bracketed else text))
    except ValueError:
        return None


def find_listen_address(
    host: str, *, resolve: Callable[..., Any] = socket.getaddrinfo
) -> tuple[str, str | None]:
    """
    Return the address to listen on for a HOST, and a warning if it is not the one that HOST says.

    A name is taken only if it means this machine alone. Shells and package managers set HOST to names
    (openSUSE, tcsh: the machine's; conda: a platform's) that nobody meant for us, and that may be
    reachable from elsewhere.
    """
    if parse_address(host) is not None:
        return host, None
    try:
        found = resolve(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        found = []
    addresses = sorted({str(address[0]) for *_, address in found}, key=lambda text: ":" in text)
    if addresses and all(ipaddress.ip_address(address).is_loopback for address in addresses):
        return addresses[0], None
    meaning = f"means {addresses[0]}" if addresses else "can't be resolved"
    return LOOPBACK, (
        f"HOST is set to the name {host!r}, which {meaning}: listening on {LOOPBACK} only;"
        " unset HOST, or set it to an address such as 0.0.0.0"
    )
