"""What can be asked over HTTP: reads a request, hands it to `BannerService`, sends what comes back."""

import asyncio
import codecs
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from github_banners import __version__
from github_banners.api import docs
from github_banners.api.banner_responses import (
    Picture,
    numbers_response,
    picture_response,
    svg_fallback_response,
)
from github_banners.api.banner_service import BannerService, RenderRequest
from github_banners.api.openapi import build_document
from github_banners.api.png_converter import PngConverter
from github_banners.api.rate_limit import ClientCharge, RateLimiter, client_address
from github_banners.api.response_cache import ResponseCache
from github_banners.drawing import drop_redundant_options
from github_banners.errors import DatabaseUnavailable, InvalidOption
from github_banners.options import find_misspelt_options, parse_login, parse_options, parse_query
from github_banners.serving.responses import (
    JSON,
    HttpResponse,
    json_response,
    to_starlette_response,
)
from github_banners.settings import Network
from github_banners.stats.deadline import Deadline, picture_deadline
from github_banners.stats.snapshots import Freshness

_MAX_BODY_BYTES = 64 << 10
_MAX_DRAINED_BYTES = 16 << 20
_BODY_TIMEOUT_SECONDS = 5.0
FORMATS = ("svg", "png", "json")
_SUFFIXES = {f".{form}": form for form in FORMATS}


@dataclass(frozen=True, slots=True)
class BannerRoutes:
    """The handlers of pictures and permanent banners, and what they work with."""

    banners: BannerService
    cache: ResponseCache
    png_converter: PngConverter
    rate_limiter: RateLimiter
    trusted_proxies: tuple[Network, ...]
    request_timeout_seconds: float
    base_path: str = ""

    def routes(self) -> list[Route]:
        """List what can be requested; `preview` comes before the names that it could be one of."""
        return [
            Route("/banners/preview", self.preview),
            Route("/banners/{name}", self.get_banner),
            Route("/banners", self.create_banner, methods=["POST"]),
        ]

    async def preview(self, request: Request) -> Response:
        """Draw the banner that a query describes."""
        query = _query(request)
        request.state.options = query
        login = parse_login(query.get("username"))
        look = drop_redundant_options(parse_options(query))
        form = _parse_format(query.get("format", ""))
        deadline = self._start_deadline(request, form)
        banner = await self.banners.preview(
            login, look, deadline=deadline, charge=self._charge(request)
        )
        return await self._respond(request, banner, form)

    async def get_banner(self, request: Request) -> Response:
        """Draw the banner that was made under a name."""
        name: str = request.path_params["name"]
        suffix = PurePosixPath(name).suffix.lower()
        form = _SUFFIXES.get(suffix, "svg")
        stem = name[: -len(suffix)] if suffix in _SUFFIXES else name
        deadline = self._start_deadline(request, form)
        try:
            banner = await self.banners.get_by_name(
                stem, deadline=deadline, charge=self._charge(request)
            )
        except DatabaseUnavailable:
            drawing = await self.banners.read_stored_drawing(stem, deadline=deadline)
            if drawing is None or form == "json":
                raise
            return await self._respond_stored(request, Picture.svg(drawing), form)
        return await self._respond(request, banner, form, name=stem.lower())

    async def create_banner(self, request: Request) -> Response:
        """Make a permanent banner, or name the one that exists."""
        body = await _body(request)
        request.state.options = body
        login = parse_login(body.get("username"))
        look = drop_redundant_options(parse_options(body))
        deadline = self._start_deadline(request, "json")
        made = await self.banners.create(
            login, look, deadline=deadline, charge=self._charge(request)
        )
        url = f"{self.base_path}/banners/{made.name}"
        status, headers = (201, {"location": url}) if made.is_new else (200, {})
        unknown = find_misspelt_options(body)
        content = {"url": url, "unknown": unknown} if unknown else {"url": url}
        return to_starlette_response(json_response(status, msgspec.json.encode(content), headers))

    async def draw_png(
        self, request: Request, drawing: Picture, *, is_cacheable: bool = True
    ) -> Picture | None:
        """Draw a drawing as PNG at the expense of the client; None where it can't be had in time."""
        deadline = getattr(request.state, "deadline", None) or picture_deadline()
        charge = self._charge(request)
        return await self.png_converter.to_png(
            drawing, charge=charge, deadline=deadline, is_cacheable=is_cacheable
        )

    def _charge(self, request: Request) -> ClientCharge:
        """Build the charge of whoever sends this request."""
        peer = request.client.host if request.client is not None else ""
        forwarded_for = ", ".join(request.headers.getlist("x-forwarded-for"))
        address = client_address(peer, forwarded_for, trusted=self.trusted_proxies)
        return ClientCharge(address, self.rate_limiter)

    def _start_deadline(self, request: Request, response_format: str) -> Deadline:
        """Start a request's deadline: short for pictures, the configured one for JSON."""
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
        banner: RenderRequest,
        response_format: str,
        *,
        name: str | None = None,
    ) -> Response:
        if response_format == "json":
            is_stale = banner.result.freshness is not Freshness.FRESH
            unknown = find_misspelt_options(getattr(request.state, "options", {}))
            numbers = numbers_response(banner.result.snapshot, is_stale=is_stale, unknown=unknown)
            return to_starlette_response(numbers)
        kept = await self.banners.draw(banner, deadline=request.state.deadline)
        picture: Picture | None = kept.picture
        if response_format == "png":
            is_kept = banner.result.freshness is not Freshness.HARD_STALE
            picture = await self.draw_png(request, kept.picture, is_cacheable=is_kept)
        variant = self.png_converter.get_cached if response_format == "png" else None
        self.cache.put(_target(request), banner.key, banner=name, variant=variant)
        if picture is None:
            return to_starlette_response(svg_fallback_response(kept.picture, request.headers))
        seconds_fresh = self.cache.seconds_fresh(kept.fetched_at)
        return to_starlette_response(
            picture_response(picture, request.headers, seconds_fresh=seconds_fresh)
        )

    async def _respond_stored(
        self, request: Request, drawing: Picture, response_format: str
    ) -> Response:
        """Send what was stored last, in the form that was asked for if that can be had."""
        picture: Picture | None = drawing
        if response_format == "png":
            picture = await self.draw_png(request, drawing)
        if picture is None:
            return to_starlette_response(svg_fallback_response(drawing, request.headers))
        return to_starlette_response(picture_response(picture, request.headers, seconds_fresh=0))


PAGES = ("/", "/docs", "/docs/openapi.json", "/docs/{name}")
"""The paths of what is no part of the API."""


def page_routes(base_path: str = "") -> list[Route]:
    """Build the routes of the page that shows the API; links on it begin with `base_path`."""

    async def index(request: Request) -> Response:
        """Redirect the bare address to the page that explains it."""
        location = f"{base_path}/docs"
        return to_starlette_response(
            HttpResponse(307, {"location": location, "cache-control": "no-store"})
        )

    async def docs_page(request: Request) -> Response:
        """Send the page that shows the API, or a file of it."""
        name = request.path_params.get("name", docs.PAGE)
        try:
            document = await asyncio.to_thread(docs.read_document, name, base_path=base_path)
        except KeyError:
            raise HTTPException(404) from None
        return to_starlette_response(docs.document_response(document, request.headers))

    async def docs_openapi(request: Request) -> Response:
        """Send the description of the API for programs."""
        return to_starlette_response(docs.document_response(_openapi(base_path), request.headers))

    handlers = (index, docs_page, docs_openapi, docs_page)
    return [Route(path, handler) for path, handler in zip(PAGES, handlers, strict=True)]


@cache
def _openapi(base_path: str) -> docs.Document:
    described = build_document(formats=FORMATS, version=__version__, base_path=base_path)
    return docs.Document(Picture.svg(msgspec.json.encode(described)), JSON)


def _target(request: Request) -> bytes:
    """Return the path and query of a request as they came."""
    path: bytes = request.scope["raw_path"]
    query: bytes = request.scope["query_string"]
    return path + b"?" + query if query else path


def _query(request: Request) -> Mapping[str, str]:
    try:
        return parse_query(request.scope["query_string"].decode(errors="replace"))
    except ValueError as error:
        raise InvalidOption("query", "", (str(error),)) from None


def _parse_format(raw: str) -> str:
    form = raw.strip().lower() or FORMATS[0]
    if form in FORMATS:
        return form
    raise InvalidOption("format", raw, FORMATS)


async def _body(request: Request) -> Mapping[str, Any]:
    """Read a JSON object of bounded size in bounded time; more is taken off the wire, unread."""
    wrong = InvalidOption("body", "", (f"a JSON object of at most {_MAX_BODY_BYTES >> 10} KB",))
    chunks, size_bytes = [], 0
    try:
        # Connections are few: who does not go on sending must not keep one.
        async with asyncio.timeout(_BODY_TIMEOUT_SECONDS):
            async for chunk in request.stream():
                size_bytes += len(chunk)
                if size_bytes <= _MAX_BODY_BYTES:
                    chunks.append(chunk)
                elif size_bytes > _MAX_DRAINED_BYTES:
                    break
    except TimeoutError:
        raise InvalidOption(
            "body", "", (f"sent within {_BODY_TIMEOUT_SECONDS:g} seconds",)
        ) from None
    if size_bytes > _MAX_BODY_BYTES:
        raise wrong
    try:
        # Some editors put a byte order mark before what they save.
        body = b"".join(chunks).removeprefix(codecs.BOM_UTF8)
        wishes = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise wrong from None
    return {name.lower(): _int_if_whole(value) for name, value in wishes.items()}


def _int_if_whole(value: Any) -> Any:
    """Read 17.0 as 17: JSON has one kind of number (RFC 8259, 6)."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def route_label(path: str) -> str | None:
    """Name a path in the metrics: few names, whatever is asked for."""
    return (
        path
        if path in _LABELLED_PATHS
        else "/banners/{name}"
        if path.startswith("/banners/")
        else None
    )


_LABELLED_PATHS = {"/banners", "/banners/preview", "/docs", "/healthz", "/readyz"}
