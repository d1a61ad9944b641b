"""
Drawing: from numbers and a look to the bytes of an SVG, without asking anybody anything.

    draw(snapshot, look)    themes ─▶ layouts/ (pure numbers: languages, metrics, figures, legend,
                              words, text) ─▶ printing with templates/ ─▶ bytes
    explain(error)          states ─▶ the same frame, the same printing
    settle(look)            a look without what layout and theme do anyway

Equal input gives equal bytes. Fetches nothing, keeps nothing but bounded caches, and nothing that
a stranger typed becomes markup.
"""

from datetime import date

from github_banners.drawing.canonical_options import drop_defaults
from github_banners.drawing.explanation_cards import build_explanation
from github_banners.drawing.layouts import LAYOUTS
from github_banners.drawing.svg_templates import render_svg
from github_banners.errors import BannersError
from github_banners.models import Snapshot
from github_banners.options import BannerOptions

__all__ = ["convert", "drop_redundant_options", "to_public_error"]

_DEFAULT_OPTIONS = BannerOptions()


def draw(snapshot: Snapshot, options: BannerOptions, *, as_of: date | None = None) -> bytes:
    """
    Draw a banner as UTF-8 SVG.

    `as_of` is the day that the numbers are from, given only where they are too old to go without it.
    """
    layout = LAYOUTS[options.layout]
    return render_svg(layout.template, layout.compute_layout(snapshot, options, as_of))


def drop_redundant_options(look: BannerOptions) -> BannerOptions:
    """Drop from a look what its layout and its theme do anyway: the picture stays, to the byte."""
    layout = LAYOUTS[look.layout]
    return drop_defaults(
        look, radius=layout.canvas.radius, langs_count=layout.default_counts[look.shape]
    )


def explain(
    error: BannersError, *, options: BannerOptions = _DEFAULT_OPTIONS, host: str = ""
) -> bytes:
    """
    Draw why there is no banner, in the size of the banner that was asked for.

    `host` is where this service is reached, for the advice; empty where nobody knows.
    """
    ground = LAYOUTS[options.layout].canvas
    return render_svg("state.svg", build_explanation(error, options, host=host, canvas=ground))
