"""
No change of a banner is lost while services and backends are stopped in turn.

Every change is committed to the database as a refresh does it; the real services publish, render and
store it through Kafka. `-s` shows the table of results. `SOAK=long`, which `make soak` sets, uses
5,000 banners and longer faults, and kills members of the consumer group more often: the group
waits 10 s for each.
"""

import asyncio
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
    aggregate,
    to_epoch_microseconds,
)
from github_banners.options import BannerOptions
from github_banners.storage.picture_format import split_version
from tests.acceptance.deployment import Deployment, count_messages, open_deployment, send
from tests.acceptance.fault_checks import printed_at_end, wait_until
from tests.acceptance.kafka_cluster import FIRST, SECOND, move_partitions, second_broker
from tests.acceptance.processes import reachable_dir
from tests.long_form import IS_LONG

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.kafka,
    pytest.mark.timeout(900),
]

BANNERS = 5_000 if IS_LONG else 100
BATCH = 20
CHANGES_PER_SECOND = 500 if IS_LONG else 100
DOWN_SECONDS = 10.0 if IS_LONG else 2.0
SETTLED_SECONDS = 300.0 if IS_LONG else 90.0
SERVICES = ("storage", "renderer", "api")
HEADING = f"{'fault':<44} changes   lost  stale  events  seconds"


@dataclass(frozen=True, slots=True)
class Row:
    """The result of a fault: `lost` and `stale` count files that are missing or outdated at the end."""

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
    """Owners with one banner each, whose numbers the tests change."""

    def __init__(self, deployment: Deployment, rows: list[Row]) -> None:
        self.deployment = deployment
        self.rows = rows
        self._stars = 0

    def create_all(self) -> None:
        """Create all banners, and wait until each is stored."""
        self.change()
        wait_until(lambda: not self.outdated(), limit=SETTLED_SECONDS)

    def change(self, *, pause_seconds: float = 0.0) -> None:
        """Change the number of stars of all owners, 20 per transaction."""
        self._stars += 1
        asyncio.run(self._change(pause_seconds))

    async def _change(self, pause_seconds: float) -> None:
        async with await psycopg.AsyncConnection.connect(self.deployment.postgres.conninfo) as conn:
            for first in range(1, BANNERS + 1, BATCH):
                ids = range(first, min(first + BATCH, BANNERS + 1))
                pages = [_fetched_owner(owner_id, self._stars) for owner_id in ids]
                async with conn.transaction():
                    await users.upsert_owners(conn, pages)
                    for owner_id, (owner_data, _) in zip(ids, pages, strict=True):
                        if self._stars == 1:
                            await insert_banner(
                                conn,
                                owner_id=owner_id,
                                options=BannerOptions(),
                                names=[f"{owner_data.owner.login}-default"],
                                now=owner_data.fetched_at,
                            )
                await asyncio.sleep(pause_seconds)

    def change_first_owner(self, stars: int) -> float:
        """Change the first owner only, and return the seconds until the file shows it."""
        started = time.monotonic()
        asyncio.run(self._save(stars))
        shown = b"<desc>%d star" % stars
        file = self.deployment.files / "soak-1-default.svg"
        wait_until(lambda: shown in file.read_bytes(), limit=60)
        return time.monotonic() - started

    async def _save(self, stars: int) -> None:
        async with await psycopg.AsyncConnection.connect(self.deployment.postgres.conninfo) as conn:
            await users.upsert_owners(conn, [_fetched_owner(1, stars)])

    def outdated(self) -> dict[str, int | None]:
        """Return the banners with outdated files: name -> version of the file, None if there is none."""
        with psycopg.connect(self.deployment.postgres.conninfo) as conn:
            banners = conn.execute("select name, version from banners").fetchall()
        stored = {name: self._stored_version(name) for name, _ in banners}
        return {name: stored[name] for name, version in banners if stored[name] != version}

    def _stored_version(self, name: str) -> int | None:
        """Return the version of a file, negated if its picture does not show the current number."""
        try:
            stored = split_version((self.deployment.files / f"{name}.svg").read_bytes())
        except FileNotFoundError:
            return None
        assert stored is not None, f"{name} was written in part"
        body, version = stored
        return version if b"<desc>%d star" % self._stars in body else -version

    def run_fault(self, fault: str, inject: Callable[[], None]) -> Row:
        """Change all banners repeatedly during a fault; at the end every file must be up to date."""
        before, started, rounds = count_messages(self.deployment, TOPIC), time.monotonic(), 0
        with ThreadPoolExecutor(1) as pool:
            injection = pool.submit(inject)
            while not (injection.done() and rounds):
                self.change(pause_seconds=BATCH / CHANGES_PER_SECOND)
                rounds += 1
            injection.result()
        deadline = time.monotonic() + SETTLED_SECONDS
        while (outdated := self.outdated()) and time.monotonic() < deadline:
            time.sleep(0.1)
        seconds = time.monotonic() - started
        lost = sum(version is None for version in outdated.values())
        events = count_messages(self.deployment, TOPIC) - before
        row = Row(fault, rounds * BANNERS, lost, len(outdated) - lost, events, seconds)
        self.rows.append(row)
        assert (row.lost, row.stale) == (0, 0), f"{row}\n{sorted(outdated.items())[:5]}"
        assert count_messages(self.deployment, DEAD_LETTERS) == 0
        return row


def _fetched_owner(owner_id: int, stars: int) -> tuple[OwnerRepositories, Stats]:
    owner = Owner(owner_id, f"soak-{owner_id}", display_name=f"Soak {owner_id}")
    repositories = (Repository(owner_id, "work", stars=stars, language="Python"),)
    fetched = OwnerRepositories(owner, repositories, datetime.now(UTC))
    return fetched, aggregate(repositories)


@pytest.fixture(scope="module")
def rows() -> Iterator[list[Row]]:
    """Print the results of all faults at the end."""
    with printed_at_end(HEADING) as rows:
        yield rows


@pytest.fixture(scope="module")
def soak(rows: list[Row]) -> Iterator[Soak]:
    with reachable_dir() as folder, open_deployment(folder) as deployment:
        deployment.start(*SERVICES)
        soak = Soak(deployment, rows)
        soak.create_all()
        yield soak


def test_soak_without_faults_stores_every_change(soak: Soak) -> None:
    """Print the CPU time that each process spends on an event."""
    deployment = soak.deployment
    before = {name: deployment.cpu_seconds(name) for name in SERVICES}
    row = soak.run_fault("none", lambda: None)
    spent = {name: deployment.cpu_seconds(name) - before[name] for name in SERVICES}
    for name, seconds in spent.items():
        print(f"{name}: {seconds / row.changes * 1e3:.2f} ms CPU an event")  # noqa: T201


def test_soak_with_killed_renderer_stores_every_change(soak: Soak) -> None:
    kills = 2 if IS_LONG else 1

    def inject() -> None:
        for _ in range(kills):
            time.sleep(DOWN_SECONDS / 4)
            with soak.deployment.without("renderer"):
                time.sleep(DOWN_SECONDS / 4)

    soak.run_fault(f"renderer killed {kills} times, and restarted", inject)


def test_soak_with_storage_down_stores_every_change(soak: Soak) -> None:
    def inject() -> None:
        with soak.deployment.without("storage"):
            time.sleep(DOWN_SECONDS)

    soak.run_fault(f"storage down for {DOWN_SECONDS:.0f} s", inject)
    events = [event["event"] for event in soak.deployment.events("renderer")]
    assert "update.dead_lettered" not in events


def test_soak_with_killed_broker_stores_every_change(soak: Soak) -> None:
    def inject() -> None:
        time.sleep(DOWN_SECONDS / 5)
        soak.deployment.broker.kill()
        time.sleep(DOWN_SECONDS / 2)
        soak.deployment.broker.restart()

    soak.run_fault("broker killed, and restarted", inject)


def test_soak_with_second_renderer_stores_every_change(soak: Soak) -> None:
    def inject() -> None:
        soak.deployment.start("renderer-2")
        wait_until(stores_updates, limit=60)
        assert soak.deployment.end("renderer-2") == 0
        if IS_LONG:
            soak.deployment.start("renderer-2")
            time.sleep(DOWN_SECONDS / 2)
            soak.deployment.kill("renderer-2")

    def stores_updates() -> bool:
        return any(
            event["event"] == "updates.stored" for event in soak.deployment.events("renderer-2")
        )

    soak.run_fault("a second renderer joins and leaves", inject)


def test_soak_with_moved_partitions_stores_every_change(soak: Soak) -> None:
    """Move the topics and the group's offsets to a second broker and back."""
    topics = (TOPIC, DEAD_LETTERS, "__consumer_offsets")

    def inject() -> None:
        broker = soak.deployment.broker
        with second_broker(broker):
            for node in (SECOND, FIRST):
                move_partitions(broker, topics=topics, node=node)
                time.sleep(DOWN_SECONDS)

    soak.run_fault("partitions moved to another broker and back", inject)


def test_soak_with_api_killed_before_publish_stores_every_change(soak: Soak) -> None:
    def inject() -> None:
        for _ in range(3):
            time.sleep(DOWN_SECONDS / 8)
            with soak.deployment.without("api"):
                time.sleep(DOWN_SECONDS / 8)

    soak.deployment.kill("api")
    soak.change()  # committed, but not published
    soak.deployment.start("api")
    soak.run_fault("api killed before and while it publishes", inject)


def test_soak_with_killed_postgresql_stores_every_change(soak: Soak) -> None:
    """No change is made while it is down: only committed changes must not be lost."""
    soak.change()
    with soak.deployment.postgres.killed():
        time.sleep(DOWN_SECONDS / 2)
    soak.run_fault("PostgreSQL killed, and restarted", lambda: None)


def count_superseded(soak: Soak) -> float:
    """Return how many pictures the storage rejected because it had a newer one."""
    return soak.deployment.metric("storage", 'banners_stored_total{outcome="superseded"}')


def test_older_event_never_overwrites_newer_file(soak: Soak) -> None:
    name = "soak-1-default"
    before = (soak.deployment.files / f"{name}.svg").read_bytes()

    def is_above(number: float) -> bool:
        return count_superseded(soak) > number

    for age in (timedelta(seconds=1), timedelta(days=400)):
        moment = datetime.now(UTC) - age
        stored = split_version(before)
        assert stored is not None
        owner = Owner(1, "soak-1", display_name="Old")
        snapshot = Snapshot(owner, Stats(9, 9, 0, 999, 9, {"C": 9}), moment)
        version = stored[1] - 1 if age.days == 0 else to_epoch_microseconds(moment)
        update = RenderJob(name, snapshot, BannerOptions(), version)
        count = count_superseded(soak)
        send(soak.deployment, to_event(update, produced_at=moment))
        wait_until(partial(is_above, count), limit=60)
        assert (soak.deployment.files / f"{name}.svg").read_bytes() == before


def test_single_change_is_stored_soon(soak: Soak) -> None:
    """Print the delays; benchmarks measure them."""
    waits = sorted(soak.change_first_owner(stars) for stars in range(500, 520 if IS_LONG else 505))
    median, slowest = waits[len(waits) // 2] * 1e3, waits[-1] * 1e3
    print(f"a change is stored after {median:.0f} ms, at most {slowest:.0f} ms")  # noqa: T201
