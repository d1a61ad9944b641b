"""The HTML of a banner's page: escaping, absolute addresses, headers, errors."""

import base64
import hashlib
import re
from html import unescape

import pytest

from github_banners.api.banner_page import (
    BannerPage,
    build_profile_url,
    error_page_response,
    is_open_graph_path,
    is_page_path,
    page_response,
)
from github_banners.drawing.open_graph import BannerTexts
from github_banners.errors import BannersError, DatabaseUnavailable, TooManyRequests, UnknownBanner
from github_banners.serving.framework import HttpResponse

HOSTILE = """</title>"'><script>&lt;{{ 1 }}"""


def page(
    *,
    title: str = "Mia (@mia)",
    locale: str = "en",
    profile_url: str | None = "https://github.com/mia",
    site_url: str = "https://example.org/gh",
) -> HttpResponse:
    texts = BannerTexts(title, f"5 stars {title}")
    shown = BannerPage("mia-dark", texts, locale, profile_url, site_url, "/gh")
    return page_response(shown, {}, seconds_fresh=100)


def contents(response: HttpResponse) -> dict[str, str]:
    meta = re.findall(r'<meta (?:property|name)="([^"]+)" content="([^"]*)">', html(response))
    return {name: unescape(content) for name, content in meta}


def html(response: HttpResponse) -> str:
    return response.body.decode()


def test_page_addresses_are_absolute_and_unescaped() -> None:
    text = html(page())
    # Crawlers that decode no entities must understand them.
    assert 'content="https://example.org/gh/banners/mia-dark/og.png"' in text
    assert 'content="https://example.org/gh/banners/mia-dark/"' in text
    assert 'src="/gh/banners/mia-dark.svg"' in text
    assert 'href="/gh/"' in text
    assert 'href="https://github.com/mia"' in text


def test_page_without_known_address_is_relative() -> None:
    assert contents(page(site_url=""))["og:image"] == "/banners/mia-dark/og.png"


def test_page_hostile_texts_are_escaped() -> None:
    response = page(title=HOSTILE)
    assert "<script" not in html(response)
    assert contents(response)["og:title"] == HOSTILE
    assert html(response).count("</title>") == 1


@pytest.mark.parametrize(
    ("api_url", "url"),
    [
        ("https://api.github.com", "https://github.com/mia"),
        ("https://git.example/api/v3", "https://git.example/mia"),
        ("http://127.0.0.1:8080", "https://github.com/mia"),
    ],
)
def test_profile_url_is_at_the_github_of_the_api(api_url: str, url: str) -> None:
    assert build_profile_url("mia", api_url=api_url) == url


def test_page_of_unknown_owner_has_no_profile() -> None:
    assert "https://github.com" not in html(page(profile_url=None))


@pytest.mark.parametrize(("locale", "direction"), [("en", "ltr"), ("ar", "rtl"), ("zh-cn", "ltr")])
def test_page_has_language_and_direction(locale: str, direction: str) -> None:
    assert f'<html lang="{locale}" dir="{direction}">' in html(page(locale=locale))


@pytest.mark.parametrize(
    "response",
    [page(), error_page_response(UnknownBanner("x"), host="", base_path="")],
    ids=["page", "error"],
)
def test_policy_allows_only_own_style_and_images(response: HttpResponse) -> None:
    style = re.search("<style>(.*)</style>", html(response), re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = response.headers["content-security-policy"]
    assert f"style-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src 'self' data:;")
    assert "unsafe" not in policy
    assert response.headers["x-content-type-options"] == "nosniff"
    assert " style=" not in html(response)


@pytest.mark.parametrize(
    ("error", "status", "headline"),
    [
        (UnknownBanner("x"), 404, "No banner of this name"),
        (DatabaseUnavailable("postgresql://u:secret@db"), 503, "Numbers can’t be read right now"),
        (TooManyRequests(7), 429, "Drawn too often"),
        (BannersError("secret"), 500, ""),
    ],
    ids=lambda value: type(value).__name__,
)
def test_error_page_has_status_and_explains(
    error: BannersError, status: int, headline: str
) -> None:
    response = error_page_response(error, host="banners.example", base_path="/gh")
    assert response.status == status
    assert headline in html(response)
    assert "secret" not in html(response)
    assert response.headers["cache-control"] == "no-store"
    assert ("retry-after" in response.headers) == (status in {429, 503})
    assert "og:image" not in contents(response)


@pytest.mark.parametrize(
    ("path", "is_page", "is_open_graph"),
    [
        ("/banners/mia-dark/", True, False),
        ("/banners/mia-dark", False, False),
        ("/banners/mia-dark//", False, False),
        ("/banners/preview/", False, False),
        ("/banners/previewer/", True, False),
        ("/banners/mia-dark/og.png", False, True),
        ("/banners/a/b/og.png", False, False),
        ("/banners/og.png", False, False),
        ("/docs/", False, False),
    ],
)
def test_paths_of_page_and_picture(path: str, is_page: bool, is_open_graph: bool) -> None:
    assert (is_page_path(path), is_open_graph_path(path)) == (is_page, is_open_graph)
