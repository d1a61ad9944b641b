"""
Events to stored banners: Kafka, one renderer and one storage, each a process of its own.

The reference of the same run is the least that has to be done, in one process: consume the same
events, render the bare template, write the file. `BENCH=short` takes a tenth of the events.
"""

import asyncio
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import psycopg
import pytest
from aiokafka import AIOKafkaConsumer  # type: ignore[import-untyped]

from github_banners.api.outbox import Outbox
from github_banners.app.distributed import publish_to
from github_banners.database import users
from github_banners.database.banners import insert_banner
from github_banners.database.connect import Database
from github_banners.drawing.layouts import LAYOUTS
from github_banners.drawing.printing import print_svg
from github_banners.look import Look
from github_banners.messages.events import TOPIC
from github_banners.messages.producer import Producer
from github_banners.messages.shapes import BannerEvent
from github_banners.messages.translation import Update, event_of
from github_banners.model import (
    Owner,
    Portfolio,
    Repository,
    Snapshot,
    Stats,
    microseconds,
    utc_now,
)
from github_banners.stats.counting import count
from tests.acceptance.drills import seconds_until
from tests.acceptance.estate import Estate, cpu_seconds, estate_at, messages_in
from tests.acceptance.processes import reachable_dir

pytestmark = [pytest.mark.benchmark, pytest.mark.kafka, pytest.mark.timeout(300)]

IS_SHORT = os.environ.get("BENCH") == "short"
EVENTS = 600 if IS_SHORT else 6000
SINGLE_EVENTS = 5 if IS_SHORT else 30
BANNERS = 500 if IS_SHORT else 5000
BATCH = 200
START = datetime(2026, 11, 26, tzinfo=UTC)


@pytest.fixture(scope="module")
def estate() -> Iterator[Estate]:
    with reachable_dir() as folder, estate_at(folder) as estate:
        estate.start("storage", "renderer")
        yield estate


def build_event(name: str, number: int) -> BannerEvent:
    """Build an event of an owner of its own."""
    moment = START + timedelta(seconds=number)
    stats = Stats(30, 25, 5, 1000 + number, number, {"Python": 12, "Rust": 8, "C": 3, "HTML": 2})
    owner = Owner(number, f"{name}-{number}", display_name=f"Bench Number {number}")
    snapshot = Snapshot(owner, stats, moment)
    update = Update(f"{name}-{number}-default", snapshot, Look(), microseconds(moment))
    return event_of(update, produced_at=moment)


async def send(brokers: Sequence[str], events: Sequence[BannerEvent]) -> None:
    producer = Producer(brokers)
    try:
        for first in range(0, len(events), BATCH):
            batch = events[first : first + BATCH]
            await asyncio.gather(
                *(producer.send(TOPIC, key=event.key, value=event.to_json()) for event in batch)
            )
    finally:
        await producer.close()


async def consume_render_write(brokers: Sequence[str], folder: Path, *, events: int) -> float:
    """Do the least for the oldest events; returns the seconds from the first to the last."""
    layout, look = LAYOUTS[Look().layout], Look()
    owner = Owner(1, "bench", display_name="Bench")
    snapshot = Snapshot(owner, Stats(30, 25, 5, 1000, 9, {"Python": 12, "Rust": 8}), START)
    values = layout.arrange(snapshot, look, None)
    consumer = AIOKafkaConsumer(
        TOPIC, bootstrap_servers=brokers, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    begun, written = 0.0, 0
    try:
        while written < events:
            batches = await consumer.getmany(timeout_ms=200, max_records=BATCH)
            begun = begun or time.perf_counter()
            for message in (message for batch in batches.values() for message in batch):
                payload = msgspec.json.decode(message.value)["payload"]
                target = folder / f"{payload['storage_path']}.svg"
                draft = target.with_suffix(".new")
                draft.write_bytes(print_svg(layout.template, values))
                draft.rename(target)
                written += 1
    finally:
        await consumer.stop()
    return (time.perf_counter() - begun) / written * events


def files_of(estate: Estate, name: str) -> list[Path]:
    return list(estate.files.glob(f"{name}-*.svg"))


def test_events_per_second(estate: Estate) -> None:
    brokers = estate.broker.addresses
    asyncio.run(send(brokers, [build_event("warm", number) for number in range(BATCH)]))
    seconds_until(lambda: len(files_of(estate, "warm")) == BATCH, limit=60)
    estate.end("renderer")
    asyncio.run(send(brokers, [build_event("bench", number) for number in range(EVENTS)]))
    folder = estate.folder / "reference"
    folder.mkdir()
    reference = EVENTS / asyncio.run(consume_render_write(brokers, folder, events=EVENTS))

    estate.start("renderer")
    pids = {name: estate[name].process.pid for name in ("renderer", "storage")}
    pids["broker"] = estate.broker.pid
    seconds_until(lambda: bool(files_of(estate, "bench")), limit=60)
    first, before = len(files_of(estate, "bench")), {n: cpu_seconds(pids[n]) for n in pids}
    while len(files_of(estate, "bench")) < EVENTS:
        time.sleep(0.1)
    spent = {name: cpu_seconds(pids[name]) - before[name] for name in pids}
    moments = [path.stat().st_mtime for path in files_of(estate, "bench")]
    rate = EVENTS / (max(moments) - min(moments))

    print(f"\n{EVENTS} events: {rate:,.0f}/s to stored banners")
    print(
        f"  {rate / reference:.2f} x consume, bare template, write in one process ({reference:,.0f}/s)"
    )
    for name, seconds in spent.items():
        print(f"  {name}: {seconds / (EVENTS - first) * 1e3:.2f} ms CPU an event")
    assert messages_in(estate, TOPIC) == EVENTS + BATCH


async def measure_single_events(estate: Estate) -> list[float]:
    """Send one event at a time; returns the seconds from sending each to its file."""
    producer, waits = Producer(estate.broker.addresses), []
    try:
        for number in range(SINGLE_EVENTS):
            event = build_event("single", number)
            path = estate.files / f"{event.payload.storage_path}.svg"
            begun = time.perf_counter()
            await producer.send(TOPIC, key=event.key, value=event.to_json())
            while not path.exists():  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.0005)
            waits.append(time.perf_counter() - begun)
            await asyncio.sleep(0.05)
    finally:
        await producer.close()
    return waits


def test_latency_of_a_single_event(estate: Estate) -> None:
    asyncio.run(send(estate.broker.addresses, [build_event("first", 0)]))
    seconds_until(lambda: bool(files_of(estate, "first")), limit=60)
    waits = asyncio.run(measure_single_events(estate))
    median, slowest = statistics.median(waits) * 1e3, max(waits) * 1e3
    print(f"\na single event is a file after {median:.0f} ms, at most {slowest:.0f} ms")
    assert len(files_of(estate, "single")) == SINGLE_EVENTS


async def insert_banners(conninfo: str) -> None:
    now = datetime.now(UTC)
    async with await psycopg.AsyncConnection.connect(conninfo) as connection:
        for number in range(1, BANNERS + 1):
            owner = Owner(number, f"outbox-{number}", display_name=f"Bench Number {number}")
            repositories = (Repository(number, "work", stars=number, language="Python"),)
            portfolio = Portfolio(owner, repositories, now)
            await users.upsert_portfolios(connection, [(portfolio, count(repositories))])
            await insert_banner(
                connection, owner_id=number, look=Look(), names=[f"outbox-{number}-default"], at=now
            )


async def publish_all(conninfo: str, brokers: Sequence[str]) -> tuple[float, float]:
    """Hand every banner on; returns seconds of time and of this process."""
    producer = Producer(brokers)
    try:
        async with Database(conninfo) as database:
            outbox = Outbox(
                database=database, publish=publish_to(producer, clock=utc_now), clock=utc_now
            )
            begun, computed = time.perf_counter(), time.process_time()
            while await outbox.publish_batch():
                pass
            return time.perf_counter() - begun, time.process_time() - computed
    finally:
        await producer.close()


@pytest.mark.postgres
def test_outbox_events_per_second(estate: Estate) -> None:
    """From PostgreSQL to the broker, in this process; renderer and storage are away."""
    conninfo, before = estate.postgres.conninfo, messages_in(estate, TOPIC)
    asyncio.run(insert_banners(conninfo))
    with estate.without("renderer"):
        seconds, computed = asyncio.run(publish_all(conninfo, estate.broker.addresses))
    print(f"\noutbox: {BANNERS / seconds:,.0f}/s from PostgreSQL to the broker")
    print(f"  api: {computed / BANNERS * 1e3:.2f} ms CPU an event")
    assert messages_in(estate, TOPIC) == before + BANNERS
