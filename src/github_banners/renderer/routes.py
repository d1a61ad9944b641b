"""What other services can ask of the renderer: a picture of numbers that they bring along."""

import structlog
from litestar import Response, post

from github_banners.drawing import draw
from github_banners.errors import InvalidOption
from github_banners.messages.shapes import Format, PreviewAsk
from github_banners.messages.translation import wish_of
from github_banners.serving.answers import Ask, Outgoing, respond
from github_banners.serving.health import healthz, readyz

MOST_BODY_BYTES = 256 << 10
"""A thousand languages with the longest names, twice."""

_SVG = "image/svg+xml; charset=utf-8"

_log = structlog.get_logger(__name__)


@post("/preview", status_code=200, request_max_body_size=None)
async def preview(request: Ask) -> Response[bytes]:
    """Draw a banner."""
    ask = PreviewAsk.from_json(await request.body())
    if ask.format is not Format.SVG:
        raise InvalidOption("format", ask.format, (Format.SVG,))
    snapshot, look = wish_of(ask)
    picture = draw(snapshot, look)
    _log.debug("preview.drawn", username=ask.username[:64], size_bytes=len(picture))
    return respond(
        Outgoing(200, {"content-type": _SVG, "x-content-type-options": "nosniff"}, picture)
    )


HANDLERS = (preview, healthz, readyz)


def name_of(path: str) -> str | None:
    """Name a path in the metrics."""
    return path if path in _NAMED else None


_NAMED = {"/preview", "/healthz", "/readyz"}
