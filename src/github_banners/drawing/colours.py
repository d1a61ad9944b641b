"""Colours as hex digits: those of languages, and how well a colour can be read on a background."""

import json
import math
from collections.abc import Sequence
from functools import cache, lru_cache
from importlib.resources import files
from typing import TypeAlias

from github_banners.options import expand_hex

_Triple: TypeAlias = tuple[float, float, float]

# White and black have the same contrast with this luminance.
_MIDDLE_LUMINANCE = 0.179
_LIGHTNESS_STEP = 0.005
_GAMUT_SLACK = 0.0005
# A saturated dark colour must lose chroma to become lighter, or it leaves sRGB. The hue stays.
_CHROMA_STEP = 0.96


def language_colour(name: str) -> str | None:
    """Return GitHub's colour of a language, None if it has none."""
    return _language_colours().get(name.lower())


@cache
def _language_colours() -> dict[str, str]:
    data = (files(__package__) / "language_colours.json").read_text(encoding="utf-8")
    colours: dict[str, str] = json.loads(data)
    # GitHub has changed the case of names (Vim script), and its API still returns the old ones.
    return {name.lower(): colour for name, colour in colours.items()}


@lru_cache(4096)
def contrast(first: str, second: str) -> float:
    """
    Return the contrast ratio of two colours, from 1 (equal) to 21 (black and white).

    https://www.w3.org/TR/WCAG21/#dfn-contrast-ratio
    """
    dark, light = sorted((_luminance(first), _luminance(second)))
    return (light + 0.05) / (dark + 0.05)


@lru_cache(4096)
def readable(colour: str, background: str, min_contrast: float) -> str:
    """
    Change the OKLCH lightness of a colour until its contrast with the background is sufficient.

    It gets darker on a light background, lighter on a dark one. If the end of the scale comes
    first, that colour is returned. https://bottosson.github.io/posts/oklab/
    """
    step = _LIGHTNESS_STEP if is_dark(background) else -_LIGHTNESS_STEP
    lightness, a, b = _oklab(colour)
    moved = colour
    while contrast(moved, background) < min_contrast and 0 <= lightness + step <= 1:
        lightness += step
        moved = _into_gamut(lightness, a, b)
    return moved


def readable_on_all(colour: str, backgrounds: Sequence[str], min_contrast: float) -> str:
    """Apply `readable` for each background in turn."""
    for background in backgrounds:
        colour = readable(colour, background, min_contrast)
    return colour


def is_dark(colour: str) -> bool:
    """Return True if white has more contrast with a colour than black has."""
    return _luminance(colour) < _MIDDLE_LUMINANCE


def normalise_hex(colour: str) -> str:
    """
    Expand a hex colour of 3, 4, 6 or 8 digits to 6, or to 8 if it is translucent.

    :raises ValueError: it is not hexadecimal
    """
    # Options may have been built without validation, and this goes into a style sheet unescaped.
    int(colour, 16)
    return expand_hex(colour)


def mix(background: str, colour: str, share: float) -> str:
    """Lay a colour of 6 or 8 hex digits over an opaque one; `share` is its opacity, 0 to 1."""
    share *= int(colour[6:] or "ff", 16) / 255
    channels = (
        (int(background[start : start + 2], 16), int(colour[start : start + 2], 16))
        for start in (0, 2, 4)
    )
    return "".join(f"{round(under + share * (over - under)):02x}" for under, over in channels)


def linear_rgb(colour: str) -> _Triple:
    """Convert to linear sRGB, 0 to 1."""
    red, green, blue = (_to_linear(int(colour[start : start + 2], 16) / 255) for start in (0, 2, 4))
    return red, green, blue


def _to_linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4


def _to_byte(channel: float) -> int:
    curved = 12.92 * channel if channel <= 0.0031308 else 1.055 * channel ** (1 / 2.4) - 0.055
    return round(min(max(curved, 0), 1) * 255)


@lru_cache(4096)
def _luminance(colour: str) -> float:
    red, green, blue = linear_rgb(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _oklab(colour: str) -> _Triple:
    return oklab_from_linear(*linear_rgb(colour))


def oklab_from_linear(red: float, green: float, blue: float) -> _Triple:
    """Convert linear sRGB, 0 to 1, with https://bottosson.github.io/posts/oklab/."""
    long = math.cbrt(0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue)
    medium = math.cbrt(0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue)
    short = math.cbrt(0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue)
    return (
        0.2104542553 * long + 0.7936177850 * medium - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * medium + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * medium - 0.8086757660 * short,
    )


def _rgb(lightness: float, a: float, b: float) -> _Triple:
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )


def _into_gamut(lightness: float, a: float, b: float) -> str:
    while True:
        channels = _rgb(lightness, a, b)
        if (
            all(-_GAMUT_SLACK <= channel <= 1 + _GAMUT_SLACK for channel in channels)
            or abs(a) + abs(b) < 1e-4
        ):
            return "".join(f"{_to_byte(channel):02x}" for channel in channels)
        a, b = a * _CHROMA_STEP, b * _CHROMA_STEP
