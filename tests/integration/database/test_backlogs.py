"""Overdue work: how much there is, and how late the first is."""

from datetime import timedelta

import pytest

from github_banners.database import backlogs
from github_banners.database.backlogs import Backlogs, select_backlogs
from github_banners.database.banners import insert_banner
from github_banners.database.leases import (
    lease_due_users,
    lease_unpublished_banners,
    mark_published,
    schedule_users,
)
from github_banners.database.session import Connection
from github_banners.database.users import upsert_owners
from github_banners.options import BannerOptions
from tests.integration.database.samples import HOUR, NOON, fetched_owner

pytestmark = pytest.mark.postgres

MINUTE = timedelta(minutes=1)


async def save_with_banners(conn: Connection, *owner_ids: int) -> None:
    await upsert_owners(conn, [fetched_owner(owner_id) for owner_id in owner_ids])
    for number, owner_id in enumerate(owner_ids):
        await insert_banner(
            conn,
            owner_id=owner_id,
            options=BannerOptions(),
            names=[f"{owner_id}-default"],
            now=NOON + number * MINUTE,
        )
    await schedule_users(conn, owner_ids, now=NOON, interval=HOUR)


async def test_select_backlogs_without_rows_is_empty(conn: Connection) -> None:
    assert await select_backlogs(conn, now=NOON) == Backlogs()


async def test_select_backlogs_counts_unpublished_and_the_delay_of_the_oldest(
    conn: Connection,
) -> None:
    await save_with_banners(conn, 1, 2, 3)
    measured = await select_backlogs(conn, now=NOON + 5 * MINUTE)
    assert measured == Backlogs(3, 300.0, 0, 0.0)
    # A lease changes nothing: what fails to be published is leased again and again.
    leased = await lease_unpublished_banners(conn, now=NOON, limit=1)
    assert (await select_backlogs(conn, now=NOON + 5 * MINUTE)).unpublished_banners == 3
    await mark_published(conn, {banner.id: banner.version for banner, _ in leased})
    measured = await select_backlogs(conn, now=NOON + 5 * MINUTE)
    assert (measured.unpublished_banners, measured.publish_delay_seconds) == (2, 240.0)


async def test_select_backlogs_counts_due_owners_unless_they_are_being_refreshed(
    conn: Connection,
) -> None:
    await save_with_banners(conn, 1, 2)
    now = NOON + HOUR + MINUTE
    measured = await select_backlogs(conn, now=now)
    assert (measured.overdue_owners, measured.refresh_delay_seconds) == (2, 60.0)
    await lease_due_users(conn, now=now, limit=1, interval=HOUR)
    assert (await select_backlogs(conn, now=now)).overdue_owners == 1


async def test_select_backlogs_counts_up_to_the_limit(
    conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlogs, "MAX_COUNTED", 2)
    await save_with_banners(conn, 1, 2, 3)
    assert (await select_backlogs(conn, now=NOON)).unpublished_banners == 2
