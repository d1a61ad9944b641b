"""
Events to stored banners: Kafka, one renderer, one storage, each a process, and the broker beside them.

The reference of the same run is the same work in one process, without a broker and signed calls.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from github_banners.drawing import draw
from github_banners.look import Look
from github_banners.messages.events import TOPIC
from github_banners.messages.producer import Producer
from github_banners.messages.shapes import BannerEvent
from github_banners.messages.translation import Update, event_of, update_of
from github_banners.model import Owner, Snapshot, Stats, microseconds
from github_banners.renderer.updates import handle_update
from github_banners.storage.store import open_store
from tests.acceptance.drills import seconds_until
from tests.acceptance.estate import Estate, estate_at
from tests.acceptance.processes import reachable_dir

pytestmark = [pytest.mark.benchmark, pytest.mark.kafka, pytest.mark.timeout(300)]

EVENTS = 3000
AT_ONCE = 200
START = datetime(2026, 11, 26, tzinfo=UTC)
STORED = 'banners_stored_total{outcome="stored"}'


@pytest.fixture
def estate() -> Iterator[Estate]:
    with reachable_dir() as folder, estate_at(folder) as there:
        yield there


def event(number: int) -> BannerEvent:
    """An event of an owner of their own."""
    moment = START + timedelta(seconds=number)
    stats = Stats(30, 25, 5, 1000 + number, number, {"Python": 12, "Rust": 8, "C": 3, "HTML": 2})
    owner = Owner(number, f"bench-{number}", display_name=f"Bench Number {number}")
    snapshot = Snapshot(owner, stats, moment)
    update = Update(f"bench-{number}-default", snapshot, Look(), microseconds(moment))
    return event_of(update, produced_at=moment)


async def send(brokers: Sequence[str], events: Sequence[BannerEvent]) -> None:
    producer = Producer(brokers)
    try:
        for first in range(0, len(events), AT_ONCE):
            await asyncio.gather(
                *(
                    producer.send(TOPIC, key=one.key, value=one.to_json())
                    for one in events[first : first + AT_ONCE]
                )
            )
    finally:
        await producer.close()


async def handle_here(events: Sequence[BannerEvent], folder: Path) -> float:
    """Draw and store every event in this process, as the all-in-one does; gives the seconds."""
    store = open_store(folder.as_uri())
    handle = partial(handle_update, draw=draw, store=store.keep)
    updates = [update_of(one) for one in events]
    begun = time.perf_counter()
    for first in range(0, len(events), AT_ONCE):
        await asyncio.gather(*(handle(one) for one in updates[first : first + AT_ONCE]))
    store.close()
    return time.perf_counter() - begun


def test_events(estate: Estate) -> None:
    brokers = estate.broker.addresses
    events = [event(number) for number in range(EVENTS)]
    asyncio.run(send(brokers, events))
    alone = EVENTS / asyncio.run(handle_here(events, estate.folder / "here"))

    estate.start("storage", "renderer")
    seconds_until(lambda: estate.metric("storage", STORED) > 0, limit=60)
    first, begun = estate.metric("storage", STORED), time.perf_counter()
    before = {name: estate.cpu_seconds(name) for name in ("renderer", "storage")}
    seconds_until(lambda: estate.metric("storage", STORED) >= EVENTS, limit=120)
    count, seconds = EVENTS - first, time.perf_counter() - begun
    spent = {name: (estate.cpu_seconds(name) - before[name]) / count for name in before}

    print(f"\n{EVENTS} events: {count / seconds:,.0f}/s to stored banners")
    print(f"  {count / seconds / alone:.3f} x the same in one process ({alone:,.0f}/s)")
    for name, each in spent.items():
        print(f"  {name}: {each * 1e3:.2f} ms CPU an event")
    assert len(list(estate.files.glob("bench-*.svg"))) == EVENTS
