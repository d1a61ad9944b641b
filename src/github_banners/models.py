"""
The nouns that every room speaks of: owners, repositories, their numbers.

Frozen and without behaviour beyond reading themselves; nothing here asks, keeps or draws. What lies
in memory by the ten thousand has `gc=False`: it refers to nothing that refers back, and the garbage
collector need not look at it (https://jcristharif.com/msgspec/structs.html#disabling-garbage-collection).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import msgspec

Clock: TypeAlias = Callable[[], datetime]

MAX_CLOCK_SKEW = timedelta(minutes=10)
"""A time further ahead than this was written by a wrong clock, and counts as unknown."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands for a time that is not known."""


def utc_now() -> datetime:
    """Tell the time, with its zone: the clock of every running service."""
    return datetime.now(UTC)


def to_epoch_microseconds(moment: datetime) -> int:
    """Count microseconds from 1970 to a moment: the floor of every version number."""
    return (moment - EPOCH) // timedelta(microseconds=1)


class Owner(msgspec.Struct, frozen=True, gc=False):
    """
    A GitHub user or organisation.

    `id` is GitHub's number and the identity; a login can change hands. `login` is spelled as GitHub
    spells it. `node_id` is None where GitHub did not say it.
    """

    id: int
    login: str
    node_id: str | None = None
    display_name: str | None = None


@dataclass(frozen=True, slots=True)
class Repository:
    """A public repository; `language` is GitHub's guess of the main one, None for none."""

    id: int
    name: str
    stars: int = 0
    forks: int = 0
    is_fork: bool = False
    language: str | None = None


@dataclass(frozen=True, slots=True)
class OwnerRepositories:
    """
    GitHub's whole answer about one owner: every public repository.

    `fetched_at` is when GitHub was asked, not when it answered. `expected` is the number of
    repositories that GitHub says there are, None where it did not say.
    """

    owner: Owner
    repositories: tuple[Repository, ...]
    fetched_at: datetime
    reported_count: int | None = None


class Stats(msgspec.Struct, frozen=True, gc=False):
    """
    The six numbers of an owner, in their shape on every wire.

    `total_stars`, `total_forks` and `languages` look at original repositories only. `languages` maps
    a name to the number of repositories, most first, equal counts by name.
    """

    total_repos: int
    original_repos: int
    forked_repos: int
    total_stars: int
    total_forks: int
    languages: dict[str, int]


class Snapshot(msgspec.Struct, frozen=True, gc=False):
    """
    The numbers of one owner as they were when GitHub was asked.

    `version` rises whenever numbers, login or display name change; 0 means not kept yet. `is_deleted`
    says that GitHub no longer knows the owner: the numbers are the last ones.
    """

    owner: Owner
    stats: Stats
    fetched_at: datetime
    version: int = 0
    is_deleted: bool = False


def sort_languages(counts: Mapping[str, int]) -> list[str]:
    """Return the names of languages in the order of `Stats`: by count, then by name."""
    # Two stable sorts need no tuple per language.
    names = sorted(counts)
    names.sort(key=counts.__getitem__, reverse=True)
    return names


def without_implausible_times(snapshot: Snapshot, *, now: datetime) -> Snapshot:
    """Return a snapshot whose time and version are unknown if only a wrong clock can have made them."""
    latest = now + MAX_CLOCK_SKEW
    if snapshot.fetched_at <= latest and snapshot.version <= to_epoch_microseconds(latest):
        return snapshot
    fetched_at = snapshot.fetched_at if snapshot.fetched_at <= latest else EPOCH
    version = snapshot.version if snapshot.version <= to_epoch_microseconds(latest) else 0
    return msgspec.structs.replace(snapshot, fetched_at=fetched_at, version=version)
