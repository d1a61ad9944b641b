"""
Rendering: turn an owner's numbers and banner options into the bytes of an SVG.

    draw(snapshot, options)          themes -> layouts/ (positions and texts) -> templates/ -> bytes
    explain(error)                   explanation_cards -> the same frame and templates -> bytes
    explain_in_words(error)          the same texts, for a page
    drop_redundant_options(options)  options without those that equal the defaults

Pure: equal input gives equal bytes, nothing is fetched, and the only state is bounded caches.
Foreign text (names, languages, option values) is sanitized and escaped, so it never becomes markup.
"""

from datetime import date

from github_banners.drawing.canonical_options import drop_defaults
from github_banners.drawing.explanation_cards import build_explanation, explain_in_words
from github_banners.drawing.layouts import LAYOUTS
from github_banners.drawing.svg_templates import render_svg
from github_banners.errors import BannersError
from github_banners.models import Snapshot
from github_banners.options import BannerOptions

__all__ = ["draw", "drop_redundant_options", "explain", "explain_in_words"]

_DEFAULT_OPTIONS = BannerOptions()


def draw(snapshot: Snapshot, options: BannerOptions, *, as_of: date | None = None) -> bytes:
    """
    Draw a banner as UTF-8 SVG.

    `as_of` is the day the numbers were fetched; pass it only for stale numbers, since the banner
    then shows it.
    """
    layout = LAYOUTS[options.layout]
    return render_svg(layout.template, layout.compute_layout(snapshot, options, as_of))


def drop_redundant_options(options: BannerOptions) -> BannerOptions:
    """Drop options that equal the default of their layout or theme; the SVG stays identical."""
    layout = LAYOUTS[options.layout]
    return drop_defaults(
        options, radius=layout.canvas.radius, langs_count=layout.default_counts[options.shape]
    )


def explain(
    error: BannersError, *, options: BannerOptions = _DEFAULT_OPTIONS, host: str = ""
) -> bytes:
    """
    Draw an explanation of an error as UTF-8 SVG, in the size of the requested banner.

    `host` is the public host of this service, for hints; empty if unknown.
    """
    canvas = LAYOUTS[options.layout].canvas
    card = build_explanation(error, options, host=host, canvas=canvas)
    return render_svg("explanation.svg", card)
