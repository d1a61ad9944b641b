"""
Rendering: turn an owner's numbers and banner options into the bytes of an SVG.

    draw(snapshot, options)    themes -> layouts/ (positions and texts) -> templates/ -> bytes
    explain(error)             explanation_cards -> the same frame and templates -> bytes
    explain_in_words(error)    the same texts, for a page

Pure: equal input gives equal bytes, nothing is fetched, and the only state is bounded caches.
Foreign text (names, languages, option values) is sanitized and escaped, so it never becomes markup.
"""

from github_banners.drawing.explanation_cards import explain_in_words
from github_banners.drawing.rendering import draw, explain

__all__ = ["TO_PNG", "draw", "explain", "explain_in_words"]

TO_PNG = f"{__name__}.png:to_png"
"""The function that converts SVG to PNG, for a worker process: it takes memory, and may crash."""
