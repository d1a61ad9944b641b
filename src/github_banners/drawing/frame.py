"""
What every picture has: a ground with its colours, its border and the glow in its corner.

Turns a look into values for `templates/frame.svg`, which all other templates extend.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec

from github_banners.drawing.cleaning import is_right_to_left as runs_from_right
from github_banners.drawing.figures import digits
from github_banners.drawing.languages import Share
from github_banners.drawing.locales import is_right_to_left
from github_banners.drawing.themes import Palette, Scheme
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

    @property
    def glow_radius(self) -> str:
        """Say how far the glow in the corner reaches."""
        return digits(min(_GLOW_SHARE_OF_WIDTH * self.width, _GLOW_MAX_RADIUS))


class Ink(msgspec.Struct, frozen=True, gc=False):
    """The colours for one ground; `glow` and `glow_strength` are the corner's."""

    palette: Palette
    glow: str
    glow_strength: str


class Frame(msgspec.Struct, frozen=True, gc=False):
    """
    The ground of a picture; the first ink counts, a second one is for dark surroundings.

    `isolate` is what gives a mirrored picture's words their direction, empty where it is not one.
    """

    ground: Ground
    inks: Sequence[Ink]
    border: bool
    outer_radius: int
    inner_radius: int
    animate: bool
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
    glow = shares[0].colour if shares and scheme.is_personal else ""
    return _frame(ground, look, scheme, glow, is_mirrored)


@lru_cache(1024)
def _frame(ground: Ground, look: Look, scheme: Scheme, glow: str, is_mirrored: bool) -> Frame:
    radius = ground.radius if look.radius is None else look.radius
    return Frame(
        ground=ground,
        inks=[
            Ink(palette, glow or palette.accent, scheme.glow_strengths[index])
            for index, palette in enumerate(scheme.palettes)
        ],
        border=look.border,
        outer_radius=radius,
        inner_radius=max(radius - 1, 0),
        animate=look.animate,
        isolate=_isolate(look) if is_mirrored else "",
    )


def _isolate(look: Look) -> str:
    return _RIGHT_TO_LEFT if is_right_to_left(look.locale) else _LEFT_TO_RIGHT
