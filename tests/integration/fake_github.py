"""A fake of the GitHub client, which records its calls."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from github_banners.errors import (
    BannersError,
    GitHubUnavailable,
    TokenRequired,
    UnknownRepository,
    UnknownUser,
)
from github_banners.github.credentials import Priority
from github_banners.models import (
    ContributionAccess,
    Contributions,
    Owner,
    OwnerRepositories,
    Repository,
    RepositoryDetails,
    RepositoryLanguages,
    Stats,
)


@dataclass
class FakeGitHub:
    """
    Returns the owners in `owners`, with `lists` by owner id if set; calls wait until `gate` is set.

    `contributions` and `sizes` are by owner id, `details` by repository id. `known_years` records the
    known years that each call for contributions passed, `known_at` their time. With `raises` set, every call raises it.
    Without `has_token`, sizes are those of the requested repositories, up to `max_sizes`.
    """

    clock: Callable[[], datetime]
    owners: dict[str, Owner] = field(default_factory=dict)
    repositories: int = 3
    lists: dict[int, tuple[Repository, ...]] = field(default_factory=dict)
    followers: int | None = None
    has_token: bool = True
    max_sizes: int = 40
    contributions: dict[int, Contributions] = field(default_factory=dict)
    sizes: dict[int, tuple[RepositoryLanguages, ...]] = field(default_factory=dict)
    details: dict[int, RepositoryDetails] = field(default_factory=dict)
    known_years: list[list[int]] = field(default_factory=list)
    known_at: list[datetime | None] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    is_down: bool = False
    raises: BannersError | None = None
    fails_next: int = 0
    in_flight: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    request_arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, login: str, number: int) -> Owner:
        owner = Owner(number, login, f"node-{number}", login.title())
        self.owners[login.lower()] = owner
        return owner

    async def fetch(self, login: str, *, is_known: bool = False) -> OwnerRepositories:
        return await self._respond(login, self.owners.get(login.lower()))

    async def fetch_by_id(
        self, owner: Owner, *, previous: Stats | None = None
    ) -> OwnerRepositories:
        current = (other for other in self.owners.values() if other.id == owner.id)
        return await self._respond(f"#{owner.id}", next(current, None))

    async def fetch_many(
        self, owners: Sequence[Owner], *, previous: Mapping[int, Stats] | None = None
    ) -> list[OwnerRepositories | BannersError]:
        self.batches.append(len(owners))
        results: list[OwnerRepositories | BannersError] = []
        for owner in owners:
            try:
                results.append(await self.fetch_by_id(owner))
            except BannersError as error:
                results.append(error)
        return results

    async def identify(self, login: str) -> Owner:
        await self._wait(f"identity of {login}")
        if (owner := self.owners.get(login.lower())) is None:
            raise UnknownUser(login)
        return owner

    async def fetch_contributions(
        self,
        owner: Owner,
        *,
        known: Contributions | None = None,
        known_at: datetime | None = None,
        priority: Priority = Priority.KNOWN_OWNER,
    ) -> Contributions:
        if not self.has_token:
            if self.contributions[owner.id].access is ContributionAccess.ORGANISATION:
                return self.contributions[owner.id]
            raise TokenRequired
        await self._wait(f"contributions of {owner.login}")
        self.known_years.append([year.year for year in known.years] if known else [])
        self.known_at.append(known_at)
        return self.contributions[owner.id]

    async def fetch_language_sizes(
        self,
        owner: Owner,
        repositories: Sequence[Repository],
        *,
        priority: Priority = Priority.KNOWN_OWNER,
    ) -> tuple[RepositoryLanguages, ...]:
        if not self.has_token and len(repositories) > self.max_sizes:
            raise TokenRequired
        await self._wait(f"sizes of {owner.login}")
        if self.has_token:
            return self.sizes[owner.id]
        requested = {repository.id for repository in repositories}
        return tuple(sizes for sizes in self.sizes[owner.id] if sizes.repository_id in requested)

    async def fetch_repository(
        self,
        owner: Owner,
        name: str,
        *,
        repository_id: int | None = None,
        priority: Priority = Priority.KNOWN_OWNER,
    ) -> RepositoryDetails:
        await self._wait(f"repository {repository_id or name}")
        if repository_id in self.details:
            return self.details[repository_id]
        for details in self.details.values():
            if details.name.lower() == name.lower():
                return details
        raise UnknownRepository(name)

    async def _respond(self, request: str, owner: Owner | None) -> OwnerRepositories:
        requested_at = self.clock()
        await self._wait(request)
        if owner is None:
            raise UnknownUser(request)
        repositories = self.lists.get(owner.id) or tuple(
            Repository(owner.id * 1000 + n, f"r{n}", 5, 1, language="Go")
            for n in range(self.repositories)
        )
        return OwnerRepositories(
            owner, repositories, requested_at, len(repositories), self.followers
        )

    async def _wait(self, request: str) -> None:
        self.requests.append(request)
        self.request_arrived.set()
        self.in_flight += 1
        try:
            await self.gate.wait()
        finally:
            self.in_flight -= 1
        if self.raises is not None:
            raise self.raises
        if self.is_down or self.fails_next:
            self.fails_next = max(0, self.fails_next - 1)
            raise GitHubUnavailable
