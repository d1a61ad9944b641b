"""Users whom GitHub has not known for long are removed, if it still does not know them."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from github_banners.api.gone_users import GoneUsers
from github_banners.database import forgotten_users, users
from github_banners.database.banners import insert_banner
from github_banners.database.connect import Database
from github_banners.errors import GitHubUnavailable
from github_banners.options import BannerOptions
from tests.integration.database.samples import DAY, HOUR, NOON, fetched_owner
from tests.integration.fake_github import FakeGitHub

pytestmark = pytest.mark.postgres

COUNT = 5


class GoneUsersHarness:
    """Five users with a banner each, all of them deleted on GitHub at noon but the last."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now = NOON
        self.github = FakeGitHub(clock=self.clock)
        self.github.gate.set()
        self.gone_users = self.new_gone_users()

    def clock(self) -> datetime:
        return self.now

    def new_gone_users(self) -> GoneUsers:
        return GoneUsers(
            database=self.database,
            github=self.github,
            remove_after=90 * DAY,
            interval=HOUR,
            clock=self.clock,
        )

    async def fill(self) -> None:
        async with self.database.transaction() as connection:
            numbers = range(1, COUNT + 1)
            await users.upsert_owners(connection, [fetched_owner(number) for number in numbers])
            for number in numbers:
                await insert_banner(
                    connection,
                    owner_id=number,
                    options=BannerOptions(),
                    names=[f"b-{number}"],
                    now=NOON,
                )
            for number in numbers[:-1]:
                await users.mark_user_deleted(
                    connection, number, requested_at=NOON + number * timedelta(seconds=1)
                )

    async def fetch(self, query: str) -> list[Any]:
        async with self.database.transaction() as connection:
            return await (await connection.execute(query.encode())).fetchall()

    async def user_ids(self) -> list[int]:
        return [row[0] for row in await self.fetch("select id from users order by id")]


@pytest.fixture
async def harness(database: Database) -> GoneUsersHarness:
    harness = GoneUsersHarness(database)
    await harness.fill()
    return harness


async def test_users_are_removed_after_the_time_and_not_before(harness: GoneUsersHarness) -> None:
    harness.now = NOON + 90 * DAY
    assert await harness.gone_users.remove_batch() == 0
    assert harness.github.requests == []
    harness.now += timedelta(seconds=2, milliseconds=500)
    assert await harness.gone_users.remove_batch() == 2
    assert await harness.user_ids() == [3, 4, 5]
    assert await harness.fetch("select storage_path from removed_pictures order by 1") == [
        ("b-1",), ("b-2",),
    ]  # fmt: skip
    async with harness.database.transaction() as connection:
        forgotten = await forgotten_users.select_forgotten(connection, since=harness.now)
    assert forgotten == {(1, harness.now), (2, harness.now)}


async def test_user_who_is_back_is_saved(harness: GoneUsersHarness) -> None:
    harness.github.add("Back-again", 2)
    harness.now = NOON + 91 * DAY
    assert await harness.gone_users.remove_batch() == COUNT - 1
    assert await harness.user_ids() == [2, 5]
    assert await harness.fetch("select login, gone_since from users where id = 2") == [
        ("Back-again", None)
    ]


async def test_unconfirmed_user_stays_and_does_not_delay_others(
    harness: GoneUsersHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("github_banners.api.gone_users.BATCH_SIZE", 1)
    harness.now = NOON + 91 * DAY
    harness.github.fails_next = 1
    with capture_logs() as logs:
        removed = [await harness.gone_users.remove_batch() for _ in range(COUNT)]
    assert removed == [1, 1, 1, 1, 0]
    assert await harness.user_ids() == [1, 5]
    (failure,) = [log for log in logs if log["log_level"] == "error"]
    assert failure["event"] == "gone_users.not_removed"
    assert (failure["owner_id"], failure["reason"]) == (
        1, f"GitHubUnavailable: {GitHubUnavailable()}",
    )  # fmt: skip
    harness.now += HOUR
    assert await harness.gone_users.remove_batch() == 1
    assert await harness.user_ids() == [5]


async def test_leased_users_are_left_to_the_process_that_leased_them(
    harness: GoneUsersHarness,
) -> None:
    harness.now = NOON + 91 * DAY
    harness.github.raises = GitHubUnavailable()
    assert await harness.gone_users.remove_batch() == COUNT - 1
    harness.github.raises = None
    other = harness.new_gone_users()
    assert await other.remove_batch() == 0
    harness.now += timedelta(minutes=2)
    assert await other.remove_batch() == COUNT - 1
    assert await harness.user_ids() == [5]
