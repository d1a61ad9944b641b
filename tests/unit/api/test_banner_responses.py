"""Bodies and headers of the public responses."""

import gzip
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from github_banners.api.banner_responses import (
    explanation_response,
    is_image_loader,
    numbers_response,
    requests_picture,
    svg_fallback_response,
)
from github_banners.api.response_cache import cache_control, picture_response
from github_banners.errors import (
    BannersError,
    DatabaseUnavailable,
    FetchPending,
    InvalidOption,
    InvalidType,
    Overloaded,
    TooManyRequests,
    UnknownBanner,
    UnknownUser,
)
from github_banners.models import Owner, Snapshot, Stats
from github_banners.options import BannerOptions
from github_banners.serving.framework import (
    Content,
    accepts_gzip,
    error_response,
    etag_matches,
    expand_origins,
)

DRAWING = b"<svg>" + b"banner " * 200 + b"</svg>"
PICTURE = Content.svg(DRAWING)
GZIP_ETAG = f'"{PICTURE.digest}-gz"'
SECURITY_HEADERS = {
    "access-control-allow-origin": "*",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:",
    "x-content-type-options": "nosniff",
}
CACHE_CONTROL = "public, max-age=600, stale-while-revalidate=60, stale-if-error=86400"


@pytest.mark.parametrize(
    ("accept", "suffix", "response_format", "is_requested"),
    [
        ("image/avif,image/webp,*/*;q=0.8", "", "", True),
        ("IMAGE/svg+xml", "", "", True),
        ("image/*", ".json", "", True),
        ("text/html,application/xhtml+xml,image/avif,*/*", "", "", False),
        ("Text/HTML,image/avif", "", "", False),
        ("*/*", "", "", False),
        ("", "", "", False),
        ("application/json", ".json", "json", False),
        ("*/*", ".svg", "", True),
        ("text/html", ".PNG", "", True),
        ("*/*", "", "svg", True),
        ("text/html,image/avif", "", "png", True),
        ("*/*", "", "gif", False),
    ],
)
def test_requests_picture_by_accept_suffix_or_format(
    accept: str, suffix: str, response_format: str, is_requested: bool
) -> None:
    assert requests_picture(accept, suffix=suffix, response_format=response_format) is is_requested


@pytest.mark.parametrize(
    ("user_agent", "fetch_dest", "is_loader"),
    [
        ("github-camo (876de43e)", "", True),
        ("GitHub-Camo", "", True),
        ("Mozilla/5.0", "image", True),
        ("", " Image", True),
        ("Mozilla/5.0", "document", False),
        ("curl/8.5.0", "", False),
        ("", "", False),
    ],
)
def test_is_image_loader_by_name_or_destination(
    user_agent: str, fetch_dest: str, is_loader: bool
) -> None:
    assert is_image_loader(user_agent, fetch_dest) is is_loader


def test_picture_response_identity_returns_body_and_headers() -> None:
    response = picture_response(PICTURE, {}, seconds_fresh=600)
    assert (response.status, response.body) == (200, DRAWING)
    assert response.headers == {
        **SECURITY_HEADERS,
        "etag": PICTURE.etag,
        "content-length": str(len(PICTURE.body)),
        "cache-control": CACHE_CONTROL,
        "vary": "Accept-Encoding",
        "content-type": "image/svg+xml; charset=utf-8",
    }


def test_picture_response_gzip_has_its_own_etag() -> None:
    response = picture_response(PICTURE, {"accept-encoding": "br, gzip"}, seconds_fresh=600)
    assert (response.status, gzip.decompress(response.body)) == (200, DRAWING)
    assert response.headers["content-encoding"] == "gzip"
    assert response.headers["etag"] == GZIP_ETAG != PICTURE.etag
    assert len(response.body) < len(DRAWING)


@pytest.mark.parametrize(
    ("encoding", "etag", "status"),
    [
        ("", PICTURE.etag, 304),
        ("gzip", GZIP_ETAG, 304),
        ("gzip", f'"other", W/{GZIP_ETAG}', 304),
        ("", "*", 304),
        ("gzip", PICTURE.etag, 200),
        ("", GZIP_ETAG, 200),
        ("", '"other"', 200),
        ("", "", 200),
    ],
)
def test_picture_response_matching_etag_returns_304(encoding: str, etag: str, status: int) -> None:
    response = picture_response(
        PICTURE, {"accept-encoding": encoding, "if-none-match": etag}, seconds_fresh=600
    )
    assert response.status == status
    assert (response.body == b"") == (status == 304)
    assert ("content-type" in response.headers) == (status == 200)
    # RFC 9110, 15.4.5: a 304 has the caching headers of the 200.
    assert (
        response.headers.items()
        >= {"cache-control": CACHE_CONTROL, "vary": "Accept-Encoding"}.items()
    )
    assert response.headers["etag"] in {PICTURE.etag, GZIP_ETAG}


@pytest.mark.parametrize("encoding", ["", "gzip", "br, gzip"])
def test_picture_response_png_ignores_accept_encoding(encoding: str) -> None:
    picture = Content.png(DRAWING)
    response = picture_response(picture, {"accept-encoding": encoding}, seconds_fresh=600)
    assert (response.status, response.body) == (200, DRAWING)
    assert response.headers == {
        **SECURITY_HEADERS,
        "etag": picture.etag,
        "content-length": str(len(DRAWING)),
        "cache-control": CACHE_CONTROL,
        "content-type": "image/png",
    }
    request_headers = {"accept-encoding": encoding, "if-none-match": picture.etag}
    unchanged = picture_response(picture, request_headers, seconds_fresh=600)
    assert (unchanged.status, unchanged.body) == (304, b"")
    assert unchanged.headers == {
        **SECURITY_HEADERS,
        "etag": picture.etag,
        "cache-control": CACHE_CONTROL,
    }


def test_svg_fallback_response_max_age_is_30_seconds() -> None:
    response = svg_fallback_response(PICTURE, {})
    assert (response.status, response.body) == (200, DRAWING)
    assert response.headers["content-type"] == "image/svg+xml; charset=utf-8"
    assert response.headers["cache-control"].startswith("public, max-age=30,")
    assert response.headers["x-accel-expires"] == "0"


@given(body=st.binary(max_size=500))
def test_picture_equal_bytes_have_equal_etags(body: bytes) -> None:
    picture, equal, other = Content.svg(body), Content.svg(bytes(body)), Content.svg(body + b"x")
    for headers in ({}, {"accept-encoding": "gzip"}):
        sent, again, differing = (
            picture_response(drawn, headers, seconds_fresh=600) for drawn in (picture, equal, other)
        )
        assert (sent.headers["etag"], sent.body) == (again.headers["etag"], again.body)
        assert sent.headers["etag"] != differing.headers["etag"]
    assert gzip.decompress(picture.gzipped or b"") == body
    assert picture.etag.strip('"').isalnum()


@pytest.mark.parametrize(
    ("seconds_fresh", "age"), [(-5, 30), (0, 30), (30, 30), (31, 31), (600, 600), (601, 600)]
)
def test_cache_control_max_age_is_bounded_freshness(seconds_fresh: int, age: int) -> None:
    assert cache_control(seconds_fresh).decode() == CACHE_CONTROL.replace("600,", f"{age},")


@pytest.mark.parametrize(
    ("header", "is_accepted"),
    [
        ("", False),
        ("identity", False),
        ("gzip", True),
        ("deflate, GZip;q=0.5", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000, *", False),
        ("gzip;\tq=0", False),
        ("gzip\t;q=0.5", True),
        ("*, gzip;q=0", False),
        ("*;q=0, gzip", True),
        ("*;q=0", False),
        ("gzip;q=0.001", True),
        ("gzipped", False),
    ],
)
def test_accepts_gzip_parses_weights(header: str, is_accepted: bool) -> None:
    assert accepts_gzip(header) is is_accepted


@pytest.mark.parametrize(
    ("if_none_match", "is_match"),
    [
        ("", False),
        ('"a"', True),
        ('W/"a"', True),
        ('"b" , "a"', True),
        ('"b"', False),
        ("a", False),
    ],
)
def test_etag_matches_compares_weakly(if_none_match: str, is_match: bool) -> None:
    assert etag_matches(if_none_match, '"a"') is is_match


@pytest.mark.parametrize("is_stale", [True, False])
def test_numbers_response_returns_json(is_stale: bool) -> None:
    stats = Stats(3, 2, 1, 10, 4, {"C": 2})
    fetched_at = datetime(2026, 11, 20, 12, 0, 0, 5, tzinfo=UTC)
    snapshot = Snapshot(Owner(4, "WyCats", None, "Yehuda"), stats, fetched_at)
    response = numbers_response(snapshot, BannerOptions(), is_stale=is_stale)
    assert response.status == 200
    assert response.headers == {
        "content-type": "application/json",
        "x-content-type-options": "nosniff",
        "cache-control": "public, max-age=30",
    }
    assert json.loads(response.body) == {
        "username": "WyCats",
        "display_name": "Yehuda",
        "stats": {
            "total_repos": 3,
            "original_repos": 2,
            "forked_repos": 1,
            "total_stars": 10,
            "total_forks": 4,
            "languages": {"C": 2},
        },
        "fetched_at": "2026-11-20T12:00:00.000005Z",
        "stale": is_stale,
    }


@pytest.mark.parametrize(
    ("error", "status", "body", "retry_after"),
    [
        (
            InvalidType("type", "x", ["default", "dark"]),
            400,
            {
                "error": "invalid banner type",
                "field": "type",
                "allowed": ["default", "dark"],
            },
            None,
        ),
        (
            InvalidOption("radius", "99", ["0 to 20"]),
            400,
            {"error": "invalid inputs", "field": "radius", "allowed": ["0 to 20"]},
            None,
        ),
        (UnknownUser("x"), 404, {"error": "user doesn't exist"}, None),
        (UnknownBanner("x"), 404, {"error": "banner doesn't exist"}, None),
        (TooManyRequests(7), 429, {"error": "too many requests"}, "7"),
        (FetchPending("x"), 503, {"error": "can't get preview"}, "2"),
        (DatabaseUnavailable("secret detail"), 503, {"error": "can't get preview"}, "30"),
        (BannersError("secret detail"), 500, {"error": "something went wrong"}, None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BannersError) else "",
)
def test_error_response_returns_json_with_retry_after(
    error: BannersError, status: int, body: dict[str, object], retry_after: str | None
) -> None:
    response = error_response(error)
    assert response.status == status
    assert json.loads(response.body) == body
    assert response.headers.get("retry-after") == retry_after
    assert response.headers["vary"] == "Accept"
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("error", "age", "is_temporary"),
    [
        (UnknownUser("x"), 60, False),
        (UnknownBanner("x"), 60, True),
        (InvalidOption("radius"), 60, False),
        (TooManyRequests(7), 7, True),
        (TooManyRequests(3600), 60, True),
        (FetchPending("x"), 2, True),
        (Overloaded(), 30, True),
        (BannersError(), 60, True),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BannersError) else str(value),
)
def test_explanation_response_is_200_with_short_max_age(
    error: BannersError, age: int, is_temporary: bool
) -> None:
    response = explanation_response(error, b"<svg/>")
    expected = {
        **SECURITY_HEADERS,
        "content-type": "image/svg+xml; charset=utf-8",
        "vary": "Accept",
        "cache-control": f"public, max-age={age}",
    }
    if is_temporary:
        expected["x-accel-expires"] = "0"
    assert (response.status, response.headers, response.body) == (200, expected, b"<svg/>")


def test_explanation_response_replacement_max_age_is_30_seconds() -> None:
    response = explanation_response(UnknownUser("x"), b"<svg/>", is_replacement=True)
    assert response.headers["cache-control"] == "public, max-age=30"
    assert response.headers["x-accel-expires"] == "0"


def test_expand_origins_without_scheme_adds_http_and_https() -> None:
    assert expand_origins(["example.com:81", "https://a.example", "*"]) == {
        "http://example.com:81",
        "https://example.com:81",
        "https://a.example",
        "*",
    }
