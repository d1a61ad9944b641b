"""
Changes of many banners while one service after the other is taken away: none is lost.

Every change is committed as a refresh commits it; from there on the real services do the rest, with
Kafka between them. `-s` shows the table; `SOAK=long` takes 5,000 banners and longer faults, which is
what `make soak` does.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import psycopg
import pytest

from github_banners.database import users
from github_banners.database.banners import insert_banner
from github_banners.messaging.events import DEAD_LETTERS, TOPIC
from github_banners.messaging.mapping import RenderJob, to_event
from github_banners.models import (
    Owner,
    OwnerRepositories,
    Repository,
    Snapshot,
    Stats,
    to_epoch_microseconds,
)
from github_banners.options import BannerOptions
from github_banners.stats.aggregation import aggregate
from github_banners.storage.picture_format import split_version
from tests.acceptance.deployment import Deployment, count_messages, open_deployment, send
from tests.acceptance.fault_checks import wait_until
from tests.acceptance.processes import reachable_dir

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.kafka,
    pytest.mark.timeout(900),
]

IS_LONG = os.environ.get("SOAK") == "long"
BANNERS = 5_000 if IS_LONG else 400
BATCH = 20
CHANGES_PER_SECOND = 500 if IS_LONG else 100
AWAY_SECONDS = 10.0 if IS_LONG else 2.0
SETTLED_SECONDS = 300.0 if IS_LONG else 90.0
EVERYBODY = ("storage", "renderer", "api")
HEADING = f"{'fault':<44} changes   lost  stale  events  seconds"


@dataclass(frozen=True, slots=True)
class Row:
    """What one fault did: `lost` and `stale` count files that are not there or older at the end."""

    fault: str
    changes: int
    lost: int
    stale: int
    events: int
    seconds: float

    def __str__(self) -> str:
        counts = f"{self.changes:>7} {self.lost:>6} {self.stale:>6} {self.events:>7}"
        return f"{self.fault:<44} {counts} {self.seconds:>8.1f}"


class Soak:
    """Owners with a banner each, whose numbers change."""

    def __init__(self, deployment: Deployment, rows: list[Row]) -> None:
        self.deployment = deployment
        self.rows = rows
        self._stars = 0

    def settle(self) -> None:
        """Make everybody, and wait until all is drawn for the first time."""
        self.change()
        wait_until(lambda: not self.behind(), limit=SETTLED_SECONDS)

    def change(self, *, pause_seconds: float = 0.0) -> None:
        """Give everybody another number of stars, twenty at a time."""
        self._stars += 1
        asyncio.run(self._change(pause_seconds))

    async def _change(self, pause_seconds: float) -> None:
        async with await psycopg.AsyncConnection.connect(self.deployment.postgres.conninfo) as conn:
            for first in range(1, BANNERS + 1, BATCH):
                ids = range(first, min(first + BATCH, BANNERS + 1))
                answers = [_answer(one, self._stars) for one in ids]
                async with conn.transaction():
                    await users.upsert_owners(conn, answers)
                    for one, (portfolio, _) in zip(ids, answers, strict=True):
                        if self._stars == 1:
                            await insert_banner(
                                conn,
                                owner_id=one,
                                options=BannerOptions(),
                                names=[f"{portfolio.owner.login}-default"],
                                now=portfolio.fetched_at,
                            )
                await asyncio.sleep(pause_seconds)

    def change_one(self, stars: int) -> float:
        """Change the first owner only; gives the seconds until the file shows it."""
        begun = time.monotonic()
        asyncio.run(self._save(stars))
        shown = b"<desc>%d star" % stars
        file = self.deployment.files / "soak-1-default.svg"
        wait_until(lambda: shown in file.read_bytes(), limit=20)
        return time.monotonic() - begun

    async def _save(self, stars: int) -> None:
        async with await psycopg.AsyncConnection.connect(self.deployment.postgres.conninfo) as conn:
            await users.upsert_owners(conn, [_answer(1, stars)])

    def behind(self) -> dict[str, int | None]:
        """The banners whose file is not what PostgreSQL says: its version, None for no file."""
        with psycopg.connect(self.deployment.postgres.conninfo) as conn:
            found = conn.execute("select name, version from banners").fetchall()
        kept = {name: self._kept(name) for name, _ in found}
        return {name: kept[name] for name, version in found if kept[name] != version}

    def _kept(self, name: str) -> int | None:
        """The version of a file; below 0 where its picture does not show the present number."""
        try:
            stored = split_version((self.deployment.files / f"{name}.svg").read_bytes())
        except FileNotFoundError:
            return None
        assert stored is not None, f"{name} was written in part"
        body, version = stored
        return version if b"<desc>%d star" % self._stars in body else -version

    def endure(self, fault: str, happen: Callable[[], None]) -> Row:
        """Change everybody while a fault happens; at the end every file is the newest."""
        before, begun, rounds = count_messages(self.deployment, TOPIC), time.monotonic(), 0
        with ThreadPoolExecutor(1) as pool:
            happening = pool.submit(happen)
            while not (happening.done() and rounds):
                self.change(pause_seconds=BATCH / CHANGES_PER_SECOND)
                rounds += 1
            happening.result()
        until = time.monotonic() + SETTLED_SECONDS
        while (behind := self.behind()) and time.monotonic() < until:
            time.sleep(0.1)
        seconds = time.monotonic() - begun
        lost = sum(kept is None for kept in behind.values())
        events = count_messages(self.deployment, TOPIC) - before
        row = Row(fault, rounds * BANNERS, lost, len(behind) - lost, events, seconds)
        self.rows.append(row)
        assert (row.lost, row.stale) == (0, 0), f"{row}\n{sorted(behind.items())[:5]}"
        assert count_messages(self.deployment, DEAD_LETTERS) == 0
        return row


def _answer(owner_id: int, stars: int) -> tuple[OwnerRepositories, Stats]:
    owner = Owner(owner_id, f"soak-{owner_id}", display_name=f"Soak {owner_id}")
    repositories = (Repository(owner_id, "work", stars=stars, language="Python"),)
    portfolio = OwnerRepositories(owner, repositories, datetime.now(UTC))
    return portfolio, aggregate(repositories)


@pytest.fixture(scope="module")
def rows() -> Iterator[list[Row]]:
    """The table, shown at the end."""
    found: list[Row] = []
    yield found
    print("\n" + "\n".join([HEADING, *map(str, found)]))  # noqa: T201


@pytest.fixture(scope="module")
def soak(rows: list[Row]) -> Iterator[Soak]:
    with reachable_dir() as folder, open_deployment(folder) as deployment:
        deployment.start(*EVERYBODY)
        soak = Soak(deployment, rows)
        soak.settle()
        yield soak


def test_soak_without_faults_stores_every_change(soak: Soak) -> None:
    """What is measured beside the faults: events a second, and what one costs each process."""
    deployment = soak.deployment
    before = {name: deployment.cpu_seconds(name) for name in EVERYBODY}
    row = soak.endure("none", lambda: None)
    spent = {name: deployment.cpu_seconds(name) - before[name] for name in EVERYBODY}
    for name, seconds in spent.items():
        print(f"{name}: {seconds / row.changes * 1e3:.2f} ms CPU an event")  # noqa: T201


def test_soak_with_killed_renderer_stores_every_change(soak: Soak) -> None:
    def happen() -> None:
        for _ in range(2):
            time.sleep(AWAY_SECONDS / 4)
            with soak.deployment.without("renderer"):
                time.sleep(AWAY_SECONDS / 4)

    soak.endure("renderer killed twice, and restarted", happen)


def test_soak_with_storage_down_stores_every_change(soak: Soak) -> None:
    def happen() -> None:
        with soak.deployment.without("storage"):
            time.sleep(AWAY_SECONDS)

    soak.endure(f"storage down for {AWAY_SECONDS:.0f} s", happen)
    events = [one["event"] for one in soak.deployment.events("renderer")]
    assert "update.dead_lettered" not in events


def test_soak_with_killed_broker_stores_every_change(soak: Soak) -> None:
    def happen() -> None:
        time.sleep(AWAY_SECONDS / 5)
        soak.deployment.broker.kill()
        time.sleep(AWAY_SECONDS / 2)
        soak.deployment.broker.restart()

    soak.endure("broker killed, and restarted", happen)


def test_soak_with_second_renderer_stores_every_change(soak: Soak) -> None:
    def happen() -> None:
        soak.deployment.start("renderer-2")
        wait_until(does_its_share, limit=60)
        assert soak.deployment.end("renderer-2") == 0
        soak.deployment.start("renderer-2")
        time.sleep(AWAY_SECONDS / 2)
        soak.deployment.kill("renderer-2")

    def does_its_share() -> bool:
        return any(one["event"] == "updates.stored" for one in soak.deployment.events("renderer-2"))

    soak.endure("a second renderer joins, leaves, is killed", happen)


def test_soak_with_api_killed_before_publish_stores_every_change(soak: Soak) -> None:
    def happen() -> None:
        for _ in range(3):
            time.sleep(AWAY_SECONDS / 8)
            with soak.deployment.without("api"):
                time.sleep(AWAY_SECONDS / 8)

    soak.deployment.kill("api")
    soak.change()  # committed, with nobody there to publish it
    soak.deployment.start("api")
    soak.endure("api killed before and while it publishes", happen)


def test_postgresql_is_killed(soak: Soak) -> None:
    """It is not changed meanwhile: what is committed is what counts."""
    soak.change()
    with soak.deployment.postgres.killed():
        time.sleep(AWAY_SECONDS / 2)
    soak.endure("PostgreSQL killed, and restarted", lambda: None)


def superseded(soak: Soak) -> float:
    """How many pictures came when a newer one was there."""
    return soak.deployment.metric("storage", 'banners_stored_total{outcome="superseded"}')


def test_older_event_never_overwrites_newer_file(soak: Soak) -> None:
    name = "soak-1-default"
    before = (soak.deployment.files / f"{name}.svg").read_bytes()

    def is_above(number: float) -> bool:
        return superseded(soak) > number

    for age in (timedelta(seconds=1), timedelta(days=400)):
        moment = datetime.now(UTC) - age
        kept = split_version(before)
        assert kept is not None
        owner = Owner(1, "soak-1", display_name="Old")
        snapshot = Snapshot(owner, Stats(9, 9, 0, 999, 9, {"C": 9}), moment)
        version = kept[1] - 1 if age.days == 0 else to_epoch_microseconds(moment)
        update = RenderJob(name, snapshot, BannerOptions(), version)
        before_it = superseded(soak)
        send(soak.deployment, to_event(update, produced_at=moment))
        wait_until(partial(is_above, before_it), limit=20)
        assert (soak.deployment.files / f"{name}.svg").read_bytes() == before


def test_single_change_is_stored_soon(soak: Soak) -> None:
    """Printed, not asserted: what a machine can do is for the benchmark to say."""
    waits = sorted(soak.change_one(stars) for stars in range(500, 520))
    median, slowest = waits[len(waits) // 2] * 1e3, waits[-1] * 1e3
    print(f"a change is stored after {median:.0f} ms, at most {slowest:.0f} ms")  # noqa: T201
