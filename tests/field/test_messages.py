"""
Records from Kafka and files on disk: a test for each row of the field reports.

`E` are rows about environments, `F` about attacks, and plain numbers are requirements. The rows about
Kafka are tested with a real broker in `tests/integration/test_odd_records.py`.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest
from structlog.testing import capture_logs

from github_banners.drawing import draw
from github_banners.errors import (
    BrokerUnavailable,
    RemoteRejected,
    StorageUnavailable,
)
from github_banners.log_throttle import LogThrottle
from github_banners.messaging.clients import StorageClient
from github_banners.messaging.decompression import MAX_DECOMPRESSED_BYTES
from github_banners.messaging.events import TOPIC, Headers
from github_banners.messaging.mapping import RenderJob
from github_banners.messaging.record_reader import RecordReader
from github_banners.messaging.schemas import StoreRequest
from github_banners.messaging.signing import Signer
from github_banners.messaging.testing import MemoryBroker, MemoryProducer
from github_banners.messaging.topics import to_new_topic
from github_banners.models import Snapshot, to_epoch_microseconds
from github_banners.renderer.schedule import MAX_UNFINISHED_BYTES
from github_banners.renderer.updates import parse_update, render_and_store
from github_banners.renderer.worker import Outcome
from github_banners.settings import Secret
from github_banners.storage.folder_store import FolderStore
from github_banners.storage.picture_format import with_version
from tests.unit.messaging.captured_messages import EVENT
from tests.unit.messaging.log_consumer import LogConsumer
from tests.unit.messaging.record_batch_samples import GZIP, LZ4, SNAPPY, ZSTD, Message, build_batch
from tests.unit.renderer.harness import NOW, UpdateConsumerHarness, event_body, fail_with
from tests.unit.storage.requests import store_request

NOW_VERSION = to_epoch_microseconds(NOW)
AHEAD = to_epoch_microseconds(NOW + timedelta(minutes=10)) + 1
PICTURE = b'<svg xmlns="http://www.w3.org/2000/svg"/>'
VALID = Message(b"good")
TOO_LARGE_DECOMPRESSED = Message(b" " * (MAX_DECOMPRESSED_BYTES + 1))
ONE_RECORD = "one record with a problem"


def damaged(batch: bytes) -> bytes:
    return batch[:-1] + bytes([batch[-1] ^ 1])


# A batch between two valid records of a partition, and the values or the single record read from it.
ODD_RECORDS = {
    "F11 a header name that is not UTF-8": (
        build_batch([Message(b"odd", headers=[(b"\xff", b"1")])]),
        [b"odd"],
    ),
    "F11 one of three in a batch": (
        build_batch([VALID, Message(b"odd", headers=[(b"\xc3\x28", None)]), VALID]),
        [b"good", b"odd", b"good"],
    ),
    "F11 a header name with half a surrogate": (
        build_batch([Message(b"odd", headers=[(b"\xed\xa0\x80", b"")])], codec=GZIP),
        [b"odd"],
    ),
    "F11 a checksum that is wrong": (damaged(build_batch([VALID])), ONE_RECORD),
    "F11 packed bytes that can't be unpacked": (
        build_batch([Message(b"x" * 999)], codec=ZSTD)[:-9] + b"\0" * 9,
        ONE_RECORD,
    ),
    **{
        f"F12 a bomb of codec {codec}": (
            build_batch([TOO_LARGE_DECOMPRESSED], codec=codec),
            ONE_RECORD,
        )
        for codec in (GZIP, SNAPPY, LZ4, ZSTD)
    },
}


@pytest.mark.parametrize(("batch", "expected"), ODD_RECORDS.values(), ids=ODD_RECORDS)
async def test_record_reader_undecodable_record_blocks_no_partition(
    batch: bytes, expected: list[bytes] | str
) -> None:
    consumer = LogConsumer(2)
    for partition in range(2):
        consumer.put(VALID, partition=partition)
    consumer.put_raw(batch, count=1 if expected == ONE_RECORD else len(expected), partition=1)
    for partition in range(2):
        consumer.put(Message(b"last"), partition=partition)
    reader = RecordReader(consumer, throttle=LogThrottle(lambda: 0.0))
    records = [
        record
        for _ in range(20)
        for record in await reader.read(max_records=100, wait_seconds=0)
        if record.partition == 1
    ]
    assert (records[0].value, records[-1].value) == (b"good", b"last")
    odd = records[1:-1]
    if expected == ONE_RECORD:
        assert [(record.offset, bool(record.problem)) for record in odd] == [(1, True)]
        assert len(odd[0].value) < MAX_DECOMPRESSED_BYTES
    else:
        assert [record.value for record in odd] == expected
    assert consumer.positions[consumer.partitions[0]] == 2


class BadRecord(NamedTuple):
    """A record among 20: its value, the error of the storage, the outcome, whether it is committed."""

    id: str
    value: bytes
    error: BaseException | None
    outcome: Outcome
    is_committed: bool = True
    headers: Headers = ()


def event_with(**extra: object) -> bytes:
    message = json.loads(event_body("bad", 999))
    message["payload"] |= extra
    return json.dumps(message).encode()


BAD_RECORDS = [
    BadRecord("1 no JSON", b"\xff\0", None, Outcome.DEAD_LETTERED),
    BadRecord("1 nothing", b"", None, Outcome.DEAD_LETTERED),
    BadRecord("2 nesting", b"[" * 500_000, None, Outcome.DEAD_LETTERED),
    BadRecord(
        "2 nesting in an unknown field",
        event_with(extra="@").replace(b'"@"', b"[" * 10_000 + b"]" * 10_000),
        None,
        Outcome.DEAD_LETTERED,
    ),
    BadRecord("2 a number out of range", event_with(version=2**63), None, Outcome.DEAD_LETTERED),
    BadRecord(
        "2 a count of 5,000 digits",
        event_with(version="@").replace(b'"@"', b"9" * 5000),
        None,
        Outcome.DEAD_LETTERED,
    ),
    BadRecord(
        "2 100,000 headers",
        b"{}",
        None,
        Outcome.DEAD_LETTERED,
        headers=tuple((f"h{number}", b"") for number in range(100_000)),
    ),
    BadRecord(
        "2 a trace of 1 MB",
        event_body("bad", 999),
        None,
        Outcome.STORED,
        headers=(("traceparent", b"0" * (1 << 20)),),
    ),
    BadRecord(
        "1 the storage refuses it", event_with(), RemoteRejected("422"), Outcome.DEAD_LETTERED
    ),
    BadRecord(
        "1 its file can't be saved", event_with(), StorageUnavailable(), Outcome.RETRIED, False
    ),
    BadRecord("1 an unexpected error", event_with(), ZeroDivisionError(), Outcome.RETRIED, False),
    BadRecord("1 too little memory", event_with(), MemoryError(), Outcome.RETRIED, False),
    BadRecord("1 too deep", event_with(), RecursionError(), Outcome.RETRIED, False),
]


@pytest.mark.parametrize("bad", BAD_RECORDS, ids=lambda bad: bad.id)
async def test_update_consumer_bad_record_fails_alone_and_is_logged_once(bad: BadRecord) -> None:
    harness = UpdateConsumerHarness()
    if bad.error is not None:
        harness.store = fail_with(bad.error, only={999})
    for version in range(10):
        harness.put(f"user{version}", version)
    harness.broker.append(TOPIC, key=b"bad", value=bad.value, headers=bad.headers)
    for version in range(10, 19):
        harness.put(f"user{version}", version)
    with capture_logs() as lines:
        async with harness.running():
            await harness.clock.advance(0.1)
            assert set(harness.stored) >= set(range(19))
            await harness.clock.advance(60)
            assert harness.committed == (20 if bad.is_committed else 10)
    assert bad.outcome in harness.outcomes
    assert len(harness.dead_letters) == (bad.outcome is Outcome.DEAD_LETTERED)
    warnings = [line for line in lines if line["log_level"] == "warning"]
    assert len(warnings) == (bad.outcome is not Outcome.STORED)
    for warning in warnings:
        assert (warning["key"], warning["offset"]) == ("bad", 10)
        assert warning["reason"]


async def test_1_update_consumer_picture_that_can_not_be_drawn_fails_alone() -> None:
    def fail(snapshot: Snapshot, options: object) -> bytes:
        if snapshot.owner.login == "bad":
            raise RecursionError("too deep")
        return PICTURE

    async def handle(update: RenderJob) -> None:
        await render_and_store(update, draw=fail, store=accept)

    async def accept(request: StoreRequest) -> None:
        assert request.banner_info == PICTURE

    harness = UpdateConsumerHarness()
    harness.store = handle
    for version, user in enumerate(["ada", "bad", "bob"]):
        harness.put(user, version)
    async with harness.running():
        await harness.clock.advance(1)
        assert (harness.stored, harness.committed) == ([0, 2], 3)
    assert harness.dead_letters[0].header("reason").startswith("RenderingFailed")


class SmallProducer(MemoryProducer):
    """A producer for a broker whose operator has limited the size of messages."""

    def __init__(self, broker: MemoryBroker, *, max_bytes: int) -> None:
        super().__init__(broker)
        self._max_bytes = max_bytes

    async def send(
        self, topic: str, *, key: bytes | None, value: bytes, headers: Headers = ()
    ) -> None:
        size = len(value) + len(key or b"") + sum(len(name) + len(text) for name, text in headers)
        if size > self._max_bytes:
            raise RemoteRejected(f"{size} bytes")
        await super().send(topic, key=key, value=value, headers=headers)


TOO_LARGE = {
    "F12 the broker takes the first part": (1 << 20, 65536, Outcome.DEAD_LETTERED),
    "F12 the broker takes its place": (2000, 0, Outcome.DEAD_LETTERED),
    "F12 the broker takes nothing": (10, None, Outcome.DROPPED),
}


@pytest.mark.parametrize(
    ("max_bytes", "stored_bytes", "outcome"), TOO_LARGE.values(), ids=TOO_LARGE
)
async def test_dead_letter_too_large_blocks_no_record(
    max_bytes: int, stored_bytes: int | None, outcome: Outcome
) -> None:
    harness = UpdateConsumerHarness()
    harness.broker.producer = lambda: SmallProducer(harness.broker, max_bytes=max_bytes)  # type: ignore[method-assign]
    harness.broker.append(TOPIC, key=b"bad", value=b"x" * 5_000_000, headers=())
    harness.put("ada", 1)
    with capture_logs() as lines:
        async with harness.running():
            await harness.clock.advance(1)
            assert (harness.stored, harness.committed) == ([1], 2)
    assert outcome in harness.outcomes
    assert [len(letter.value) for letter in harness.dead_letters] == (
        [] if stored_bytes is None else [stored_bytes]
    )
    for letter in harness.dead_letters:
        assert letter.header("original_size") == "5000000"
        assert letter.header("reason").startswith("MalformedMessage")
        assert letter.header("original_offset") == "0"
    assert ("update.dropped" in [line["event"] for line in lines]) is (stored_bytes is None)


class DownProducer(MemoryProducer):
    """A producer for a broker that is down until `is_up`."""

    is_up = False

    async def send(
        self, topic: str, *, key: bytes | None, value: bytes, headers: Headers = ()
    ) -> None:
        if not self.is_up:
            raise BrokerUnavailable("not now")
        await super().send(topic, key=key, value=value, headers=headers)


@pytest.mark.row("F12")
async def test_dead_letter_broker_down_is_logged_once() -> None:
    harness = UpdateConsumerHarness()
    producer = DownProducer(harness.broker)
    harness.broker.producer = lambda: producer  # type: ignore[method-assign]
    harness.broker.append(TOPIC, key=b"bad", value=b"no", headers=())
    harness.put("ada", 1)
    with capture_logs() as lines:
        async with harness.running():
            await harness.clock.advance(100)
            assert (harness.stored, harness.committed) == ([1], 0)
            producer.is_up = True
            await harness.clock.advance(10)
            assert harness.committed == 2
    logged = [line["event"] for line in lines if line["log_level"] == "warning"]
    assert logged == ["update.not_dead_lettered", "update.dead_lettered"]


@pytest.mark.row("F12")
async def test_unfinished_records_are_bounded_in_bytes() -> None:
    harness, may_finish = UpdateConsumerHarness(), asyncio.Event()

    async def wait(update: RenderJob) -> None:
        await may_finish.wait()

    harness.store = wait
    for number in range(60):
        body = event_body(f"user{number}", number)
        harness.broker.append(TOPIC, key=b"%d" % number, value=body + b" " * 900_000, headers=())
    consumer = harness.broker.consumer()
    poll, polled = consumer.poll, []

    async def poll_few(*, max_records: int, wait_seconds: float) -> list[object]:
        records = await poll(max_records=4, wait_seconds=wait_seconds)
        polled.extend(records)
        return list(records)

    consumer.poll = poll_few  # type: ignore[method-assign, assignment]
    async with harness.running(consumer):
        await harness.clock.advance(20)
        size_bytes = sum(len(record.value) for record in polled)
        assert MAX_UNFINISHED_BYTES < size_bytes < MAX_UNFINISHED_BYTES + 4_000_000
        may_finish.set()
        await harness.clock.advance(20)
        assert len(harness.stored) == 60


@pytest.mark.row("F12")
@pytest.mark.parametrize("name", ["banner-update", "banner-update.dlq"])
def test_new_topics_store_uncompressed(name: str) -> None:
    assert to_new_topic(name).topic_configs["compression.type"] == "uncompressed"


# The version and dates of an event, and the version with which its picture is stored.
FETCHED, PRODUCED = NOW - timedelta(hours=2), NOW - timedelta(hours=1)
FAR = datetime(2999, 1, 1, tzinfo=UTC)
EVENT_VERSIONS = {
    "F22 2^63-1": (2**63 - 1, FETCHED, PRODUCED, to_epoch_microseconds(FETCHED)),
    "F22 ten minutes and extra": (AHEAD, FETCHED, PRODUCED, to_epoch_microseconds(FETCHED)),
    "F9 nine minutes": (AHEAD - 60_000_000, FETCHED, PRODUCED, AHEAD - 60_000_000),
    "F9 the numbers are of a wrong clock too": (
        AHEAD,
        FAR,
        PRODUCED,
        to_epoch_microseconds(PRODUCED),
    ),
    "F9 everything is": (AHEAD, FAR, FAR, AHEAD),
    "F9 without a version": (None, FAR, PRODUCED, to_epoch_microseconds(PRODUCED)),
    "0": (0, FETCHED, PRODUCED, 0),
}


@pytest.mark.parametrize(
    ("version", "fetched_at", "produced_at", "expected"),
    EVENT_VERSIONS.values(),
    ids=EVENT_VERSIONS,
)
async def test_event_implausible_version_is_replaced(
    version: int | None, fetched_at: datetime, produced_at: datetime, expected: int
) -> None:
    message = json.loads(EVENT)
    message["produced_at"] = produced_at.isoformat()
    message["payload"] |= {"version": version, "fetched_at": fetched_at.isoformat()}
    requests: list[StoreRequest] = []

    async def store(request: StoreRequest) -> None:
        requests.append(request)

    await render_and_store(
        parse_update(json.dumps(message).encode(), now=NOW), draw=draw, store=store
    )
    assert [request.version for request in requests] == [expected]


# The version of a file (None for no file), of a request, and of the file afterwards (None: unchanged).
STORED_VERSIONS = {
    "an older one stays out": (7, 6, None),
    "an equal one overwrites": (7, 7, 7),
    "without a version it is as new": (7, None, 7),
    "F22 an upload of 2^63-1 is as new": (7, 2**63 - 1, 7),
    "F22 the first upload of 2^63-1": (None, 2**63 - 1, 0),
    "F22 a file of 2^63-1 is replaced": (2**63 - 1, 7, 7),
    "F9 a file of a wrong clock is replaced": (AHEAD, NOW_VERSION, NOW_VERSION),
    "F9 also without a version": (AHEAD, None, 0),
    "F9 both are of a wrong clock": (AHEAD, AHEAD, 0),
    "F9 nine minutes ahead is believed": (AHEAD - 60_000_000, NOW_VERSION, None),
}


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "banners", clock=lambda: NOW)


@pytest.mark.parametrize(
    ("stored", "version", "expected"), STORED_VERSIONS.values(), ids=STORED_VERSIONS
)
async def test_put_implausible_version_is_ignored(
    store: FolderStore,
    tmp_path: Path,
    stored: int | None,
    version: int | None,
    expected: int | None,
) -> None:
    file = tmp_path / "banners" / "ada-dark.svg"
    file.parent.mkdir()
    if stored is not None:
        file.write_bytes(with_version(PICTURE + b"\n", stored))
    result = await store.put(store_request("ada-dark", PICTURE, version=version))
    picture = await store.get("ada-dark")
    store.close()
    assert picture is not None
    assert result.superseded is (expected is None)
    assert picture.body == (PICTURE if expected is not None else PICTURE + b"\n")
    assert picture.version == (expected if expected is not None else stored)


@pytest.mark.row("E1")
@pytest.mark.parametrize("name", ["-", "--", "-ada-dark", "_ada--dark", "ADA--Dark"])
async def test_name_of_an_old_login_is_stored_and_found(
    store: FolderStore, tmp_path: Path, name: str
) -> None:
    assert (
        await store.put(store_request(name, PICTURE, version=1))
    ).url == f"/banners/{name.lower()}"
    assert await store.get(name.upper()) is not None
    store.close()
    assert (tmp_path / "banners" / f"{name.lower()}.svg").is_file()


LEFTOVER_FILES = {
    "F10 a draft of obstore": ("ada-dark.svg#1", True),
    "F10 a later draft of obstore": ("ada-dark.svg#12", True),
    "F10 a draft": ("ada-dark.svg.draft", True),
    "F10 a draft of another banner": ("-bob--auto-2k7x.svg.draft", True),
    "a picture": ("bob-dark.svg", False),
    "what is not ours": ("notes.txt", False),
    "a name that only looks so": ("ada.dark.svg#x", False),
    "a name that is not UTF-8": ("b\udcff.svg#1", False),
}


@pytest.mark.parametrize(("name", "is_swept"), LEFTOVER_FILES.values(), ids=LEFTOVER_FILES)
async def test_put_removes_leftover_files_of_killed_processes(
    store: FolderStore, tmp_path: Path, name: str, *, is_swept: bool
) -> None:
    folder = tmp_path / "banners"
    folder.mkdir()
    (folder / name).write_bytes(b"<svg")
    await store.put(store_request("carl-dark", PICTURE, version=1))
    store.close()
    assert (folder / name).exists() is not is_swept
    assert (folder / "carl-dark.svg").exists()


@pytest.mark.row("E21")
async def test_store_folder_of_any_name_is_used(tmp_path: Path) -> None:
    folder = tmp_path / "a b%20c" / "ünï #1"
    store = FolderStore(folder, clock=lambda: NOW)
    await store.put(store_request("ada-dark", PICTURE, version=1))
    assert (await store.get("ada-dark")) is not None
    store.close()
    assert sorted(path.name for path in folder.iterdir()) == [".locks", "ada-dark.svg"]


ENDLESS: dict[str, Callable[[], httpx2.Response]] = {
    "2 an respond without an end": lambda: httpx2.Response(200, stream=Endless()),
    "2 an error without an end": lambda: httpx2.Response(500, stream=Endless()),
    "2 an respond that unpacks": lambda: httpx2.Response(
        200, stream=Endless(), headers={"content-encoding": "gzip"}
    ),
}


class Endless(httpx2.AsyncByteStream):
    """A response body that never ends."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            yield b" " * 65536


@pytest.mark.parametrize("respond", ENDLESS.values(), ids=ENDLESS)
async def test_response_of_a_wrong_address_is_bounded(
    respond: Callable[[], httpx2.Response],
) -> None:
    transport = httpx2.MockTransport(lambda _: respond())
    async with httpx2.AsyncClient(transport=transport) as http:
        signer = Signer(Secret("k"), service="api", clock=lambda: NOW)
        storage = StorageClient(http, base_url="http://storage", signer=signer)
        with pytest.raises(StorageUnavailable):
            await storage.get("ada-dark")
