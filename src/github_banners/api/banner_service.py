"""
From a wish to a banner: name or query -> owner and look -> numbers by freshness -> picture.

Knows no HTTP. Preview and permanent banner end in the same place.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import structlog

from github_banners.api.backends import Backends
from github_banners.api.picture_cache import CachedPicture, PictureCache, PictureKey, to_picture_key
from github_banners.database.banners import Banner as Row
from github_banners.database.banners import insert_banner, select_banner_with_snapshot
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
from github_banners.stats.deadline import Deadline
from github_banners.stats.fetch import Charge
from github_banners.stats.lookup import Lookup, LookupResult
from github_banners.stats.lru import ByteBoundedLru

_log = structlog.get_logger(__name__)

_READ_STORED_TIMEOUT_SECONDS = 0.3
_STORE_TIMEOUT_SECONDS = 2.0
_NAMES_BYTES = 16 << 20
_LOOK_BYTES, _BYTES_PER_LOOK_CHARACTER = 600, 4
_INSERT_TIMEOUT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class RenderRequest:
    """Numbers and the look that they are to be drawn in."""

    result: LookupResult
    look: BannerOptions

    @property
    def key(self) -> PictureKey:
        """Name the picture in memory."""
        return to_picture_key(self.result.snapshot.owner.id, self.look)


@dataclass(frozen=True, slots=True)
class CreateResult:
    """A permanent banner's name, and whether it is new."""

    name: str
    is_new: bool


class BannerService:
    """Finds what to draw."""

    def __init__(
        self,
        *,
        lookup: Lookup,
        database: Database,
        picture_cache: PictureCache,
        backends: Backends,
        refresh_interval: timedelta,
        max_banners_per_user: int,
        clock: Clock,
    ) -> None:
        self._lookup = lookup
        self._database = database
        self._picture_cache = picture_cache
        self._backends = backends
        self._refresh_interval = refresh_interval
        self._max_banners_per_user = max_banners_per_user
        self._clock = clock
        self._names: ByteBoundedLru[str, tuple[int, BannerOptions]] = ByteBoundedLru(
            _NAMES_BYTES, entry_bytes=_name_bytes
        )

    async def draw(self, request: RenderRequest, *, deadline: Deadline) -> CachedPicture:
        """Draw a banner, unless it lies in memory."""
        return await self._picture_cache.draw(request.result, request.look, deadline=deadline)

    async def preview(
        self, login: str, look: BannerOptions, *, deadline: Deadline, charge: Charge
    ) -> RenderRequest:
        """Find the numbers for a banner that nobody made; errors as `Lookup.find_by_login`."""
        answer = await self._lookup.find_by_login(login, deadline=deadline, charge=charge)
        return RenderRequest(answer, look)

    async def get_by_name(self, name: str, *, deadline: Deadline, charge: Charge) -> RenderRequest:
        """
        Find the numbers for a banner by its name, in any case.

        :raises UnknownBanner: none was ever made under this name
        :raises DatabaseUnavailable: PostgreSQL can't be asked, and memory does not know it
        """
        folded = parse_banner_name(name)
        if folded is None:
            raise UnknownBanner(name)
        known, look = await self._find(folded, deadline)
        answer = await self._lookup.refresh_owner(known, deadline=deadline, charge=charge)
        return RenderRequest(answer, look)

    async def create(
        self, login: str, look: BannerOptions, *, deadline: Deadline, charge: Charge
    ) -> CreateResult:
        """
        Give a banner a permanent name; the same wish gets the same name again.

        :raises TooManyBanners: the user may have no more of them
        :raises DatabaseUnavailable: nothing can be kept now
        """
        charge()
        answer = await self._lookup.find_by_login(login, deadline=deadline, charge=charge)
        owner = answer.snapshot.owner
        await self._lookup.ensure_persisted(answer.snapshot, deadline=deadline)
        banner, snapshot, is_new = await self._database.run_within(
            partial(self._insert, owner=owner, look=look),
            timeout_seconds=deadline.timeout_seconds(_INSERT_TIMEOUT_SECONDS),
        )
        self._names.put(banner.name, (owner.id, look))
        if is_new:
            await self._store(banner, snapshot, deadline)
            _log.info("banner.made", banner=banner.name, version=banner.version)
        return CreateResult(banner.name, is_new)

    async def read_stored_drawing(self, name: str, *, deadline: Deadline) -> bytes | None:
        """Read the drawing that was stored last, for when nothing else can be read."""
        reading = asyncio.ensure_future(self._backends.read_stored(name.lower()))
        await asyncio.wait(
            {reading}, timeout=deadline.timeout_seconds(_READ_STORED_TIMEOUT_SECONDS)
        )
        if not reading.done():
            reading.cancel()
            return None
        return None if reading.exception() is not None else reading.result()

    async def _insert(
        self, connection: Connection, owner: Owner, look: BannerOptions
    ) -> tuple[Row, Snapshot, bool]:
        """Insert a banner; the numbers are those that its version stands for."""
        names = candidate_banner_names(owner.login, look, owner_id=owner.id)
        now = self._clock()
        row, is_new = await insert_banner(
            connection,
            owner_id=owner.id,
            options=look,
            names=names,
            now=now,
            max_banners=self._max_banners_per_user,
        )
        if is_new:
            await schedule_users(connection, [owner.id], now=now, interval=self._refresh_interval)
        (snapshot,) = await select_snapshots(connection, [owner.id], now=now)
        return row, snapshot, is_new

    async def _store(self, banner: Row, snapshot: Snapshot, deadline: Deadline) -> None:
        """Draw and store a new banner at once; what fails here the outbox does later."""
        body = await self._backends.draw(snapshot, banner.look, deadline)
        ask = StoreRequest(
            url_path=banner.storage_path,
            banner_info=body,
            banner_format="svg",
            version=banner.version,
        )
        try:
            async with asyncio.timeout(deadline.timeout_seconds(_STORE_TIMEOUT_SECONDS)):
                await self._backends.store(ask)
            await self._database.run_within(
                partial(mark_published, versions={banner.id: banner.version}),
                timeout_seconds=deadline.database_timeout_seconds(),
            )
        except (BannersError, TimeoutError) as error:
            _log.info("banner.stored_later", banner=banner.name, reason=str(error))

    async def _find(self, name: str, deadline: Deadline) -> tuple[Snapshot, BannerOptions]:
        key = self._names.get(name)
        known = self._lookup.get_cached(key[0]) if key is not None else None
        if key is not None and known is not None:
            return known, key[1]
        try:
            return await self._read(name, deadline)
        except DatabaseUnavailable:
            known = (
                self._lookup.get_cached(key[0], must_be_current=False) if key is not None else None
            )
            if key is None or known is None:
                raise
            return known, key[1]

    async def _read(self, name: str, deadline: Deadline) -> tuple[Snapshot, BannerOptions]:
        asked_at = self._clock()
        read = partial(select_banner_with_snapshot, name=name, now=asked_at)
        found = await self._database.run_within(
            read, timeout_seconds=deadline.database_timeout_seconds()
        )
        if found is None:
            raise UnknownBanner(name)
        banner, snapshot = found
        self._names.put(name, (banner.owner_id, banner.look))
        self._lookup.put_cached(snapshot, read_at=asked_at)
        return snapshot, banner.look


def _name_bytes(_: str, entry: tuple[int, BannerOptions]) -> int:
    return _LOOK_BYTES + _BYTES_PER_LOOK_CHARACTER * len(to_canonical_json(entry[1]))
