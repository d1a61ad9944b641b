"""Memory -> database -> GitHub -> the old answer, on a real PostgreSQL and a GitHub made of paper."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from github_banners.database import connect, users
from github_banners.database.connect import Database
from github_banners.errors import (
    DatabaseUnavailable,
    FirstFetchPending,
    GitHubUnavailable,
    TooManyRequests,
    UnknownUser,
)
from github_banners.stats.deadline import Deadline
from github_banners.stats.lookup import Lookup, LookupResult
from github_banners.stats.snapshots import Freshness, Ttls
from tests.integration.fake_github import FakeGitHub

pytestmark = pytest.mark.postgres

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


@dataclass
class Scene:
    """A lookup, the GitHub it asks, and a clock that moves when it is told to."""

    database: Database
    now: datetime = START
    refuses: bool = False
    debt: int = 0

    def __post_init__(self) -> None:
        self.github = FakeGitHub(clock=lambda: self.now)
        self.github.gate.set()
        self.github.add("ada", 7)
        self.lookup = self.new_lookup()

    def new_lookup(self) -> Lookup:
        return Lookup(
            database=self.database,
            github=self.github,
            batch_fetcher=self.github,
            ttls=Ttls(),
            clock=lambda: self.now,
            collect_seconds=0,
        )

    def charge(self, *, debt: int = 0) -> None:
        self.debt += debt
        if self.refuses and not debt:
            raise TooManyRequests(1)

    async def ask(self, login: str = "ada", *, seconds: float = 5) -> LookupResult:
        deadline = Deadline(seconds, seconds)
        return await self.lookup.find_by_login(login, deadline=deadline, charge=self.charge)

    async def settle(self) -> None:
        """Let questions and saves end."""
        while self.lookup._in_flight or self.lookup._writer._tasks:
            pending = [*self.lookup._in_flight.values(), *self.lookup._writer._tasks.values()]
            await asyncio.wait(pending)
            await asyncio.sleep(0)


@pytest.fixture
async def scene(database: Database) -> AsyncIterator[Scene]:
    scene = Scene(database)
    yield scene
    await scene.lookup.close()


async def test_a_fresh_answer_is_asked_for_once(scene: Scene) -> None:
    first, again = await scene.ask(), await scene.ask("ADA")
    assert first.snapshot == again.snapshot
    assert first.freshness is Freshness.FRESH
    assert scene.github.asked == ["ada"]


async def test_however_many_wait_one_question_is_asked(scene: Scene) -> None:
    scene.github.gate.clear()
    waiting = [asyncio.create_task(scene.ask()) for _ in range(50)]
    await scene.github.was_asked.wait()
    scene.github.gate.set()
    answers = await asyncio.gather(*waiting)
    assert {answer.snapshot.stats.total_repos for answer in answers} == {3}
    assert scene.github.asked == ["ada"]


async def test_soft_stale_numbers_are_served_at_once_while_one_refresh_runs(scene: Scene) -> None:
    await scene.ask()
    await scene.settle()
    scene.now += 11 * MINUTE
    scene.github.gate.clear()
    scene.github.repositories = 4
    old = [await scene.ask() for _ in range(5)]
    assert {(result.snapshot.stats.total_repos, result.freshness) for result in old} == {
        (3, Freshness.SOFT_STALE)
    }
    scene.github.gate.set()
    await scene.settle()
    new = await scene.ask()
    assert (new.snapshot.stats.total_repos, new.freshness) == (4, Freshness.FRESH)
    assert scene.github.asked == ["ada", "#7"]


async def test_by_login_many_soft_stale_owners_are_asked_for_together(scene: Scene) -> None:
    logins = [f"dev-{number}" for number in range(100, 125)]
    for number, login in enumerate(logins, start=100):
        scene.github.add(login, number)
        await scene.ask(login)
    await scene.settle()
    scene.now += 11 * MINUTE
    scene.github.repositories = 4
    scene.lookup._refresher._collect_seconds = 1
    await asyncio.gather(*(scene.ask(login) for login in logins))
    await scene.settle()
    assert sum(scene.github.batches) == 25
    assert max(scene.github.batches) == 20
    assert len(scene.github.batches) <= 3
    answers = [await scene.ask(login) for login in logins]
    assert {answer.snapshot.stats.total_repos for answer in answers} == {4}
    async with scene.database.transaction() as connection:
        saved = await users.select_snapshots(connection, list(range(100, 125)))
    assert [snapshot.stats.total_repos for snapshot in saved] == [4] * 25


async def test_by_login_one_soft_stale_owner_of_a_batch_cannot_be_saved_the_others_are(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    upsert = users.upsert_owners

    async def refuse_one(connection: Any, answers: Any, **more: Any) -> Any:
        if any(portfolio.owner.id == 101 for portfolio, _ in answers):
            raise ValueError("can't be stored")
        return await upsert(connection, answers, **more)

    for number in (100, 101, 102):
        scene.github.add(f"dev-{number}", number)
        await scene.ask(f"dev-{number}")
    await scene.settle()
    scene.now += 11 * MINUTE
    scene.github.repositories = 4
    monkeypatch.setattr(users, "upsert_owners", refuse_one)
    with capture_logs() as events:
        await asyncio.gather(*(scene.ask(f"dev-{number}") for number in (100, 101, 102)))
        await scene.settle()
    async with scene.database.transaction() as connection:
        saved = await users.select_snapshots(connection, [100, 101, 102])
    assert [snapshot.stats.total_repos for snapshot in saved] == [4, 3, 4]
    assert [
        event["owners"] for event in events if event["event"] == "background_writer.save_broken"
    ] == [[101]]


async def test_hard_stale_numbers_wait_for_github(scene: Scene) -> None:
    await scene.ask()
    await scene.settle()
    scene.now += DAY + MINUTE
    scene.github.repositories = 4
    answer = await scene.ask()
    assert (answer.snapshot.stats.total_repos, answer.freshness) == (4, Freshness.FRESH)


@pytest.mark.parametrize("trouble", ["down", "slow", "refused"])
async def test_old_numbers_with_their_age_beat_no_numbers(scene: Scene, trouble: str) -> None:
    await scene.ask()
    await scene.settle()
    scene.now += DAY + MINUTE
    scene.github.is_down = trouble == "down"
    scene.refuses = trouble == "refused"
    if trouble == "slow":
        scene.github.gate.clear()
    answer = await scene.ask(seconds=0.3)
    assert (answer.snapshot.fetched_at, answer.freshness) == (START, Freshness.HARD_STALE)


async def test_a_question_that_was_waited_for_in_vain_holds_up_nobody_with_old_numbers(
    scene: Scene,
) -> None:
    await scene.ask()
    await scene.settle()
    scene.now += DAY + MINUTE
    scene.github.gate.clear()
    await scene.ask(seconds=0.25)
    async with asyncio.timeout(3):
        late = [await scene.ask(seconds=30) for _ in range(3)]
    assert {result.freshness for result in late} == {Freshness.HARD_STALE}
    scene.github.gate.set()
    await scene.settle()
    assert (await scene.ask()).freshness is Freshness.FRESH
    assert scene.github.asked == ["ada", "#7"]


async def test_age_counts_from_when_github_was_asked_also_in_the_database(scene: Scene) -> None:
    await scene.ask()
    await scene.settle()
    scene.now += 11 * MINUTE
    scene.lookup = scene.new_lookup()
    answer = await scene.ask()
    assert (answer.snapshot.fetched_at, answer.freshness) == (START, Freshness.SOFT_STALE)
    assert answer.fresh_until <= scene.now
    await scene.settle()
    assert scene.github.asked == ["ada", "#7"]


async def test_a_first_answer_that_is_late_serves_the_next_request(scene: Scene) -> None:
    scene.github.gate.clear()
    with pytest.raises(FirstFetchPending):
        await scene.ask(seconds=0.25)
    scene.github.gate.set()
    await scene.settle()
    assert (await scene.ask()).snapshot.stats.total_repos == 3
    assert scene.github.asked == ["ada"]


async def test_unknown_names_are_remembered_for_a_while(scene: Scene) -> None:
    for _ in range(3):
        with pytest.raises(UnknownUser):
            await scene.ask("nobody")
    assert scene.github.asked == ["nobody"]
    scene.github.add("nobody", 9)
    scene.now += 2 * MINUTE
    assert (await scene.ask("nobody")).snapshot.owner.id == 9


async def test_a_github_that_is_down_is_left_alone_for_a_moment_only(scene: Scene) -> None:
    scene.github.is_down = True
    for _ in range(3):
        with pytest.raises(GitHubUnavailable):
            await scene.ask()
    assert scene.github.asked == ["ada"]
    scene.github.is_down = False
    scene.now += timedelta(seconds=3)
    assert (await scene.ask()).snapshot.stats.total_repos == 3


async def test_who_has_used_up_their_share_asks_nothing(scene: Scene) -> None:
    scene.refuses = True
    with pytest.raises(TooManyRequests):
        await scene.ask()
    assert scene.github.asked == []


async def test_a_rename_is_followed(scene: Scene) -> None:
    await scene.ask()
    await scene.settle()
    scene.github.people.clear()
    scene.github.add("ada-lovelace", 7)
    scene.now += 11 * MINUTE
    await scene.ask()
    await scene.settle()
    for name in ("ada", "ada-lovelace"):
        owner = (await scene.ask(name)).snapshot.owner
        assert (owner.id, owner.login) == (7, "ada-lovelace")


async def test_a_name_taken_over_points_to_its_new_holder(scene: Scene) -> None:
    before = (await scene.ask()).snapshot
    await scene.settle()
    scene.github.people.clear()
    scene.github.add("ada-lovelace", 7)
    scene.github.add("ada", 8)
    scene.now += 11 * MINUTE
    await scene.ask()
    await scene.settle()
    assert (await scene.ask("ada")).snapshot.owner.id == 8
    assert (await scene.ask("ada-lovelace")).snapshot.owner.id == 7
    old = await scene.lookup.refresh_owner(before, deadline=Deadline(5, 5), charge=scene.charge)
    assert old.snapshot.owner.login == "ada-lovelace"


async def test_a_name_taken_over_is_noticed_though_the_old_holder_is_kept_fresh(
    scene: Scene,
) -> None:
    before = (await scene.ask()).snapshot
    await scene.settle()
    scene.github.people.clear()
    scene.github.add("ada-lovelace", 7)
    for _ in range(3):
        scene.now += 6 * MINUTE
        await scene.lookup.refresh_owner(before, deadline=Deadline(5, 5), charge=scene.charge)
        await scene.settle()
    assert (await scene.ask("ada")).snapshot.owner.login == "ada-lovelace"
    await scene.settle()
    scene.github.add("ada", 8)
    for _ in range(3):
        scene.now += 6 * MINUTE
        await scene.lookup.refresh_owner(before, deadline=Deadline(5, 5), charge=scene.charge)
        await scene.ask("ada")
        await scene.settle()
    assert (await scene.ask("ada")).snapshot.owner.id == 8


async def test_gone_users_keep_their_last_numbers_and_lose_their_name(scene: Scene) -> None:
    before = (await scene.ask()).snapshot
    await scene.settle()
    scene.github.people.clear()
    scene.now += DAY + MINUTE
    with pytest.raises(UnknownUser):
        await scene.ask()
    await scene.settle()
    for lookup in (scene.lookup, scene.new_lookup()):
        last = await lookup.refresh_owner(before, deadline=Deadline(5, 5), charge=scene.charge)
        assert last.freshness is Freshness.HARD_STALE
        assert last.snapshot.stats == before.stats
    asked = len(scene.github.asked)
    await scene.lookup.refresh_owner(before, deadline=Deadline(5, 5), charge=scene.charge)
    assert len(scene.github.asked) == asked


async def test_versions_rise_with_numbers_only(scene: Scene) -> None:
    first = (await scene.ask()).snapshot
    await scene.settle()
    scene.now += 11 * MINUTE
    await scene.ask()
    await scene.settle()
    same = (await scene.ask()).snapshot
    assert (same.version, same.fetched_at) == (first.version, scene.now)
    scene.now += 11 * MINUTE
    scene.github.repositories = 9
    await scene.ask()
    await scene.settle()
    assert (await scene.ask()).snapshot.version > first.version


@pytest.fixture
async def nowhere(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    """A database whose server is down."""
    monkeypatch.setattr(connect, "_POOL_TIMEOUT_SECONDS", 0.3)
    async with Database("host=127.0.0.1 port=1 connect_timeout=1") as database:
        yield database


async def test_without_a_database_github_still_answers(nowhere: Database) -> None:
    scene = Scene(nowhere)
    answer = await scene.ask()
    await scene.settle()
    assert (await scene.ask()).snapshot == answer.snapshot
    scene.github.is_down = True
    with pytest.raises(GitHubUnavailable):
        await scene.ask("grace")
    with pytest.raises(DatabaseUnavailable):
        await scene.lookup.ensure_persisted(answer.snapshot, deadline=Deadline(5, 5))
    await scene.lookup.close()


async def test_without_a_database_a_known_owner_is_asked_about_all_the_same(
    nowhere: Database,
) -> None:
    scene = Scene(nowhere)
    await scene.ask()
    await scene.settle()
    scene.now += DAY + MINUTE
    scene.github.repositories = 4
    answer = await scene.ask()
    assert (answer.snapshot.stats.total_repos, answer.freshness) == (4, Freshness.FRESH)
    assert scene.github.asked == ["ada", "#7"]
    await scene.lookup.close()


async def test_what_could_not_be_saved_is_saved_when_it_must_be(scene: Scene) -> None:
    answer = await scene.ask()
    await scene.settle()
    async with scene.database.transaction() as connection:
        await connection.execute("delete from users")
    await scene.lookup.ensure_persisted(answer.snapshot, deadline=Deadline(5, 5))
    async with scene.database.transaction() as connection:
        kept = await users.select_snapshot(connection, "ada")
    assert kept == replace(answer.snapshot, version=kept.version if kept else 0)


async def test_what_must_be_saved_is_not_waited_for_without_end(scene: Scene) -> None:
    answer = await scene.ask()
    await scene.settle()
    async with scene.database.transaction() as connection:
        await connection.execute("delete from users")
    scene.github.gate.clear()
    with pytest.raises(FirstFetchPending):
        await scene.lookup.ensure_persisted(answer.snapshot, deadline=Deadline(5, 0.05))
    scene.github.gate.set()
    await scene.settle()
    await scene.lookup.ensure_persisted(answer.snapshot, deadline=Deadline(5, 5))
    assert scene.github.asked == ["ada", "#7"]


async def test_every_question_of_a_long_list_is_charged(scene: Scene) -> None:
    for repositories, owed in ((100, 0), (101, 1), (2_345, 23)):
        scene.github.add(f"owner-{repositories}", repositories)
        scene.github.repositories, scene.debt = repositories, 0
        await scene.ask(f"owner-{repositories}")
        assert scene.debt == owed


async def test_what_github_was_not_asked_for_is_not_owed(scene: Scene) -> None:
    scene.github.repositories = 2_345
    before = (await scene.ask()).snapshot
    await scene.settle()
    assert scene.debt == 23
    scene.now += DAY + MINUTE
    other = scene.new_lookup()
    await other.refresh_owner(before, deadline=Deadline(5, 5), charge=scene.charge)
    await other.close()
    assert scene.debt == 46
    # Newer numbers are in PostgreSQL by now.
    await scene.lookup.refresh_owner(before, deadline=Deadline(5, 5), charge=scene.charge)
    await scene.settle()
    assert scene.debt == 46
    scene.github.people.clear()
    scene.now += DAY + MINUTE
    await scene.lookup.refresh_owner(before, deadline=Deadline(5, 5), charge=scene.charge)
    await scene.settle()
    assert scene.debt == 46
