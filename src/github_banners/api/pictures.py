"""
Pictures of banners: find what a banner shows, draw it, cache the picture.

`BannerDataFinder` finds the data within a request's deadline. `PictureCache` has the newest version of
requested banners, within a memory limit. A picture is served from it until its numbers must be
validated again, or until its owner is invalidated by a change in the database. A picture is hashed for
its ETag and compressed once, when it is drawn.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TypeAlias

import msgspec

from github_banners.api.admission import ServedUsers
from github_banners.cache import ByteBoundedLru
from github_banners.database.connect import Database
from github_banners.database.repositories import select_repositories
from github_banners.drawing import draw
from github_banners.errors import BannersError, DatabaseUnavailable, UnknownRepository
from github_banners.models import EPOCH, MAX_CLOCK_SKEW, Clock, Repository, Snapshot
from github_banners.options import (
    BannerOptions,
    DataKind,
    data_needs,
    options_digest,
    shows_only_totals,
)
from github_banners.serving.framework import Content
from github_banners.stats.banner_data import complete, needs_repository_rows, suggest_repository
from github_banners.stats.data_fetch import DataRequest
from github_banners.stats.data_lookup import DataLookup, FoundData
from github_banners.stats.fetch import Charge, Deadline, ErrorCache
from github_banners.stats.identity import IdentityLookup
from github_banners.stats.lookup import Lookup, LookupResult
from github_banners.stats.selection import find_counted_forks
from github_banners.stats.snapshots import Freshness, Invalidations

PictureKey: TypeAlias = tuple[int, bytes]
"""Owner id and digest of the options; a digest because options can be larger than the picture."""

Draw: TypeAlias = Callable[[Snapshot, BannerOptions, Deadline], Awaitable[bytes]]
"""Draws a snapshot as UTF-8 SVG within the deadline; does not fail."""

_PICTURE_OVERHEAD_BYTES = 700
_MAX_REPOSITORIES_BYTES, _ENTRY_BYTES, _REPOSITORY_BYTES = 8 << 20, 200, 400
_SUGGESTION_TTL = timedelta(minutes=1)
_AGES = list(Freshness)
"""The age classes, youngest first."""


@dataclass(frozen=True, slots=True)
class RenderRequest:
    """
    What to draw: an owner's numbers, and the options to draw them with.

    `parts_fetched_at` has the age of each part that can change without a change of the owner's
    version.
    """

    result: LookupResult
    options: BannerOptions
    parts_fetched_at: tuple[datetime, ...] = ()

    @property
    def key(self) -> PictureKey:
        """The key of the picture in the picture cache."""
        return to_picture_key(self.result.snapshot.owner.id, self.options)


def to_picture_key(owner_id: int, options: BannerOptions) -> PictureKey:
    """Build the cache key of a banner's picture."""
    return owner_id, options_digest(options)


async def draw_locally(snapshot: Snapshot, options: BannerOptions, deadline: Deadline) -> bytes:
    """Draw in this process."""
    return draw(snapshot, options)


class BannerDataFinder:
    """Finds the numbers of a preview, and what else a banner shows."""

    def __init__(
        self,
        *,
        lookup: Lookup,
        identities: IdentityLookup,
        data_lookup: DataLookup,
        served_users: ServedUsers,
        database: Database,
        clock: Clock,
    ) -> None:
        self._lookup = lookup
        self._identities = identities
        self._data_lookup = data_lookup
        self._served_users = served_users
        self._database = database
        # For a time in which the database can't be read.
        self._repositories: ByteBoundedLru[int, Sequence[Repository]] = ByteBoundedLru(
            _MAX_REPOSITORIES_BYTES, entry_bytes=_repositories_bytes
        )
        # Comparing thousands of names takes long, and no client is charged for it.
        self._unknown_repositories = ErrorCache(clock=clock)

    async def find_preview(
        self,
        login: str,
        options: BannerOptions,
        *,
        deadline: Deadline,
        charge: Charge,
        wants_numbers: bool = False,
    ) -> RenderRequest:
        """
        Find the data to draw a preview with; `wants_numbers` even if the banner shows none.

        Raises the errors of `Lookup.find_by_login` and `add_data`.

        :raises UserNotServed: this instance does not serve the login, or the one that replaced it
        """
        self._served_users.require(login)
        if wants_numbers or DataKind.REPOSITORIES in data_needs(options):
            result = await self._lookup.find_by_login(login, deadline=deadline, charge=charge)
        else:
            snapshot = await self._identities.find(login, deadline=deadline, charge=charge)
            result = LookupResult.without_age(snapshot)
        # It may be a former login of a user who has another one now.
        self._served_users.require(result.snapshot.owner.login)
        return await self.add_data(result, options, deadline=deadline, charge=charge)

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
        if shows_only_totals(options):
            return RenderRequest(result, options)
        owner = result.snapshot.owner
        # Before other data, which may use up all the time.
        repositories = (
            await self._read_repositories(result.snapshot, deadline)
            if needs_repository_rows(options)
            else ()
        )
        forks = find_counted_forks(repositories, options)
        parts: dict[DataKind, FoundData] = {}
        for kind in sorted(data_needs(options) - {DataKind.REPOSITORIES, DataKind.FOLLOWERS}):
            request = DataRequest(owner, kind, options.repo or "", repository_id, forks)
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


class CachedPicture(msgspec.Struct, frozen=True, gc=False):
    """
    A picture of one version; it is served without validation until `expires_at`.

    `refresh_at` is when its numbers are refreshed, `parts_fetched_at` see `RenderRequest`.
    """

    picture: Content
    version: int
    refresh_at: datetime
    drawn_at: datetime
    expires_at: datetime
    parts_fetched_at: tuple[datetime, ...] = ()

    def with_picture(self, picture: Content) -> "CachedPicture":
        """Return a copy with the picture in another format."""
        return msgspec.structs.replace(self, picture=picture)


class PictureCache:
    """Draws pictures and caches them, within `memory_bytes`."""

    def __init__(
        self,
        *,
        clock: Clock,
        memory_bytes: int,
        draw: Draw = draw_locally,
        invalidations: Invalidations | None = None,
    ) -> None:
        self._clock = clock
        self._draw = draw
        self._invalidations = invalidations or Invalidations(clock=clock)
        self._cached: ByteBoundedLru[PictureKey, CachedPicture] = ByteBoundedLru(
            memory_bytes, entry_bytes=_entry_bytes
        )
        self._on_change: Callable[[], None] = lambda: None

    def __len__(self) -> int:
        return len(self._cached)

    def drop_owners(self, owner_ids: Collection[int]) -> list[CachedPicture]:
        """Remove and return the pictures of these owners."""
        return self._cached.drop_where(lambda key, _: key[0] in owner_ids)

    def watch(self, on_change: Callable[[], None]) -> None:
        """Set a callback for every event, except the passing of time, that may change `get`."""
        self._on_change = on_change
        self._invalidations.on_change = on_change

    def get(self, key: PictureKey) -> CachedPicture | None:
        """Return a picture that may be served without validation, or None."""
        cached = self._cached.get(key)
        now = self._clock()
        # A picture from the future means that the clock was set back.
        if cached is None or now >= cached.expires_at or cached.drawn_at > now + MAX_CLOCK_SKEW:
            return None
        return cached if self._invalidations.is_unchanged(key[0], since=cached.drawn_at) else None

    async def get_or_draw(self, request: RenderRequest, *, deadline: Deadline) -> CachedPicture:
        """
        Return the cached picture of this version, or draw and cache it.

        Numbers older than the hard TTL are drawn with their date; such a picture is not cached.
        """
        result, options, now = request.result, request.options, self._clock()
        snapshot = result.snapshot
        if result.freshness is Freshness.HARD_STALE:
            # Drawn in this process: the call to the renderer carries no date to show.
            is_dated = snapshot.fetched_at > EPOCH
            body = draw(snapshot, options, as_of=snapshot.fetched_at.date() if is_dated else None)
            return CachedPicture(Content.svg(body), snapshot.version, result.refresh_at, now, now)
        key = request.key
        cached = self._cached.get(key)
        is_same = cached is not None and (cached.version, cached.parts_fetched_at) == (
            snapshot.version,
            request.parts_fetched_at,
        )
        if cached is not None and is_same:
            picture = cached.picture
        else:
            picture = Content.svg(await self._draw(snapshot, options, deadline))
            # While this one was drawn, another request may have cached a newer version.
            cached = self._cached.get(key)
        fresh = CachedPicture(
            picture,
            snapshot.version,
            result.refresh_at,
            now,
            result.fresh_until,
            request.parts_fetched_at,
        )
        is_from_future = cached is not None and cached.drawn_at > now + MAX_CLOCK_SKEW
        if cached is None or is_from_future or cached.version <= snapshot.version:
            self._cached.put(key, fresh)
            self._on_change()
        return fresh


def _entry_bytes(_: PictureKey, cached: CachedPicture) -> int:
    return _PICTURE_OVERHEAD_BYTES + cached.picture.size_bytes
