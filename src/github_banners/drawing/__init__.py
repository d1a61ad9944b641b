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

from github_banners.drawing.layouts import LAYOUTS
from github_banners.drawing.printing import print_svg
from github_banners.drawing.settling import settled
from github_banners.drawing.states import explanation
from github_banners.errors import BannersError
from github_banners.look import BannerOptions
from github_banners.model import Snapshot

__all__ = ["draw", "explain", "settle"]

_PLAIN = BannerOptions()


def draw(snapshot: Snapshot, look: BannerOptions, *, as_of: date | None = None) -> bytes:
    """
    Draw a banner as UTF-8 SVG.

    `as_of` is the day that the numbers are from, given only where they are too old to go without it.
    """
    layout = LAYOUTS[look.layout]
    return print_svg(layout.template, layout.arrange(snapshot, look, as_of))


def settle(look: BannerOptions) -> BannerOptions:
    """Drop from a look what its layout and its theme do anyway: the picture stays, to the byte."""
    layout = LAYOUTS[look.layout]
    return settled(look, radius=layout.ground.radius, langs_count=layout.keeps[look.shape])


def explain(error: BannersError, *, look: BannerOptions = _PLAIN, host: str = "") -> bytes:
    """
    Draw why there is no banner, in the size of the banner that was asked for.

    `host` is where this service is reached, for the advice; empty where nobody knows.
    """
    ground = LAYOUTS[look.layout].ground
    return print_svg("state.svg", explanation(error, look, host=host, ground=ground))
