"""The routes of what a link to a permanent banner shows: its page, and the page's picture."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from github_banners.api.banner_page import (
    OPEN_GRAPH_FILE,
    VARY,
    BannerPage,
    build_profile_url,
    page_response,
)
from github_banners.api.banner_responses import (
    is_image_loader,
    requests_picture,
    svg_fallback_response,
)
from github_banners.api.base_path import find_site_url
from github_banners.api.pictures import RenderRequest
from github_banners.api.public_routes import BannerRoutes
from github_banners.api.response_cache import picture_response
from github_banners.drawing.open_graph import draw_open_graph, read_texts
from github_banners.errors import DatabaseUnavailable, UnreadableBanner
from github_banners.options import Locale
from github_banners.serving.framework import Content, to_starlette_response
from github_banners.stats.snapshots import Freshness


@dataclass(frozen=True, slots=True)
class _Banner:
    """
    A permanent banner: its drawing, and the request if the database could be read.

    `seconds_fresh` is the time until its numbers are refreshed.
    """

    drawing: Content
    request: RenderRequest | None
    seconds_fresh: int


@dataclass(frozen=True, slots=True)
class BannerPageRoutes:
    """The handlers of the pages of permanent banners; the banners come from `banner_routes`."""

    banner_routes: BannerRoutes
    public_url: str | None
    github_api_url: str

    def routes(self) -> list[Route]:
        """Build the routes."""
        return [
            Route("/banners/{name}/", self.get_page),
            Route(f"/banners/{{name}}/{OPEN_GRAPH_FILE}", self.get_open_graph),
        ]

    async def get_page(self, request: Request) -> Response:
        """Send the page of a banner; image clients get the banner, as without the slash."""
        headers = request.headers
        accepts_picture = requests_picture(headers.get("accept", ""), suffix="", response_format="")
        if accepts_picture or is_image_loader(
            headers.get("user-agent", ""), headers.get("sec-fetch-dest", "")
        ):
            response = await self.banner_routes.get_banner(request)
            response.headers.add_vary_header(VARY)
            return response
        name = request.path_params["name"].lower()
        banner = await self._find(request, name)
        login = banner.request.result.snapshot.owner.login if banner.request else None
        page = BannerPage(
            banner=name,
            texts=read_texts(banner.drawing.body),
            locale=banner.request.options.locale if banner.request else Locale.EN,
            profile_url=login and build_profile_url(login, api_url=self.github_api_url),
            site_url=find_site_url(
                request,
                public_url=self.public_url,
                trusted_proxies=self.banner_routes.trusted_proxies,
            ),
            base_path=self.banner_routes.base_path,
        )
        return to_starlette_response(
            page_response(page, headers, seconds_fresh=banner.seconds_fresh)
        )

    async def get_open_graph(self, request: Request) -> Response:
        """Draw a banner for link previews."""
        banner = await self._find(request, request.path_params["name"].lower())
        drawing = Content.svg(draw_open_graph(banner.drawing.body))
        is_dated = banner.request and banner.request.result.freshness is Freshness.HARD_STALE
        picture = await self.banner_routes.draw_png(request, drawing, is_cacheable=not is_dated)
        if picture is None:
            return to_starlette_response(svg_fallback_response(drawing, request.headers))
        return to_starlette_response(
            picture_response(picture, request.headers, seconds_fresh=banner.seconds_fresh)
        )

    async def _find(self, request: Request, name: str) -> _Banner:
        """
        Find a banner and draw it, as without the slash.

        While the database is down, its newest drawing in the storage is read.
        """
        deadline = self.banner_routes.start_deadline(request, "png")
        banners = self.banner_routes.banners
        try:
            banner = await banners.get_by_name(
                name, deadline=deadline, charge=self.banner_routes.charge(request)
            )
        except (DatabaseUnavailable, UnreadableBanner):
            stored = await banners.read_stored_drawing(name, deadline=deadline)
            if stored is None:
                raise
            return _Banner(Content.svg(stored), None, seconds_fresh=0)
        self.banner_routes.cache.record_request(name)
        cached = await self.banner_routes.pictures.get_or_draw(banner, deadline=deadline)
        seconds_fresh = self.banner_routes.cache.seconds_fresh(cached.refresh_at)
        return _Banner(cached.picture, banner, seconds_fresh)
