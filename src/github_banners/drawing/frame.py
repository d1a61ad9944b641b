"""
What every picture has: a ground with its colours, its border and the glow in its corner.

Turns a look into values for `templates/frame.svg`, which all other templates extend.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from github_banners.drawing.cleaning import is_right_to_left as runs_from_right
from github_banners.drawing.figures import digits
from github_banners.drawing.languages import Share
from github_banners.drawing.locales import is_right_to_left
from github_banners.drawing.themes import Palette, Scheme, glow_strength
from github_banners.look import Look

_GLOW_MAX_RADIUS = 360
_GLOW_SHARE_OF_WIDTH = 0.52
_LEFT_TO_RIGHT, _RIGHT_TO_LEFT = "\u2066", "\u2067"


def is_mirrored(shown: str, look: Look) -> bool:
    """Tell whether a picture starts on the right: by its locale, or by the name that it shows."""
    return is_right_to_left(look.locale) or runs_from_right(shown)


class Ground(NamedTuple):
    """The size of a picture in user units, and how round its corners are where nobody says."""

    width: int
    height: int
    radius: int = 12


class Ink(msgspec.Struct, frozen=True, gc=False):
    """The colours for one ground; `glow` and `glow_strength` are the corner's."""

    palette: Palette
    glow: str
    glow_strength: str


class Frame(msgspec.Struct, frozen=True, gc=False):
    """
    The ground of a picture; the first ink counts, a second one is for dark surroundings.

    `isolate` is what gives a mirrored picture's words their direction.
    """

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
    is_mirrored: bool
    isolate: str


def frame(
    ground: Ground,
    look: Look,
    scheme: Scheme,
    *,
    shares: Sequence[Share] = (),
    is_mirrored: bool = False,
) -> Frame:
    """Lay the ground; the glow is the first language's where the theme is personal."""
    glow = shares[0].colour if shares and scheme.is_personal else None
    width, height, usual_radius = ground
    radius = usual_radius if look.radius is None else look.radius
    border = 1 if look.border else 0
    return Frame(
        width=width,
        height=height,
        inks=tuple(
            Ink(palette, glow or palette.accent, glow_strength(colour))
            for palette, colour in zip(scheme.palettes, scheme.grounds, strict=True)
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
        is_mirrored=is_mirrored,
        isolate=_isolate(look) if is_mirrored else "",
    )


def _isolate(look: Look) -> str:
    return _RIGHT_TO_LEFT if is_right_to_left(look.locale) else _LEFT_TO_RIGHT
