"""
Serve the URLs of github-readme-stats and github-readme-streak-stats as previews.

A translated request is one for `/banners/preview` from here on: parsing, limits, explanations,
caching and headers are those of previews. `options/compatibility.py` translates the parameters.
"""

from functools import lru_cache

from starlette.types import ASGIApp, Receive, Scope, Send

from github_banners.api.base_path import is_below
from github_banners.options import CARDS, STREAK_LOGIN, STREAK_PATH, translate_url

PREVIEW_PATH = "/banners/preview"
_OUR_PREFIX = "/banners/"

COMPATIBLE_PATHS = tuple(card.path for card in CARDS if card.path != STREAK_PATH)
"""The paths of other services that are none of ours: all but the one of our page."""


class TranslateUrlMiddleware:
    """Middleware that turns a request for a picture of another service into one for a preview."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application, with the URL of a preview if the request has a URL of theirs."""
        if scope["type"] == "http" and not scope["path"].startswith(_OUR_PREFIX):
            query = translate_url(scope["path"], scope["query_string"].decode(errors="replace"))
            if query is not None:
                is_streak = scope["path"].rstrip("/") == STREAK_PATH.rstrip("/")
                # For explanations: they say which parameter to check.
                state = {"login_parameter": STREAK_LOGIN if is_streak else "username"}
                scope = {
                    **scope,
                    "path": PREVIEW_PATH,
                    "raw_path": PREVIEW_PATH.encode(),
                    "query_string": query.encode(),
                    "state": {**scope.get("state", {}), **state},
                }
        await self._app(scope, receive, send)


# A translation takes as long as twenty lookups of cached responses. Targets have at most 1 KB.
@lru_cache(1024)
def to_preview_target(target: bytes, *, base_path: bytes) -> bytes | None:
    """
    Return the target of the preview that a target of another service stands for, None for others.

    Targets and base path are percent-encoded; a path of theirs with percent signs is not recognised.
    """
    raw_path, _, raw_query = target.partition(b"?")
    path, base = raw_path.decode("latin-1"), base_path.decode()
    if base and is_below(path, base_path=base):
        path = path[len(base) :] or "/"
    query = translate_url(path, raw_query.decode(errors="replace"))
    return f"{PREVIEW_PATH}?{query}".encode() if query is not None else None
