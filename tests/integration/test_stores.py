"""Tests for folders and buckets alike: the highest version wins, whatever happens."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from github_banners.errors import InvalidOption, StorageUnavailable
from github_banners.messaging.schemas import RemoveResponse, StoreRequest, StoreResponse
from github_banners.models import to_epoch_microseconds, utc_now
from github_banners.settings import Settings
from github_banners.storage.open_store import open_store
from github_banners.storage.picture_format import (
    MAX_BYTES,
    StoredVersion,
    check_picture,
    with_version,
)
from github_banners.storage.store import Store, StoredPicture
from tests.integration.store_backends import StoreBackend
from tests.unit.storage.requests import picture, store_request

URL = "/banners/wycats-dark"
FUTURE = 2**63 - 1


@pytest.fixture
async def store(backend: StoreBackend) -> AsyncIterator[Store]:
    settings = Settings.from_environment(backend.environment)
    async with open_store(backend.location, settings) as store:
        yield store


async def test_get_returns_what_was_put(store: Store, backend: StoreBackend) -> None:
    assert await store.get("wycats-dark") is None
    assert await store.get_version("wycats-dark") is None
    response = await store.put(store_request("WyCats-Dark", picture(1), version=5))
    assert response == StoreResponse(url=URL)
    expected = StoredPicture(picture(1), 5)
    assert await store.get("wycats-dark") == await store.get("WYCATS-dark") == expected
    assert await store.get_version("WYCATS-dark") == StoredVersion(5)
    (stored,) = (
        body
        for path, body in backend.contents().items()
        if path.endswith("banners/wycats-dark.svg")
    )
    assert stored == with_version(picture(1), 5)


async def test_put_lower_version_is_superseded_and_equal_overwrites(store: Store) -> None:
    await store.put(store_request("wycats-dark", picture(1), version=5))
    older = await store.put(store_request("wycats-dark", picture(2), version=4))
    assert older == StoreResponse(url=URL, superseded=True)
    assert await store.get("wycats-dark") == StoredPicture(picture(1), 5)
    equal = await store.put(store_request("wycats-dark", picture(3), version=5))
    assert equal == StoreResponse(url=URL)
    assert await store.get("wycats-dark") == StoredPicture(picture(3), 5)
    newer = await store.put(store_request("wycats-dark", picture(3), version=6))
    assert newer == StoreResponse(url=URL)
    assert await store.get("wycats-dark") == StoredPicture(picture(3), 6)


async def test_put_implausible_version_is_ignored(store: Store) -> None:
    await store.put(store_request("wycats-dark", picture(1), version=5))
    await store.put(store_request("wycats-dark", picture(2), version=FUTURE))
    assert await store.get("wycats-dark") == StoredPicture(picture(2), 5)


async def test_put_without_a_version_keeps_the_stored_version(store: Store) -> None:
    request = StoreRequest(url_path="WyCats-dark", banner_info=picture(1), banner_format="svg")
    assert await store.put(request) == StoreResponse(url=URL)
    assert await store.get("wycats-dark") == StoredPicture(picture(1), 0)
    await store.put(store_request("wycats-dark", picture(2), version=7))
    assert await store.put(request) == StoreResponse(url=URL)
    assert await store.get("wycats-dark") == StoredPicture(picture(1), 7)


@pytest.mark.parametrize("path", ["../evil", "/evil", "a%2f..", ".locks", "a\0", "x" * 300, ""])
async def test_invalid_path_accesses_nothing(
    store: Store, backend: StoreBackend, path: str
) -> None:
    with pytest.raises(InvalidOption):
        await store.put(store_request(path, picture(1), version=1))
    assert await store.get(path) is None
    assert await store.get_version(path) is None
    with pytest.raises(InvalidOption):
        await store.remove(path, version=1)
    assert backend.contents() == {}


@pytest.mark.parametrize("body", [b"", b"<svg/>", picture(1) + b" " * MAX_BYTES])
async def test_put_invalid_picture_is_refused(store: Store, body: bytes) -> None:
    await store.put(store_request("wycats-dark", picture(1), version=1))
    with pytest.raises(InvalidOption):
        await store.put(store_request("wycats-dark", body, version=2))
    assert await store.get("wycats-dark") == StoredPicture(picture(1), 1)


async def test_put_largest_picture_is_stored(store: Store) -> None:
    largest = picture(1) + b" " * (MAX_BYTES - len(picture(1)))
    await store.put(store_request("wycats-dark", largest, version=1))
    assert await store.get("wycats-dark") == StoredPicture(largest, 1)


async def test_remove_refuses_pictures_up_to_its_version(
    store: Store, backend: StoreBackend
) -> None:
    await store.put(store_request("wycats-dark", picture(1), version=5))
    removed = await store.remove("WyCats-dark", version=7)
    assert removed == RemoveResponse(url=URL, removed=True)
    assert await store.get("wycats-dark") is None
    assert await store.get_version("wycats-dark") == StoredVersion(7, is_removed=True)
    for version in (5, 7, None):
        late = await store.put(store_request("wycats-dark", picture(1), version=version))
        assert late == StoreResponse(url=URL, superseded=True)
    (result,) = await store.put_many([store_request("wycats-dark", picture(1), version=6)])
    assert result == StoreResponse(url=URL, superseded=True)
    assert await store.get("wycats-dark") is None
    assert not any(b"<text>" in (body or b"") for body in backend.contents().values())
    newer = await store.put(store_request("wycats-dark", picture(8), version=8))
    assert newer == StoreResponse(url=URL)
    assert await store.get("wycats-dark") == StoredPicture(picture(8), 8)


async def test_remove_without_a_picture_refuses_it_later(
    store: Store, backend: StoreBackend
) -> None:
    assert await store.remove("wycats-dark", version=5) == RemoveResponse(url=URL)
    late = await store.put(store_request("wycats-dark", picture(1), version=5))
    assert late.superseded
    assert await store.get("wycats-dark") is None
    (stored,) = (body for path, body in backend.contents().items() if path.endswith(".svg"))
    assert stored is not None
    check_picture(stored)  # for readers that bypass the store


async def test_remove_newer_picture_stays(store: Store) -> None:
    await store.put(store_request("wycats-dark", picture(8), version=8))
    assert await store.remove("wycats-dark", version=7) == RemoveResponse(url=URL)
    assert await store.get("wycats-dark") == StoredPicture(picture(8), 8)


async def test_remove_again_keeps_the_highest_version(store: Store) -> None:
    await store.put(store_request("wycats-dark", picture(1), version=1))
    assert (await store.remove("wycats-dark", version=7)).removed
    for version, expected in ((5, 7), (7, 7), (9, 9)):
        assert not (await store.remove("wycats-dark", version=version)).removed
        stored = await store.get_version("wycats-dark")
        assert stored == StoredVersion(expected, is_removed=True)


async def test_remove_implausible_version_counts_as_now(store: Store) -> None:
    started_at = to_epoch_microseconds(utc_now())
    await store.put(store_request("wycats-dark", picture(1), version=5))
    assert (await store.remove("wycats-dark", version=FUTURE)).removed
    stored = await store.get_version("wycats-dark")
    assert stored is not None
    assert started_at <= stored.version <= to_epoch_microseconds(utc_now())


async def test_remove_beside_puts_leaves_nothing_older(store: Store) -> None:
    versions = list(range(1, 21))
    random.Random(7).shuffle(versions)
    puts = [
        store.put(store_request("a", picture(version), version=version)) for version in versions
    ]
    await asyncio.gather(*puts[:10], store.remove("a", version=20), *puts[10:])
    assert await store.get("a") is None
    assert await store.get_version("a") == StoredVersion(20, is_removed=True)


async def test_put_many_has_a_result_each(store: Store) -> None:
    await store.put(store_request("wycats-dark", picture(1), version=5))
    requests = [
        store_request("b-1", picture(1), version=1),
        store_request("b-2", b"<html/>", version=1),
        store_request("../outside", picture(1), version=1),
        store_request("wycats-dark", picture(2), version=4),
        *(store_request("b-6", picture(version), version=version) for version in (3, 9, 6)),
    ]
    first, no_picture, outside, older, *same = await store.put_many(requests)
    assert first == StoreResponse(url="/banners/b-1")
    assert [type(no_picture), type(outside)] == [InvalidOption, InvalidOption]
    assert older == StoreResponse(url=URL, superseded=True)
    assert all(isinstance(response, StoreResponse) for response in same)
    assert await store.get("b-6") == StoredPicture(picture(9), 9)


async def test_unavailable_until_it_is_back(store: Store, backend: StoreBackend) -> None:
    request = store_request("wycats-dark", picture(1), version=1)
    await store.put(request)
    backend.go_down()
    with pytest.raises(StorageUnavailable):
        await store.put(request)
    with pytest.raises(StorageUnavailable):
        await store.get("wycats-dark")
    with pytest.raises(StorageUnavailable):
        await store.get_version("wycats-dark")
    with pytest.raises(StorageUnavailable):
        await store.remove("wycats-dark", version=1)
    with pytest.raises(StorageUnavailable):
        [_ async for _ in store.list_paths()]
    (result,) = await store.put_many([request])
    assert isinstance(result, StorageUnavailable)
    assert result.status == 503
    assert not store.is_available
    backend.come_back()
    assert await store.get("wycats-dark") == StoredPicture(picture(1), 1)
    assert store.is_available


async def test_put_in_any_order_and_at_once_newest_wins(store: Store) -> None:
    versions = list(range(1, 41))
    random.Random(7).shuffle(versions)
    responses = await asyncio.gather(
        *(store.put(store_request("a", picture(version), version=version)) for version in versions)
    )
    assert {response.url for response in responses} == {"/banners/a"}
    assert not responses[versions.index(40)].superseded
    assert await store.get("a") == StoredPicture(picture(40), 40)


async def test_put_cancelled_stores_all_or_nothing(store: Store) -> None:
    await store.put(store_request("a", picture(1), version=1))
    for version in range(2, 12):
        task = asyncio.create_task(store.put(store_request("a", picture(version), version=version)))
        await asyncio.wait({task}, timeout=version / 1000)
        task.cancel()
        await asyncio.wait({task})
        stored = await store.get("a")
        assert stored is not None
        assert stored.body == picture(stored.version)
    last = await store.put(store_request("a", picture(12), version=12))
    assert last == StoreResponse(url="/banners/a")
    assert await store.get("a") == StoredPicture(picture(12), 12)


async def test_list_paths_lists_pictures_and_tombstones_only(
    store: Store, backend: StoreBackend
) -> None:
    paths = {f"b-{number}" for number in range(5)}
    for path in paths:
        await store.put(store_request(path, picture(1), version=1))
    backend.add_file("B-1.svg", b"upper case")
    backend.add_file("notes.txt", b"")
    backend.add_file("below/b-9.svg", b"")
    await store.remove("b-3", version=1)
    pages = [page async for page in store.list_paths()]
    assert sorted(path for page in pages for path in page) == sorted(paths)
