"""What other services can ask of the storage: to keep a picture, and to give it back."""

import hashlib
from dataclasses import dataclass

import structlog
from litestar import HttpMethod, Response, post, route
from litestar.di import NamedDependency
from litestar.params import FromPath, SkipValidation

from github_banners.errors import BannersError, UnknownBanner
from github_banners.messages.shapes import StoreAnswer, StoreAsk
from github_banners.serving.answers import Ask, Outgoing, as_json, matches, respond
from github_banners.serving.health import healthz, readyz
from github_banners.serving.metrics import Count
from github_banners.storage.store import Store, StoredPicture

MOST_BODY_BYTES = 2 << 20
"""A picture of 1 MB in Base64, and the rest of the JSON."""

VERSION_HEADER = "banner-version"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Door:
    """What every handler works with."""

    store: Store
    count: Count


@post("/banners", status_code=200, request_max_body_size=None)
async def keep(request: Ask, door: NamedDependency[SkipValidation[Door]]) -> Response[bytes]:
    """Store a picture, unless a newer one is there."""
    try:
        ask = StoreAsk.from_json(await request.body())
        stored = await door.store.keep(ask)
    except BannersError as error:
        door.count("refused" if error.status < 500 else "failed")
        raise
    door.count("superseded" if stored.is_superseded else "stored")
    _log.info(
        "banner.superseded" if stored.is_superseded else "banner.stored",
        url=stored.url,
        version=ask.version,
    )
    answer = StoreAnswer(url=stored.url, superseded=stored.is_superseded)
    return respond(as_json(200, answer.to_json(), {}))


@route("/banners/{name:str}", http_method=[HttpMethod.GET, HttpMethod.HEAD])
async def read(
    request: Ask, door: NamedDependency[SkipValidation[Door]], name: FromPath[str]
) -> Response[bytes]:
    """Give a stored picture back, with its version; 304 to who has it."""
    picture = await door.store.get(name)
    if picture is None:
        raise UnknownBanner(name)
    return respond(_deliver(picture, request.headers.get("if-none-match", "")))


def _deliver(picture: StoredPicture, if_none_match: str) -> Outgoing:
    etag = f'"{hashlib.sha256(picture.body).hexdigest()[:32]}"'
    headers = {"etag": etag, VERSION_HEADER: str(picture.version), "cache-control": "no-cache"}
    if matches(if_none_match, etag):
        return Outgoing(304, headers)
    typed = {"content-type": picture.media_type, "x-content-type-options": "nosniff"}
    return Outgoing(200, {**typed, **headers}, picture.body)


HANDLERS = (keep, read, healthz, readyz)


def name_of(path: str) -> str | None:
    """Name a path in the metrics."""
    return path if path in _NAMED else "/banners/{name}" if path.startswith("/banners/") else None


_NAMED = {"/banners", "/healthz", "/readyz"}
