"""
Throughput from events to stored banners: Kafka, one renderer and one storage as processes.

The reference is the minimal work in one process: consume the same events, render the bare template,
write the file.
"""

import asyncio
import signal
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

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
from github_banners.drawing.rendering import render_svg
from github_banners.messaging.events import TOPIC
from github_banners.messaging.mapping import RenderJob, to_event
from github_banners.messaging.producer import KafkaProducer
from github_banners.messaging.schemas import BannerEvent
from github_banners.models import (
    Owner,
    OwnerRepositories,
    Repository,
    Snapshot,
    Stats,
    aggregate,
    to_epoch_microseconds,
    utc_now,
)
from github_banners.options import BannerOptions
from tests.acceptance.deployment import Deployment, count_messages, cpu_seconds
from tests.acceptance.fault_checks import wait_until
from tests.acceptance.processes import reachable_dir
from tests.benchmarks.report import Budget, Report, Row, Title
from tests.benchmarks.sizes import sized

pytestmark = [pytest.mark.benchmark, pytest.mark.kafka, pytest.mark.timeout(300)]

ROUNDS = sized(short=1, medium=2, full=5)
EVENTS = sized(short=200, medium=2000, full=6000)
SINGLE_EVENTS = sized(short=3, medium=10, full=30)
BANNERS = sized(short=200, medium=1000, full=5000)
BATCH = 200
START = datetime(2026, 11, 26, tzinfo=UTC)


TEXT = (
    f"{EVENTS:,} events of as many owners lie in Kafka when the renderer starts; the rate is that of "
    "the files that renderer and storage write, a process each, broker and all on the same machine. "
    "The reference consumes the same events, renders the bare template and writes a file, in one "
    "process without any of our work. A single event is sent to an idle system, until its file is "
    "there. The outbox takes new versions from PostgreSQL to the broker's acknowledgement; a round "
    "of it is a batch."
)


class Round(NamedTuple):
    """Events per second of the services and of the reference; milliseconds of CPU by process."""

    per_second: float
    reference_per_second: float
    cpu_milliseconds: dict[str, float]


@pytest.fixture(scope="module")
def services(deployment: Deployment) -> Iterator[Deployment]:
    deployment.start("storage", "renderer")
    yield deployment
    deployment.close()


def build_event(name: str, number: int) -> BannerEvent:
    """Build an event of an owner of its own."""
    moment = START + timedelta(seconds=number)
    stats = Stats(30, 25, 5, 1000 + number, number, {"Python": 12, "Rust": 8, "C": 3, "HTML": 2})
    owner = Owner(number, f"{name}-{number}", display_name=f"Bench Number {number}")
    snapshot = Snapshot(owner, stats, moment)
    update = RenderJob(
        f"{name}-{number}-default", snapshot, BannerOptions(), to_epoch_microseconds(moment)
    )
    return to_event(update, produced_at=moment)


async def send(brokers: Sequence[str], events: Sequence[BannerEvent]) -> None:
    producer = KafkaProducer(brokers)
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
    layout, options = LAYOUTS[BannerOptions().layout], BannerOptions()
    owner = Owner(1, "bench", display_name="WorkerStub")
    snapshot = Snapshot(owner, Stats(30, 25, 5, 1000, 9, {"Python": 12, "Rust": 8}), START)
    values = layout.compute_layout(snapshot, options, None)
    consumer = AIOKafkaConsumer(
        TOPIC, bootstrap_servers=brokers, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    started, written = 0.0, 0
    try:
        while written < events:
            batches = await consumer.getmany(timeout_ms=200, max_records=BATCH)
            started = started or time.perf_counter()
            for message in (message for batch in batches.values() for message in batch):
                payload = msgspec.json.decode(message.value)["payload"]
                target = folder / f"{payload['storage_path']}.svg"
                draft = target.with_suffix(".new")
                draft.write_bytes(render_svg(layout.template, values))
                draft.rename(target)
                written += 1
    finally:
        await consumer.stop()
    return (time.perf_counter() - started) / written * events


def find_pictures(folder: Path, name: str) -> list[Path]:
    return list(folder.glob(f"{name}-*.svg"))


def test_events_per_second(services: Deployment, report: Report) -> None:
    brokers, before = services.broker.addresses, count_messages(services, TOPIC)
    asyncio.run(send(brokers, [build_event("warm", number) for number in range(BATCH)]))
    wait_until(lambda: len(find_pictures(services.files, "warm")) == BATCH, limit=60)
    rounds = [measure_round(services, f"bench-{number}") for number in range(ROUNDS)]
    assert count_messages(services, TOPIC) == before + BATCH + ROUNDS * EVENTS
    report.add(
        Title.EVENTS,
        Row(
            what="events to stored banners",
            unit="/s",
            values=[measured.per_second for measured in rounds],
            reference="consume, bare template, write",
            reference_values=[measured.reference_per_second for measured in rounds],
            budget=Budget(1200, "at least"),
            published="790 to 2,075/s",
        ),
        *(
            Row(
                what=f"CPU of the {name} for an event",
                unit="ms",
                values=[measured.cpu_milliseconds[name] for measured in rounds],
            )
            for name in rounds[0].cpu_milliseconds
        ),
        text=TEXT,
    )


def measure_round(services: Deployment, name: str) -> Round:
    """Let events lie in the topic, consume them by the reference, then by renderer and storage."""
    brokers = services.broker.addresses
    services.end("renderer")
    asyncio.run(send(brokers, [build_event(name, number) for number in range(EVENTS)]))
    with reachable_dir() as folder:
        reference = EVENTS / asyncio.run(consume_render_write(brokers, folder, events=EVENTS))

    services.start("renderer")
    pids = {process: services[process].process.pid for process in ("renderer", "storage")}
    pids["broker"] = services.broker.pid
    wait_until(lambda: bool(find_pictures(services.files, name)), limit=60)
    first, before = (
        len(find_pictures(services.files, name)),
        {n: cpu_seconds(pids[n]) for n in pids},
    )
    wait_until(lambda: len(find_pictures(services.files, name)) == EVENTS, limit=120)
    spent = {process: cpu_seconds(pids[process]) - before[process] for process in pids}
    moments = [path.stat().st_mtime for path in find_pictures(services.files, name)]
    # With few events all may be there when it is checked first.
    counted = max(1, EVENTS - first)
    return Round(
        per_second=EVENTS / (max(moments) - min(moments)),
        reference_per_second=reference,
        cpu_milliseconds={process: spent[process] / counted * 1e3 for process in pids},
    )


async def measure_single_events(services: Deployment) -> tuple[list[float], list[float]]:
    """Send one event at a time; returns the milliseconds to its file, and to the acknowledgement."""
    producer = KafkaProducer(services.broker.addresses)
    stored, acknowledged = [], []
    try:
        for number in range(SINGLE_EVENTS):
            event = build_event("single", number)
            path = services.files / f"{event.payload.storage_path}.svg"
            started = time.perf_counter()
            await producer.send(TOPIC, key=event.key, value=event.to_json())
            acknowledged.append((time.perf_counter() - started) * 1e3)
            while not path.exists():  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.0005)
            stored.append((time.perf_counter() - started) * 1e3)
            await asyncio.sleep(0.05)
    finally:
        await producer.close()
    return stored, acknowledged


def test_latency_of_a_single_event(services: Deployment, report: Report) -> None:
    asyncio.run(send(services.broker.addresses, [build_event("first", 0)]))
    wait_until(lambda: bool(find_pictures(services.files, "first")), limit=60)
    stored, acknowledged = asyncio.run(measure_single_events(services))
    assert len(find_pictures(services.files, "single")) == SINGLE_EVENTS
    row = Row(
        what="a single event to its file",
        unit="ms",
        values=stored,
        reference="to the broker's acknowledgement",
        reference_values=acknowledged,
        budget=Budget(100, "at most", "highest"),
        published="1,700 to 2,900 ms",
    )
    report.add(Title.EVENTS, row, text=TEXT)


async def insert_banners(conninfo: str) -> None:
    now = datetime.now(UTC)
    async with await psycopg.AsyncConnection.connect(conninfo) as connection:
        for number in range(1, BANNERS + 1):
            owner = Owner(number, f"outbox-{number}", display_name=f"Bench Number {number}")
            repositories = (Repository(number, "work", stars=number, language="Python"),)
            fetched = OwnerRepositories(owner, repositories, now)
            await users.upsert_owners(connection, [(fetched, aggregate(repositories))])
            await insert_banner(
                connection,
                owner_id=number,
                options=BannerOptions(),
                names=[f"outbox-{number}-default"],
                now=now,
            )


async def publish_all(conninfo: str, brokers: Sequence[str]) -> tuple[list[float], float]:
    """Publish every banner; returns the rate of each batch, and milliseconds of CPU for an event."""
    producer, rates = KafkaProducer(brokers), []
    try:
        async with Database(conninfo) as database:
            outbox = Outbox(
                database=database, publish=publish_to(producer, clock=utc_now), clock=utc_now
            )
            computed, started = time.process_time(), time.perf_counter()
            while published := await outbox.publish_batch():
                now = time.perf_counter()
                rates.append(published / (now - started))
                started = now
            return rates, (time.process_time() - computed) / BANNERS * 1e3
    finally:
        await producer.close()


@pytest.mark.postgres
def test_outbox_events_per_second(services: Deployment, report: Report) -> None:
    """From PostgreSQL to the broker, in this process; the renderer is down."""
    conninfo, brokers = services.postgres.conninfo, services.broker.addresses
    before = count_messages(services, TOPIC)
    asyncio.run(insert_banners(conninfo))
    with services.without("renderer", signal.SIGTERM):
        rates, cpu_milliseconds = asyncio.run(publish_all(conninfo, brokers))
        assert count_messages(services, TOPIC) == before + BANNERS
        events = [build_event("producer", number) for number in range(BANNERS)]
        started = time.perf_counter()
        asyncio.run(send(brokers, events))
        producer_rate = BANNERS / (time.perf_counter() - started)
    report.add(
        Title.EVENTS,
        Row(
            what="outbox",
            unit="/s",
            values=rates,
            reference="the producer alone",
            reference_values=[producer_rate],
        ),
        Row(what="CPU of the outbox for an event", unit="ms", values=[cpu_milliseconds]),
        text=TEXT,
    )
