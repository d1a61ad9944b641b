"""
From a wish to a banner: name or query -> owner and look -> numbers by freshness -> picture.

Knows no HTTP. Preview and permanent banner end in the same place.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import structlog

from github_banners.api.neighbours import Neighbours
from github_banners.api.pictures import Kept, Key, Pictures, key_of
from github_banners.database.banners import Banner as Row
from github_banners.database.banners import insert_banner, select_banner_with_snapshot
from github_banners.database.connect import Connection, Database
from github_banners.database.queue import mark_published, schedule_users
from github_banners.database.users import select_snapshots
from github_banners.errors import BannersError, DatabaseUnavailable, UnknownBanner
from github_banners.look import Look, canonical, parse_banner_name, permanent_names
from github_banners.messages.shapes import StoreAsk
from github_banners.model import Clock, Owner, Snapshot
from github_banners.stats.charge import Charge
from github_banners.stats.deadline import Deadline
from github_banners.stats.lookup import Answer, Lookup
from github_banners.stats.memory import Memory

_log = structlog.get_logger(__name__)

_STORED_SECONDS = 0.3
_STORE_SECONDS = 2.0
_NAMES_BYTES = 16 << 20
_LOOK_BYTES, _BYTES_OF_A_WISH = 600, 4
_INSERT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Banner:
    """Numbers and the look that they are to be drawn in."""

    answer: Answer
    look: Look

    @property
    def key(self) -> Key:
        """Name the picture in memory."""
        return key_of(self.answer.snapshot.owner.id, self.look)


@dataclass(frozen=True, slots=True)
class Made:
    """A permanent banner's name, and whether it is new."""

    name: str
    is_new: bool


class Banners:
    """Finds what to draw."""

    def __init__(
        self,
        *,
        lookup: Lookup,
        database: Database,
        pictures: Pictures,
        neighbours: Neighbours,
        refresh_interval: timedelta,
        max_banners_per_user: int,
        clock: Clock,
    ) -> None:
        self._lookup = lookup
        self._database = database
        self._pictures = pictures
        self._neighbours = neighbours
        self._refresh_interval = refresh_interval
        self._max_banners_per_user = max_banners_per_user
        self._clock = clock
        self._named: Memory[str, tuple[int, Look]] = Memory(_NAMES_BYTES, bytes_of=_named_bytes)

    async def draw(self, banner: Banner, *, deadline: Deadline) -> Kept:
        """Draw a banner, unless it lies in memory."""
        return await self._pictures.draw(banner.answer, banner.look, deadline=deadline)

    async def preview(
        self, login: str, look: Look, *, deadline: Deadline, charge: Charge
    ) -> Banner:
        """Find the numbers for a banner that nobody made; errors as `Lookup.by_login`."""
        answer = await self._lookup.by_login(login, deadline=deadline, charge=charge)
        return Banner(answer, look)

    async def permanent(self, name: str, *, deadline: Deadline, charge: Charge) -> Banner:
        """
        Find the numbers for a banner by its name, in any case.

        :raises UnknownBanner: none was ever made under this name
        :raises DatabaseUnavailable: PostgreSQL can't be asked, and memory does not know it
        """
        folded = parse_banner_name(name)
        if folded is None:
            raise UnknownBanner(name)
        known, look = await self._find(folded, deadline)
        answer = await self._lookup.by_owner(known, deadline=deadline, charge=charge)
        return Banner(answer, look)

    async def make(self, login: str, look: Look, *, deadline: Deadline, charge: Charge) -> Made:
        """
        Give a banner a permanent name; the same wish gets the same name again.

        :raises TooManyBanners: the user may have no more of them
        :raises DatabaseUnavailable: nothing can be kept now
        """
        charge()
        answer = await self._lookup.by_login(login, deadline=deadline, charge=charge)
        owner = answer.snapshot.owner
        await self._lookup.ensure_kept(answer.snapshot, deadline=deadline)
        banner, snapshot, is_new = await self._database.ask(
            partial(self._insert, owner=owner, look=look),
            within_seconds=deadline.grant(_INSERT_SECONDS),
        )
        self._named.put(banner.name, (owner.id, look))
        if is_new:
            await self._store(banner, snapshot, deadline)
            _log.info("banner.made", banner=banner.name, version=banner.version)
        return Made(banner.name, is_new)

    async def last_drawing(self, name: str, *, deadline: Deadline) -> bytes | None:
        """Read the drawing that was stored last, for when nothing else can be read."""
        reading = asyncio.ensure_future(self._neighbours.stored(name.lower()))
        await asyncio.wait({reading}, timeout=deadline.grant(_STORED_SECONDS))
        if not reading.done():
            reading.cancel()
            return None
        return None if reading.exception() is not None else reading.result()

    async def _insert(
        self, connection: Connection, owner: Owner, look: Look
    ) -> tuple[Row, Snapshot, bool]:
        """Insert a banner; the numbers are those that its version stands for."""
        names = permanent_names(owner.login, look, owner_id=owner.id)
        now = self._clock()
        row, is_new = await insert_banner(
            connection,
            owner_id=owner.id,
            look=look,
            names=names,
            at=now,
            max_banners=self._max_banners_per_user,
        )
        if is_new:
            await schedule_users(connection, [owner.id], now=now, interval=self._refresh_interval)
        (snapshot,) = await select_snapshots(connection, [owner.id], now=now)
        return row, snapshot, is_new

    async def _store(self, banner: Row, snapshot: Snapshot, deadline: Deadline) -> None:
        """Draw and store a new banner at once; what fails here the outbox does later."""
        body = await self._neighbours.draw(snapshot, banner.look, deadline)
        ask = StoreAsk(
            url_path=banner.storage_path,
            banner_info=body,
            banner_format="svg",
            version=banner.version,
        )
        try:
            async with asyncio.timeout(deadline.grant(_STORE_SECONDS)):
                await self._neighbours.keep(ask)
            await self._database.ask(
                partial(mark_published, versions={banner.id: banner.version}),
                within_seconds=deadline.grant_database(),
            )
        except (BannersError, TimeoutError) as error:
            _log.info("banner.stored_later", banner=banner.name, reason=str(error))

    async def _find(self, name: str, deadline: Deadline) -> tuple[Snapshot, Look]:
        key = self._named.get(name)
        known = self._lookup.remembered(key[0]) if key is not None else None
        if key is not None and known is not None:
            return known, key[1]
        try:
            return await self._read(name, deadline)
        except DatabaseUnavailable:
            known = self._lookup.remembered(key[0], settled=False) if key is not None else None
            if key is None or known is None:
                raise
            return known, key[1]

    async def _read(self, name: str, deadline: Deadline) -> tuple[Snapshot, Look]:
        asked_at = self._clock()
        read = partial(select_banner_with_snapshot, name=name, now=asked_at)
        found = await self._database.ask(read, within_seconds=deadline.grant_database())
        if found is None:
            raise UnknownBanner(name)
        banner, snapshot = found
        self._named.put(name, (banner.owner_id, banner.look))
        self._lookup.note(snapshot, asked_at=asked_at)
        return snapshot, banner.look


def _named_bytes(_: str, named: tuple[int, Look]) -> int:
    return _LOOK_BYTES + _BYTES_OF_A_WISH * len(canonical(named[1]))
