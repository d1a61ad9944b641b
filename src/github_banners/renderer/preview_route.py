"""The HTTP route of the renderer: draw the numbers that a request contains."""

from dataclasses import dataclass

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from github_banners.drawing import draw
from github_banners.messaging.mapping import from_preview_request
from github_banners.messaging.schemas import Format, PreviewRequest
from github_banners.serving.framework import HttpResponse, to_starlette_response
from github_banners.serving.media_types import PNG, SVG_UTF_8
from github_banners.serving.worker_process import WorkerProcess

MAX_BODY_BYTES = 256 << 10
"""Twice the size of a request with 1000 languages that have the longest names."""

_MEDIA_TYPES = {Format.SVG: SVG_UTF_8, Format.PNG: PNG}

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RendererRoutes:
    """The request handlers of the renderer, and their dependencies."""

    png_worker: WorkerProcess

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [Route("/preview", self.preview, methods=["POST"])]

    async def preview(self, request: Request) -> Response:
        """Draw a banner as SVG or PNG."""
        preview_request = PreviewRequest.from_json(await request.body())
        snapshot, options = from_preview_request(preview_request)
        picture = draw(snapshot, options)
        if preview_request.format is Format.PNG:
            picture = await self.png_worker.run(picture)
        _log.debug("preview.drawn", username=preview_request.username[:64], size_bytes=len(picture))
        headers = {
            "content-type": _MEDIA_TYPES[preview_request.format],
            "x-content-type-options": "nosniff",
        }
        return to_starlette_response(HttpResponse(200, headers, picture))


def route_label(path: str) -> str | None:
    """Return the label of a path in the metrics; None for unknown paths."""
    return path if path in _LABELLED else None


_LABELLED = {"/preview", "/healthz", "/readyz"}
