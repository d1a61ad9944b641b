"""
Two writers race for every banner, and the S3 server is killed in the middle of writing.

`-s` shows the table of results; `SOAK=long` races a thousand times and kills twenty times.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress

import pytest

from github_banners.errors import StorageUnavailable
from github_banners.storage.open_store import open_store
from github_banners.storage.store import Store, StoredPicture
from tests.integration.s3_server import S3Server
from tests.integration.store_backends import BucketBackend
from tests.long_form import IS_LONG
from tests.unit.storage.requests import picture, store_request

pytestmark = pytest.mark.timeout(1200 if IS_LONG else 120)

RACES = 1000 if IS_LONG else 200
KILLS = 20 if IS_LONG else 1
SECONDS_BETWEEN_KILLS = 2.0 if IS_LONG else 0.7
NAMES = 12

WRITER = """
import asyncio, json, os, sys
from contextlib import suppress
from github_banners.errors import StorageUnavailable
from github_banners.serving.event_loop import run
from github_banners.settings import Settings
from github_banners.storage.open_store import open_store
from tests.unit.storage.requests import picture, store_request

async def write(names):
    settings = Settings.from_environment(os.environ)
    results = {}
    async with open_store(settings.banners_storage_url, settings) as store:
        slots = asyncio.Semaphore(8)
        async def put(name, versions):
            async with slots:
                for version in versions:
                    request = store_request(name, picture(version), version=version)
                    key = f"{name} {version}"
                    while key not in results:
                        with suppress(StorageUnavailable):  # too slow on a busy machine
                            results[key] = (await store.put(request)).superseded
        await asyncio.gather(*(put(name, versions) for name, versions in names.items()))
    print(json.dumps(results))

names = json.loads(sys.stdin.readline())
run(write(names))
"""


@pytest.fixture(scope="module", autouse=True)
def table() -> Iterator[list[str]]:
    """Print what was measured."""
    lines: list[str] = []
    yield lines
    print("\n" + "\n".join(lines))  # noqa: T201


async def test_two_processes_race_for_each_banner_and_the_newest_wins(
    bucket: BucketBackend, table: list[str]
) -> None:
    """Each writer creates every second banner first; the other one replaces it, and the reverse."""
    rounds = {f"r-{number}": number for number in range(RACES // 2)}
    first = {name: [10, 21] if number % 2 else [11, 20] for name, number in rounds.items()}
    second = {name: [11, 20] if number % 2 else [10, 21] for name, number in rounds.items()}
    before = Counter(bucket.proxy.statuses)
    bucket.proxy.puts_to_await = 2
    started_at = time.monotonic()
    results = await write_from_processes(bucket, first, second)
    seconds = time.monotonic() - started_at
    bucket.proxy.puts_to_await = 1
    statuses = Counter(bucket.proxy.statuses)
    statuses.subtract(before)
    stored = await read_all(bucket, rounds)
    wrong = [name for name in rounds if stored[name] != StoredPicture(picture(21), 21)]
    fell = [
        versions
        for path, versions in bucket.proxy.written.items()
        if f"/{bucket.prefix}/" in path and versions != sorted(versions)
    ]
    superseded = sum(sum(result.values()) for result in results)
    table.append(
        f"races {2 * len(rounds)}, lost conditions {statuses['PUT 412']}, superseded {superseded},"
        f" older version stored at the end {len(wrong)}, versions that fell {len(fell)},"
        f" {seconds:.0f} s"
    )
    assert (wrong, fell) == ([], [])
    for result in results:
        assert len(result) == 2 * len(rounds)
        assert not any(
            is_superseded for key, is_superseded in result.items() if key.endswith(" 21")
        )
    # Otherwise they have not met.
    assert statuses["PUT 412"] >= RACES // 2


async def write_from_processes(
    bucket: BucketBackend, *shares: dict[str, list[int]]
) -> list[dict[str, bool]]:
    """Put versions from one process per share; return by name and version what was superseded."""
    writers = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", WRITER),
            env={"PYTHONPATH": ":".join(sys.path), **bucket.environment},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in shares
    ]
    outputs = await asyncio.gather(
        *(
            writer.communicate(json.dumps(share).encode() + b"\n")
            for writer, share in zip(writers, shares, strict=True)
        )
    )
    assert [writer.returncode for writer in writers] == [0] * len(shares)
    return [json.loads(output) for output, _ in outputs]


async def read_all(bucket: BucketBackend, names: dict[str, int]) -> dict[str, StoredPicture | None]:
    async with open_store(bucket.location, bucket.settings) as store:
        return {name: await store.get(name) for name in names}


async def read_when_available(store: Store, name: str) -> StoredPicture | None:
    """Read a picture; a server that has just been restarted may still drop connections."""
    async with asyncio.timeout(20):
        while True:
            with suppress(StorageUnavailable):
                return await store.get(name)
            await asyncio.sleep(0.2)


async def test_same_drawing_at_a_newer_version_is_not_replaced_by_an_older_one(
    bucket: BucketBackend,
) -> None:
    """The ETag is the MD5 of the body: of the same drawing it must differ between versions."""
    async with AsyncExitStack() as stack:
        slow, quick = [
            await stack.enter_async_context(open_store(bucket.location, bucket.settings))
            for _ in range(2)
        ]
        await slow.put(store_request("a", picture(0), version=5))
        bucket.proxy.puts_to_await = 2
        # Both have read version 5. The newer one has the drawing that is stored.
        responses = await asyncio.gather(
            quick.put(store_request("a", picture(0), version=8)),
            slow.put(store_request("a", picture(6), version=6)),
        )
        bucket.proxy.puts_to_await = 1
        assert not responses[0].superseded
        assert await quick.get("a") == StoredPicture(picture(0), 8)


async def test_server_killed_and_restarted_nothing_acknowledged_is_lost(
    bucket: BucketBackend, s3_server: S3Server, table: list[str]
) -> None:
    acknowledged: Counter[str] = Counter()
    failures = 0
    slowest = 0.0
    is_over = asyncio.Event()

    async def write(store: Store, name: str, start: int) -> None:
        nonlocal failures, slowest
        version = start
        while not is_over.is_set():
            version += 2
            started_at = time.monotonic()
            try:
                await store.put(store_request(name, picture(version), version=version))
            except StorageUnavailable:
                failures += 1
                await asyncio.sleep(0.05)
            else:
                acknowledged[name] = max(version, acknowledged[name])
                acknowledged["all"] += 1
            slowest = max(slowest, time.monotonic() - started_at)

    async with AsyncExitStack() as stack:
        stores = [
            await stack.enter_async_context(open_store(bucket.location, bucket.settings))
            for _ in range(2)
        ]
        writers = [
            asyncio.create_task(write(store, f"k-{number}", start))
            for number in range(NAMES)
            for start, store in enumerate(stores)
        ]
        for _ in range(KILLS):
            await asyncio.sleep(SECONDS_BETWEEN_KILLS)
            await asyncio.to_thread(s3_server.kill)
            await asyncio.to_thread(s3_server.restart)
        await asyncio.sleep(SECONDS_BETWEEN_KILLS)
        is_over.set()
        await asyncio.gather(*writers)
        stored = {
            name: await read_when_available(stores[0], name)
            for name in acknowledged
            if name != "all"
        }
    lost = [
        name for name, read in stored.items() if read is None or read.version < acknowledged[name]
    ]
    torn = [name for name, read in stored.items() if read and read.body != picture(read.version)]
    table.append(
        f"kills {KILLS}, acknowledged {acknowledged['all']}, failed {failures}, lost {len(lost)},"
        f" torn {len(torn)}, slowest put {slowest:.2f} s"
    )
    assert (lost, torn) == ([], [])
    assert len(stored) == NAMES
    assert failures > 0
    assert slowest < 4
