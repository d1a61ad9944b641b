"""
Hears of changes that other processes commit, on a connection of its own.

Once a second a notification is sent over another connection, and must arrive here: one that is dead, or a
pooler that gives the connection's session to others, looks like one on which nothing happens. While none
arrives every cached number counts as changed, and is compared with the database.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Protocol

import structlog
from psycopg.sql import SQL, Identifier

from github_banners.database.connect import TRANSIENT_ERRORS, Database, error_text
from github_banners.database.session import Connection, connect
from github_banners.database.users import CHANGED_CHANNEL
from github_banners.errors import DatabaseUnavailable
from github_banners.log_throttle import LogThrottle

_log = structlog.get_logger(__name__)

_CONNECTION_ERRORS: tuple[type[Exception], ...] = (*TRANSIENT_ERRORS, DatabaseUnavailable)
_PROBE_SECONDS = 1.0
_PROBE_TIMEOUT_SECONDS = 1.0
_MAX_PAUSE_SECONDS = 30.0


class Invalidatable(Protocol):
    """Who is told: ids of changed owners, None for all; `is_listening` while notifications arrive."""

    is_listening: bool

    def invalidate(self, owner_ids: Collection[int] | None) -> None:
        """Hear of a change."""


class _ProbeLost(Exception):
    """A notification of our own did not arrive."""


class ChangeListener:
    """
    Tells `trust` who has changed, and whether that can be heard at all.

    `wake` is called for every change, so that whoever waits for one need not look so often.
    `database` sends the notifications that must arrive.
    """

    def __init__(
        self,
        conninfo: str,
        *,
        database: Database,
        invalidations: Invalidatable,
        on_change: Callable[[], None] = lambda: None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._conninfo = conninfo
        self._database = database
        self._invalidations = invalidations
        self._on_change = on_change
        self._sleep = sleep
        self._throttle = LogThrottle(time.monotonic)
        self._probe_channel = f"banners_probe_{secrets.token_hex(8)}"
        self._probe_arrived = asyncio.Event()

    async def run(self) -> None:
        """Listen for ever; a lost connection is opened again, and all counts as changed then."""
        self._invalidations.is_listening = False
        pause_seconds = _PROBE_SECONDS
        while True:
            was_heard = False
            try:
                await self._listen()
            except* _ProbeLost:
                was_heard = self._invalidations.is_listening
                self._log_not_listening(was_listening=was_heard)
            except* _CONNECTION_ERRORS as errors:
                was_heard = self._invalidations.is_listening
                if was_heard:
                    _log.warning("changes.line_lost", reason=error_text(errors.exceptions[0]))
            finally:
                self._invalidations.is_listening = False
            # Where a pooler is in between it stays there.
            pause_seconds = (
                _PROBE_SECONDS if was_heard else min(2 * pause_seconds, _MAX_PAUSE_SECONDS)
            )
            await self._sleep(pause_seconds)

    def _log_not_listening(self, *, was_listening: bool) -> None:
        if was_listening:
            _log.warning("changes.line_lost", reason="a notification did not arrive")
        elif self._throttle.allows("unheard"):
            _log.warning(
                "changes.not_heard",
                reason="notifications of PostgreSQL do not arrive, as through a pooler in transaction"
                " mode: every picture is compared with the database instead",
            )

    async def _listen(self) -> None:
        connection = await connect(self._conninfo, application_name="banners-changes")
        try:
            for channel in (CHANGED_CHANNEL, self._probe_channel):
                await connection.execute(SQL("listen {}").format(Identifier(channel)))
            async with asyncio.TaskGroup() as group:
                group.create_task(self._read(connection), name="read notifications")
                group.create_task(self._probe(), name="probe notifications")
        finally:
            # Closing politely would wait for a frozen server.
            connection.pgconn.finish()

    async def _read(self, connection: Connection) -> None:
        async for notice in connection.notifies():
            if notice.channel == self._probe_channel:
                self._probe_arrived.set()
            else:
                self._invalidations.invalidate(_parse_ids(notice.payload))
                self._on_change()

    async def _probe(self) -> None:
        """
        Send a notification every second, and wait for it.

        It is sent over another connection: a pooler in transaction mode can deliver one to whoever
        sends it, and to nobody else.
        """
        while True:
            self._probe_arrived.clear()
            send = partial(_notify, channel=self._probe_channel)
            await self._database.run_within(send, timeout_seconds=_PROBE_TIMEOUT_SECONDS)
            arriving = asyncio.create_task(self._probe_arrived.wait(), name="await notification")
            try:
                # In steps, so that a pause of this process is not taken for silence.
                for _ in range(5):
                    await asyncio.wait({arriving}, timeout=_PROBE_TIMEOUT_SECONDS / 5)
            finally:
                arriving.cancel()
            if not self._probe_arrived.is_set():
                raise _ProbeLost
            if not self._invalidations.is_listening:
                self._invalidations.invalidate(None)
                self._invalidations.is_listening = True
            await self._sleep(_PROBE_SECONDS)


async def _notify(connection: Connection, *, channel: str) -> None:
    # It need not outlive a crash, and so need not wait for the disk.
    await connection.execute("set local synchronous_commit to off")
    await connection.execute("select pg_notify(%s, '')", [channel])


def _parse_ids(payload: str) -> list[int] | None:
    """Read whose numbers have changed; None, which is anybody's, if that can't be read."""
    try:
        return [int(owner_id) for owner_id in payload.split(",") if owner_id]
    except ValueError:
        return None
