"""Network addresses: formatting, parsing, and the choice of the address to listen on."""

import ipaddress
import socket
from collections.abc import Callable
from typing import Any

LOOPBACK = "127.0.0.1"


def to_netloc(host: str, port: int) -> str:
    """Return `host:port` as in URLs, with an IPv6 address in brackets."""
    if host.startswith("/"):
        return f"{host} (port {port})"  # the folder of a Unix socket
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_address(text: str) -> str | None:
    """Parse an IP address with or without brackets; return None for anything else."""
    is_bracketed = text.startswith("[") and text.endswith("]")
    try:
        return str(ipaddress.ip_address(text[1:-1] if is_bracketed else text))
    except ValueError:
        return None


def is_reachable(host: str) -> bool:
    """Return True if other machines may reach HOST; a host name is used only if it is loopback."""
    address = parse_address(host)
    return address is not None and not ipaddress.ip_address(address).is_loopback


def to_reachable_address(listen_address: str) -> str:
    """Return the address at which a server on this machine answers that listens on an address."""
    wildcards = {"0.0.0.0": LOOPBACK, "::": "::1"}  # noqa: S104
    return wildcards.get(listen_address, listen_address)


def find_listen_address(
    host: str, *, resolve: Callable[..., Any] = socket.getaddrinfo
) -> tuple[str, str | None]:
    """
    Return the address to listen on for HOST, and a warning if it differs from HOST.

    A host name is used only if it resolves to loopback. openSUSE and tcsh set HOST to the name of the
    machine and conda to that of a platform; listening there could expose the service by accident.
    """
    if parse_address(host) is not None:
        return host, None
    try:
        resolved = resolve(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        resolved = []
    # IPv4 first.
    addresses = sorted({str(address[0]) for *_, address in resolved}, key=lambda text: ":" in text)
    if addresses and all(ipaddress.ip_address(address).is_loopback for address in addresses):
        return addresses[0], None
    reason = f"resolves to {addresses[0]}" if addresses else "can't be resolved"
    return LOOPBACK, (
        f"HOST is set to the name {host!r}, which {reason}: listening on {LOOPBACK} only;"
        " unset HOST, or set it to an address such as 0.0.0.0"
    )
