"""A batch of banners: each is stored, refused, counted and logged independently of the others."""

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
    StoreResult,
    StoreResults,
)
from github_banners.storage import store as store_module
from github_banners.storage.banner_batch import store_batch
from github_banners.storage.picture_format import MAX_BYTES
from github_banners.storage.store import PutResult, Store, StoredPicture
from tests.unit.storage.requests import store_request

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"/>'
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


def picture(number: int) -> bytes:
    return SVG.replace(b"/>", b">%d</svg>" % number)


def item(number: int, **fields: object) -> bytes:
    """One banner of a batch, as the body of `POST /banners`."""
    body = {
        "url_path": f"b-{number}",
        "banner_info": b64encode(picture(number)).decode(),
        "banner_format": "svg",
        "version": number,
    }
    return json.dumps(body | fields).encode()


def batch(*items: bytes) -> bytes:
    return b'{"banners":[%b]}' % b",".join(items)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = Store(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def counted() -> Counter[str]:
    return Counter()


async def send(store: Store, counted: Counter[str], *items: bytes) -> list[StoreResult]:
    def count(outcome: str) -> None:
        counted[outcome] += 1

    body = await store_batch(store, batch(*items), count=count)
    return StoreResults.from_json(body).results


async def test_every_banner_of_a_full_batch_is_stored(store: Store, counted: Counter[str]) -> None:
    numbers = range(MAX_BATCH_BANNERS)
    results = await send(store, counted, *map(item, numbers))
    assert results == [StoreResult(url=f"/banners/b-{number}") for number in numbers]
    for number in numbers:
        assert await store.get(f"b-{number}") == StoredPicture(picture(number), number)
    assert counted == {"stored": MAX_BATCH_BANNERS}


WRONG = {
    "a path that leaves": (item(9, url_path="../evil"), 400, "url_path"),
    "no picture": (item(9, banner_info=b64encode(b"<html/>").decode()), 400, "banner_info"),
    "above 1 MB": (
        item(9, banner_info=b64encode(SVG + b" " * MAX_BYTES).decode()),
        400,
        "banner_info",
    ),
    "no base64": (item(9, banner_info="<svg/>"), 400, None),
    "a field is missing": (b'{"url_path":"b-9"}', 400, None),
    "a negative version": (item(9, version=-1), 400, None),
    "no object": (b"7", 400, None),
    "no UTF-8": (item(9).replace(b"b-9", b"\xff"), 400, None),
}


@pytest.mark.parametrize(("wrong", "status", "field"), WRONG.values(), ids=list(WRONG))
async def test_a_wrong_banner_is_refused_alone(
    store: Store, counted: Counter[str], wrong: bytes, status: int, field: str | None
) -> None:
    with capture_logs() as lines:
        first, refused, last = await send(store, counted, item(1), wrong, item(2))
    assert (first.url, last.url) == ("/banners/b-1", "/banners/b-2")
    assert (refused.url, refused.status, refused.error) == (None, status, "invalid inputs")
    assert refused.field == field
    assert (refused.reason is None) is (field is not None)
    assert counted == {"stored": 2, "refused": 1}
    told = [(line["event"], line["log_level"]) for line in lines if line["log_level"] == "info"]
    assert told == [("banner.refused", "info"), ("banners.stored", "info")]
    assert [(line["count"], line["failed"]) for line in lines if "count" in line] == [(2, 1)]


async def test_an_older_banner_is_superseded_and_an_equal_one_overwrites(
    store: Store, counted: Counter[str]
) -> None:
    await store.put(store_request("b-1", picture(0), version=5))
    await store.put(store_request("b-2", picture(0), version=2))
    older, equal = await send(store, counted, item(1), item(2))
    assert older == StoreResult(url="/banners/b-1", superseded=True)
    assert equal == StoreResult(url="/banners/b-2")
    assert await store.get("b-1") == StoredPicture(picture(0), 5)
    assert await store.get("b-2") == StoredPicture(picture(2), 2)
    assert counted == {"stored": 1, "superseded": 1}


async def test_of_two_versions_in_one_batch_the_newer_stays(
    store: Store, counted: Counter[str]
) -> None:
    results = await send(store, counted, item(8, url_path="b"), item(7, url_path="B"))
    assert [result.superseded for result in results] == [False, True]
    assert await store.get("b") == StoredPicture(picture(8), 8)


async def test_a_disk_that_fails_for_one_banner_fails_for_no_other(
    store: Store, counted: Counter[str], tmp_path: Path
) -> None:
    (tmp_path / "b-2.svg").mkdir()
    first, failed, last = await send(store, counted, item(1), item(2), item(3))
    assert (first.url, last.url) == ("/banners/b-1", "/banners/b-3")
    assert (failed.status, failed.error, failed.reason) == (503, "can't store banner", None)
    assert counted == {"stored": 2, "failed": 1}


async def test_a_disk_that_is_down_fails_every_banner(
    tmp_path: Path, counted: Counter[str]
) -> None:
    (tmp_path / "file").write_text("no folder")
    store = Store(tmp_path / "file")
    results = await send(store, counted, item(1), item(2))
    store.close()
    assert [result.status for result in results] == [503, 503]
    assert not store.is_available
    assert counted == {"failed": 2}


async def test_a_disk_that_is_slow_stores_what_it_can_in_time(
    tmp_path: Path, counted: Counter[str]
) -> None:
    seconds = itertools.count()
    store = Store(tmp_path, monotonic=lambda: float(next(seconds)))
    results = await send(store, counted, *map(item, range(6)))
    store.close()
    assert [result.url is not None for result in results] == [True] * 3 + [False] * 3
    assert {result.status for result in results[3:]} == {503}
    assert counted == {"stored": 3, "failed": 3}


async def test_a_mistake_of_ours_fails_alone_and_is_logged(
    store: Store, counted: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(body: bytes) -> None:
        if body == picture(2):
            raise ZeroDivisionError

    monkeypatch.setattr(store_module, "check_picture", stumble)
    with capture_logs() as lines:
        first, failed = await send(store, counted, item(1), item(2, traceparent=TRACEPARENT))
    assert first.url == "/banners/b-1"
    assert (failed.status, failed.error) == (500, "something went wrong")
    (line,) = [line for line in lines if line["log_level"] == "error"]
    assert (line["event"], line["trace_id"]) == ("banner.failed", TRACE)
    assert isinstance(line["exc_info"], ZeroDivisionError)


async def test_each_banner_is_logged_under_its_own_trace(
    store: Store, counted: Counter[str]
) -> None:
    traced, plain = item(1, traceparent=TRACEPARENT), item(2, traceparent="no trace")
    wrong = item(3, traceparent=TRACEPARENT, url_path="..")
    with capture_logs() as lines:
        await send(store, counted, traced, plain, wrong)
    stored = [(line["url"], line["trace_id"]) for line in lines if line["log_level"] == "debug"]
    assert stored == [("/banners/b-1", TRACE), ("/banners/b-2", None)]
    assert [line["trace_id"] for line in lines if line["event"] == "banner.refused"] == [TRACE]


NO_BATCHES = {
    "empty": b"",
    "no JSON": b"<svg/>",
    "list": b"[]",
    "without banners": b"{}",
    "of nothing": batch(),
    "of too many": batch(*map(item, range(MAX_BATCH_BANNERS + 1))),
    "cut short": batch(item(1))[:-1],
    "half a banner": batch(item(1)[:-1]),
    "deep": b'{"banners":' + b"[" * 100_000,
}


@pytest.mark.parametrize("body", NO_BATCHES.values(), ids=list(NO_BATCHES))
async def test_a_body_that_is_no_batch_is_unreadable(
    store: Store, body: bytes, counted: Counter[str]
) -> None:
    with pytest.raises(MalformedMessage):
        await store_batch(store, body, count=counted.update)
    assert not counted
    assert await store.get("b-1") is None


async def test_batches_that_need_the_same_locks_in_other_orders_all_end(store: Store) -> None:
    def ask(number: int, version: int) -> StoreRequest:
        body = picture(version)
        return StoreRequest(
            url_path=f"b-{number}", banner_info=body, banner_format="svg", version=version
        )

    def rotated(first: int) -> Sequence[StoreRequest]:
        return [ask((first + number) % 8, first) for number in range(8)]

    stored = await asyncio.gather(*(store.put_many(rotated(first)) for first in range(8)))
    assert all(isinstance(outcome, PutResult) for outcomes in stored for outcome in outcomes)
    pictures = [await store.get(f"b-{number}") for number in range(8)]
    assert pictures == [StoredPicture(picture(7), 7)] * 8
