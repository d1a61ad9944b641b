"""
One text -> one value: how each type of setting is read, and what it may be.

Errors are ValueErrors that end a sentence which begins with the variable's name.
"""

import ipaddress
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, NewType, TypeAlias
from urllib.parse import urlsplit

import durationpy

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Url = NewType("Url", str)
Origin = NewType("Origin", str)
StorageUrl = NewType("StorageUrl", str)
Broker = NewType("Broker", str)

_GO_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:h|m|s|ms))+", re.ASCII)
_WRITTEN_OTHERWISE = re.compile(r"[^!-~]|[{}<>|\\^`\"]|/\.\.?(?:/|\Z)")
_LONGEST = timedelta(days=366)


class Secret:
    """A text that no log, error or output shows."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Give the text to whoever must send it."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)


class Token(Secret):
    """A secret that travels in an HTTP header."""

    __slots__ = ()


def _read_duration(given: str) -> timedelta:
    """Read `10s`, `5m`, `1h30m` as https://pkg.go.dev/time#ParseDuration does, above zero."""
    try:
        if _GO_DURATION.fullmatch(given) is None:
            raise ValueError  # noqa: TRY301
        duration: timedelta = durationpy.from_str(given)
    except (ValueError, OverflowError, durationpy.DurationError):
        raise ValueError(
            f"must be a duration such as 10s, 5m or 1h30m, not {given[:64]!r}"
        ) from None
    if not timedelta(0) < duration <= _LONGEST:
        raise ValueError(f"must be longer than 0s and at most a year, not {given[:64]!r}")
    return duration


def _read_url(given: str) -> Url:
    wrong = ValueError("must be an address such as https://example.com")
    try:
        parts = urlsplit(given)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise wrong from None
    if "@" in parts.netloc:
        raise ValueError("must not hold a user or a password")
    # What clients would resolve or encode, and then send as another address than was signed.
    is_plain = not (parts.query or parts.fragment or _WRITTEN_OTHERWISE.search(given))
    if parts.scheme not in {"http", "https"} or not host or not is_plain:
        raise wrong
    return Url(given.rstrip("/"))


def _read_origin(given: str) -> Origin:
    # Browsers send an origin in lower case, and never with a path.
    flat = given.lower()
    bare = urlsplit(_read_url(flat)) if "://" in flat else None
    if bare is not None and not bare.path:
        return Origin(bare.geturl())
    if flat != "*" and re.fullmatch(r"[\w.-]+(?::\d+)?", flat) is None:
        raise ValueError(f"must be *, hosts or origins separated by commas, not {given[:64]!r}")
    return Origin(flat)


def _read_storage_url(given: str) -> StorageUrl:
    parts = urlsplit(given)
    if parts.scheme != "file" or parts.netloc or not parts.path.startswith("/"):
        raise ValueError(f"must be an address such as file:///var/lib/banners, not {given[:64]!r}")
    return StorageUrl(given)


def _read_network(given: str) -> Network:
    try:
        return ipaddress.ip_network(given, strict=False)
    except ValueError:
        raise ValueError(
            f"must be addresses or networks such as 10.0.0.0/8, not {given[:64]!r}"
        ) from None


def _read_broker(given: str) -> Broker:
    host, _, port = given.rpartition(":")
    is_port = port.isascii() and port.isdecimal() and 0 < int(port) <= 65535
    if not is_port or re.fullmatch(r"[\w.-]+|\[[0-9a-fA-F:]+\]", host, re.ASCII) is None:
        raise ValueError(f"must be addresses such as kafka:9092, not {given[:64]!r}")
    return Broker(given)


def _read_path(given: str) -> Path:
    try:
        return Path(given).expanduser().absolute()
    except RuntimeError:
        raise ValueError(f"must be a path, and nobody has the home of {given[:64]!r}") from None


def _read_token(given: str) -> Token:
    if not given.isascii() or any(c.isspace() or not c.isprintable() for c in given):
        raise ValueError("holds a character that no token can have")
    return Token(given)


READERS: dict[Any, Callable[[str], Any]] = {
    timedelta: _read_duration,
    Secret: Secret,
    Token: _read_token,
    Url: _read_url,
    Origin: _read_origin,
    StorageUrl: _read_storage_url,
    Broker: _read_broker,
    Network: _read_network,
    Path: _read_path,
}
"""How each type is read."""
