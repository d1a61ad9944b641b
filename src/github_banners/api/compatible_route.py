"""
Serve the URLs of github-readme-stats and github-readme-streak-stats as previews.

A translated request is one for `/banners/preview` from here on: parsing, limits, explanations,
caching and headers are those of previews. `options/compatibility.py` translates the parameters.
"""

from collections.abc import Awaitable, Callable
from functools import lru_cache

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from github_banners.api.base_path import PREVIEW_PATH, is_below
from github_banners.errors import CardNotOffered
from github_banners.options import CARDS, STREAK_LOGIN, STREAK_PATH, translate_url

COMPATIBLE_PATHS = tuple(card.path for card in CARDS if card.path != STREAK_PATH)
"""The paths of other services, without `/`, which is also that of the builder page."""

_CARDS_NOT_OFFERED = {card.path: card.name for card in CARDS if not card.is_served}


class CompatibleRoute(Route):
    """
    The route of pictures of other services: their requests become requests for a preview.

    For a card without a layout here, the endpoint raises CardNotOffered.
    """

    def __init__(self, preview: Callable[[Request], Awaitable[Response]]) -> None:
        self._preview = preview
        super().__init__(PREVIEW_PATH, self._draw)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match the URLs of other services; the returned scope replaces theirs by that of a preview."""
        if scope["type"] != "http":
            return Match.NONE, {}
        query = translate_url(scope["path"], scope["query_string"].decode(errors="replace"))
        if query is None:
            return Match.NONE, {}
        match, child_scope = super().matches({**scope, "path": PREVIEW_PATH})
        path = scope["path"].rstrip("/")
        state = {
            # For explanations: they say which parameter to check.
            "login_parameter": "username" if path else STREAK_LOGIN,
            "card_not_offered": _CARDS_NOT_OFFERED.get(path),
        }
        return match, {
            **child_scope,
            "path": PREVIEW_PATH,
            "raw_path": PREVIEW_PATH.encode(),
            "query_string": query.encode(),
            "state": {**scope.get("state", {}), **state},
        }

    async def _draw(self, request: Request) -> Response:
        if card := request.state.card_not_offered:
            raise CardNotOffered(card)
        return await self._preview(request)


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
