"""
The picture of a banner for link previews (`og:image`), which is 1200 x 630 pixels as PNG.

It is made from the SVG of a banner alone, so that one that is read from the storage, or an
explanation, can be shown like one that was drawn now. https://ogp.me
"""

import re
from html import unescape
from typing import NamedTuple

import msgspec

from github_banners.drawing.colours import is_dark
from github_banners.drawing.rendering import render_without_frame
from github_banners.drawing.themes import Canvas, format_coordinate
from github_banners.errors import RenderingFailed

SERVICE_NAME = "GitHub Banners"
WIDTH, HEIGHT = 1200, 630

# The rasterizer rounds a cell of a pattern up to whole pixels: at this width, the cells of the
# heatmap in `activity` are 18 pixels, and do not drift away from their colours.
_BANNER_WIDTH, _BANNER_MAX_HEIGHT = 1087.7, 440
_NAME_GAP, _GLOW_RADIUS = 64, 760
_LIGHT_BACKGROUND, _DARK_BACKGROUND, _UNKNOWN_TEXT_COLOUR = "ffffff", "0d1117", "#7d8590"
_ROOT = re.compile(r'\s*<svg [^>]*?\bwidth="(\d{1,4})" height="(\d{1,4})"[^>]*>')
_TITLE, _DESC = re.compile(r"<title>([^<]*)</title>"), re.compile(r"<desc>([^<]*)</desc>")
# The first rule of each class has the colours for a light background.
_BACKGROUND = re.compile(r"\.c\{fill:#([0-9a-f]{6})\b")
_TEXT_COLOUR = re.compile(r"\.t(?:,\.x)?\{fill:#([0-9a-f]{6})")
_GLOW = re.compile(r"\.g\{stop-color:#([0-9a-f]{6})[0-9a-f]*;opacity:(\.\d+)")


class BannerTexts(NamedTuple):
    """The accessible texts of a banner: its `<title>` and `<desc>`."""

    title: str
    description: str


class _OpenGraph(msgspec.Struct, frozen=True, gc=False):
    """The values of `templates/open_graph.svg`; colours begin with `#`."""

    background: str
    glow: str
    glow_strength: str
    glow_x: int
    glow_left: int
    glow_radius: int
    text_colour: str
    banner: str
    service_name: str
    name_y: str


def read_texts(banner: bytes) -> BannerTexts:
    """Return the texts of a banner's SVG; empty ones if it has none."""
    svg = banner.decode(errors="replace")  # a stored file may be damaged
    title, description = _TITLE.search(svg), _DESC.search(svg)
    return BannerTexts(
        unescape(title[1]) if title else "", unescape(description[1]) if description else ""
    )


def draw_open_graph(banner: bytes) -> bytes:
    """
    Draw the SVG of a banner centred on its background, with the name of the service below.

    :raises RenderingFailed: the SVG is not one of ours
    """
    svg = banner.decode(errors="replace")  # a stored file may be damaged
    root = _ROOT.match(svg)
    if root is None or not (int(root[1]) and int(root[2])):
        raise RenderingFailed("this is not one of our SVGs")
    width, height = int(root[1]), int(root[2])
    scale = min(_BANNER_WIDTH / width, _BANNER_MAX_HEIGHT / height)
    wide, high = scale * width, scale * height
    top = (HEIGHT - high) / 2
    place = zip(("x", "y", "width", "height"), ((WIDTH - wide) / 2, top, wide, high), strict=True)
    attributes = "".join(f' {name}="{format_coordinate(value)}"' for name, value in place)
    is_mirrored = 'text-anchor="end"' in root[0]
    anchor = ' text-anchor="end"' if is_mirrored else ""
    background, text_colour = _BACKGROUND.search(svg), _TEXT_COLOUR.search(svg)
    glow = _GLOW.search(svg)
    values = _OpenGraph(
        background=f"#{background[1] if background else _background_for(text_colour)}",
        glow=f"#{glow[1]}" if glow else "none",
        glow_strength=glow[2] if glow else "0",
        glow_x=WIDTH if is_mirrored else 0,
        glow_left=WIDTH - _GLOW_RADIUS if is_mirrored else 0,
        glow_radius=_GLOW_RADIUS,
        text_colour=f"#{text_colour[1]}" if text_colour else _UNKNOWN_TEXT_COLOUR,
        banner=f'<svg{attributes} viewBox="0 0 {width} {height}"{anchor}>{svg[root.end() :]}',
        service_name=SERVICE_NAME,
        name_y=format_coordinate(top + high + _NAME_GAP),
    )
    return render_without_frame("open_graph.svg", values, canvas=Canvas(WIDTH, HEIGHT))


def _background_for(text_colour: "re.Match[str] | None") -> str:
    """Return a background for a translucent banner, on which its title can be read."""
    is_light_text = text_colour and not is_dark(text_colour[1])
    return _DARK_BACKGROUND if is_light_text else _LIGHT_BACKGROUND
