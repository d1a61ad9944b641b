"""
The routes of the api: parse a request, find what to draw, draw it, build the response.

`BannerRoutes` serves banners, `page_routes` the builder page and the documentation.
"""

import asyncio
import codecs
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import PurePosixPath
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from github_banners import __version__
from github_banners.api import docs
from github_banners.api.admission import ClientCharge, RateLimiter, ServedUsers, client_address
from github_banners.api.banner_page import OPEN_GRAPH_FILE, is_open_graph_path, is_page_path
from github_banners.api.banner_responses import numbers_response, svg_fallback_response
from github_banners.api.banner_service import BannerService
from github_banners.api.base_path import PREVIEW_PATH, base_path_from_url
from github_banners.api.builder import BuilderPage
from github_banners.api.compatible_route import COMPATIBLE_PATHS, CompatibleRoute
from github_banners.api.documents import Document, document_response
from github_banners.api.openapi import build_document
from github_banners.api.openapi_responses import JsonSchema
from github_banners.api.pictures import PictureCache, RenderRequest
from github_banners.api.png_converter import PngConverter
from github_banners.api.response_cache import ResponseCache, picture_response
from github_banners.errors import DatabaseUnavailable, InvalidOption, UnreadableBanner
from github_banners.options import (
    drop_redundant_options,
    find_misspelt_options,
    parse_login,
    parse_options,
    parse_query,
)
from github_banners.serving.framework import Content, json_response, to_starlette_response
from github_banners.serving.media_types import JSON
from github_banners.settings import Network
from github_banners.stats.fetch import Deadline, picture_deadline
from github_banners.stats.snapshots import Freshness

_MAX_BODY_BYTES = 64 << 10
_MAX_DRAINED_BYTES = 16 << 20
_BODY_TIMEOUT_SECONDS = 5.0
FORMATS = ("svg", "png", "json")
_SUFFIXES = {f".{response_format}": response_format for response_format in FORMATS}
_LABELLED_PATHS = {
    *("/banners", PREVIEW_PATH, "/docs", "/healthz", "/readyz", "/"),
    *COMPATIBLE_PATHS,
}


@dataclass(frozen=True, slots=True)
class BannerRoutes:
    """The handlers of previews and permanent banners, with their dependencies."""

    banners: BannerService
    pictures: PictureCache
    cache: ResponseCache
    png_converter: PngConverter
    served_users: ServedUsers
    rate_limiter: RateLimiter
    trusted_proxies: tuple[Network, ...]
    request_timeout_seconds: float
    base_path: str = ""

    def routes(self) -> list[Route]:
        """
        Build the routes; `preview` comes first, since it would match as a banner name.

        The URLs of other services include `/?user=`, so these routes come before that of the page.
        """
        return [
            Route(PREVIEW_PATH, self.preview),
            Route("/banners/{name}", self.get_banner),
            Route("/banners", self.create_banner, methods=["POST"]),
            CompatibleRoute(self.preview),
        ]

    async def preview(self, request: Request) -> Response:
        """Draw the banner that the query describes."""
        query = _query(request)
        request.state.options = query
        login = parse_login(query.get("username"))
        options = drop_redundant_options(parse_options(query))
        response_format = _parse_format(query.get("format", ""))
        deadline = self.start_deadline(request, response_format)
        render_request = await self.banners.finder.find_preview(
            login,
            options,
            deadline=deadline,
            charge=self.charge(request),
            wants_numbers=response_format == "json",
        )
        return await self._respond(request, render_request, response_format, login=login)

    async def get_banner(self, request: Request) -> Response:
        """
        Draw a permanent banner.

        While the database is down, and for a banner that only a newer version can read, the newest
        drawing in the storage is sent if there is one.
        """
        name: str = request.path_params["name"]
        suffix = PurePosixPath(name).suffix.lower()
        response_format = _SUFFIXES.get(suffix, "svg")
        stem = name[: -len(suffix)] if suffix in _SUFFIXES else name
        deadline = self.start_deadline(request, response_format)
        try:
            render_request = await self.banners.get_by_name(
                stem,
                deadline=deadline,
                charge=self.charge(request),
                wants_numbers=response_format == "json",
            )
        except (DatabaseUnavailable, UnreadableBanner):
            drawing = await self.banners.read_stored_drawing(stem, deadline=deadline)
            if drawing is None or response_format == "json":
                raise
            return await self._respond_stored(request, Content.svg(drawing), response_format)
        return await self._respond(request, render_request, response_format, name=stem.lower())

    async def create_banner(self, request: Request) -> Response:
        """Create a permanent banner (201), or return the URL of the existing one (200)."""
        body = await read_json_object(request)
        request.state.options = body
        login = parse_login(body.get("username"))
        options = drop_redundant_options(parse_options(body))
        deadline = self.start_deadline(request, "json")
        created = await self.banners.create(
            login, options, deadline=deadline, charge=self.charge(request)
        )
        url = f"{self.base_path}/banners/{created.name}"
        status, headers = (201, {"location": url}) if created.is_new else (200, {})
        unknown = find_misspelt_options(body)
        content = {"url": url, "unknown": unknown} if unknown else {"url": url}
        return to_starlette_response(json_response(status, msgspec.json.encode(content), headers))

    async def draw_png(
        self, request: Request, drawing: Content, *, is_cacheable: bool = True
    ) -> Content | None:
        """Convert an SVG to PNG, charged to the client; None if it fails or takes too long."""
        deadline = getattr(request.state, "deadline", None) or picture_deadline()
        charge = self.charge(request)
        return await self.png_converter.to_png(
            drawing, charge=charge, deadline=deadline, is_cacheable=is_cacheable
        )

    def charge(self, request: Request) -> ClientCharge:
        """Build the charge against the client of a request."""
        peer = request.client.host if request.client is not None else ""
        forwarded_for = ", ".join(request.headers.getlist("x-forwarded-for"))
        address = client_address(peer, forwarded_for, trusted=self.trusted_proxies)
        return ClientCharge(address, self.rate_limiter)

    def start_deadline(self, request: Request, response_format: str) -> Deadline:
        """Set the deadline of a request: short for pictures, REQUEST_TIMEOUT for JSON."""
        is_json = response_format == "json"
        deadline = (
            Deadline(self.request_timeout_seconds, self.request_timeout_seconds)
            if is_json
            else picture_deadline()
        )
        request.state.deadline = deadline
        return deadline

    async def _respond(
        self,
        request: Request,
        render_request: RenderRequest,
        response_format: str,
        *,
        name: str | None = None,
        login: str = "",
    ) -> Response:
        """Send a banner; `name` is that of a permanent one, `login` that of a preview's query."""
        if response_format == "json":
            is_stale = render_request.result.freshness is not Freshness.FRESH
            unknown = find_misspelt_options(getattr(request.state, "options", {}))
            numbers = numbers_response(
                render_request.result.snapshot,
                render_request.options,
                is_stale=is_stale,
                unknown=unknown,
            )
            return to_starlette_response(numbers)
        cached = await self.pictures.get_or_draw(render_request, deadline=request.state.deadline)
        picture: Content | None = cached.picture
        if response_format == "png":
            # Dated pictures are not cached as SVG either.
            is_cacheable = render_request.result.freshness is not Freshness.HARD_STALE
            picture = await self.draw_png(request, cached.picture, is_cacheable=is_cacheable)
        # Nothing may be cached after the lists have changed, which clears the cache.
        owner = render_request.result.snapshot.owner.login
        self.served_users.require(login or owner, owner)
        variant = self.png_converter.get_cached if response_format == "png" else None
        self.cache.put(_target(request), render_request.key, banner=name, variant=variant)
        if picture is None:
            return to_starlette_response(svg_fallback_response(cached.picture, request.headers))
        seconds_fresh = self.cache.seconds_fresh(cached.refresh_at)
        return to_starlette_response(
            picture_response(picture, request.headers, seconds_fresh=seconds_fresh)
        )

    async def _respond_stored(
        self, request: Request, drawing: Content, response_format: str
    ) -> Response:
        """Send a stored drawing, as PNG if that is requested and possible."""
        picture: Content | None = drawing
        if response_format == "png":
            picture = await self.draw_png(request, drawing)
        if picture is None:
            return to_starlette_response(svg_fallback_response(drawing, request.headers))
        return to_starlette_response(picture_response(picture, request.headers, seconds_fresh=0))


def page_routes(
    public_url: str | None = None, *, trusted_proxies: tuple[Network, ...] = ()
) -> list[Route]:
    """Build the routes of the builder page and of the documentation page, for PUBLIC_URL if set."""
    base_path = base_path_from_url(public_url)

    async def docs_page(request: Request) -> Response:
        """Send the documentation page or one of its files."""
        name = request.path_params.get("name", docs.PAGE)
        try:
            document = await asyncio.to_thread(docs.read_document, name, base_path=base_path)
        except KeyError:
            raise HTTPException(404) from None
        return _docs_response(document, request)

    async def docs_openapi(request: Request) -> Response:
        """Send the OpenAPI document."""
        return _docs_response(_openapi_document(base_path), request)

    return [
        *BuilderPage(
            partial(_openapi, base_path), public_url=public_url, trusted_proxies=trusted_proxies
        ).routes(),
        Route("/docs", docs_page),
        Route("/docs/openapi.json", docs_openapi),
        Route("/docs/{name}", docs_page),
    ]


def _docs_response(document: Document, request: Request) -> Response:
    return to_starlette_response(document_response(document, request.headers, policy=docs.POLICY))


@cache
def _openapi(base_path: str) -> JsonSchema:
    return build_document(formats=FORMATS, version=__version__, base_path=base_path)


@cache
def _openapi_document(base_path: str) -> Document:
    return Document(Content.text(msgspec.json.encode(_openapi(base_path)), JSON))


def _target(request: Request) -> bytes:
    """Return the path and query of a request, still percent-encoded."""
    path: bytes = request.scope["raw_path"]
    query: bytes = request.scope["query_string"]
    return path + b"?" + query if query else path


def _query(request: Request) -> Mapping[str, str]:
    try:
        return parse_query(request.scope["query_string"])
    except ValueError as error:
        raise InvalidOption("query", "", (str(error),)) from None


def _parse_format(raw: str) -> str:
    response_format = raw.strip().lower() or FORMATS[0]
    if response_format in FORMATS:
        return response_format
    raise InvalidOption("format", raw, FORMATS)


async def read_json_object(request: Request) -> Mapping[str, Any]:
    """
    Read a JSON object from the body, bounded in size and time.

    :raises InvalidOption: it is too large, too slow or no JSON object
    """
    error = InvalidOption("body", "", (f"a JSON object of at most {_MAX_BODY_BYTES >> 10} KB",))
    chunks, size_bytes = [], 0
    try:
        # The number of connections is limited: a stalled client must not hold one.
        async with asyncio.timeout(_BODY_TIMEOUT_SECONDS):
            async for chunk in request.stream():
                size_bytes += len(chunk)
                # The rest of a larger body is read and dropped: many clients read no response
                # before they have sent everything.
                if size_bytes <= _MAX_BODY_BYTES:
                    chunks.append(chunk)
                elif size_bytes > _MAX_DRAINED_BYTES:
                    break
    except TimeoutError:
        raise InvalidOption(
            "body", "", (f"sent within {_BODY_TIMEOUT_SECONDS:g} seconds",)
        ) from None
    if size_bytes > _MAX_BODY_BYTES:
        raise error
    try:
        # Some editors save files with a byte order mark.
        body = b"".join(chunks).removeprefix(codecs.BOM_UTF8)
        options = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise error from None
    return {name.lower(): _int_if_whole(value) for name, value in options.items()}


def _int_if_whole(value: Any) -> Any:
    """Return 17 for 17.0: JSON has one number type (RFC 8259, 6)."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def route_label(path: str) -> str | None:
    """Return the metric label of a path, None for unknown paths; the set of labels is small."""
    if path in _LABELLED_PATHS:
        return path
    if path.rstrip("/") in COMPATIBLE_PATHS:
        return path.rstrip("/")
    if is_page_path(path):
        return "/banners/{name}/"
    if is_open_graph_path(path):
        return f"/banners/{{name}}/{OPEN_GRAPH_FILE}"
    return "/banners/{name}" if path.startswith("/banners/") else None
