"""
What the sandbox's GitHub is made of: accounts and their repositories.

Invented and recorded ones alike; a recorded one keeps the body that GitHub sent. Nothing here
knows how an account is asked for.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec


class Repository(msgspec.Struct, frozen=True, gc=False):
    """A public repository; `recorded` is GitHub's own body, None for an invented one."""

    id: int
    name: str
    language: str | None
    stars: int
    forks: int
    is_fork: bool
    is_archived: bool
    size_kilobytes: int
    created_at: datetime
    updated_at: datetime
    pushed_at: datetime | None
    recorded: Mapping[str, Any] | None = None


class Account(msgspec.Struct, frozen=True):
    """A user or an organisation with every public repository, oldest first."""

    id: int
    node_id: str
    login: str
    name: str | None
    is_organization: bool
    followers: int
    following: int
    created_at: datetime
    updated_at: datetime
    repositories: tuple[Repository, ...] = ()
    recorded: Mapping[str, Any] | None = None


_PREFIXES = {"User": "U", "Organization": "O", "Repository": "R"}
_OLD_NODE_ID = re.compile(rb"\d+:(?:User|Organization)(\d+)")


def node_id_of(kind: str, number: int) -> str:
    """
    Write the global id that GitHub gives to a new user, organisation or repository.

    The number in MessagePack, as GitHub's own ids read when decoded.
    """
    packed = base64.urlsafe_b64encode(msgspec.msgpack.encode([0, number]))
    return f"{_PREFIXES[kind]}_{packed.decode().rstrip('=')}"


def account_number(node_id: str) -> int | None:
    """Read the number of an account out of its global id, new or old; None where there is none."""
    prefix, _, packed = node_id.partition("_") if node_id[1:2] == "_" else ("", "", node_id)
    try:
        raw = base64.b64decode(packed + "=" * (-len(packed) % 4), altchars=b"-_")
        if prefix in {"U", "O"}:
            return msgspec.msgpack.decode(raw, type=tuple[int, int])[1]
    except (binascii.Error, ValueError, msgspec.DecodeError, msgspec.ValidationError):
        return None
    old = _OLD_NODE_ID.fullmatch(raw) if not prefix else None
    return int(old[1]) if old else None
