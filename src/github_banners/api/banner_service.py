"""
Find the numbers to draw for previews and permanent banners, and create permanent banners.

A new banner is inserted, drawn and stored here. Nothing in this module knows HTTP.
"""

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

import structlog

from github_banners.api.backends import Backends
from github_banners.api.response_cache import RenderRequest
from github_banners.cache import ByteBoundedLru
from github_banners.database.banners import Banner, insert_banner, select_banner_with_snapshot
from github_banners.database.connect import Connection, Database
from github_banners.database.leases import mark_published, schedule_users
from github_banners.database.users import select_snapshots
from github_banners.errors import BannersError, DatabaseUnavailable, UnknownBanner
from github_banners.messaging.schemas import StoreRequest
from github_banners.models import Clock, Owner, Snapshot
from github_banners.options import (
    BannerOptions,
    candidate_banner_names,
    parse_banner_name,
    to_canonical_json,
)
from github_banners.stats.fetch import Charge, Deadline
from github_banners.stats.lookup import Lookup, LookupResult
from github_banners.stats.selection import read_selected, select_unsaved

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
    Finds the numbers of previews and permanent banners; creates, draws and stores new banners.

    Previews and permanent banners differ only in how the owner and the options are found. The result
    of both is a `RenderRequest`, which `PictureCache.draw` turns into a picture.
    """

    def __init__(
        self,
        *,
        lookup: Lookup,
        database: Database,
        backends: Backends,
        refresh_interval: timedelta,
        max_banners_per_user: int,
        clock: Clock,
    ) -> None:
        self._lookup = lookup
        self._database = database
        self._backends = backends
        self._refresh_interval = refresh_interval
        self._max_banners_per_user = max_banners_per_user
        self._clock = clock
        self._names: ByteBoundedLru[str, tuple[int, BannerOptions]] = ByteBoundedLru(
            _NAMES_BYTES, entry_bytes=_name_bytes
        )

    async def preview(
        self, login: str, options: BannerOptions, *, deadline: Deadline, charge: Charge
    ) -> RenderRequest:
        """Find the numbers to draw a preview with; raises the errors of `Lookup.find_by_login`."""
        result = await self._lookup.find_by_login(login, deadline=deadline, charge=charge)
        return await self._select_repositories(result, options, deadline)

    async def get_by_name(self, name: str, *, deadline: Deadline, charge: Charge) -> RenderRequest:
        """
        Find the numbers of a permanent banner by its name, ignoring case.

        :raises UnknownBanner: there is no banner of this name
        :raises DatabaseUnavailable: PostgreSQL is down and the banner is not cached
        """
        canonical_name = parse_banner_name(name)
        if canonical_name is None:
            raise UnknownBanner(name)
        snapshot, options = await self._find(canonical_name, deadline)
        result = await self._lookup.find_for_owner(snapshot, deadline=deadline, charge=charge)
        return await self._select_repositories(result, options, deadline)

    async def create(
        self, login: str, options: BannerOptions, *, deadline: Deadline, charge: Charge
    ) -> CreateResult:
        """
        Create a permanent banner, or return the existing one with the same owner and options.

        :raises TooManyBanners: the owner has the maximum number of banners
        :raises DatabaseUnavailable: PostgreSQL is down
        """
        charge()
        result = await self._lookup.find_by_login(login, deadline=deadline, charge=charge)
        owner = result.snapshot.owner
        # The row of a banner refers to the row of its owner.
        await self._lookup.ensure_persisted(result.snapshot, deadline=deadline)
        banner, snapshot, is_new = await self._database.run_within(
            partial(self._insert, owner=owner, options=options),
            timeout_seconds=deadline.timeout_seconds(_INSERT_TIMEOUT_SECONDS),
        )
        self._names.put(banner.name, (owner.id, options))
        if is_new:
            await self._store(banner, snapshot, deadline)
            _log.info("banner.created", banner=banner.name, version=banner.version)
        return CreateResult(banner.name, is_new)

    async def read_stored_drawing(self, name: str, *, deadline: Deadline) -> bytes | None:
        """Read the newest stored drawing of a banner; None if there is none or it can't be read."""
        task = asyncio.ensure_future(self._backends.read_stored(name.lower()))
        await asyncio.wait({task}, timeout=deadline.timeout_seconds(_READ_STORED_TIMEOUT_SECONDS))
        if not task.done():
            task.cancel()
            return None
        has_failed = task.cancelled() or task.exception() is not None
        return None if has_failed else task.result()

    async def _select_repositories(
        self, result: LookupResult, options: BannerOptions, deadline: Deadline
    ) -> RenderRequest:
        """
        Build the request to draw the repositories that the options select.

        :raises DatabaseUnavailable: they have to be read, and can't be within the deadline
        """
        if not options.has_selection:
            return RenderRequest(result, options)
        unsaved = self._lookup.writer.unsaved.get(result.snapshot.owner.id)
        snapshot = select_unsaved(unsaved, result.snapshot, options)
        if snapshot is None:
            try:
                snapshot = await self._database.run_within(
                    partial(read_selected, snapshot=result.snapshot, options=options),
                    timeout_seconds=deadline.database_timeout_seconds(),
                )
            except LookupError as error:
                raise DatabaseUnavailable from error
        return RenderRequest(replace(result, snapshot=snapshot), options)

    async def _insert(
        self, connection: Connection, owner: Owner, options: BannerOptions
    ) -> tuple[Banner, Snapshot, bool]:
        """Insert a banner; return it, the snapshot that its version refers to, and if it is new."""
        names = candidate_banner_names(owner.login, options, owner_id=owner.id)
        now = self._clock()
        banner, is_new = await insert_banner(
            connection,
            owner_id=owner.id,
            options=options,
            names=names,
            now=now,
            max_banners=self._max_banners_per_user,
        )
        if is_new:
            await schedule_users(connection, [owner.id], now=now, interval=self._refresh_interval)
        (snapshot,) = await select_snapshots(connection, [owner.id], now=now)
        return banner, await read_selected(connection, snapshot, options), is_new

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

    async def _find(self, name: str, deadline: Deadline) -> tuple[Snapshot, BannerOptions]:
        """Find a banner's snapshot and options: current cache, database, outdated cache."""
        entry = self._names.get(name)
        if entry is not None:
            snapshot = self._lookup.get_cached(entry[0])
            if snapshot is not None:
                return snapshot, entry[1]
        read_at = self._clock()
        try:
            row = await self._database.run_within(
                partial(select_banner_with_snapshot, name=name, now=read_at),
                timeout_seconds=deadline.database_timeout_seconds(),
            )
        except DatabaseUnavailable:
            # Without the database an outdated snapshot is better than an error.
            snapshot = (
                self._lookup.get_cached(entry[0], must_be_current=False)
                if entry is not None
                else None
            )
            if entry is None or snapshot is None:
                raise
            return snapshot, entry[1]
        if row is None:
            raise UnknownBanner(name)
        banner, snapshot = row
        self._names.put(name, (banner.owner_id, banner.options))
        self._lookup.put_cached(snapshot, read_at=read_at)
        return snapshot, banner.options


def _name_bytes(_: str, entry: tuple[int, BannerOptions]) -> int:
    characters = len(to_canonical_json(entry[1]))
    return _ENTRY_OVERHEAD_BYTES + _BYTES_PER_OPTION_CHARACTER * characters
