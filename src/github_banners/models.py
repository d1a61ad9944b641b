"""
The domain model: owners, repositories, their numbers, and how these are counted.

All classes are frozen. Classes with ten thousands of instances have `gc=False`: they can't be part
of a reference cycle, so the garbage collector need not traverse them
(https://jcristharif.com/msgspec/structs.html#disabling-garbage-collection).
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import TypeAlias

import msgspec

Clock: TypeAlias = Callable[[], datetime]

MAX_CLOCK_SKEW = timedelta(minutes=10)
"""A time further in the future was written by a wrong clock, and is treated as unknown."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands for an unknown time."""

LONG_AGO = datetime.min.replace(tzinfo=UTC)
"""Is before any time: something has never happened, or has ended."""

END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC)
"""Is after any plausible time."""

OWNERS_PER_QUERY = 20
"""Most owners that a query to GitHub fetches together, for one point of its rate limit."""

PARALLEL_QUERIES = 3
"""Most such queries of a process at the same time, for the background refresh or for stale owners."""


def utc_now() -> datetime:
    """Return the current time in UTC; the default clock of every service."""
    return datetime.now(UTC)


def to_epoch_microseconds(time: datetime) -> int:
    """Return the microseconds since 1970, which are the lower bound of every version number."""
    return (time - EPOCH) // timedelta(microseconds=1)


class Owner(msgspec.Struct, frozen=True, gc=False):
    """
    A GitHub user or organisation.

    `id` is GitHub's number and the identity, since a login can pass to another owner. `login` has
    the case that GitHub returned. `node_id` is None if the response did not contain it.
    """

    id: int
    login: str
    node_id: str | None = None
    display_name: str | None = None


@dataclass(frozen=True, slots=True)
class Repository:
    """A public repository; `language` is the main language that GitHub detected, if any."""

    id: int
    name: str
    stars: int = 0
    forks: int = 0
    is_fork: bool = False
    language: str | None = None
    is_archived: bool = False


@dataclass(frozen=True, slots=True)
class OwnerRepositories:
    """
    One owner with every public repository, as fetched from GitHub.

    `fetched_at` is when the request was sent, not when the response arrived. `reported_count` is the
    number of repositories that GitHub reported, None if it reported none; `followers` is None for
    organisations.
    """

    owner: Owner
    repositories: tuple[Repository, ...]
    fetched_at: datetime
    reported_count: int | None = None
    followers: int | None = None


class Stats(msgspec.Struct, frozen=True, gc=False):
    """
    The six numbers of an owner, as they are serialised in every message.

    `total_stars`, `total_forks` and `languages` cover original repositories only, not forks.
    `languages` maps a name to its number of repositories, sorted by count and then by name.
    """

    total_repos: int
    original_repos: int
    forked_repos: int
    total_stars: int
    total_forks: int
    languages: dict[str, int]


class ContributionYear(msgspec.Struct, frozen=True, gc=False):
    """
    An owner's contributions of one calendar year.

    `days` has the count of every day from 1 January to the last one that GitHub's calendar had.
    """

    year: int
    days: tuple[int, ...]
    commits: int = 0
    issues: int = 0
    pull_requests: int = 0
    reviews: int = 0


class ContributionAccess(StrEnum):
    """Whether an owner's contributions can be read, or why not."""

    VISIBLE = "visible"
    HIDDEN = "hidden"
    """The profile is private."""
    ORGANISATION = "organisation"
    """Organisations have no contributions."""
    NEEDS_TOKEN = "needs-token"  # noqa: S105 - not a password
    """This service has no token, and GitHub tells contributions only to those who have one."""


class Contributions(msgspec.Struct, frozen=True, gc=False):
    """An owner's contributions of all years, oldest first, as GitHub's calendar has them."""

    years: tuple[ContributionYear, ...] = ()
    access: ContributionAccess = ContributionAccess.VISIBLE


class Activity(msgspec.Struct, frozen=True, gc=False):
    """
    What banners show of an owner's contributions.

    The first five numbers and the longest streak (in days) cover all years. `days` has the counts of
    the last 53 weeks, oldest first; `last_day` is the day of its last one, None if there is none.
    `last_year` and the best day cover the 12 months that end on it; `best_day` is None without
    contributions.
    """

    commits: int = 0
    pull_requests: int = 0
    issues: int = 0
    reviews: int = 0
    contributions: int = 0
    current_streak: int = 0
    longest_streak: int = 0
    last_year: int = 0
    best_day: date | None = None
    best_count: int = 0
    last_day: date | None = None
    days: tuple[int, ...] = ()


class RepositoryLanguages(msgspec.Struct, frozen=True, gc=False):
    """
    Bytes of code in one repository by language, largest first.

    `other` are the bytes of the languages beyond the ten largest.
    """

    repository_id: int
    sizes: dict[str, int]
    other: int = 0


MAX_DESCRIPTION_CHARACTERS = 350
"""GitHub's limit of a repository's description; older ones can be longer."""


class RepositoryDetails(msgspec.Struct, frozen=True, gc=False):
    """One repository as the layout `repository` shows it; `licence` is its SPDX id or short name."""

    id: int
    name: str
    description: str | None = None
    language: str | None = None
    stars: int = 0
    forks: int = 0
    licence: str | None = None
    is_archived: bool = False
    is_fork: bool = False


class Snapshot(msgspec.Struct, frozen=True, gc=False):
    """
    The numbers of one owner at `fetched_at`.

    `version` rises whenever numbers, login or display name change; 0 means not stored yet. If
    `is_deleted`, the owner no longer exists on GitHub and the numbers are the last known ones.
    `followers` are None if they are unknown or hidden, and for organisations. Without `has_numbers`,
    only the identity of the owner has been fetched: all numbers are 0.

    The other fields are set only for banners that show them. `language_sizes` maps languages to
    bytes, largest first; the name "" stands for those that GitHub did not list. Without `activity` or
    `followers`, `contribution_access` says why there are none.
    """

    owner: Owner
    stats: Stats
    fetched_at: datetime
    version: int = 0
    is_deleted: bool = False
    followers: int | None = None
    has_numbers: bool = True
    language_sizes: dict[str, int] | None = None
    activity: Activity | None = None
    contribution_access: ContributionAccess = ContributionAccess.VISIBLE
    repository: RepositoryDetails | None = None


def without_numbers(owner: Owner, *, version: int = 0) -> Snapshot:
    """Return a snapshot of an owner whose identity alone has been fetched."""
    stats = Stats(0, 0, 0, 0, 0, {})
    return Snapshot(owner, stats, EPOCH, version=version, has_numbers=False)


def sort_languages(counts: Mapping[str, int]) -> list[str]:
    """Return the names of languages in the order of `Stats`: by count, then by name."""
    # Two stable sorts need no tuple per language.
    names = sorted(counts)
    names.sort(key=counts.__getitem__, reverse=True)
    return names


def filter_repositories(
    repositories: Iterable[Repository],
    *,
    excluded_names: Collection[str] = (),
    include_archived: bool = True,
) -> list[Repository]:
    """Leave out repositories with one of `excluded_names`, in lower case, and archived ones."""
    return [
        repository
        for repository in repositories
        if (include_archived or not repository.is_archived)
        and repository.name.lower() not in excluded_names
    ]


def aggregate(repositories: Iterable[Repository], *, include_forks: bool = False) -> Stats:
    """
    Add up an owner's repositories.

    Forks are excluded from stars, forks and languages, unless `include_forks`. `languages` maps a
    language to the number of repositories, most frequent first, then by name.
    """
    selected = list(repositories)
    originals = [repository for repository in selected if not repository.is_fork]
    counted = selected if include_forks else originals
    languages = Counter(repository.language for repository in counted if repository.language)
    return Stats(
        total_repos=len(selected),
        original_repos=len(originals),
        forked_repos=len(selected) - len(originals),
        total_stars=sum(repository.stars for repository in counted),
        total_forks=sum(repository.forks for repository in counted),
        languages={name: languages[name] for name in sort_languages(languages)},
    )


def aggregate_sizes(sizes: Iterable[RepositoryLanguages]) -> dict[str, int]:
    """Add up bytes by language, largest first, then by name; "" stands for unlisted languages."""
    totals: Counter[str] = Counter()
    for repository in sizes:
        totals.update(repository.sizes)
        totals[""] += repository.other
    return {name: totals[name] for name in sort_languages(totals) if totals[name] > 0}


def without_implausible_times(snapshot: Snapshot, *, now: datetime) -> Snapshot:
    """Return the snapshot, with time and version reset if they lie too far in the future."""
    latest = now + MAX_CLOCK_SKEW
    if snapshot.fetched_at <= latest and snapshot.version <= to_epoch_microseconds(latest):
        return snapshot
    fetched_at = snapshot.fetched_at if snapshot.fetched_at <= latest else EPOCH
    version = snapshot.version if snapshot.version <= to_epoch_microseconds(latest) else 0
    return msgspec.structs.replace(snapshot, fetched_at=fetched_at, version=version)
