"""
Hears of changes that other processes commit, on a connection of its own.

It is probed every second: a silent connection that is dead looks like one on which nothing happens.
"""

import asyncio
from collections.abc import Callable, Collection
from typing import Protocol

import psycopg
import structlog
from psycopg.sql import SQL, Identifier

from github_banners.database.connect import PASSING_ERRORS
from github_banners.database.users import CHANGED_CHANNEL

_log = structlog.get_logger(__name__)

_LINE_ERRORS: tuple[type[Exception], ...] = (*PASSING_ERRORS, TimeoutError)
_PROBE_SECONDS = 1.0
_ANSWER_SECONDS = 1.0


class Listener(Protocol):
    """Who is told: ids of changed owners, None for all; `is_heard` while the line is open."""

    is_heard: bool

    def note_change(self, owner_ids: Collection[int] | None) -> None:
        """Hear of a change."""


class Changes:
    """
    Tells `trust` who has changed, and whether that can be heard at all.

    `wake` is called for every change, so that whoever waits for one need not look so often.
    """

    def __init__(
        self, conninfo: str, *, trust: Listener, wake: Callable[[], None] = lambda: None
    ) -> None:
        self._conninfo = conninfo
        self._trust = trust
        self._wake = wake

    async def run(self) -> None:
        """Listen for ever; a lost line is opened again, and all counts as changed then."""
        while True:
            try:
                await self._listen()
            except _LINE_ERRORS as error:
                if self._trust.is_heard:
                    _log.warning("changes.line_lost", reason=type(error).__name__)
            finally:
                self._trust.is_heard = False
            await asyncio.sleep(_PROBE_SECONDS)

    async def _listen(self) -> None:
        connection = await psycopg.AsyncConnection.connect(
            self._conninfo, autocommit=True, connect_timeout=3, application_name="banners-changes"
        )
        try:
            await connection.execute(SQL("listen {}").format(Identifier(CHANGED_CHANNEL)))
            self._trust.note_change(None)
            self._trust.is_heard = True
            while True:
                async for notice in connection.notifies(timeout=_PROBE_SECONDS):
                    self._trust.note_change(_ids(notice.payload))
                    self._wake()
                await _probe(connection)
        finally:
            # Closing politely would wait for a frozen server.
            connection.pgconn.finish()


async def _probe(connection: psycopg.AsyncConnection[tuple[object, ...]]) -> None:
    """Ask for a sign of life; never by wait_for(), which would wait for the cancelled call."""
    asking = asyncio.create_task(_ask(connection), name="probe the line")
    done, _ = await asyncio.wait({asking}, timeout=_ANSWER_SECONDS)
    if not done:
        asking.add_done_callback(_forget)
        connection.pgconn.finish()
        asking.cancel()
        raise TimeoutError
    asking.result()


async def _ask(connection: psycopg.AsyncConnection[tuple[object, ...]]) -> None:
    await connection.execute("select 1")


def _forget(asking: asyncio.Task[None]) -> None:
    if not asking.cancelled():
        asking.exception()


def _ids(payload: str) -> list[int] | None:
    """Read what was told; what can't be read may mean anybody."""
    try:
        return [int(one) for one in payload.split(",") if one]
    except ValueError:
        return None
