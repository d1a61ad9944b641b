"""Answers from memory, before the framework is asked."""

import gzip
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from litestar.types import Scope

from github_banners.api.delivery import Picture
from github_banners.api.hot import Hot, HotPath, make_hot
from github_banners.api.pictures import Key, Pictures, key_of
from github_banners.look import Look, Theme
from github_banners.model import Owner, Snapshot, Stats
from github_banners.stats.deadline import for_picture
from github_banners.stats.freshness import Freshness
from github_banners.stats.lookup import Answer
from tests.unit.api.asgi import Inner, ask, http_scope

START = datetime(2026, 11, 20, 12, tzinfo=UTC)
SOFT = timedelta(minutes=10)
TARGET = "/banners/preview?username=alice&type=dark"
LOOK = Look(theme=Theme.DARK)


class Service:
    """The hot path with a clock of its own, and what lies behind it."""

    def __init__(self) -> None:
        self.now = START
        pictures = Pictures(clock=self.clock, memory_bytes=1 << 20)
        self.hot: Hot = make_hot(pictures, clock=self.clock, soft_seconds=SOFT.total_seconds())
        self.inner = Inner()
        self.counted: list[str] = []
        self.app = HotPath(self.inner, hot=self.hot, count=self.counted.append)

    def clock(self) -> datetime:
        return self.now

    async def draw(self, owner_id: int = 1, *, version: int = 1) -> Key:
        """Draw an owner's banner with numbers of now."""
        snapshot = Snapshot(
            Owner(owner_id, f"user{owner_id}"),
            Stats(version, version, 0, 0, 0, {}),
            self.now,
            version,
        )
        answer = Answer(snapshot, Freshness.FRESH, self.now + SOFT)
        await self.hot.pictures.draw(answer, LOOK, deadline=for_picture())
        return key_of(owner_id, LOOK)

    def note(self, target: str, key: Key) -> None:
        self.hot.note(http_scope(target), key)


@pytest.fixture
async def service() -> Service:
    service = Service()
    service.note(TARGET, await service.draw())
    return service


async def test_a_known_address_is_answered_from_memory(service: Service) -> None:
    service.now += timedelta(seconds=70)
    answered = await ask(service.app, http_scope(TARGET))
    assert answered.status == 200
    assert answered.body.startswith(b"<svg")
    assert answered.headers["content-length"] == str(len(answered.body))
    assert answered.headers["content-type"] == "image/svg+xml; charset=utf-8"
    assert answered.headers["cache-control"].startswith("public, max-age=530,")
    assert [message["type"] for message in answered.messages] == [
        "http.response.start",
        "http.response.body",
    ]
    assert service.inner.scopes == []


async def test_head_has_the_headers_only(service: Service) -> None:
    whole = await ask(service.app, http_scope(TARGET))
    head = await ask(service.app, http_scope(TARGET, method="HEAD"))
    assert (head.status, head.headers, head.body) == (200, whole.headers, b"")


async def test_who_has_it_gets_304(service: Service) -> None:
    etag = (await ask(service.app, http_scope(TARGET))).headers["etag"]
    answered = await ask(service.app, http_scope(TARGET, if_none_match=f"W/{etag}"))
    assert (answered.status, answered.body) == (304, b"")
    assert "content-length" not in answered.headers
    assert answered.headers["etag"] == etag


async def test_gzip_is_made_once_and_sent(service: Service) -> None:
    plain = await ask(service.app, http_scope(TARGET))
    zipped = await ask(service.app, http_scope(TARGET, accept_encoding="br, gzip"))
    assert gzip.decompress(zipped.body) == plain.body
    assert zipped.headers["content-encoding"] == "gzip"
    assert zipped.headers["content-length"] == str(len(zipped.body))
    assert zipped.headers["etag"] != plain.headers["etag"]


@pytest.mark.parametrize(
    ("target", "method"),
    [
        (TARGET, "POST"),
        (TARGET, "OPTIONS"),
        (f"{TARGET}&x=1", "GET"),
        ("/banners/preview", "GET"),
        ("/banners/preview?USERNAME=alice&type=dark", "GET"),
    ],
)
async def test_all_else_is_passed_on(service: Service, target: str, method: str) -> None:
    answered = await ask(service.app, http_scope(target, method=method))
    assert answered.body == b"inner"


async def test_what_is_no_http_is_passed_on(service: Service) -> None:
    answered = await ask(service.app, cast("Scope", {"type": "lifespan"}))
    assert answered.body == b"inner"


async def test_an_expired_picture_is_passed_on(service: Service) -> None:
    service.now += SOFT - timedelta(microseconds=1)
    assert (await ask(service.app, http_scope(TARGET))).body != b"inner"
    service.now += timedelta(microseconds=1)
    assert (await ask(service.app, http_scope(TARGET))).body == b"inner"


async def test_an_address_gives_the_newest_drawing(service: Service) -> None:
    before = await ask(service.app, http_scope(TARGET))
    await service.draw(version=2)
    after = await ask(service.app, http_scope(TARGET))
    assert before.body != after.body


async def test_what_an_address_means_is_asked_again_though_its_picture_is_kept_fresh(
    service: Service,
) -> None:
    """A login can change hands while its last holder's banner goes on being drawn."""
    service.now += timedelta(minutes=5)
    await service.draw(version=2)
    service.now += timedelta(minutes=5)
    assert service.hot.pictures.get(key_of(1, LOOK)) is not None
    assert (await ask(service.app, http_scope(TARGET))).body == b"inner"
    service.note(TARGET, await service.draw(2))
    assert b"user2" in (await ask(service.app, http_scope(TARGET))).body


async def test_a_picture_that_is_not_kept_leaves_no_address(service: Service) -> None:
    service.note("/banners/other", key_of(99, LOOK))
    assert len(service.hot.targets) == 1
    assert (await ask(service.app, http_scope("/banners/other"))).body == b"inner"


async def test_cache_busters_push_out_addresses_only(service: Service) -> None:
    key, other = await service.draw(), await service.draw(2)
    for number in range(40_000):
        service.note(f"{TARGET}&bust={number}", key)
    assert service.hot.targets.used_bytes <= 16 << 20
    assert len(service.hot.targets) < 40_000
    # The addresses are forgotten, the pictures are not.
    assert (await ask(service.app, http_scope(TARGET))).body == b"inner"
    assert service.hot.pictures.get(key) is not None
    assert service.hot.pictures.get(other) is not None


async def test_long_addresses_are_not_remembered(service: Service) -> None:
    target = f"{TARGET}&bust={'x' * 1024}"
    service.note(target, await service.draw())
    assert len(service.hot.targets) == 1
    assert (await ask(service.app, http_scope(target))).body == b"inner"


class Turned:
    """Another form of the drawings that it was given, as the maker of PNG keeps them."""

    def __init__(self) -> None:
        self.forms: dict[str, Picture] = {}

    def add(self, picture: Picture) -> None:
        self.forms[picture.plain.etag] = Picture.png(b"\x89PNG" + picture.body[-9:])

    def find(self, picture: Picture) -> Picture | None:
        return self.forms.get(picture.plain.etag)


async def test_an_address_can_mean_another_form_of_a_picture(service: Service) -> None:
    turned, target, key = Turned(), f"{TARGET}&format=png", await service.draw()
    service.hot.note(http_scope(target), key, turn=turned.find)
    assert (await ask(service.app, http_scope(target))).body == b"inner"
    kept = service.hot.pictures.get(key)
    assert kept is not None
    turned.add(kept.picture)
    plain = await ask(service.app, http_scope(target))
    zipped = await ask(service.app, http_scope(target, accept_encoding="gzip"))
    assert plain.body == zipped.body == b"\x89PNG" + kept.picture.body[-9:]
    assert plain.headers == zipped.headers
    assert plain.headers["content-type"] == "image/png"
    assert plain.headers["cache-control"].startswith("public, max-age=600,")
    assert "vary" not in plain.headers
    head = await ask(service.app, http_scope(target, method="HEAD"))
    assert (head.headers, head.body) == (plain.headers, b"")
    etag = plain.headers["etag"]
    assert etag != kept.picture.plain.etag
    again = await ask(service.app, http_scope(target, if_none_match=etag))
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", etag)
    # The drawing itself is answered as ever.
    assert (await ask(service.app, http_scope(TARGET))).body == kept.picture.body


async def test_another_form_is_as_new_as_its_drawing(service: Service) -> None:
    turned, target, key = Turned(), f"{TARGET}&format=png", await service.draw()
    service.hot.note(http_scope(target), key, turn=turned.find)
    kept = service.hot.pictures.get(key)
    assert kept is not None
    turned.add(kept.picture)
    assert (await ask(service.app, http_scope(target))).body.startswith(b"\x89PNG")
    await service.draw(version=2)
    assert (await ask(service.app, http_scope(target))).body == b"inner"


async def test_what_could_not_be_written_down_is_kept_for_the_next_time(service: Service) -> None:
    scene, later = http_scope(TARGET), START + timedelta(minutes=1)
    service.hot.note(scene, await service.draw(), banner="alice-dark")
    taken = service.hot.take_requests()
    assert service.hot.take_requests() == {}
    service.hot.give_back({**taken, "bob-dark": START})
    service.now = later
    service.hot.note(scene, await service.draw(), banner="alice-dark")
    service.hot.give_back(taken)
    assert service.hot.take_requests() == {"alice-dark": later, "bob-dark": START}
