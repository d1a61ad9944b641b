"""Which clients want a picture, and the responses without the requested one: numbers, explanations."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from github_banners.api.response_cache import (
    MIN_AGE_SECONDS,
    NO_PROXY_CACHE,
    SECURITY_HEADERS,
    picture_response,
)
from github_banners.errors import BannersError, TooManyRequests, Unavailable, UnknownBanner
from github_banners.messaging.mapping import extra_data
from github_banners.models import Snapshot
from github_banners.options import BannerOptions
from github_banners.serving.framework import Content, HttpResponse, json_response
from github_banners.serving.media_types import SVG_UTF_8

_EXPLANATION_AGE_SECONDS = 60


def requests_picture(accept: str, *, suffix: str, response_format: str) -> bool:
    """Return whether the response is to be a picture: by `Accept`, path suffix or `format`."""
    lowered = accept.lower()
    accepts_images = "image/" in lowered and "text/html" not in lowered
    return accepts_images or suffix.lower() in {".svg", ".png"} or response_format in {"svg", "png"}


def is_image_loader(user_agent: str, fetch_dest: str) -> bool:
    """Return whether a client only displays images: GitHub's proxy (camo) or an `<img>` element."""
    return "camo" in user_agent.lower() or fetch_dest.strip().lower() == "image"


def numbers_response(
    snapshot: Snapshot,
    options: BannerOptions,
    *,
    is_stale: bool,
    unknown: Mapping[str, str] | None = None,
) -> HttpResponse:
    """
    Build the response with an owner's numbers as JSON, and what else the banner shows.

    `unknown` maps misspelt option names to the likely intended ones.
    """
    numbers: dict[str, Any] = {
        "username": snapshot.owner.login,
        "display_name": snapshot.owner.display_name,
        "stats": snapshot.stats,
        "fetched_at": snapshot.fetched_at,
        "stale": is_stale,
        **extra_data(snapshot, options),
    }
    if unknown:
        numbers["unknown"] = unknown
    body = msgspec.json.encode(numbers)
    return json_response(200, body, {"cache-control": f"public, max-age={MIN_AGE_SECONDS}"})


def svg_fallback_response(picture: Content, request_headers: Mapping[str, str]) -> HttpResponse:
    """
    Build the response with an SVG in place of a PNG that could not be converted in time.

    It has the shortest `max-age` and is not cached by proxies, so that the PNG replaces it soon.
    """
    response = picture_response(picture, request_headers, seconds_fresh=0)
    return replace(response, headers={**response.headers, **NO_PROXY_CACHE})


def explanation_response(
    error: BannersError,
    drawing: bytes,
    *,
    vary: str = "Accept",
    media_type: str = SVG_UTF_8,
    is_replacement: bool = False,
) -> HttpResponse:
    """
    Build the response to an image client: a drawn explanation with status 200.

    The status is 200 because image clients drop the body of an error. `is_replacement` is True if
    the drawing is an SVG in place of the requested PNG; then a retry may get the PNG.
    """
    headers = {**SECURITY_HEADERS, "content-type": media_type, "vary": vary}
    age_seconds = MIN_AGE_SECONDS if is_replacement else _EXPLANATION_AGE_SECONDS
    if isinstance(error, TooManyRequests | Unavailable):
        age_seconds = min(error.retry_after_seconds, age_seconds)
    is_temporary = isinstance(error, TooManyRequests | UnknownBanner) or error.status >= 500
    if is_temporary or is_replacement:
        headers |= NO_PROXY_CACHE
    headers["cache-control"] = f"public, max-age={age_seconds}"
    return HttpResponse(200, headers, drawing)
