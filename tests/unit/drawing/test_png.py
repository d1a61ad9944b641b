"""PNGs from our SVGs: size, fonts, rejected input; see `test_png_text` for the texts."""

import struct
from datetime import date

import pytest

from github_banners.drawing import draw, explain
from github_banners.drawing.layouts import LAYOUTS
from github_banners.drawing.png import SCALE, to_png
from github_banners.errors import RenderingFailed, UnknownUser
from github_banners.options import BannerOptions, HideableField, Layout, Theme


def size_of(picture: bytes) -> tuple[int, int]:
    assert picture.startswith(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")
    wide, high = struct.unpack_from(">II", picture, 16)
    return wide, high


@pytest.mark.parametrize("layout", Layout)
def test_to_png_is_twice_as_large(snapshot, layout):
    canvas = LAYOUTS[layout].canvas
    options = BannerOptions(layout=layout)
    picture = to_png(draw(snapshot(), options))
    for png_bytes in (picture, to_png(explain(UnknownUser("x"), options=options))):
        assert size_of(png_bytes) == (SCALE * canvas.width, SCALE * canvas.height)
    assert to_png(draw(snapshot(), options)) == picture


@pytest.mark.parametrize("layout", Layout)
def test_to_png_ignores_animation(snapshot, layout):
    moving, still = (BannerOptions(layout=layout, animate=animate) for animate in (True, False))
    assert to_png(draw(snapshot(), moving)) == to_png(draw(snapshot(), still))


@pytest.mark.parametrize("layout", Layout)
def test_to_png_of_two_palettes_uses_light_one(snapshot, layout):
    """Media queries do not apply. Without languages the pictures differ in palette colours only."""
    bare = snapshot(languages={})
    pictures = [
        to_png(draw(bare, BannerOptions(layout=layout, theme=theme))) for theme in _LIGHT_AND_DARK
    ]
    light, both, dark = pictures
    assert light == both != dark


_LIGHT_AND_DARK = (Theme.DEFAULT, Theme.AUTO, Theme.DARK)


@pytest.mark.parametrize("theme", Theme)
def test_draw_uses_no_css_variable_that_png_would_lose(snapshot, theme):
    """A CSS variable would be black: https://github.com/linebender/resvg does not support them."""
    assert b"var(" not in draw(snapshot(), BannerOptions(theme=theme))


@pytest.mark.parametrize("theme", Theme)
def test_to_png_every_theme_is_drawn(snapshot, theme):
    options = BannerOptions(theme=theme, layout=Layout.COMPACT)
    assert size_of(to_png(draw(snapshot(), options)))[0] > 0


def test_to_png_draws_text(snapshot):
    """With a wrong font name text would vanish silently."""
    named, nameless = (snapshot(name=name) for name in ("Yehuda Katz", "Yehuda Kat"))
    assert to_png(draw(named, BannerOptions())) != to_png(draw(nameless, BannerOptions()))


def test_to_png_has_both_font_weights(snapshot):
    svg = draw(snapshot(), BannerOptions())
    assert to_png(svg) != to_png(svg.replace(b"font-weight:600", b"font-weight:400"))


def test_to_png_largest_pictures_are_drawn(snapshot):
    many = snapshot(
        languages={f"язык 語 {index}": 60 - index for index in range(60)}, name="W" * 64
    )
    for layout in Layout:
        for hide in ((), tuple(HideableField)):
            options = BannerOptions(layout=layout, hide=hide, langs_count=10)
            to_png(draw(many, options, as_of=date(2026, 11, 28)))


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
