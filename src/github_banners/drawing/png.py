"""
Convert our SVGs to PNGs of twice the size, for clients that do not show SVG.

The rasterizer ignores media queries and animations, so the PNG shows the wide, light form. It reads
fonts at each call, so it gets only those that `png_text` has chosen for the picture. A conversion
holds the GIL for some 50 to 150 ms, so services run it in a worker process.
"""

import re

from github_banners.drawing.png_text import FAMILY, FONTS, choose_fonts
from github_banners.drawing.rendering import find_root
from github_banners.errors import RenderingFailed

SCALE = 2
FONT_FILES = [str(FONTS / f"BannersSans-{style}.ttf") for style in ("Regular", "SemiBold")]

# resvg allocates the memory of the whole picture at once and aborts the process if it can't.
_MAX_WIDTH, _MAX_HEIGHT = 1200, 600
_MAX_BYTES = 256 << 10
# resvg would read images from disk. Ours contain none, but a stored file may have been changed.
_IMAGE_ELEMENT = re.compile(rb"<(?:\w+:)?(?:fe)?image\b", re.IGNORECASE)


def to_png(svg: bytes) -> bytes:
    """
    Convert an SVG made by `draw` or `explain` to PNG.

    :raises RenderingFailed: the SVG is not one of ours, or too large
    """
    import resvg_py  # noqa: PLC0415 - only the worker process needs it; others pass this function

    _check(svg)
    text, second_fonts = choose_fonts(svg.decode())
    try:
        return resvg_py.svg_to_bytes(
            svg_string=text,
            zoom=SCALE,
            skip_system_fonts=True,
            font_files=[*FONT_FILES, *second_fonts],
            sans_serif_family=FAMILY,
        )
    except ValueError as error:
        raise RenderingFailed(str(error)) from error


def _check(svg: bytes) -> None:
    root = find_root(svg)
    if root is None or len(svg) > _MAX_BYTES or _IMAGE_ELEMENT.search(svg):
        raise RenderingFailed("this is not one of our SVGs")
    width, height = map(int, root.groups())
    if not (0 < width <= _MAX_WIDTH and 0 < height <= _MAX_HEIGHT):
        raise RenderingFailed(f"a picture of {width} x {height} is too large")
