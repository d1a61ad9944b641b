"""Tens of thousands of change notifications at once, on PostgreSQL."""

import asyncio
from datetime import UTC, datetime

import psycopg
import pytest

from github_banners.database.change_listener import ChangeListener
from github_banners.database.connect import Database
from github_banners.database.users import CHANGED_CHANNEL
from github_banners.stats.snapshots import Invalidations

pytestmark = pytest.mark.postgres

OWNERS = 40_000


def now() -> datetime:
    return datetime.now(UTC)


async def wait_until_listening(invalidations: Invalidations) -> None:
    while not invalidations.is_listening:  # noqa: ASYNC110
        await asyncio.sleep(0.05)


async def test_storm_invalidates_all_owners_and_holds_up_no_task(
    conninfo: str, database: Database
) -> None:
    invalidations = Invalidations(clock=now)
    listener = ChangeListener(conninfo, database=database, invalidations=invalidations)
    listening = asyncio.create_task(listener.run())
    ticks, notifications = 0, 0

    def count() -> None:
        nonlocal notifications
        notifications += 1

    async with asyncio.timeout(60):
        await wait_until_listening(invalidations)
        before = now()
        invalidations.on_change = count
        async with await psycopg.AsyncConnection.connect(conninfo) as sender:
            await sender.execute(
                "select pg_notify(%s, owner_id::text) from generate_series(1, %s) as owner_id",
                [CHANGED_CHANNEL, OWNERS],
            )
        while notifications < OWNERS:
            await asyncio.sleep(0)
            ticks += 1
        # If a probe came too late, nothing counted as unchanged until the next one.
        await wait_until_listening(invalidations)
    assert ticks > 10
    # The first ones have left the bounded record, so everything counts as changed since then.
    assert not invalidations.is_unchanged(OWNERS // 2, since=before)
    assert not invalidations.is_unchanged(1, since=before)
    assert not listening.done()
    listening.cancel()
    await asyncio.wait({listening})
