"""Find all data that a banner shows besides its owner's numbers, for a request with a deadline."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial

from github_banners.api.pictures import RenderRequest
from github_banners.cache import ByteBoundedLru
from github_banners.database.connect import Database
from github_banners.database.repositories import select_repositories
from github_banners.errors import BannersError, DatabaseUnavailable, UnknownRepository
from github_banners.models import Clock, Repository, Snapshot
from github_banners.options import BannerOptions, DataKind, data_needs
from github_banners.stats.banner_data import complete, needs_repository_rows, suggest_repository
from github_banners.stats.data_fetch import DataRequest
from github_banners.stats.data_lookup import DataLookup, FoundData
from github_banners.stats.fetch import Charge, Deadline, ErrorCache
from github_banners.stats.lookup import Lookup, LookupResult
from github_banners.stats.snapshots import Freshness

_FOREVER = datetime.max.replace(tzinfo=UTC)
_MAX_REPOSITORIES_BYTES, _ENTRY_BYTES, _REPOSITORY_BYTES = 8 << 20, 200, 400
_SUGGESTION_TTL = timedelta(minutes=1)
_AGES = list(Freshness)
"""The age classes, youngest first."""


class BannerDataFinder:
    """Completes an owner's numbers by what else a banner shows."""

    def __init__(
        self, *, lookup: Lookup, data_lookup: DataLookup, database: Database, clock: Clock
    ) -> None:
        self._lookup = lookup
        self._data_lookup = data_lookup
        self._database = database
        # For a time in which the database can't be read.
        self._repositories: ByteBoundedLru[int, Sequence[Repository]] = ByteBoundedLru(
            _MAX_REPOSITORIES_BYTES, entry_bytes=_repositories_bytes
        )
        # Comparing thousands of names takes long, and no client is charged for it.
        self._unknown_repositories = ErrorCache(clock=clock)

    async def add_data(
        self,
        result: LookupResult,
        options: BannerOptions,
        *,
        deadline: Deadline,
        charge: Charge,
        repository_id: int | None = None,
    ) -> RenderRequest:
        """
        Build the request to draw a banner; `repository_id` is that of a permanent one.

        :raises DatabaseUnavailable: repositories have to be read, and can't be within the deadline
        :raises UnknownRepository: the owner has no repository of this name
        :raises NotFound: the owner has no visible contributions, and the banner shows nothing else
        :raises Unavailable: data is not known yet, and can't be fetched within the deadline
        """
        owner = result.snapshot.owner
        # Before other data, which may use up all the time.
        repositories = (
            await self._read_repositories(result.snapshot, deadline)
            if needs_repository_rows(options)
            else ()
        )
        parts: dict[DataKind, FoundData] = {}
        for kind in sorted(data_needs(options) - {DataKind.REPOSITORIES, DataKind.FOLLOWERS}):
            request = DataRequest(owner, kind, options.repo or "", repository_id)
            try:
                parts[kind] = await self._data_lookup.find(
                    request, deadline=deadline, charge=charge
                )
            except UnknownRepository as error:
                raise await self._with_suggestion(
                    error, result.snapshot, deadline=deadline, charge=charge
                ) from error
        data = {kind: part.data for kind, part in parts.items()}
        snapshot = complete(result.snapshot, options, data, repositories)
        # The age of numbers that are not shown does not matter.
        shows_numbers = DataKind.REPOSITORIES in data_needs(options)
        shown: list[FoundData | LookupResult] = [*parts.values(), *[result] * shows_numbers]
        completed = LookupResult(
            snapshot,
            max((part.freshness for part in shown), key=_AGES.index),
            fresh_until=min(part.fresh_until for part in shown),
            refresh_at=min(part.refresh_at for part in shown),
        )
        parts_fetched_at = [part.data.fetched_at for part in parts.values()]
        # Neither single repositories nor followers change the owner's version.
        if needs_repository_rows(options) or DataKind.FOLLOWERS in data_needs(options):
            parts_fetched_at.append(result.snapshot.fetched_at)
        return RenderRequest(completed, options, tuple(parts_fetched_at))

    def drop_owners(self, owner_ids: Collection[int]) -> None:
        """Remove everything cached of these owners."""
        self._data_lookup.drop_owners(owner_ids)
        self._repositories.drop_where(lambda owner_id, _: owner_id in owner_ids)

    async def _read_repositories(
        self, snapshot: Snapshot, deadline: Deadline
    ) -> Sequence[Repository]:
        """Return an owner's repositories: those just fetched, the stored or the last known ones."""
        owner_id = snapshot.owner.id
        unsaved = self._lookup.writer.unsaved.get(owner_id)
        if unsaved is not None and unsaved.fetched_at >= snapshot.fetched_at:
            self._repositories.put(owner_id, unsaved.repositories)
            return unsaved.repositories
        try:
            repositories = await self._database.run_within(
                partial(select_repositories, owner_id=owner_id),
                timeout_seconds=deadline.database_timeout_seconds(),
            )
        except DatabaseUnavailable:
            if (known := self._repositories.get(owner_id)) is None:
                raise
            return known
        if not repositories and snapshot.stats.total_repos:
            raise DatabaseUnavailable(f"the repositories of owner {owner_id} are not stored")
        self._repositories.put(owner_id, repositories)
        return repositories

    async def _with_suggestion(
        self, error: UnknownRepository, snapshot: Snapshot, *, deadline: Deadline, charge: Charge
    ) -> BannersError:
        """Return the error with the repository whose name is closest; fetch them if unknown."""
        key = snapshot.owner.id, error.name.lower()
        if (known := self._unknown_repositories.get(key)) is not None:
            return known
        repositories: Sequence[Repository] = ()
        with suppress(BannersError):
            if not snapshot.has_numbers:
                result = await self._lookup.find_for_owner(
                    snapshot, deadline=deadline, charge=charge
                )
                snapshot = result.snapshot
            repositories = await self._read_repositories(snapshot, deadline)
        explained = UnknownRepository(error.name, suggest_repository(error.name, repositories))
        self._unknown_repositories.put(key, explained, ttl=_SUGGESTION_TTL)
        return explained


def _repositories_bytes(_: int, repositories: Sequence[Repository]) -> int:
    return _ENTRY_BYTES + _REPOSITORY_BYTES * len(repositories)


def without_age(snapshot: Snapshot) -> LookupResult:
    """Build the result for a banner that shows only other data of the owner."""
    return LookupResult(snapshot, Freshness.FRESH, _FOREVER, _FOREVER)
