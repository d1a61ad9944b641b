"""What other services can ask of the renderer: a picture of numbers that they bring along."""

from dataclasses import dataclass

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from github_banners.drawing import draw
from github_banners.messages.shapes import Format, PreviewAsk
from github_banners.messages.translation import wish_of
from github_banners.serving.answers import Outgoing, respond
from github_banners.serving.workshop import Workshop

MOST_BODY_BYTES = 256 << 10
"""A thousand languages with the longest names, twice."""

_MEDIA_TYPES = {Format.SVG: "image/svg+xml; charset=utf-8", Format.PNG: "image/png"}

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RendererRoutes:
    """The handler of drawings, and what it works with."""

    pngs: Workshop

    def routes(self) -> list[Route]:
        """List what can be requested."""
        return [Route("/preview", self.preview, methods=["POST"])]

    async def preview(self, request: Request) -> Response:
        """Draw a banner."""
        ask = PreviewAsk.from_json(await request.body())
        snapshot, look = wish_of(ask)
        picture = draw(snapshot, look)
        if ask.format is Format.PNG:
            picture = await self.pngs.do(picture)
        _log.debug("preview.drawn", username=ask.username[:64], size_bytes=len(picture))
        headers = {"content-type": _MEDIA_TYPES[ask.format], "x-content-type-options": "nosniff"}
        return respond(Outgoing(200, headers, picture))


def name_of(path: str) -> str | None:
    """Name a path in the metrics."""
    return path if path in _NAMED else None


_NAMED = {"/preview", "/healthz", "/readyz"}
