"""Rendering an update: from an event to a request to store."""

import json
from datetime import UTC, datetime

import pytest

from github_banners.drawing import draw
from github_banners.errors import Overloaded, RenderingFailed
from github_banners.messaging.schemas import BannerEvent, StoreRequest
from github_banners.models import Snapshot
from github_banners.options import BannerOptions, Theme
from github_banners.renderer.updates import parse_update, render_and_store
from github_banners.storage.picture_format import check_picture
from tests.unit.messaging.captured_messages import EVENT

NOW = datetime(2026, 11, 26, tzinfo=UTC)
HOSTILE_NAME = "\u0008\ufffe<script>\u202e]]>&\"'"


async def render(message: bytes) -> StoreRequest:
    requests: list[StoreRequest] = []

    async def store(request: StoreRequest) -> None:
        requests.append(request)

    await render_and_store(parse_update(message, now=NOW), draw=draw, store=store)
    (request,) = requests
    return request


async def test_render_and_store_event_stores_its_picture() -> None:
    event = BannerEvent.from_json(EVENT)
    request = await render(EVENT)
    update = parse_update(EVENT, now=NOW)
    assert request.banner_info == draw(update.snapshot, BannerOptions(theme=Theme.DARK))
    assert (request.url_path, request.banner_format) == ("wycats-dark", "svg")
    assert request.version == event.version == 1_795_365_397_586_084
    assert StoreRequest.from_json(request.to_json()) == request


async def test_render_and_store_hostile_name_is_escaped() -> None:
    message = json.loads(EVENT)
    message["payload"] |= {
        "username": HOSTILE_NAME,
        "display_name": HOSTILE_NAME,
        "look": {"title": HOSTILE_NAME},
    }
    message["payload"]["stats"]["languages"] = {HOSTILE_NAME: 3, "": 1}
    request = await render(json.dumps(message).encode())
    check_picture(request.banner_info)
    assert b"<script" not in request.banner_info


async def test_render_and_store_extreme_numbers_are_drawn() -> None:
    for number in (0, 10**12 - 1):
        message = json.loads(EVENT)
        stats = dict.fromkeys(message["payload"]["stats"], number)
        message["payload"]["stats"] = stats | {"languages": {"C": number, "Go": number}}
        request = await render(json.dumps(message).encode())
        check_picture(request.banner_info)


async def test_render_and_store_store_error_is_raised() -> None:
    async def store(request: StoreRequest) -> None:
        raise Overloaded

    with pytest.raises(Overloaded):
        await render_and_store(parse_update(EVENT, now=NOW), draw=draw, store=store)


async def test_render_and_store_expected_drawing_error_is_raised() -> None:
    async def store(request: StoreRequest) -> None:
        raise AssertionError

    def fail(snapshot: Snapshot, options: BannerOptions) -> bytes:
        raise Overloaded

    with pytest.raises(Overloaded):
        await render_and_store(parse_update(EVENT, now=NOW), draw=fail, store=store)


async def test_render_and_store_unexpected_drawing_error_is_permanent() -> None:
    async def store(request: StoreRequest) -> None:
        raise AssertionError

    def fail(snapshot: Snapshot, options: BannerOptions) -> bytes:
        raise ZeroDivisionError("division by zero")

    with pytest.raises(RenderingFailed, match="ZeroDivisionError: division by zero") as caught:
        await render_and_store(parse_update(EVENT, now=NOW), draw=fail, store=store)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


async def test_render_and_store_memory_error_is_raised() -> None:
    async def store(request: StoreRequest) -> None:
        raise AssertionError

    def fail(snapshot: Snapshot, options: BannerOptions) -> bytes:
        raise MemoryError

    with pytest.raises(MemoryError):
        await render_and_store(parse_update(EVENT, now=NOW), draw=fail, store=store)
