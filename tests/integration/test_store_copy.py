"""Copies from one store to another, in every direction."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest

from github_banners.errors import StorageUnavailable
from github_banners.settings import Settings, StorageFolder
from github_banners.storage import store as store_module
from github_banners.storage.open_store import open_store
from github_banners.storage.picture_format import StoredVersion
from github_banners.storage.store import Store, StoredPicture
from github_banners.storage.store_copy import CopyCounts, copy_pictures, copy_with_progress
from tests.integration.s3_fault_proxy import S3Fault, S3FaultProxy, S3Request
from tests.integration.store_backends import (
    BucketBackend,
    FolderBackend,
    StoreBackend,
    fresh_bucket,
)
from tests.long_form import IS_LONG
from tests.time_limits import finish_within
from tests.unit.storage.requests import picture, store_request

DIRECTIONS = ["folder to folder", "folder to bucket", "bucket to folder"]
if IS_LONG:
    DIRECTIONS.append("bucket to bucket")
COUNT = 20


@dataclass
class StoreCopyHarness:
    source: Store
    target: Store
    source_backend: StoreBackend
    target_backend: StoreBackend

    async def copy(self) -> CopyCounts:
        counts = CopyCounts()
        await copy_pictures(self.source, self.target, counts=counts)
        return counts


@pytest.fixture(params=DIRECTIONS)
async def harness(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[StoreCopyHarness]:
    async with AsyncExitStack() as stack:
        kinds = request.param.split(" to ")
        backends: list[StoreBackend] = []
        for side, kind in enumerate(kinds):
            if kind == "folder":
                around = tmp_path / str(side)
                around.mkdir()
                backends.append(FolderBackend(around))
            else:
                proxy: S3FaultProxy = request.getfixturevalue("s3_proxy")
                backends.append(stack.enter_context(fresh_bucket(proxy)))
        source, target = [
            await stack.enter_async_context(
                open_store(backend.location, Settings.from_environment(backend.environment))
            )
            for backend in backends
        ]
        for number in range(COUNT):
            await source.put(store_request(f"b-{number}", picture(number), version=number + 1))
        yield StoreCopyHarness(source, target, *backends)


async def test_copy_copies_pictures_with_their_versions(harness: StoreCopyHarness) -> None:
    harness.source_backend.add_file("notes.txt", b"not a banner")
    assert await harness.copy() == CopyCounts(copied=COUNT)
    for number in range(COUNT):
        copied = await harness.target.get(f"b-{number}")
        assert copied == StoredPicture(picture(number), number + 1)
    stored = {path.rpartition("/")[2] for path in harness.target_backend.contents()}
    assert "notes.txt" not in stored
    assert await harness.copy() == CopyCounts(skipped=COUNT)


async def test_copy_never_lowers_a_version(harness: StoreCopyHarness) -> None:
    await harness.target.put(store_request("b-1", picture(99), version=50))
    await harness.target.put(store_request("b-2", picture(98), version=3))
    await harness.target.put(store_request("b-3", picture(97), version=3))
    assert await harness.copy() == CopyCounts(copied=COUNT - 2, skipped=2)
    assert await harness.target.get("b-1") == StoredPicture(picture(99), 50)
    assert await harness.target.get("b-2") == StoredPicture(picture(98), 3)
    assert await harness.target.get("b-3") == StoredPicture(picture(3), 4)


async def test_copy_copies_tombstones(harness: StoreCopyHarness) -> None:
    await harness.source.remove("b-1", version=50)
    await harness.source.remove("b-2", version=50)
    await harness.source.remove("b-3", version=50)
    await harness.target.put(store_request("b-2", picture(99), version=50))
    await harness.target.put(store_request("b-3", picture(99), version=51))
    await harness.target.remove("b-4", version=5)
    assert await harness.copy() == CopyCounts(copied=COUNT - 2, skipped=2)
    for path in ("b-1", "b-2"):
        assert await harness.target.get_version(path) == StoredVersion(50, is_removed=True)
    assert await harness.target.get("b-3") == StoredPicture(picture(99), 51)
    assert await harness.target.get_version("b-4") == StoredVersion(5, is_removed=True)
    assert await harness.copy() == CopyCounts(skipped=COUNT)


async def test_copy_cancelled_is_resumed(harness: StoreCopyHarness) -> None:
    counts = CopyCounts()
    task = asyncio.create_task(copy_pictures(harness.source, harness.target, counts=counts))
    while counts.copied < 5:  # noqa: ASYNC110 - a count, no event
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert counts.copied < COUNT
    rest = await harness.copy()
    assert rest.copied + rest.skipped == COUNT
    assert rest.skipped >= counts.copied
    assert await harness.copy() == CopyCounts(skipped=COUNT)


async def test_copy_picture_that_is_none_is_reported(tmp_path: Path) -> None:
    source, target = (FolderBackend(tmp_path / name) for name in ("source", "target"))
    async with (
        open_store(source.location, Settings()) as source_store,
        open_store(target.location, Settings()) as target_store,
    ):
        await source_store.put(store_request("b-1", picture(1), version=1))
        source.add_file("b-2.svg", picture(2)[:-9])
        source.add_file("b-3.svg", b"<html/>\n<!-- version 3 -->\n")
        counts = CopyCounts()
        await copy_pictures(source_store, target_store, counts=counts)
        assert (counts.copied, counts.failed) == (1, 2)
        assert min(counts.failures) == "b-2: it was not written completely"
        assert "banner_info" in max(counts.failures)
        assert await target_store.get("b-3") is None


@pytest.fixture
def short_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MAX_RETRY_SECONDS", 1.0)


async def test_copy_unreadable_files_are_named_and_the_others_copied(tmp_path: Path) -> None:
    source, target = (FolderBackend(tmp_path / name) for name in ("source", "target"))
    async with (
        open_store(source.location, Settings()) as source_store,
        open_store(target.location, Settings()) as target_store,
    ):
        for number in range(COUNT):
            await source_store.put(store_request(f"b-{number}", picture(number), version=1))
        source.add_file("folder.svg/file", b"")
        (source.folder / "loop.svg").symlink_to("loop.svg")
        counts = CopyCounts()
        await finish_within(copy_pictures(source_store, target_store, counts=counts), seconds=5)
        assert counts == CopyCounts(copied=COUNT, failed=2, failures=counts.failures)
        folder, loop = sorted(counts.failures)
        assert folder.startswith("folder: ")
        assert "Is a directory" in folder
        assert loop.startswith("loop: ")
        assert "symbolic links" in loop


@pytest.mark.usefixtures("short_retries")
@pytest.mark.parametrize("fault", [S3Fault.DENIED, S3Fault.INTERNAL])
async def test_copy_unreadable_object_is_named_and_the_others_copied(
    bucket: BucketBackend, tmp_path: Path, fault: S3Fault
) -> None:
    async with AsyncExitStack() as stack:
        folder, objects = await open_bucket_stores(stack, bucket, tmp_path)
        await copy_pictures(folder, objects, counts=CopyCounts())
        target = FolderBackend(tmp_path / "target")
        files = await stack.enter_async_context(open_store(target.location, Settings()))
        bucket.proxy.choose_fault = lambda call: fault if call.path.endswith("/b-7.svg") else None
        counts = CopyCounts()
        await copy_pictures(objects, files, counts=counts)
        assert counts == CopyCounts(copied=COUNT - 1, failed=1, failures=counts.failures)
        (failure,) = counts.failures
        assert re.match(rf"b-7: .*status {fault[:3]}", failure)


async def open_bucket_stores(
    stack: AsyncExitStack, bucket: BucketBackend, tmp_path: Path, *, count: int = COUNT
) -> tuple[Store, Store]:
    folder = FolderBackend(tmp_path)
    source = await stack.enter_async_context(open_store(folder.location, Settings()))
    target = await stack.enter_async_context(open_store(bucket.location, bucket.settings))
    for number in range(count):
        await source.put(store_request(f"b-{number}", picture(number), version=number + 1))
    return source, target


async def test_copy_object_without_metadata_is_copied(
    bucket: BucketBackend, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        folder, objects = await open_bucket_stores(stack, bucket, tmp_path)
        await folder.remove("b-1", version=50)
        for name, body in FolderBackend(tmp_path).contents().items():
            if body is not None and name.endswith(".svg"):
                bucket.add_file(Path(name).name, body)
        target = FolderBackend(tmp_path / "target")
        files = await stack.enter_async_context(open_store(target.location, Settings()))
        counts = CopyCounts()
        await copy_pictures(objects, files, counts=counts)
        assert counts == CopyCounts(copied=COUNT)
        assert await files.get_version("b-1") == StoredVersion(50, is_removed=True)
        assert await files.get("b-7") == StoredPicture(picture(7), 8)


async def test_copy_waits_for_a_slow_list(bucket: BucketBackend, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        source, objects = await open_bucket_stores(stack, bucket, tmp_path)
        await copy_pictures(source, objects, counts=CopyCounts())

        def choose(request: S3Request) -> None:
            if "list-type" in request.path:
                time.sleep(2.5)  # in the thread of the proxy

        bucket.proxy.choose_fault = choose
        counts = CopyCounts()
        await copy_with_progress(
            bucket.location,
            StorageFolder(tmp_path / "target"),
            bucket.settings,
            counts=counts,
            stream=StringIO(),
        )
        assert counts == CopyCounts(copied=COUNT)


async def test_copy_survives_slow_down(bucket: BucketBackend, tmp_path: Path) -> None:
    def choose(request: S3Request) -> S3Fault | None:
        return S3Fault.SLOW_DOWN if request.number % 3 == 0 else None

    bucket.proxy.choose_fault = choose
    async with AsyncExitStack() as stack:
        source, target = await open_bucket_stores(stack, bucket, tmp_path)
        counts = CopyCounts()
        await copy_pictures(source, target, counts=counts)
        assert counts == CopyCounts(copied=COUNT)


@pytest.mark.parametrize("fault", [S3Fault.EXPIRED, S3Fault.SLOW_DOWN])
@pytest.mark.usefixtures("short_retries")
async def test_copy_store_down_stops_and_is_resumed(
    bucket: BucketBackend, tmp_path: Path, fault: S3Fault
) -> None:
    count = 100
    async with AsyncExitStack() as stack:
        source, target = await open_bucket_stores(stack, bucket, tmp_path, count=count)
        puts = 0

        def choose(request: S3Request) -> S3Fault | None:
            nonlocal puts
            puts += request.method == "PUT"
            return fault if puts > 10 else None

        bucket.proxy.choose_fault = choose
        counts = CopyCounts()
        with pytest.raises(
            StorageUnavailable, match=r"ExpiredToken|SlowDown|403|503"
        ) as error_info:
            await copy_pictures(source, target, counts=counts)
        assert error_info.value.is_permanent is (fault is S3Fault.EXPIRED)
        assert 0 < counts.copied <= 10
        bucket.come_back()
        rest = CopyCounts()
        await copy_pictures(source, target, counts=rest)
        assert rest.copied + rest.skipped == count
        assert rest.skipped >= counts.copied  # a put may have been cancelled after it was stored
