"""
The HTML page of a permanent banner, whose link shows the banner in chats and social networks.

It has the properties of https://ogp.me, the banner, its description and two links. It has no
script, and its one style element is allowed by its hash.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib.resources import files
from urllib.parse import quote, urlsplit

import msgspec

from github_banners.api.documents import HTML, escape_url, html_environment, security_headers
from github_banners.api.response_cache import picture_response
from github_banners.drawing import explain_in_words
from github_banners.drawing.locales import is_right_to_left
from github_banners.drawing.open_graph import HEIGHT, SERVICE_NAME, WIDTH, BannerTexts
from github_banners.errors import BannersError, TooManyRequests, Unavailable
from github_banners.serving.framework import Content, HttpResponse

OPEN_GRAPH_FILE = "og.png"
"""The last segment of the path of the picture for link previews."""

VARY = "Accept, User-Agent, Sec-Fetch-Dest"
"""The headers by which image clients are recognised: they get the banner instead of its page."""

PAGE_PATH = re.compile(r"/banners/(?!preview/)[^/.]+/")
"""The paths of pages: the name of a banner, without a suffix, and a slash."""

_OPEN_GRAPH_PATH = re.compile(rf"/banners/[^/]+/{re.escape(OPEN_GRAPH_FILE)}")


class BannerPage(msgspec.Struct, frozen=True):
    """
    What the page of a banner shows.

    `banner` is its name and `profile_url` its owner's page at GitHub, if the owner is known.
    `site_url` is the absolute URL of the service, "" if it is not known; `base_path` is its path.
    """

    banner: str
    texts: BannerTexts
    locale: str
    profile_url: str | None
    site_url: str
    base_path: str


def is_page_path(path: str) -> bool:
    """Return whether a path is that of a banner's page: its name and a slash."""
    return PAGE_PATH.fullmatch(path) is not None


def is_open_graph_path(path: str) -> bool:
    """Return whether a path is that of a picture for link previews."""
    return _OPEN_GRAPH_PATH.fullmatch(path) is not None


def build_profile_url(login: str, *, api_url: str) -> str:
    """Return the URL of an owner's profile, on the Enterprise Server if GITHUB_API_URL names one."""
    url = urlsplit(api_url)
    is_enterprise = url.path.rstrip("/") == "/api/v3"
    return (
        f"{url.scheme}://{url.netloc}/{login}" if is_enterprise else f"https://github.com/{login}"
    )


def page_response(
    page: BannerPage, request_headers: Mapping[str, str], *, seconds_fresh: int
) -> HttpResponse:
    """Build the response with a page; it is cached and revalidated like the banner itself."""
    path = f"/banners/{quote(page.banner)}"
    html = _render(
        language=page.locale,
        direction="rtl" if is_right_to_left(page.locale) else "ltr",
        title=page.texts.title,
        description=page.texts.description,
        page_url=escape_url(f"{page.site_url}{path}/"),
        image_url=escape_url(f"{page.site_url}{path}/{OPEN_GRAPH_FILE}"),
        picture_path=escape_url(f"{page.base_path}{path}.svg"),
        profile_url=escape_url(page.profile_url) if page.profile_url else None,
        home_path=escape_url(f"{page.base_path}/"),
    )
    content = Content.text(html, HTML)
    response = picture_response(content, request_headers, seconds_fresh=seconds_fresh)
    headers = {**response.headers, **_security_headers(), "vary": f"Accept-Encoding, {VARY}"}
    return replace(response, headers=headers)


def error_page_response(error: BannersError, *, host: str, base_path: str) -> HttpResponse:
    """Build the response to an error, with its status and a page that explains it."""
    headline, what, advice = explain_in_words(error, host=host)
    html = _render(
        language="en",
        direction="ltr",
        title=headline,
        description=f"{what} {advice}.",
        page_url="",
        image_url="",
        picture_path="",
        profile_url=None,
        home_path=escape_url(f"{base_path}/"),
    )
    headers = {
        **_security_headers(),
        "content-type": HTML,
        "vary": VARY,
        "cache-control": "no-store",
    }
    if isinstance(error, TooManyRequests | Unavailable):
        headers["retry-after"] = str(error.retry_after_seconds)
    return HttpResponse(error.status, headers, html)


def _render(**values: str | None) -> bytes:
    sizes = {"image_width": WIDTH, "image_height": HEIGHT}
    page = html_environment(_load).render_template(
        "banner_page.html", **values, **sizes, service_name=SERVICE_NAME, style=_style()
    )
    return page.encode()


def _load(name: str) -> str:
    return (files(__package__) / "templates" / name).read_text(encoding="utf-8")


@cache
def _style() -> str:
    return _load("banner_page.css").strip()


@cache
def _security_headers() -> Mapping[str, str]:
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return security_headers(
        f"default-src 'none'; img-src 'self' data:; style-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
