"""
The colours of a picture, and the frame that has them: background, border, and the glow in a corner.

    scheme     the colours that a theme and colour options give; the colours of languages that fit them
    frame      the values of `templates/frame.svg`, which all other templates extend
"""

from collections.abc import Sequence
from functools import lru_cache
from operator import attrgetter
from typing import NamedTuple

import msgspec

from github_banners.cache import Memo
from github_banners.drawing.colours import is_dark, language_colour, normalise_hex, readable_on_all
from github_banners.drawing.locales import is_right_to_left
from github_banners.drawing.text import LEFT_TO_RIGHT_ISOLATE, RIGHT_TO_LEFT_ISOLATE, sanitize
from github_banners.options import COLOURS, DEFAULT_RADIUS, PALETTES, BannerOptions, Palette, Theme

# Visible on both backgrounds.
_NEUTRAL_FOR_LIGHT_AND_DARK = "7d8590"
_TINTED_GLOW_THEMES = {"default", "dark", "dimmed", "auto"}
_NAMELESS = "?"
_MIN_CONTRAST = 1.8
_MIN_HIGH_CONTRAST = 3.0
_HIGH_CONTRAST_PREFIXES = ("contrast-", "safe-")


# Colours by rank, then the colour of Other, in themes for colour-blind people. For each type of
# colour vision, adjacent colours are at least .12 apart in OKLab, and all have a contrast of 3 with every
# background. The pair needs both on two backgrounds, so its colours alternate between dark and
# light.
_RANK_COLOURS = {
    "safe-light": ["0b4a9e", "d97706", "00574b", "d6458b", "3d2a6d", "7d8590"],
    "safe-dark": ["6db6ff", "ff9d3c", "1f9e86", "ffd9ec", "8a6bd6", "9aa4b0"],
    "auto-safe-dark": ["4760a6", "d18228", "3f6c53", "b1889a", "9e0ae4", "7d8590"],
}
# From the sixth rank on the colours repeat, in an order that keeps similar colours apart.
_RANK_ORDER = (0, 1, 2, 3, 4, 1, 0, 3, 2, 1)

_MAX_GLOW_RADIUS = 360
_GLOW_SHARE_OF_WIDTH = 0.52


class Scheme(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """
    All colours of a banner: one palette, or a light and a dark one in the same file.

    `backgrounds` are the opaque colours that contrast is measured against, one per palette, as are
    `glow_strengths`, the opacities of the glow. `neutral` is for Other and for languages without a
    colour. `rank_colours` replace the languages' own colours if there are any. `tints_glow` gives
    the glow the colour of the first language.
    """

    palettes: tuple[Palette, ...]
    backgrounds: tuple[str, ...]
    glow_strengths: tuple[str, ...]
    neutral: str
    min_contrast: float
    rank_colours: tuple[str, ...]
    tints_glow: bool


class Canvas(NamedTuple):
    """The size of a picture in user units."""

    width: int
    height: int

    @property
    def glow_radius(self) -> str:
        """The radius of the glow in the corner, as text for the template."""
        return format_coordinate(min(_GLOW_SHARE_OF_WIDTH * self.width, _MAX_GLOW_RADIUS))


class ColourVariant(msgspec.Struct, frozen=True, gc=False):
    """The colours for a light or a dark background, and the opacity of the glow in the corner."""

    palette: Palette
    glow_strength: str


class Frame(msgspec.Struct, frozen=True, gc=False):
    """
    The values of `templates/frame.svg`.

    The first colour variant is the default; a second one is for `prefers-color-scheme: dark`.
    `isolate` is the Unicode isolate that sets the direction of texts in a mirrored picture, and is
    empty in others.

    The colour of the glow in the corner depends on the owner: it is the field `glow` of a picture,
    and that of the accent if empty.
    """

    canvas: Canvas
    colour_variants: Sequence[ColourVariant]
    border: bool
    outer_radius: int
    inner_radius: int
    animate: bool
    isolate: str


@lru_cache(1024)
def scheme(options: BannerOptions) -> Scheme:
    """Return the colours of a theme, overridden by the colour options."""
    return _scheme(options.theme, _colour_overrides(options))


_colour_overrides = attrgetter(*COLOURS)


def glow_strength(background: str) -> str:
    """Return the opacity of the glow in the corner, as text for the template."""
    return ".17" if is_dark(background) else ".12"


@lru_cache(1024)
def _scheme(theme: Theme, overrides: tuple[str | None, ...]) -> Scheme:
    theme_palettes = [PALETTES[name] for name in theme.palette_names]
    palettes = tuple(_apply_overrides(palette, overrides) for palette in theme_palettes)
    # What shows through a translucent background is not known: assume the theme's background.
    backgrounds = tuple(
        palette.bg if len(palette.bg) == 6 else theme_palette.bg
        for palette, theme_palette in zip(palettes, theme_palettes, strict=True)
    )
    is_high_contrast = theme.palette_names[0].startswith(_HIGH_CONTRAST_PREFIXES)
    min_contrast = _MIN_HIGH_CONTRAST if is_high_contrast else _MIN_CONTRAST
    *rank_colours, neutral = _RANK_COLOURS.get(theme, [""])
    return Scheme(
        palettes,
        backgrounds,
        glow_strengths=tuple(map(glow_strength, backgrounds)),
        neutral=neutral
        or (palettes[0].muted if len(palettes) == 1 else _NEUTRAL_FOR_LIGHT_AND_DARK),
        min_contrast=min_contrast,
        rank_colours=tuple(
            readable_on_all(rank_colours[index], backgrounds, min_contrast)
            for index in _RANK_ORDER
            if rank_colours
        ),
        tints_glow=theme in _TINTED_GLOW_THEMES,
    )


def _apply_overrides(palette: Palette, overrides: tuple[str | None, ...]) -> Palette:
    # The last colour of a palette, the track, has no option.
    colours = zip((*overrides, None), msgspec.structs.astuple(palette), strict=True)
    return Palette(
        *(normalise_hex(override) if override else colour for override, colour in colours)
    )


@lru_cache(8)
def language_names_and_colours(scheme: Scheme) -> Memo[str, tuple[str, str]]:
    """Return a cache of clean names of languages, and colours readable on every background."""

    def name_and_colour(name: str) -> tuple[str, str]:
        colour = language_colour(name)
        if colour is None:
            return sanitize(name) or _NAMELESS, scheme.neutral
        return name, readable_on_all(colour, scheme.backgrounds, scheme.min_contrast)

    return Memo(name_and_colour)


@lru_cache(1024)
def frame(canvas: Canvas, options: BannerOptions, *, is_mirrored: bool) -> Frame:
    """Build the frame of a canvas."""
    colours = scheme(options)
    radius = DEFAULT_RADIUS[options.layout] if options.radius is None else options.radius
    # A picture can be mirrored for its name alone: its own words are left to right then.
    isolate = RIGHT_TO_LEFT_ISOLATE if is_right_to_left(options.locale) else LEFT_TO_RIGHT_ISOLATE
    return Frame(
        canvas=canvas,
        colour_variants=[
            ColourVariant(palette, glow_strength)
            for palette, glow_strength in zip(colours.palettes, colours.glow_strengths, strict=True)
        ],
        border=options.border,
        outer_radius=radius,
        inner_radius=max(radius - 1, 0),
        animate=options.animate,
        isolate=isolate if is_mirrored else "",
    )


def format_coordinate(number: float) -> str:
    """Format a coordinate with at most one decimal; smaller differences are not visible."""
    return f"{number:.1f}".removesuffix(".0")
