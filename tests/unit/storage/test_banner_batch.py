"""Storing a batch_json: each banner is stored, refused, counts and logged independently."""

import asyncio
import itertools
import json
from base64 import b64encode
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from github_banners.errors import MalformedMessage
from github_banners.messaging.schemas import (
    MAX_BATCH_BANNERS,
    StoreRequest,
    StoreResponse,
    StoreResult,
    StoreResults,
)
from github_banners.storage import folder_store as store_module
from github_banners.storage.banner_batch import store_batch
from github_banners.storage.folder_store import FolderStore
from github_banners.storage.picture_format import MAX_BYTES
from github_banners.storage.store import StoredPicture
from tests.unit.storage.requests import store_request

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"/>'
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


def picture(number: int) -> bytes:
    return SVG.replace(b"/>", b">%d</svg>" % number)


def banner_json(number: int, **fields: object) -> bytes:
    """The JSON of a banner in a batch_json, which is the body of `POST /banners`."""
    body = {
        "url_path": f"b-{number}",
        "banner_info": b64encode(picture(number)).decode(),
        "banner_format": "svg",
        "version": number,
    }
    return json.dumps(body | fields).encode()


def batch_json(*items: bytes) -> bytes:
    return b'{"banners":[%b]}' % b",".join(items)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[FolderStore]:
    store = FolderStore(tmp_path)
    yield store
    store.close()


@pytest.fixture
def counts() -> Counter[str]:
    return Counter()


async def send(store: FolderStore, counts: Counter[str], *items: bytes) -> list[StoreResult]:
    def count(outcome: str) -> None:
        counts[outcome] += 1

    body = await store_batch(store, batch_json(*items), count=count)
    return StoreResults.from_json(body).results


async def test_store_batch_full_batch_is_stored(store: FolderStore, counts: Counter[str]) -> None:
    numbers = range(MAX_BATCH_BANNERS)
    results = await send(store, counts, *map(banner_json, numbers))
    assert results == [StoreResult(url=f"/banners/b-{number}") for number in numbers]
    for number in numbers:
        assert await store.get(f"b-{number}") == StoredPicture(picture(number), number)
    assert counts == {"stored": MAX_BATCH_BANNERS}


INVALID_BANNERS = {
    "a path that leaves": (banner_json(9, url_path="../evil"), 400, "url_path"),
    "no picture": (banner_json(9, banner_info=b64encode(b"<html/>").decode()), 400, "banner_info"),
    "above 1 MB": (
        banner_json(9, banner_info=b64encode(SVG + b" " * MAX_BYTES).decode()),
        400,
        "banner_info",
    ),
    "no base64": (banner_json(9, banner_info="<svg/>"), 400, None),
    "a field is missing": (b'{"url_path":"b-9"}', 400, None),
    "a negative version": (banner_json(9, version=-1), 400, None),
    "no object": (b"7", 400, None),
    "no UTF-8": (banner_json(9).replace(b"b-9", b"\xff"), 400, None),
}


@pytest.mark.parametrize(
    ("wrong", "status", "field"), INVALID_BANNERS.values(), ids=list(INVALID_BANNERS)
)
async def test_store_batch_invalid_banner_is_refused_alone(
    store: FolderStore, counts: Counter[str], wrong: bytes, status: int, field: str | None
) -> None:
    with capture_logs() as lines:
        first, refused, last = await send(store, counts, banner_json(1), wrong, banner_json(2))
    assert (first.url, last.url) == ("/banners/b-1", "/banners/b-2")
    assert (refused.url, refused.status, refused.error) == (None, status, "invalid inputs")
    assert refused.field == field
    assert (refused.reason is None) is (field is not None)
    assert counts == {"stored": 2, "refused": 1}
    events = [(line["event"], line["log_level"]) for line in lines if line["log_level"] == "info"]
    assert events == [("banner.refused", "info"), ("banners.stored", "info")]
    assert [(line["count"], line["failed"]) for line in lines if "count" in line] == [(2, 1)]


async def test_store_batch_older_version_is_superseded_and_equal_overwrites(
    store: FolderStore, counts: Counter[str]
) -> None:
    await store.put(store_request("b-1", picture(0), version=5))
    await store.put(store_request("b-2", picture(0), version=2))
    older, equal = await send(store, counts, banner_json(1), banner_json(2))
    assert older == StoreResult(url="/banners/b-1", superseded=True)
    assert equal == StoreResult(url="/banners/b-2")
    assert await store.get("b-1") == StoredPicture(picture(0), 5)
    assert await store.get("b-2") == StoredPicture(picture(2), 2)
    assert counts == {"stored": 1, "superseded": 1}


async def test_store_batch_two_versions_of_a_banner_newer_wins(
    store: FolderStore, counts: Counter[str]
) -> None:
    results = await send(store, counts, banner_json(8, url_path="b"), banner_json(7, url_path="B"))
    assert [result.superseded for result in results] == [False, True]
    assert await store.get("b") == StoredPicture(picture(8), 8)


async def test_store_batch_disk_error_of_one_banner_fails_alone(
    store: FolderStore, counts: Counter[str], tmp_path: Path
) -> None:
    (tmp_path / "b-2.svg").mkdir()
    first, failed, last = await send(store, counts, banner_json(1), banner_json(2), banner_json(3))
    assert (first.url, last.url) == ("/banners/b-1", "/banners/b-3")
    assert (failed.status, failed.error, failed.reason) == (503, "can't store banner", None)
    assert counts == {"stored": 2, "failed": 1}


async def test_store_batch_disk_down_fails_every_banner(
    tmp_path: Path, counts: Counter[str]
) -> None:
    (tmp_path / "file").write_text("no folder")
    store = FolderStore(tmp_path / "file")
    results = await send(store, counts, banner_json(1), banner_json(2))
    store.close()
    assert [result.status for result in results] == [503, 503]
    assert not store.is_available
    assert counts == {"failed": 2}


async def test_store_batch_slow_disk_stores_until_the_deadline(
    tmp_path: Path, counts: Counter[str]
) -> None:
    seconds = itertools.count()
    store = FolderStore(tmp_path, monotonic=lambda: float(next(seconds)))
    results = await send(store, counts, *map(banner_json, range(6)))
    store.close()
    assert [result.url is not None for result in results] == [True] * 3 + [False] * 3
    assert {result.status for result in results[3:]} == {503}
    assert counts == {"stored": 3, "failed": 3}


async def test_store_batch_unexpected_error_fails_alone_and_is_logged(
    store: FolderStore, counts: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(body: bytes) -> None:
        if body == picture(2):
            raise ZeroDivisionError

    monkeypatch.setattr(store_module, "check_picture", fail)
    with capture_logs() as lines:
        first, failed = await send(
            store, counts, banner_json(1), banner_json(2, traceparent=TRACEPARENT)
        )
    assert first.url == "/banners/b-1"
    assert (failed.status, failed.error) == (500, "something went wrong")
    (line,) = [line for line in lines if line["log_level"] == "error"]
    assert (line["event"], line["trace_id"]) == ("banner.failed", TRACE)
    assert isinstance(line["exc_info"], ZeroDivisionError)


async def test_store_batch_logs_each_banner_with_its_trace_id(
    store: FolderStore, counts: Counter[str]
) -> None:
    traced, plain = banner_json(1, traceparent=TRACEPARENT), banner_json(2, traceparent="no trace")
    wrong = banner_json(3, traceparent=TRACEPARENT, url_path="..")
    with capture_logs() as lines:
        await send(store, counts, traced, plain, wrong)
    stored = [(line["url"], line["trace_id"]) for line in lines if line["log_level"] == "debug"]
    assert stored == [("/banners/b-1", TRACE), ("/banners/b-2", None)]
    assert [line["trace_id"] for line in lines if line["event"] == "banner.refused"] == [TRACE]


MALFORMED_BATCHES = {
    "empty": b"",
    "no JSON": b"<svg/>",
    "list": b"[]",
    "without banners": b"{}",
    "of nothing": batch_json(),
    "of too many": batch_json(*map(banner_json, range(MAX_BATCH_BANNERS + 1))),
    "cut short": batch_json(banner_json(1))[:-1],
    "half a banner": batch_json(banner_json(1)[:-1]),
    "deep": b'{"banners":' + b"[" * 100_000,
}


@pytest.mark.parametrize("body", MALFORMED_BATCHES.values(), ids=list(MALFORMED_BATCHES))
async def test_store_batch_malformed_batch_is_refused(
    store: FolderStore, body: bytes, counts: Counter[str]
) -> None:
    with pytest.raises(MalformedMessage):
        await store_batch(store, body, count=counts.update)
    assert not counts
    assert await store.get("b-1") is None


async def test_put_many_same_locks_in_other_orders_does_not_deadlock(store: FolderStore) -> None:
    def request(number: int, version: int) -> StoreRequest:
        body = picture(version)
        return StoreRequest(
            url_path=f"b-{number}", banner_info=body, banner_format="svg", version=version
        )

    def rotated_batch(first: int) -> Sequence[StoreRequest]:
        return [request((first + number) % 8, first) for number in range(8)]

    stored = await asyncio.gather(*(store.put_many(rotated_batch(first)) for first in range(8)))
    assert all(isinstance(outcome, StoreResponse) for outcomes in stored for outcome in outcomes)
    pictures = [await store.get(f"b-{number}") for number in range(8)]
    assert pictures == [StoredPicture(picture(7), 7)] * 8
