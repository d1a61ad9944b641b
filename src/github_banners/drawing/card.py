"""
What every picture has: a card with its colours, its border and the glow in its corner.

Turns a look into values for `templates/card.svg`, which all other templates extend.
"""

import msgspec

from github_banners.drawing.figures import digits
from github_banners.drawing.themes import Palette, Scheme, glow_strength
from github_banners.look import Look

_RADIUS = 12
_GLOW_MAX_RADIUS = 360
_GLOW_SHARE_OF_WIDTH = 0.52


class Ink(msgspec.Struct, frozen=True, gc=False):
    """The colours for one ground; `glow` and `glow_strength` are the corner's."""

    palette: Palette
    glow: str
    glow_strength: str


class Card(msgspec.Struct, frozen=True, gc=False):
    """The ground of a picture; the first ink counts, a second one is for dark surroundings."""

    width: int
    height: int
    inks: tuple[Ink, ...]
    border: bool
    inset: str
    outer_width: int
    outer_height: int
    outer_radius: int
    inner_radius: int
    glow_radius: str
    animate: bool


def card(width: int, height: int, look: Look, scheme: Scheme, *, glow: str | None = None) -> Card:
    """Lay the ground; the glow is the accent's where it is not given."""
    radius = _RADIUS if look.radius is None else look.radius
    border = 1 if look.border else 0
    return Card(
        width=width,
        height=height,
        inks=tuple(
            Ink(palette, glow or palette.accent, glow_strength(ground))
            for palette, ground in zip(scheme.palettes, scheme.grounds, strict=True)
        ),
        border=look.border,
        # A line of one unit is drawn half inside, half outside of its path.
        inset=".5" if border else "0",
        outer_width=width - border,
        outer_height=height - border,
        outer_radius=radius,
        inner_radius=max(radius - 1, 0),
        glow_radius=digits(min(_GLOW_SHARE_OF_WIDTH * width, _GLOW_MAX_RADIUS)),
        animate=look.animate,
    )
