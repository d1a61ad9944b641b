"""The response cache: targets, whole responses and access times."""

import gzip
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from github_banners.api.compatible_route import to_preview_target
from github_banners.api.pictures import PictureCache, PictureKey, RenderRequest, to_picture_key
from github_banners.api.response_cache import ResponseCache, normalise_target
from github_banners.models import Owner, Snapshot, Stats
from github_banners.options import OPTION_NAMES, BannerOptions, Theme, parse_query
from github_banners.serving.cached_responses import CachedResponse, RawHeaders
from github_banners.serving.framework import Content
from github_banners.stats.fetch import picture_deadline
from github_banners.stats.lookup import LookupResult
from github_banners.stats.snapshots import Freshness, Invalidations

START = datetime(2026, 11, 20, 12, tzinfo=UTC)
SOFT = timedelta(minutes=10)
TARGET = b"/banners/preview?username=alice&type=dark"
OPTIONS = BannerOptions(theme=Theme.DARK)
REQUEST = b"GET / HTTP/1.1\r\n\r\n"


class Response:
    """A parsed response."""

    def __init__(self, payload: bytes) -> None:
        head, _, self.body = payload.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        self.status = int(status.split()[1])
        self.headers = dict(line.split(": ", 1) for line in lines)


class Service:
    """A response cache with a fake clock."""

    def __init__(self) -> None:
        self.now = START
        self.invalidations = Invalidations(clock=self.clock)
        self.pictures = PictureCache(
            clock=self.clock, memory_bytes=1 << 20, invalidations=self.invalidations
        )
        self.cache = ResponseCache(self.pictures, clock=self.clock)
        self.common: RawHeaders = [(b"date", b"noon")]

    def clock(self) -> datetime:
        return self.now

    async def draw(self, owner_id: int = 1, *, version: int = 1) -> PictureKey:
        """Draw an owner's banner with current numbers."""
        snapshot = Snapshot(
            Owner(owner_id, f"user{owner_id}"),
            Stats(version, version, 0, 0, 0, {}),
            self.now,
            version,
        )
        result = LookupResult(snapshot, Freshness.FRESH, self.now + SOFT, self.now + SOFT)
        await self.pictures.get_or_draw(RenderRequest(result, OPTIONS), deadline=picture_deadline())
        return to_picture_key(owner_id, OPTIONS)

    def respond(
        self,
        target: bytes = TARGET,
        *,
        is_head: bool = False,
        is_closing: bool = False,
        **headers: str,
    ) -> CachedResponse | None:
        raw_headers = {
            name.replace("_", "-").encode(): value.encode() for name, value in headers.items()
        }
        return self.cache.respond(
            target, raw_headers, is_head=is_head, is_closing=is_closing, common_headers=self.common
        )

    def get(
        self,
        target: bytes = TARGET,
        *,
        is_head: bool = False,
        is_closing: bool = False,
        **headers: str,
    ) -> Response:
        response = self.respond(target, is_head=is_head, is_closing=is_closing, **headers)
        assert response is not None
        return Response(response.payload)

    def get_by_raw_request(self) -> bytes | None:
        return self.cache.get_by_raw_request(REQUEST, common_headers=self.common)

    def put_by_raw_request(self) -> None:
        response = self.respond()
        assert response is not None
        self.cache.put_by_raw_request(REQUEST, response)


@pytest.fixture
async def service() -> Service:
    service = Service()
    service.cache.put(TARGET, await service.draw())
    return service


async def test_respond_cache_busters_share_one_response(service: Service) -> None:
    first, second = (
        service.respond(),
        service.respond(b"/banners/preview?type=dark&v=1&username=alice"),
    )
    assert first is not None
    assert first is second
    assert service.cache.hits == {"picture": 2, "not modified": 0}


@pytest.mark.parametrize(
    "target",
    [
        b"/api?username=alice&theme=dark",
        b"/api/?theme=dark&username=alice&v=1&cache_seconds=1800",
        b"/api?username=alice&amp;theme=dark",
    ],
)
async def test_respond_urls_of_other_services_share_the_preview(target: bytes) -> None:
    service = Service()
    preview = to_preview_target(b"/api?username=alice&theme=dark", base_path=b"")
    assert preview is not None
    service.cache.put(preview, await service.draw())
    assert service.respond(target) is service.respond(preview)
    assert service.respond(target.replace(b"dark", b"nord")) is None
    assert service.respond(target + b"&v=" + b"1" * 1024) is None
    assert service.respond(target + b"#&v=1") is None
    assert len(service.cache.targets) == 1


async def test_respond_known_target_returns_whole_response(service: Service) -> None:
    service.now += timedelta(seconds=70)
    response = service.get()
    assert response.status == 200
    assert response.body.startswith(b"<svg")
    assert response.headers["content-length"] == str(len(response.body))
    assert response.headers["content-type"] == "image/svg+xml; charset=utf-8"
    assert response.headers["cache-control"].startswith("public, max-age=530,")
    assert response.headers["date"] == "noon"
    assert "connection" not in response.headers


async def test_clear_leaves_neither_targets_nor_responses(service: Service) -> None:
    service.put_by_raw_request()
    service.cache.clear()
    assert (service.get_by_raw_request(), service.respond(), service.cache.get(TARGET)) == (
        None,
        None,
        None,
    )
    # The picture is kept, for a request that the application allows.
    service.cache.put(TARGET, await service.draw())
    assert service.get().status == 200


async def test_respond_head_returns_headers_only(service: Service) -> None:
    complete, head = service.get(), service.get(is_head=True)
    assert (head.status, head.headers, head.body) == (200, complete.headers, b"")


async def test_respond_closing_connection_sends_connection_close(service: Service) -> None:
    assert service.get(is_closing=True).headers["connection"] == "close"


async def test_respond_matching_etag_returns_304(service: Service) -> None:
    etag = service.get().headers["etag"]
    response = service.get(if_none_match=f"W/{etag}")
    assert (response.status, response.body) == (304, b"")
    assert "content-length" not in response.headers
    assert response.headers["etag"] == etag


async def test_respond_gzip_has_its_own_etag(service: Service) -> None:
    plain, zipped = service.get(), service.get(accept_encoding="br, gzip")
    assert gzip.decompress(zipped.body) == plain.body
    assert zipped.headers["content-encoding"] == "gzip"
    assert zipped.headers["content-length"] == str(len(zipped.body))
    assert zipped.headers["etag"] != plain.headers["etag"]


@pytest.mark.parametrize(
    "target",
    [
        b"/banners/preview?username=alice&type=dark",
        b"/banners/preview?type=dark&username=alice",
        b"/banners/preview?TYPE=dark&UserName=alice",
        b"/banners/preview?username=alice&type=dark&v=123",
        b"/banners/preview?v=%20&username=alice&&type=dark&_",
    ],
)
async def test_respond_equivalent_target_is_found(service: Service, target: bytes) -> None:
    assert service.get(target).body.startswith(b"<svg")


@pytest.mark.parametrize(
    "target",
    [
        b"/banners/preview",
        b"/banners/preview?username=alice",
        b"/banners/preview?username=alice&type=dark&radius=3",
        b"/banners/preview?username=alice&type=dark&%72adius=3",
        b"/banners/preview?username=alice&type=dark&type=nord",
        b"/banners/preview?username=bob&type=dark",
        b"/banners/PREVIEW?username=alice&type=dark",
        b"/banners/alice-dark",
        b"/docs",
        b"/banners/preview?username=alice&type=dark&x=" + 1024 * b"x",
        b"/banners/preview?username=alice&type=dark" + 100 * b"&",
    ],
)
async def test_respond_other_target_returns_none(service: Service, target: bytes) -> None:
    assert service.respond(target) is None


@pytest.mark.parametrize(
    ("target", "normalised"),
    [
        (b"/banners/Alice-Dark.SVG?v=1", b"/banners/alice-dark.svg"),
        (b"/banners/preview?b=1&locale=de&username=a", b"/banners/preview&locale=de&username=a"),
        (b"/banners/preview?hide=a&x&hide=b", b"/banners/preview&hide=a&hide=b"),
        (b"/banners/preview?hide=b&hide=a", b"/banners/preview&hide=b&hide=a"),
        (b"/banners/preview?theme", b"/banners/preview&theme="),
        (b"/banners/a%2Db", None),
        (b"/banners/preview?user%6eame=a", None),
        (b"/banners/preview?+username=a", None),
        (
            b"/banners/preview?a%5B%5D=1&username=a&v+w=1&utm%5Fsource=x&%ff&%zz",
            b"/banners/preview&username=a",
        ),
        (b"/banners/preview?amp;user%6eame=a", None),
        (b"/banners/preview?%61mp%3Btype=dark", None),
        (b"/banners/preview?%2338%3Btype=dark", None),
        (b"/banners/preview?hi%C4%B1de=a&%E2%84%AAeep=b", b"/banners/preview"),
        (b"/banners/preview?%C2%A0type=dark", None),
        (b"/banners/preview?username=a&\ttype=dark", None),
        (b"/banners/preview?username=a#b", None),
        (b"/healthz", None),
    ],
)
def test_normalise_target_returns_canonical_form(target: bytes, normalised: bytes | None) -> None:
    assert normalise_target(target) == normalised


NAMES = ["type", "THEME", "hide", "username", "amp", "utm", "amp;type", "Amp;amp;hide", "#38;type"]
NAMES += ["x;type", "&amp", "", ";", "amp;", "%61mp;type", "amp%3Btype", "&#x26;type", "+type"]
NAMES += [
    "a%5B%5D",
    "v+w",
    "utm%5Fsource",
    "%74ype",
    "amp;%74ype",
    "type+",
    "%26%2338%3Btype",
    "%00type",
]


@given(
    parts=st.lists(
        st.tuples(
            st.sampled_from(["&", "&amp;", "&AMP;", "&#38;", "&&", ";"]),
            st.sampled_from(NAMES),
            st.sampled_from(["=", "", "=="]),
            st.sampled_from(["dark", "", "a%26b", "amp;type=nord", "x;y", "stars", "+"]),
        ),
        max_size=5,
    )
)
def test_normalise_target_keeps_parsed_options(
    parts: list[tuple[str, str, str, str]],
) -> None:
    query = "username=ada" + "".join(map("".join, parts))
    normalised = normalise_target(f"/banners/preview?{query}".encode())
    if normalised is None:
        return
    names = {*OPTION_NAMES, "username", "format"}
    before, after = [
        {name: value for name, value in parse_query(text).items() if name in names}
        for text in (query, normalised.decode().partition("?")[2] or normalised.decode())
    ]
    assert before == after


def test_normalise_target_escaped_ampersand_is_separator() -> None:
    plain = normalise_target(b"/banners/preview?username=ada&type=dark")
    assert normalise_target(b"/banners/preview?username=ada&amp;type=dark") == plain
    assert normalise_target(b"/banners/preview?username=ada&AMP;amp;Type=dark") == plain


async def test_respond_expired_picture_returns_none(service: Service) -> None:
    service.now += SOFT - timedelta(microseconds=1)
    assert service.respond() is not None
    service.now += timedelta(microseconds=1)
    assert service.respond() is None


async def test_get_by_raw_request_cached_returns_same_bytes(service: Service) -> None:
    assert service.get_by_raw_request() is None
    service.put_by_raw_request()
    response = service.respond()
    assert response is not None
    assert service.get_by_raw_request() == response.payload
    assert service.cache.hits == {"picture": 3, "not modified": 0}


async def test_get_by_raw_request_new_common_headers_returns_none(service: Service) -> None:
    service.put_by_raw_request()
    service.common = [(b"date", b"noon")]
    assert service.get_by_raw_request() is None


async def test_get_by_raw_request_newer_picture_returns_none(service: Service) -> None:
    before = service.get()
    service.put_by_raw_request()
    await service.draw(version=2)
    assert service.get_by_raw_request() is None
    assert service.get().body != before.body


@pytest.mark.parametrize("owner_ids", [[1], None])
async def test_get_by_raw_request_invalidated_owner_returns_none(
    service: Service, owner_ids: list[int] | None
) -> None:
    service.put_by_raw_request()
    service.now += timedelta(seconds=1)
    service.invalidations.invalidate(owner_ids)
    assert service.get_by_raw_request() is None
    assert service.respond() is None


async def test_get_by_raw_request_not_listening_returns_none(service: Service) -> None:
    service.put_by_raw_request()
    service.invalidations.is_listening = False
    assert service.get_by_raw_request() is None
    assert service.respond() is None


async def test_get_by_raw_request_expiring_soon_returns_none(service: Service) -> None:
    """Whole responses are reused until the next second, which may begin late."""
    service.now += SOFT - timedelta(seconds=3)
    service.put_by_raw_request()
    assert service.get_by_raw_request() is None
    assert service.respond() is not None


async def test_put_by_raw_request_entries_are_bounded(service: Service) -> None:
    response = service.respond()
    assert response is not None
    requests = [b"%d" % number for number in range(3000)]
    for request in requests:
        service.cache.put_by_raw_request(request, response)
    cached = [
        service.cache.get_by_raw_request(request, common_headers=service.common) is not None
        for request in requests
    ]
    assert 0 < sum(cached) <= 1024


async def test_respond_cached_responses_are_bounded(service: Service) -> None:
    first, second = ([service.respond(if_none_match=f'"{n}"') for n in range(1000)] for _ in "12")
    reused = [again is response for again, response in zip(second, first, strict=True)]
    assert 0 < sum(reused) <= 256


async def test_get_target_expires_despite_newer_picture(service: Service) -> None:
    """A login can pass to another owner while its former owner's banner is still drawn."""
    service.now += timedelta(minutes=5)
    await service.draw(version=2)
    service.now += timedelta(minutes=5)
    assert service.pictures.get(to_picture_key(1, OPTIONS)) is not None
    assert service.respond() is None
    service.cache.put(TARGET, await service.draw(2))
    assert b"user2" in service.get().body


async def test_put_picture_not_cached_adds_no_target(service: Service) -> None:
    service.cache.put(b"/banners/other", to_picture_key(99, OPTIONS))
    assert len(service.cache.targets) == 1
    assert service.respond(b"/banners/other") is None


async def test_put_many_targets_evicts_targets_only(service: Service) -> None:
    key, other = await service.draw(), await service.draw(2)
    for number in range(60_000):
        service.cache.put(TARGET + b"%d" % number, key)
    assert service.cache.targets.used_bytes <= 16 << 20
    assert len(service.cache.targets) < 60_000
    # Targets are evicted, pictures are not.
    assert service.respond() is None
    assert service.pictures.get(key) is not None
    assert service.pictures.get(other) is not None


class Variants:
    """A fake PngConverter: PNGs of the drawings that were added."""

    def __init__(self) -> None:
        self.pngs: dict[str, Content] = {}

    def add(self, picture: Content) -> None:
        self.pngs[picture.digest] = Content.png(b"\x89PNG" + picture.body[-9:])

    def get(self, picture: Content) -> Content | None:
        return self.pngs.get(picture.digest)


async def test_respond_variant_is_returned_once_cached(service: Service) -> None:
    variants, target, key = Variants(), TARGET + b"&format=png", await service.draw()
    service.cache.put(target, key, variant=variants.get)
    assert service.respond(target) is None
    cached = service.pictures.get(key)
    assert cached is not None
    variants.add(cached.picture)
    plain = service.get(target)
    zipped = service.get(target, accept_encoding="gzip")
    assert plain.body == zipped.body == b"\x89PNG" + cached.picture.body[-9:]
    assert plain.headers == zipped.headers
    assert plain.headers["content-type"] == "image/png"
    assert plain.headers["cache-control"].startswith("public, max-age=600,")
    assert "vary" not in plain.headers
    head = service.get(target, is_head=True)
    assert (head.headers, head.body) == (plain.headers, b"")
    etag = plain.headers["etag"]
    assert etag != cached.picture.etag
    again = service.get(target, if_none_match=etag)
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", etag)
    # The SVG target is unaffected.
    assert service.get().body == cached.picture.body


async def test_respond_variant_of_outdated_picture_returns_none(service: Service) -> None:
    variants, target, key = Variants(), TARGET + b"&format=png", await service.draw()
    service.cache.put(target, key, variant=variants.get)
    cached = service.pictures.get(key)
    assert cached is not None
    variants.add(cached.picture)
    assert service.get(target).body.startswith(b"\x89PNG")
    await service.draw(version=2)
    assert service.respond(target) is None


async def test_restore_access_times_keeps_later_times(service: Service) -> None:
    later = START + timedelta(minutes=1)
    service.cache.put(TARGET, await service.draw(), banner="alice-dark")
    access_times = service.cache.drain_access_times()
    assert access_times == {"alice-dark": START}
    assert service.cache.drain_access_times() == {}
    service.cache.restore_access_times({**access_times, "bob-dark": START})
    service.now = later
    service.get()
    service.cache.restore_access_times(access_times)
    assert service.cache.drain_access_times() == {"alice-dark": later, "bob-dark": START}
