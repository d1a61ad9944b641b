"""What can be asked over HTTP: reads a request, hands it to `Banners`, sends what comes back."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import PurePosixPath
from typing import Any

import msgspec
from litestar import HttpMethod, Response, post, route
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, SkipValidation

from github_banners import __version__
from github_banners.api import docs
from github_banners.api.banners import Banner, Banners
from github_banners.api.clients import Shares, client_address
from github_banners.api.delivery import Picture, deliver, deliver_instead, deliver_numbers
from github_banners.api.hot import Hot
from github_banners.api.openapi import describe
from github_banners.api.pngs import Pngs
from github_banners.drawing import settle
from github_banners.errors import DatabaseUnavailable, InvalidOption
from github_banners.look import parse_login, parse_look, read_query
from github_banners.serving.answers import JSON, Ask, Outgoing, as_json, respond
from github_banners.serving.health import healthz, readyz
from github_banners.settings import Network
from github_banners.stats.deadline import Deadline, for_picture
from github_banners.stats.freshness import Freshness
from github_banners.stats.lookup import Charge

_READ = [HttpMethod.GET, HttpMethod.HEAD]
_MOST_BODY_BYTES = 64 << 10
_MOST_DRAINED_BYTES = 16 << 20
_BODY_SECONDS = 5.0
FORMATS = ("svg", "png", "json")
_SUFFIXES = {f".{form}": form for form in FORMATS}


@dataclass(frozen=True, slots=True)
class Door:
    """What every handler works with."""

    banners: Banners
    hot: Hot
    pngs: Pngs
    shares: Shares
    trusted_proxies: tuple[Network, ...]
    request_seconds: float

    def charge_for(self, request: Ask) -> Charge:
        """Make the charge of whoever sends this request."""
        peer = request.client.host if request.client is not None else ""
        forwarded_for = ", ".join(request.headers.getall("x-forwarded-for", []))
        address = client_address(peer, forwarded_for, trusted=self.trusted_proxies)
        return partial(self.shares.charge, address)

    def deadline_for(self, form: str) -> Deadline:
        """Start the deadline: short for pictures, the configured one for JSON."""
        if form == "json":
            return Deadline(self.request_seconds, self.request_seconds)
        return for_picture()


@route("/banners/preview", http_method=_READ)
async def preview(request: Ask, door: NamedDependency[SkipValidation[Door]]) -> Response[bytes]:
    """Draw the banner that a query wishes for."""
    wishes = _query(request)
    login = parse_login(wishes.get("username"))
    look = settle(parse_look(wishes))
    form = _form(wishes.get("format", "svg"))
    deadline = door.deadline_for(form)
    banner = await door.banners.preview(
        login, look, deadline=deadline, charge=door.charge_for(request)
    )
    return await _answer(request, door, banner, form, deadline=deadline)


@route("/banners/{name:str}", http_method=_READ)
async def permanent(
    request: Ask, door: NamedDependency[SkipValidation[Door]], name: FromPath[str]
) -> Response[bytes]:
    """Draw the banner that was made under a name."""
    suffix = PurePosixPath(name).suffix.lower()
    form = _SUFFIXES.get(suffix, "svg")
    stem = name[: -len(suffix)] if suffix in _SUFFIXES else name
    deadline = door.deadline_for(form)
    try:
        banner = await door.banners.permanent(
            stem, deadline=deadline, charge=door.charge_for(request)
        )
    except DatabaseUnavailable:
        drawing = await door.banners.last_drawing(stem, deadline=deadline)
        if drawing is None or form == "json":
            raise
        return await _answer_last(request, door, Picture(drawing), form, deadline=deadline)
    return await _answer(request, door, banner, form, deadline=deadline, name=stem.lower())


@post("/banners", request_max_body_size=None)
async def make(request: Ask, door: NamedDependency[SkipValidation[Door]]) -> Response[bytes]:
    """Make a permanent banner, or name the one that exists."""
    wishes = await _body(request)
    login = parse_login(wishes.get("username"))
    look = settle(parse_look(wishes))
    made = await door.banners.make(
        login, look, deadline=door.deadline_for("json"), charge=door.charge_for(request)
    )
    url = f"/banners/{made.name}"
    status, headers = (201, {"location": url}) if made.is_new else (200, {})
    return respond(as_json(status, msgspec.json.encode({"url": url}), headers))


@route("/docs", http_method=_READ, include_in_schema=False)
async def docs_page(request: Ask) -> Response[bytes]:
    """Show what can be asked."""
    return await _document(request, docs.PAGE)


@route("/docs/openapi.json", http_method=_READ, include_in_schema=False)
async def docs_openapi(request: Ask) -> Response[bytes]:
    """Say what can be asked to programs."""
    return respond(docs.deliver_document(_openapi(), request.headers))


@route("/docs/{name:str}", http_method=_READ, include_in_schema=False)
async def docs_file(request: Ask, name: FromPath[str]) -> Response[bytes]:
    """Send what the page consists of."""
    return await _document(request, name)


async def _answer(
    request: Ask,
    door: Door,
    banner: Banner,
    form: str,
    *,
    deadline: Deadline,
    name: str | None = None,
) -> Response[bytes]:
    if form == "json":
        is_stale = banner.answer.freshness is not Freshness.FRESH
        return respond(deliver_numbers(banner.answer.snapshot, is_stale=is_stale))
    kept = await door.banners.draw(banner, deadline=deadline)
    picture: Picture | None = kept.picture
    if form == "png":
        is_kept = banner.answer.freshness is not Freshness.HARD_STALE
        picture = await door.pngs.draw(kept.picture, deadline=deadline, is_kept=is_kept)
    door.hot.note(
        request.scope, banner.key, banner=name, turn=door.pngs.find if form == "png" else None
    )
    if picture is None:
        return respond(deliver_instead(kept.picture, request.headers))
    seconds_fresh = door.hot.seconds_fresh(kept.fetched_at)
    return respond(deliver(picture, request.headers, seconds_fresh=seconds_fresh))


async def _answer_last(
    request: Ask, door: Door, drawing: Picture, form: str, *, deadline: Deadline
) -> Response[bytes]:
    """Answer with what was stored last, in the form that was asked for if that can be had."""
    picture: Picture | None = drawing
    if form == "png":
        picture = await door.pngs.draw(drawing, deadline=deadline)
    if picture is None:
        return respond(deliver_instead(drawing, request.headers))
    return respond(deliver(picture, request.headers, seconds_fresh=0))


async def _document(request: Ask, name: str) -> Response[bytes]:
    try:
        document = await asyncio.to_thread(docs.read, name)
    except KeyError:
        raise NotFoundException from None
    return respond(docs.deliver_document(document, request.headers))


@cache
def _openapi() -> docs.Document:
    body = msgspec.json.encode(describe(formats=FORMATS, version=__version__))
    return docs.Document(Picture(body), JSON)


def _query(request: Ask) -> Mapping[str, str]:
    try:
        return read_query(request.url.query)
    except ValueError as error:
        raise InvalidOption("query", "", (str(error),)) from None


def _form(given: str) -> str:
    if (form := given.strip().lower()) in FORMATS:
        return form
    raise InvalidOption("format", given, FORMATS)


async def _body(request: Ask) -> Mapping[str, Any]:
    """Read a JSON object of bounded size in bounded time; more is taken off the wire, unread."""
    wrong = InvalidOption("body", "", (f"a JSON object of at most {_MOST_BODY_BYTES >> 10} KB",))
    chunks, size_bytes = [], 0
    try:
        # Connections are few: who does not go on sending must not keep one.
        async with asyncio.timeout(_BODY_SECONDS):
            async for chunk in request.stream():
                size_bytes += len(chunk)
                if size_bytes <= _MOST_BODY_BYTES:
                    chunks.append(chunk)
                elif size_bytes > _MOST_DRAINED_BYTES:
                    break
    except TimeoutError:
        raise InvalidOption("body", "", (f"sent within {_BODY_SECONDS:g} seconds",)) from None
    if size_bytes > _MOST_BODY_BYTES:
        raise wrong
    try:
        wishes = msgspec.json.decode(b"".join(chunks), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise wrong from None
    return {name.lower(): _number(value) for name, value in wishes.items()}


def _number(value: Any) -> Any:
    """Read 17.0 as 17: JSON has one kind of number (RFC 8259, 6)."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


@route("/", http_method=_READ, include_in_schema=False)
async def entrance() -> Response[bytes]:
    """Lead whoever opens the bare address to the page that explains it."""
    return respond(Outgoing(307, {"location": "/docs", "cache-control": "no-store"}))


HANDLERS = (entrance, preview, permanent, make, healthz, readyz, docs_page, docs_openapi, docs_file)
"""Everything that can be asked; what is no part of the API is not `include_in_schema`."""


def name_of(path: str) -> str | None:
    """Name a path in the metrics: few names, whatever is asked for."""
    return path if path in _NAMED else "/banners/{name}" if path.startswith("/banners/") else None


_NAMED = {"/banners", "/banners/preview", "/docs", "/healthz", "/readyz"}
