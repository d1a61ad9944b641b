"""
Requests for the data that only some banners show, and how they are fetched from GitHub.

What is stored already is not fetched again: past years of contributions, the repositories of an owner.
Sizes of forks are fetched for the banners that count forks, and with what is stored for these.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeAlias

from github_banners.database.connect import Connection, Database
from github_banners.database.owner_data import (
    OwnerData,
    StoredData,
    select_data,
    select_repository_need,
)
from github_banners.database.repositories import select_repositories
from github_banners.errors import DatabaseUnavailable, TokenRequired
from github_banners.github.contributions import MAX_WINDOWS
from github_banners.github.credentials import Priority
from github_banners.github.protocol import PAGE_SIZE
from github_banners.models import (
    EPOCH,
    Clock,
    ContributionAccess,
    Contributions,
    Owner,
    Repository,
    RepositoryDetails,
)
from github_banners.options import DataKind, repository_need
from github_banners.stats.fetch import DataSource
from github_banners.stats.selection import has_fork_sizes

DataKey: TypeAlias = tuple[int, str]
"""Owner id, and the need or the name of a repository."""

MAX_SIZES_AGE = timedelta(days=7)
"""Older sizes of languages are shown with their date, and replaced by those of originals alone."""


@dataclass(frozen=True, slots=True)
class DataRequest:
    """
    The data to find: a kind, and for one repository its name or, if it is known, its id.

    A permanent banner knows the id, and so follows the repository when it is renamed. `forks` are the
    ids of the forks whose language sizes are needed: without a token each takes a request.
    """

    owner: Owner
    kind: DataKind
    repository: str = ""
    repository_id: int | None = None
    forks: frozenset[int] = frozenset()

    @property
    def need(self) -> str | None:
        """The need as it is stored; None for a repository whose id is not known yet."""
        if self.kind is not DataKind.REPOSITORY:
            return self.kind
        return repository_need(self.repository_id) if self.repository_id is not None else None

    @property
    def key(self) -> DataKey:
        """The key in the cache; sizes with and without forks, which share a row, have one each."""
        if self.kind is DataKind.LANGUAGE_SIZES and self.forks:
            return self.owner.id, f"{self.kind}:forks"
        return self.owner.id, self.need or f"{self.kind}:{self.repository.lower()}"

    def is_answered_by(self, content: object) -> bool:
        """Return whether data of this kind has what is needed: sizes may be those of originals only."""
        return not isinstance(content, tuple) or has_fork_sizes(content, self.forks)


async def fetch_stored(
    github: DataSource,
    database: Database,
    request: DataRequest,
    *,
    clock: Clock,
    repositories: Sequence[Repository] | None = None,
    priority: Priority = Priority.KNOWN_OWNER,
) -> OwnerData:
    """
    Fetch data of a stored owner, contributions only of the years that are not stored.

    `repositories` are those of the owner, by default the stored ones. Without the database, all years
    are fetched.

    :raises DatabaseUnavailable: what is needed for the request can't be read
    :raises BannersError: the errors of `fetch_data`
    """
    known, known_at = None, None
    if request.kind is DataKind.CONTRIBUTIONS:
        with suppress(DatabaseUnavailable):
            async with database.transaction() as connection:
                stored = await select_stored(connection, request, clock())
            if stored is not None and isinstance(stored.content, Contributions):
                known, known_at = stored.content, stored.fetched_at
    elif request.kind is DataKind.LANGUAGE_SIZES:
        if repositories is None:
            # Without them nothing would be requested: sizes of 0 bytes.
            async with database.transaction() as connection:
                repositories = await select_repositories(connection, request.owner.id)
        if not request.forks:
            # Another banner counts the stored forks, or did.
            forks, fetched_at = await _select_stored_forks(
                database, request, repositories, now=clock()
            )
            try:
                return await fetch_data(
                    github,
                    replace(request, forks=forks),
                    repositories=repositories,
                    priority=priority,
                )
            except TokenRequired:
                # They may be too many for the rest of this hour only.
                if clock() - fetched_at < MAX_SIZES_AGE:
                    raise
    elif request.kind is DataKind.REPOSITORY and not request.repository:
        # Its last known name finds a repository that was deleted, and created again.
        async with database.transaction() as connection:
            stored = await select_stored(connection, request, clock())
        if stored is not None and isinstance(stored.content, RepositoryDetails):
            request = replace(request, repository=stored.content.name)
    return await fetch_data(
        github,
        request,
        known=known,
        known_at=known_at,
        repositories=repositories or (),
        priority=priority,
    )


async def fetch_data(
    github: DataSource,
    request: DataRequest,
    *,
    known: Contributions | None = None,
    known_at: datetime | None = None,
    repositories: Sequence[Repository] = (),
    priority: Priority = Priority.KNOWN_OWNER,
) -> OwnerData:
    """
    Fetch data from GitHub; without a token, contributions that say so.

    Sizes are those of all `repositories` of the owner, but of forks only if the request needs some.

    :raises BannersError: the errors of `DataSource`
    """
    owner = request.owner
    if request.kind is DataKind.REPOSITORY:
        return await github.fetch_repository(
            owner, request.repository, repository_id=request.repository_id, priority=priority
        )
    if request.kind is DataKind.LANGUAGE_SIZES:
        if not request.forks:
            repositories = [repository for repository in repositories if not repository.is_fork]
        return await github.fetch_language_sizes(owner, repositories, priority=priority)
    try:
        return await github.fetch_contributions(
            owner, known=known, known_at=known_at, priority=priority
        )
    except TokenRequired:
        if known is not None and known.access is not ContributionAccess.NEEDS_TOKEN:
            raise
        return Contributions(access=ContributionAccess.NEEDS_TOKEN)


def count_extra_requests(content: OwnerData, *, is_known: bool) -> int:
    """Return how many requests beyond the first one data took; a known history takes one."""
    if isinstance(content, tuple):
        return max(0, len(content) - 1) // PAGE_SIZE
    if isinstance(content, Contributions) and not is_known:
        return len(content.years) // MAX_WINDOWS
    return 0


def stored_need(request: DataRequest, content: OwnerData) -> str:
    """
    Return the need under which fetched data is stored.

    For a known id it is that of the request: another repository may have got the name meanwhile.
    """
    if request.need is None and isinstance(content, RepositoryDetails):
        return repository_need(content.id)
    return request.need or request.kind


async def _select_stored_forks(
    database: Database,
    request: DataRequest,
    repositories: Sequence[Repository],
    *,
    now: datetime,
) -> tuple[frozenset[int], datetime]:
    """
    Select which of the forks among `repositories` have stored sizes, by id, and when these were fetched.

    None without the database.
    """
    stored = None
    with suppress(DatabaseUnavailable):
        async with database.transaction() as connection:
            stored = await select_stored(connection, request, now)
    if stored is None or not isinstance(stored.content, tuple):
        return frozenset(), EPOCH
    forks = {repository.id for repository in repositories if repository.is_fork}
    sized = (sizes.repository_id for sizes in stored.content)
    return frozenset(forks.intersection(sized)), stored.fetched_at


async def select_stored(
    connection: Connection, request: DataRequest, now: datetime
) -> StoredData | None:
    """Select the stored data of a request; None if there is none."""
    need = request.need
    if need is None:
        need = await select_repository_need(connection, request.owner.id, request.repository)
    if need is None:
        return None
    return (await select_data(connection, request.owner.id, [need], now=now)).get(need)
