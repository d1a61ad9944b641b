"""The SVGs that are sent to the rasterizer: no CSS variables, no foreign SVGs; see also `test_png_text`."""

import pytest

from github_banners.drawing import draw
from github_banners.drawing.png import to_png
from github_banners.errors import RenderingFailed
from github_banners.options import BannerOptions, Theme


@pytest.mark.parametrize("theme", Theme)
def test_draw_uses_no_css_variable_that_png_would_lose(snapshot, theme):
    """A CSS variable would be black: https://github.com/linebender/resvg does not support them."""
    assert b"var(" not in draw(snapshot(), BannerOptions(theme=theme))


@pytest.mark.parametrize(
    "svg",
    [
        b"",
        b"<html/>",
        b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        b'<svg xmlns="x" width="100000" height="10"/>',
        b'<svg xmlns="x" width="1201" height="10"/>',
        b'<svg xmlns="x" width="10" height="601"/>',
        b'<svg xmlns="x" width="0" height="10"/>',
        b'<svg xmlns="x" width="1e9" height="10"/>',
        b'<svg xmlns="x" width="10" height="10">' + b" " * (256 << 10),
        b'<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"><g></svg>',
        b'<svg xmlns="x" width="10" height="10"><image href="/etc/passwd"/></svg>',
        b'<svg xmlns="x" width="10" height="10"><s:feImage href="/etc/passwd"/></svg>',
        b'<!DOCTYPE svg [<!ENTITY a "a">]><svg xmlns="x" width="10" height="10"/>',
    ],
)
def test_to_png_foreign_svg_raises(svg):
    with pytest.raises(RenderingFailed):
        to_png(svg)
