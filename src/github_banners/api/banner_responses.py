"""Which clients want a picture, and the response to those that want numbers instead."""

from collections.abc import Mapping
from typing import Any

import msgspec

from github_banners.api.pictures import MIN_AGE_SECONDS
from github_banners.messaging.mapping import extra_data
from github_banners.models import Snapshot
from github_banners.options import BannerOptions
from github_banners.serving.framework import HttpResponse, json_response


def requests_picture(accept: str, *, suffix: str, response_format: str) -> bool:
    """Return whether a request asks for a picture: by `Accept`, path suffix or `format`."""
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
