"""
Fetching an owner from GitHub: which account a login refers to, what it costs, how long requests wait.

GitHub's numeric id is the identity: a login can be given up and taken by another account. An owner seen
before is fetched by id, so that a rename is followed; the login is fetched where it may have changed
hands.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from github_banners.errors import BannersError, UnknownUser
from github_banners.github.credentials import Priority
from github_banners.github.protocol import PAGE_SIZE
from github_banners.models import (
    Contributions,
    Owner,
    OwnerRepositories,
    Repository,
    RepositoryDetails,
    RepositoryLanguages,
    Snapshot,
    Stats,
)

DATABASE_TIMEOUT_SECONDS = 0.3
PICTURE_TIMEOUT_SECONDS = 3.0
PICTURE_GITHUB_TIMEOUT_SECONDS = 1.8
_RENDER_RESERVE_SECONDS = 0.2


class OwnerFetcher(Protocol):
    """Fetches single owners; both methods raise UnknownUser or GitHubUnavailable."""

    async def fetch(self, login: str, *, is_known: bool = False) -> OwnerRepositories:
        """Fetch the current holder of a login; `is_known` if the login has, or had, a holder here."""

    async def fetch_by_id(
        self, owner: Owner, *, previous: Stats | None = None
    ) -> OwnerRepositories:
        """Fetch an owner seen before; a steep fall from `previous` numbers is confirmed first."""


class BatchOwnerFetcher(Protocol):
    """Fetches many owners at once, for background work."""

    async def fetch_many(
        self, owners: Sequence[Owner], *, previous: Mapping[int, Stats] | None = None
    ) -> list[OwnerRepositories | BannersError]:
        """
        Fetch owners seen before; return a result or an error for each, in their order.

        `previous` maps owner ids to the last known numbers: a steep fall is confirmed first.
        """


class DataFetcher(Protocol):
    """
    Fetches data that only some banners show; all methods raise GitHubUnavailable.

    Those for known owners raise UnknownUser if the owner no longer exists.
    """

    async def identify(self, login: str) -> Owner:
        """
        Fetch the identity of a login's current holder.

        :raises UnknownUser: GitHub knows no account with this login
        """

    async def fetch_contributions(
        self,
        owner: Owner,
        *,
        known: Contributions | None = None,
        known_at: datetime | None = None,
        priority: Priority = Priority.KNOWN,
    ) -> Contributions:
        """
        Fetch an owner's contributions; years that were past at `known_at` are taken from `known`.

        :raises TokenRequired: there is no token
        """

    async def fetch_language_sizes(
        self,
        owner: Owner,
        repositories: Sequence[Repository],
        *,
        priority: Priority = Priority.KNOWN,
    ) -> tuple[RepositoryLanguages, ...]:
        """
        Fetch the sizes of languages in an owner's repositories.

        :raises TokenRequired: there is no token, and these are too many repositories without one
        """

    async def fetch_repository(
        self,
        owner: Owner,
        name: str,
        *,
        repository_id: int | None = None,
        priority: Priority = Priority.KNOWN,
    ) -> RepositoryDetails:
        """
        Fetch a repository by its id if that is known, else by its name.

        :raises UnknownRepository: the owner has no public repository of this name or id
        """


class Charge(Protocol):
    """Charges requests to GitHub to the client that causes them."""

    def __call__(self, *, debt: int = 0) -> None:
        """
        Charge one request before it is sent, or `debt` requests after the fact.

        :raises TooManyRequests: the client has no requests left; never raised for a debt
        """


@dataclass(frozen=True, slots=True)
class Deadline:
    """
    A request ends `total_seconds` after this object was made; GitHub gets at most `github_seconds`.

    0.2 seconds are reserved for rendering, so that a picture can be drawn whatever else times out.
    """

    total_seconds: float
    github_seconds: float
    monotonic: Callable[[], float] = time.monotonic
    started_at: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "started_at", self.monotonic())

    def timeout_seconds(self, limit_seconds: float) -> float:
        """Return the time limit of a step: its own, or the remaining time if that is less."""
        remaining = (
            self.started_at + self.total_seconds - _RENDER_RESERVE_SECONDS - self.monotonic()
        )
        return max(0.0, min(limit_seconds, remaining))

    def database_timeout_seconds(self) -> float:
        """Return the time limit of a database query."""
        return self.timeout_seconds(DATABASE_TIMEOUT_SECONDS)

    def github_timeout_seconds(self) -> float:
        """Return the time limit of waiting for GitHub."""
        return self.timeout_seconds(self.github_seconds)


def picture_deadline() -> Deadline:
    """Start the deadline of a picture; image proxies give up after about 4 seconds."""
    return Deadline(PICTURE_TIMEOUT_SECONDS, PICTURE_GITHUB_TIMEOUT_SECONDS)


def charge_extra_pages(repository_count: int, charge: Charge) -> None:
    """Charge the requests that a list of repositories took beyond its first page."""
    if extra_pages := max(0, repository_count - 1) // PAGE_SIZE:
        charge(debt=extra_pages)


def no_charge(*, debt: int = 0) -> None:
    """Charge nothing."""


async def resolve_login(
    github: OwnerFetcher, login: str, known: Snapshot | None
) -> list[OwnerRepositories]:
    """
    Fetch the account that a login refers to now; `known` is the last account that held it.

    Return one or two owners: the last is the result, the one before it was fetched on the way.

    :raises UnknownUser: neither the login nor its last holder exists
    """
    if known is None:
        return [await github.fetch(login)]
    fetched: list[OwnerRepositories] = []
    if known.owner.login.lower() == login.lower():
        try:
            fetched = [await github.fetch_by_id(known.owner, previous=known.stats)]
        except UnknownUser:
            return [await github.fetch(login, is_known=True)]
        if fetched[0].owner.login.lower() == login.lower():
            return fetched
    # The holder gave up this login: it belongs to another account now, or still leads to the holder.
    try:
        return [*fetched, await github.fetch(login, is_known=True)]
    except UnknownUser:
        return fetched or [await github.fetch_by_id(known.owner, previous=known.stats)]
