"""
Receive notifications of changes that other processes commit, on a separate connection.

Once a second a probe notification is sent over another connection and must arrive here: on a dead
connection, or behind a pooler that gives the session to other clients, nothing would ever arrive.
While probes are lost, caches must check every entry against the database.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Protocol

import structlog
from psycopg.sql import SQL, Identifier

from github_banners.backoff import backoff_delay
from github_banners.database.connect import (
    TRANSIENT_ERRORS,
    Database,
    error_text,
    wait_in_steps,
)
from github_banners.database.forgotten_users import FORGOTTEN_CHANNEL
from github_banners.database.session import Connection, connect
from github_banners.database.users import CHANGED_CHANNEL
from github_banners.errors import DatabaseUnavailable
from github_banners.log_throttle import LogThrottle
from github_banners.tasks import gather_or_cancel

_log = structlog.get_logger(__name__)

_CONNECTION_ERRORS: tuple[type[Exception], ...] = (*TRANSIENT_ERRORS, DatabaseUnavailable)
_PROBE_SECONDS = 1.0
_PROBE_TIMEOUT_SECONDS = 1.0
_MAX_PAUSE_SECONDS = 30.0


class Invalidatable(Protocol):
    """Receiver of changes: ids of changed owners, None for all."""

    is_listening: bool
    """True while notifications arrive."""

    def invalidate(self, owner_ids: Collection[int] | None) -> None:
        """Invalidate these owners, or all if None."""


class _ProbeLost(Exception):
    """A probe notification did not arrive."""


class ChangeListener:
    """
    Pass changed owners to `invalidations`, and whether notifications arrive at all.

    `on_change` is called for every change, to wake up waiting tasks early, and `on_forgotten` when users
    were forgotten or may have been. `database` sends the probe notifications.
    """

    def __init__(
        self,
        conninfo: str,
        *,
        database: Database,
        invalidations: Invalidatable,
        on_change: Callable[[], None] = lambda: None,
        on_forgotten: Callable[[], None] = lambda: None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._conninfo = conninfo
        self._database = database
        self._invalidations = invalidations
        self._on_change = on_change
        self._on_forgotten = on_forgotten
        self._sleep = sleep
        self._throttle = LogThrottle(time.monotonic)
        self._probe_channel = f"banners_probe_{secrets.token_hex(8)}"
        self._probe_arrived = asyncio.Event()

    async def run(self) -> None:
        """Listen until cancelled; after a reconnect everything counts as changed."""
        self._invalidations.is_listening = False
        failures = 1
        while True:
            was_listening = False
            try:
                await self._listen()
            except _ProbeLost:
                was_listening = self._invalidations.is_listening
                self._log_not_listening(was_listening=was_listening)
            except _CONNECTION_ERRORS as error:
                was_listening = self._invalidations.is_listening
                if was_listening:
                    self._log_loss(error_text(error))
            finally:
                self._invalidations.is_listening = False
            # Retry soon after a lost connection, but ever more slowly behind a pooler, which stays.
            failures = 1 if was_listening else failures + 1
            await self._sleep(
                backoff_delay(failures, first=_PROBE_SECONDS, maximum=_MAX_PAUSE_SECONDS)
            )

    def _log_not_listening(self, *, was_listening: bool) -> None:
        if was_listening:
            self._log_loss("a notification did not arrive")
        elif self._throttle.allows("not listening"):
            _log.warning(
                "changes.not_listening",
                reason="PostgreSQL notifications do not arrive, as behind a pooler in transaction mode:"
                " every cached picture is checked against the database",
            )

    def _log_loss(self, reason: str) -> None:
        if self._throttle.allows(("lost", reason)):
            _log.warning("changes.connection_lost", reason=reason)

    async def _listen(self) -> None:
        connection = await connect(self._conninfo, application_name="banners-changes")
        try:
            # Notifications are no activity: the server would end the session in spite of them.
            await connection.execute("set idle_session_timeout to 0")
            for channel in (CHANGED_CHANNEL, FORGOTTEN_CHANNEL, self._probe_channel):
                await connection.execute(SQL("listen {}").format(Identifier(channel)))
            await gather_or_cancel(self._read(connection), self._probe())
        finally:
            # A regular close would wait for a frozen server.
            connection.pgconn.finish()

    async def _read(self, connection: Connection) -> None:
        async for notification in connection.notifies():
            if notification.channel == self._probe_channel:
                self._probe_arrived.set()
            elif notification.channel == FORGOTTEN_CHANNEL:
                self._on_forgotten()
            else:
                self._invalidations.invalidate(parse_owner_ids(notification.payload))
                self._on_change()

    async def _probe(self) -> None:
        """
        Send a notification every second, and wait until it arrives.

        It is sent over another connection: behind a pooler in transaction mode, a notification may
        reach the connection that sent it and no other.

        :raises _ProbeLost: a notification did not arrive in time
        """
        while True:
            self._probe_arrived.clear()
            send = partial(_notify, channel=self._probe_channel)
            await self._database.run_within(send, timeout_seconds=_PROBE_TIMEOUT_SECONDS)
            arriving = asyncio.create_task(self._probe_arrived.wait(), name="await notification")
            try:
                await wait_in_steps(arriving, _PROBE_TIMEOUT_SECONDS)
            finally:
                arriving.cancel()
            if not self._probe_arrived.is_set():
                raise _ProbeLost
            if not self._invalidations.is_listening:
                self._invalidations.invalidate(None)
                self._invalidations.is_listening = True
                self._on_forgotten()
            await self._sleep(_PROBE_SECONDS)


async def _notify(connection: Connection, *, channel: str) -> None:
    # A probe need not survive a crash, so its commit need not wait for the disk.
    await connection.execute("set local synchronous_commit to off")
    await connection.execute("select pg_notify(%s, '')", [channel])


def parse_owner_ids(payload: str) -> list[int] | None:
    """Return the ids of changed owners; None, which means any owner, if the payload has no ids."""
    try:
        return [int(owner_id) for owner_id in payload.split(",") if owner_id]
    except ValueError:
        return None
