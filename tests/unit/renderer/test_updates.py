"""From an event to a request to store."""

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
from tests.unit.messaging.captured import EVENT

NOW = datetime(2026, 11, 26, tzinfo=UTC)
EVIL = "\u0008\ufffe<script>\u202e]]>&\"'"


async def asked_for(message: bytes) -> StoreRequest:
    asks: list[StoreRequest] = []

    async def store(ask: StoreRequest) -> None:
        asks.append(ask)

    await render_and_store(parse_update(message, now=NOW), draw=draw, store=store)
    (ask,) = asks
    return ask


async def test_an_event_becomes_a_stored_picture() -> None:
    event = BannerEvent.from_json(EVENT)
    ask = await asked_for(EVENT)
    update = parse_update(EVENT, now=NOW)
    assert ask.banner_info == draw(update.snapshot, BannerOptions(theme=Theme.DARK))
    assert (ask.url_path, ask.banner_format) == ("wycats-dark", "svg")
    assert ask.version == event.version == 1_795_365_397_586_084
    assert StoreRequest.from_json(ask.to_json()) == ask


async def test_whatever_a_name_holds_the_picture_can_be_stored() -> None:
    message = json.loads(EVENT)
    message["payload"] |= {"username": EVIL, "display_name": EVIL, "look": {"title": EVIL}}
    message["payload"]["stats"]["languages"] = {EVIL: 3, "": 1}
    ask = await asked_for(json.dumps(message).encode())
    check_picture(ask.banner_info)
    assert b"<script" not in ask.banner_info


async def test_largest_and_smallest_numbers_are_drawn() -> None:
    for number in (0, 10**12 - 1):
        message = json.loads(EVENT)
        stats = dict.fromkeys(message["payload"]["stats"], number)
        message["payload"]["stats"] = stats | {"languages": {"C": number, "Go": number}}
        ask = await asked_for(json.dumps(message).encode())
        check_picture(ask.banner_info)


async def test_who_can_not_store_says_so() -> None:
    async def store(ask: StoreRequest) -> None:
        raise Overloaded

    with pytest.raises(Overloaded):
        await render_and_store(parse_update(EVENT, now=NOW), draw=draw, store=store)


async def test_what_can_not_be_drawn_is_not_stored() -> None:
    async def store(ask: StoreRequest) -> None:
        raise AssertionError

    def refuse(snapshot: Snapshot, look: BannerOptions) -> bytes:
        raise Overloaded

    with pytest.raises(Overloaded):
        await render_and_store(parse_update(EVENT, now=NOW), draw=refuse, store=store)


async def test_a_mistake_in_drawing_would_be_made_again() -> None:
    async def store(ask: StoreRequest) -> None:
        raise AssertionError

    def stumble(snapshot: Snapshot, look: BannerOptions) -> bytes:
        raise ZeroDivisionError("division by zero")

    with pytest.raises(RenderingFailed, match="ZeroDivisionError: division by zero") as caught:
        await render_and_store(parse_update(EVENT, now=NOW), draw=stumble, store=store)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


async def test_a_lack_of_memory_passes() -> None:
    async def store(ask: StoreRequest) -> None:
        raise AssertionError

    def burst(snapshot: Snapshot, look: BannerOptions) -> bytes:
        raise MemoryError

    with pytest.raises(MemoryError):
        await render_and_store(parse_update(EVENT, now=NOW), draw=burst, store=store)
