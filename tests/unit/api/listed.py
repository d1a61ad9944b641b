"""The routes of the api."""

from starlette.routing import Route

from github_banners.api.api_service import build_application
from github_banners.api.public_routes import BannerRoutes
from github_banners.serving.health import Health
from github_banners.serving.metrics import Metrics
from github_banners.settings import Settings


def api_routes() -> list[Route]:
    """Return every route; the handlers have no dependencies and can't be called."""
    handlers = object.__new__(BannerRoutes)
    settings = Settings.from_environment({})
    application = build_application(handlers, Health(), Metrics(), settings)
    return [route for route in application.routes if isinstance(route, Route)]
