"""
Domain model of the fake GitHub: accounts, their repositories, and global node ids.

Generated and recorded accounts have the same types; a recorded one also keeps GitHub's own JSON body.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec


class License(msgspec.Struct, frozen=True, gc=False):
    """A licence; one that GitHub does not recognize has the key `other` and is `NOASSERTION`."""

    key: str
    name: str
    spdx_id: str | None


class Repository(msgspec.Struct, frozen=True, gc=False):
    """A public repository; `recorded` is GitHub's JSON body, None for a generated one."""

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
    description: str | None = None
    license: License | None = None
    homepage: str | None = None
    topics: tuple[str, ...] = ()
    recorded: Mapping[str, Any] | None = None


class Account(msgspec.Struct, frozen=True):
    """
    A user or an organization with all its public repositories, oldest first.

    `activity` says how much a user contributes: 1 is the usual amount, 0 nothing; a steady one does
    so nearly every day. A private profile hides contributions and followers.
    """

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
    activity: float = 1.0
    is_steady: bool = False
    is_private: bool = False
    recorded: Mapping[str, Any] | None = None

    @property
    def type_name(self) -> str:
        """The account's type, spelled as in GitHub's REST and GraphQL APIs."""
        return "Organization" if self.is_organization else "User"


_NODE_ID_PREFIXES = {"User": "U", "Organization": "O", "Repository": "R"}
_TYPES_BY_PREFIX = {prefix: type_name for type_name, prefix in _NODE_ID_PREFIXES.items()}
_LEGACY_NODE_ID = re.compile(rb"\d+:(User|Organization|Repository)(\d+)")
_ACCOUNT_TYPES = {"User", "Organization"}


def build_node_id(type_name: str, database_id: int) -> str:
    """
    Build the global node id of a user, an organization or a repository.

    The format is GitHub's: a type prefix, then `[0, database_id]` in MessagePack and base64url.
    """
    packed = base64.urlsafe_b64encode(msgspec.msgpack.encode([0, database_id]))
    return f"{_NODE_ID_PREFIXES[type_name]}_{packed.decode().rstrip('=')}"


def parse_account_node_id(node_id: str) -> int | None:
    """Return the database id in an account's node id; None if it is not the id of an account."""
    type_name, database_id = _parse_node_id(node_id)
    return database_id if type_name in _ACCOUNT_TYPES else None


def parse_repository_node_id(node_id: str) -> int | None:
    """Return the database id in a repository's node id; None if it is not that of a repository."""
    type_name, database_id = _parse_node_id(node_id)
    return database_id if type_name == "Repository" else None


def _parse_node_id(node_id: str) -> tuple[str | None, int]:
    """Return type and database id of a node id in the new or legacy format; None if it is neither."""
    prefix, _, packed = node_id.partition("_") if node_id[1:2] == "_" else ("", "", node_id)
    try:
        raw = base64.b64decode(packed + "=" * (-len(packed) % 4), altchars=b"-_")
        if prefix in _TYPES_BY_PREFIX:
            database_id = msgspec.msgpack.decode(raw, type=tuple[int, int])[1]
            return _TYPES_BY_PREFIX[prefix], database_id
    except (binascii.Error, ValueError, msgspec.DecodeError, msgspec.ValidationError):
        return None, 0
    legacy = _LEGACY_NODE_ID.fullmatch(raw) if not prefix else None
    return (legacy[1].decode(), int(legacy[2])) if legacy else (None, 0)
