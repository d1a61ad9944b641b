"""The HTTP routes of the storage: store one picture or several, return or remove a stored one."""

import re
from dataclasses import dataclass

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from github_banners.errors import BannersError, InvalidOption, UnknownBanner
from github_banners.messaging.schemas import MAX_BATCH_BYTES, MAX_VERSION, StoreRequest
from github_banners.serving.framework import (
    HttpResponse,
    etag_digest,
    etag_matches,
    json_response,
    to_starlette_response,
)
from github_banners.serving.media_types import SVG
from github_banners.serving.metrics import Count
from github_banners.storage.banner_batch import store_batch
from github_banners.storage.picture_format import VERSION_PATTERN
from github_banners.storage.store import (
    Store,
    StoredPicture,
    outcome_from_error,
    outcome_from_response,
)

MAX_BODY_BYTES = MAX_BATCH_BYTES
"""The size of a batch; a single picture is at most 1 MB and smaller in Base64 than this."""

VERSION_HEADER = "banner-version"
_VERSION = re.compile(VERSION_PATTERN, re.ASCII)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StorageRoutes:
    """The request handlers of the storage, and their dependencies."""

    store: Store
    count: Count

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/banners", self.put_banner, methods=["POST"]),
            Route("/banners/batch", self.put_banners, methods=["POST"]),
            Route("/banners/{name}", self.get_banner),
            Route("/banners/{name}", self.remove_banner, methods=["DELETE"]),
        ]

    async def put_banner(self, request: Request) -> Response:
        """Store a picture, unless a newer one is stored."""
        try:
            store_request = StoreRequest.from_json(await request.body())
            response = await self.store.put(store_request)
        except BannersError as error:
            self.count(outcome_from_error(error))
            raise
        self.count(outcome_from_response(response))
        event = "banner.superseded" if response.superseded else "banner.stored"
        _log.info(event, url=response.url, version=store_request.version)
        return to_starlette_response(json_response(200, response.to_json(), {}))

    async def put_banners(self, request: Request) -> Response:
        """Store several pictures, each with its own result."""
        results = await store_batch(self.store, await request.body(), count=self.count)
        return to_starlette_response(json_response(200, results, {}))

    async def get_banner(self, request: Request) -> Response:
        """Return a stored picture and its version, or 304 if the client has it."""
        name: str = request.path_params["name"]
        picture = await self.store.get(name)
        if picture is None:
            raise UnknownBanner(name)
        return to_starlette_response(
            _picture_response(picture, request.headers.get("if-none-match", ""))
        )

    async def remove_banner(self, request: Request) -> Response:
        """Remove a picture up to the version in the query, and refuse such pictures from then on."""
        version = parse_removal_version(request.query_params.get("version", ""))
        response = await self.store.remove(request.path_params["name"], version=version)
        _log.info("banner.removed", url=response.url, version=version, was_there=response.removed)
        return to_starlette_response(json_response(200, response.to_json(), {}))


def parse_removal_version(text: str) -> int:
    """
    Parse the version of a removal.

    :raises InvalidOption: it is not one
    """
    if not _VERSION.fullmatch(text) or int(text) > MAX_VERSION:
        raise InvalidOption("version", text[:64], ("a number, as in the banner's event",))
    return int(text)


def _picture_response(picture: StoredPicture, if_none_match: str) -> HttpResponse:
    # A client must revalidate each time: a banner changes at any time under the same URL.
    etag = f'"{etag_digest(picture.body)}"'
    headers = {"etag": etag, VERSION_HEADER: str(picture.version), "cache-control": "no-cache"}
    if etag_matches(if_none_match, etag):
        return HttpResponse(304, headers)
    type_headers = {"content-type": SVG, "x-content-type-options": "nosniff"}
    return HttpResponse(200, {**type_headers, **headers}, picture.body)


def route_label(path: str) -> str | None:
    """Return the label of a path in the metrics; None for unknown paths."""
    if path in _LABELLED:
        return path
    return "/banners/{name}" if path.startswith("/banners/") else None


_LABELLED = {"/banners", "/banners/batch", "/healthz", "/readyz"}
