"""
The frame of every picture: the background with its colours, border, and the glow in a corner.

Turns options into values for `templates/frame.svg`, which all other templates extend.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec

from github_banners.drawing.language_charts import Share, format_coordinate
from github_banners.drawing.locales import is_right_to_left
from github_banners.drawing.sanitize import starts_right_to_left
from github_banners.drawing.themes import Scheme
from github_banners.options import DEFAULT_RADIUS, BannerOptions, Palette

_MAX_GLOW_RADIUS = 360
_GLOW_SHARE_OF_WIDTH = 0.52
_LEFT_TO_RIGHT_ISOLATE, _RIGHT_TO_LEFT_ISOLATE = "\u2066", "\u2067"


def is_mirrored(text: str, options: BannerOptions) -> bool:
    """Return True if a picture starts at the right: because of its locale, or of the name it shows."""
    return is_right_to_left(options.locale) or starts_right_to_left(text)


class Canvas(NamedTuple):
    """The size of a picture in user units."""

    width: int
    height: int

    @property
    def glow_radius(self) -> str:
        """The radius of the glow in the corner, as text for the template."""
        return format_coordinate(min(_GLOW_SHARE_OF_WIDTH * self.width, _MAX_GLOW_RADIUS))


class ColourVariant(msgspec.Struct, frozen=True, gc=False):
    """The colours for a light or a dark background; `glow` is the colour of the corner."""

    palette: Palette
    glow: str
    glow_strength: str


class Frame(msgspec.Struct, frozen=True, gc=False):
    """
    The values of `templates/frame.svg`.

    The first colour variant is the default; a second one is for `prefers-color-scheme: dark`.
    `isolate` is the Unicode isolate that sets the direction of texts in a mirrored picture, and is
    empty in others.
    """

    canvas: Canvas
    colour_variants: Sequence[ColourVariant]
    border: bool
    outer_radius: int
    inner_radius: int
    animate: bool
    isolate: str


def frame(
    canvas: Canvas,
    options: BannerOptions,
    scheme: Scheme,
    *,
    shares: Sequence[Share] = (),
    is_mirrored: bool = False,
) -> Frame:
    """Build the frame; in themes that tint the glow it has the colour of the first share."""
    glow = shares[0].colour if shares and scheme.tints_glow else ""
    return _frame(canvas, options, scheme, glow, is_mirrored)


@lru_cache(1024)
def _frame(
    canvas: Canvas, options: BannerOptions, scheme: Scheme, glow: str, is_mirrored: bool
) -> Frame:
    radius = DEFAULT_RADIUS[options.layout] if options.radius is None else options.radius
    # A picture can be mirrored for its name alone: its own words are left to right then.
    isolate = _RIGHT_TO_LEFT_ISOLATE if is_right_to_left(options.locale) else _LEFT_TO_RIGHT_ISOLATE
    return Frame(
        canvas=canvas,
        colour_variants=[
            ColourVariant(palette, glow or palette.accent, glow_strength)
            for palette, glow_strength in zip(scheme.palettes, scheme.glow_strengths, strict=True)
        ],
        border=options.border,
        outer_radius=radius,
        inner_radius=max(radius - 1, 0),
        animate=options.animate,
        isolate=isolate if is_mirrored else "",
    )
