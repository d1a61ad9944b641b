"""
Find the data of permanent banners, and create them.

A new banner is inserted, drawn and stored here. Nothing in this module knows HTTP.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import msgspec
import structlog

from github_banners.api.admission import ServedUsers
from github_banners.api.backends import Backends
from github_banners.api.pictures import BannerDataFinder, RenderRequest
from github_banners.cache import ByteBoundedLru
from github_banners.database.banners import Banner, insert_banner, select_banner_with_snapshot
from github_banners.database.connect import Connection, Database
from github_banners.database.data_leases import schedule_data
from github_banners.database.leases import mark_published, schedule_users
from github_banners.database.users import select_snapshots
from github_banners.errors import (
    BannersError,
    DatabaseUnavailable,
    NotFound,
    TokenRequired,
    UnknownBanner,
)
from github_banners.messaging.schemas import StoreRequest
from github_banners.models import Clock, Owner, Snapshot
from github_banners.options import (
    BannerOptions,
    DataKind,
    banner_needs,
    candidate_banner_names,
    parse_banner_name,
    parse_need,
    to_canonical_json,
)
from github_banners.stats.banner_data import read_completed
from github_banners.stats.fetch import Charge, Deadline
from github_banners.stats.lookup import Lookup, LookupResult

_log = structlog.get_logger(__name__)

_READ_STORED_TIMEOUT_SECONDS = 0.3
_STORE_TIMEOUT_SECONDS = 2.0
_NAMES_BYTES = 16 << 20
# Measured: what an entry takes besides its options, and per character of their canonical JSON.
_ENTRY_OVERHEAD_BYTES, _BYTES_PER_OPTION_CHARACTER = 600, 4
_INSERT_TIMEOUT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class CreateResult:
    """The name of a permanent banner, and whether it was created now."""

    name: str
    is_new: bool


class BannerService:
    """
    Finds the data of permanent banners; creates, draws and stores new ones.

    Previews and permanent banners differ only in how the owner and the options are found. The result
    of both is a `RenderRequest`, which `PictureCache.get_or_draw` turns into a picture.
    """

    def __init__(
        self,
        *,
        finder: BannerDataFinder,
        lookup: Lookup,
        served_users: ServedUsers,
        database: Database,
        backends: Backends,
        refresh_interval: timedelta,
        max_banners_per_user: int,
        clock: Clock,
    ) -> None:
        self.finder = finder
        self._lookup = lookup
        self._served_users = served_users
        self._database = database
        self._backends = backends
        self._refresh_interval = refresh_interval
        self._max_banners_per_user = max_banners_per_user
        self._clock = clock
        self._names: ByteBoundedLru[str, _NamedBanner] = ByteBoundedLru(
            _NAMES_BYTES, entry_bytes=_name_bytes
        )

    async def get_by_name(
        self, name: str, *, deadline: Deadline, charge: Charge, wants_numbers: bool = False
    ) -> RenderRequest:
        """
        Find the data of a permanent banner by its name, ignoring case.

        :raises UnknownBanner: there is no banner of this name
        :raises UserNotServed: this instance does not serve its owner
        :raises DatabaseUnavailable: PostgreSQL is down and the banner is not cached
        """
        canonical_name = parse_banner_name(name)
        if canonical_name is None:
            raise UnknownBanner(name)
        snapshot, banner = await self._find(canonical_name, deadline)
        self._served_users.require(snapshot.owner.login)
        if wants_numbers or DataKind.REPOSITORIES in banner.needs:
            result = await self._lookup.find_for_owner(snapshot, deadline=deadline, charge=charge)
        else:
            result = LookupResult.without_age(snapshot)
        return await self.finder.add_data(
            result,
            banner.options,
            repository_id=banner.repository_id,
            deadline=deadline,
            charge=charge,
        )

    async def create(
        self, login: str, options: BannerOptions, *, deadline: Deadline, charge: Charge
    ) -> CreateResult:
        """
        Create a permanent banner, or return the existing one with the same owner and options.

        :raises UserNotServed: this instance does not serve the user
        :raises TooManyBanners: the owner has the maximum number of banners
        :raises OwnerNotStored: the user was removed meanwhile
        :raises DatabaseUnavailable: PostgreSQL is down
        """
        self._served_users.require(login)
        charge()
        request = await self.finder.find_preview(login, options, deadline=deadline, charge=charge)
        snapshot = request.result.snapshot
        owner, repository = snapshot.owner, snapshot.repository
        needs = banner_needs(
            options, repository_id=repository.id if repository is not None else None
        )
        # The row of a banner refers to the row of its owner.
        await self._lookup.ensure_persisted(snapshot, deadline=deadline)
        banner, stored, is_new = await self._database.run_within(
            partial(self._insert, owner=owner, options=options, needs=needs),
            timeout_seconds=deadline.timeout_seconds(_INSERT_TIMEOUT_SECONDS),
        )
        self._names.put(banner.name, _NamedBanner(owner.id, options, banner.needs))
        if is_new and stored is not None:
            await self._store(banner, stored, deadline)
            _log.info("banner.created", banner=banner.name, version=banner.version)
        return CreateResult(banner.name, is_new)

    def drop_owners(self, owner_ids: Collection[int]) -> None:
        """Remove everything cached of these owners and their banners."""
        self._names.drop_where(lambda _, banner: banner.owner_id in owner_ids)
        self._lookup.drop_owners(owner_ids)
        self.finder.drop_owners(owner_ids)

    async def read_stored_drawing(self, name: str, *, deadline: Deadline) -> bytes | None:
        """
        Read the newest stored drawing of a banner; None if there is none or it can't be read.

        Also None if the owner, who is known by the name alone, may be one who is not served.
        """
        if not self._served_users.may_serve_name(name):
            return None
        task = asyncio.ensure_future(self._backends.read_stored(name.lower()))
        await asyncio.wait({task}, timeout=deadline.timeout_seconds(_READ_STORED_TIMEOUT_SECONDS))
        if not task.done():
            task.cancel()
            return None
        has_failed = task.cancelled() or task.exception() is not None
        return None if has_failed else task.result()

    async def _insert(
        self, connection: Connection, owner: Owner, options: BannerOptions, needs: Sequence[str]
    ) -> tuple[Banner, Snapshot | None, bool]:
        """
        Insert a banner and schedule its data.

        Return it, the snapshot that its version refers to, and if it is new. The snapshot is None for
        an existing banner, and if data that was just fetched is not saved yet: then the outbox draws
        and stores the banner.
        """
        names = candidate_banner_names(owner.login, options, owner_id=owner.id)
        now = self._clock()
        banner, is_new = await insert_banner(
            connection,
            owner_id=owner.id,
            options=options,
            names=names,
            now=now,
            needs=needs,
            max_banners=self._max_banners_per_user,
        )
        if not is_new:
            # Its owner is not locked, and may be removed meanwhile.
            return banner, None, False
        await schedule_users(connection, [owner.id], now=now, interval=self._refresh_interval)
        await schedule_data(connection, [owner.id], now=now, interval=self._refresh_interval)
        (snapshot,) = await select_snapshots(connection, [owner.id], now=now)
        try:
            completed = await read_completed(connection, snapshot, options, needs)
        except (LookupError, NotFound, TokenRequired):
            return banner, None, True
        return banner, completed, True

    async def _store(self, banner: Banner, snapshot: Snapshot, deadline: Deadline) -> None:
        """Draw and store a new banner; on failure the outbox does it later."""
        body = await self._backends.draw(snapshot, banner.options, deadline)
        request = StoreRequest(
            url_path=banner.storage_path,
            banner_info=body,
            banner_format="svg",
            version=banner.version,
        )
        try:
            async with asyncio.timeout(deadline.timeout_seconds(_STORE_TIMEOUT_SECONDS)):
                await self._backends.store(request)
            await self._database.run_within(
                partial(mark_published, versions={banner.id: banner.version}),
                timeout_seconds=deadline.database_timeout_seconds(),
            )
        except (BannersError, TimeoutError) as error:
            _log.info("banner.stored_later", banner=banner.name, reason=str(error))

    async def _find(self, name: str, deadline: Deadline) -> tuple[Snapshot, "_NamedBanner"]:
        """Find a banner and its owner's snapshot: current cache, database, outdated cache."""
        named = self._names.get(name)
        if named and (snapshot := self._lookup.get_cached(named.owner_id)):
            return snapshot, named
        read_at = self._clock()
        try:
            row = await self._database.run_within(
                partial(select_banner_with_snapshot, name=name, now=read_at),
                timeout_seconds=deadline.database_timeout_seconds(),
            )
        except DatabaseUnavailable:
            # Without the database an outdated snapshot is better than an error.
            if named and (
                snapshot := self._lookup.get_cached(named.owner_id, must_be_current=False)
            ):
                return snapshot, named
            raise
        if row is None:
            raise UnknownBanner(name)
        banner, snapshot = row
        named = _NamedBanner(banner.owner_id, banner.options, banner.needs)
        self._names.put(name, named)
        self._lookup.cache.put(snapshot, validated_at=read_at)
        return snapshot, named


class _NamedBanner(msgspec.Struct, frozen=True, gc=False):
    """What is cached of a permanent banner."""

    owner_id: int
    options: BannerOptions
    needs: tuple[str, ...]

    @property
    def repository_id(self) -> int | None:
        """The id of the repository that the banner shows, if it shows one."""
        return next((number for _, number in map(parse_need, self.needs) if number), None)


def _name_bytes(_: str, banner: _NamedBanner) -> int:
    characters = len(to_canonical_json(banner.options))
    return _ENTRY_OVERHEAD_BYTES + _BYTES_PER_OPTION_CHARACTER * characters
