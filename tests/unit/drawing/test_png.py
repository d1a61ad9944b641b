"""PNGs from our SVGs: size, fonts, uncovered characters, rejected input."""

import struct
import unicodedata
from datetime import date
from pathlib import Path

import pytest

from github_banners.drawing import draw, explain, png
from github_banners.drawing.layouts import LAYOUTS
from github_banners.drawing.png import REPLACEMENT_CHARACTER, SCALE, is_covered, substitute, to_png
from github_banners.drawing.text import width
from github_banners.errors import RenderingFailed, UnknownUser
from github_banners.options import BannerOptions, HideableField, Layout, Theme
from tests.unit.drawing.truetype import Font

FILES = {weight: Path(file) for weight, file in zip((400, 600), png.FONT_FILES, strict=True)}
LICENCE = (png.FONTS / "OFL.txt").read_text(encoding="utf-8")


@pytest.fixture(scope="module", params=FILES.items(), ids=lambda item: str(item[0]))
def font(request: pytest.FixtureRequest) -> Font:
    weight, path = request.param
    font = Font(path)
    assert font.weight == weight
    return font


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


@pytest.mark.parametrize(
    ("text", "substituted"),
    [
        ("Yehuda Katz", "Yehuda Katz"),
        ("Nguyễn Thị Phương Thảo", "Nguyễn Thị Phương Thảo"),
        ("Константин Щукин", "Константин Щукин"),
        ("Ελένη Παπαδοπούλου", "Ελένη Παπαδοπούλου"),
        ("“quoted” – it’s 5 €…", "“quoted” – it’s 5 €…"),
        ("佐藤 美咲", "□□ □□"),
        ("김철수", "□□□"),
        ("ليلى 42", "□□□□ 42"),
        ("สมชาย", "□□□□□"),
        ("राजेन्द्र", "□□□□□"),
        ("👩‍👩‍👧‍👦 Zoë 🏳️‍🌈", "□ Zoë □"),
        ("1️⃣ 🇩🇪🇫🇷", "1 □□"),
        ("e\u1ab0\u0301", "e\u0301"),
        ("\u1ab0", ""),
        ("ἄνεμος", "ανεμος"),
        ("\u2068ليلى\u2069", "\u2068□□□□\u2069"),
        ("", ""),
    ],
)
def test_substitute_uncovered_graphemes_become_boxes(text, substituted):
    assert substitute(text) == substituted


def test_to_png_uncovered_graphemes_become_boxes(snapshot):
    names = ("佐藤", REPLACEMENT_CHARACTER * 2, "東京", "佐", "&佐")
    first, boxes, other, shorter, escaped = (
        # The initial and the ring's colours are the same.
        to_png(draw(snapshot(name=name), BannerOptions(title=f"x{name}")))
        for name in names
    )
    assert first == boxes == other
    assert len({first, shorter, escaped}) == 3


def test_to_png_escaped_markup_stays_text(snapshot):
    svg = draw(snapshot(), BannerOptions(title="<b>&amp;'\" 佐 </text>"))
    covered = png.substitute_texts(svg.decode())
    assert "&lt;b&gt;&amp;amp;&#x27;&quot; □ &lt;/text&gt;" in covered
    to_png(svg)


def test_to_png_drops_forced_text_lengths(snapshot):
    svg = draw(snapshot(name="สมชาย ศรีสุวรรณ ณ อยุธยา เกียรติศักดิ์ประเสริฐ"), BannerOptions()).decode()
    assert "textLength" in svg
    assert "textLength" not in png.substitute_texts(svg)


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


def test_coverage_equals_that_of_the_fonts(font):
    listed = {code for code in range(0x30000) if is_covered(chr(code))}
    assert listed == font.glyphs.keys() - {0xFFFF}


def test_fonts_no_glyph_is_wider_than_estimated(font):
    """Exact for ASCII; other estimates are per class, and narrow characters make up for wide ones."""
    is_bold = font.weight == 600
    for code in font.glyphs.keys() - {0xFFFF}:
        estimated = width(chr(code), 1, bold=is_bold)
        slack = 1.0 if chr(code).isascii() and chr(code) != "'" else 1.2
        assert font.advance(chr(code)) <= slack * estimated + 1e-9, hex(code)


def test_fonts_box_is_narrower_than_what_it_replaces(font):
    is_bold = font.weight == 600
    for code in range(0x80, 0x30000):
        character = chr(code)
        if (
            substitute(character) == REPLACEMENT_CHARACTER
            and unicodedata.category(character)[0] in "LNSP"
        ):
            assert font.advance(REPLACEMENT_CHARACTER) <= width(character, 1, bold=is_bold), hex(
                code
            )


def test_fonts_have_licence_and_own_name(font):
    assert "SIL OPEN FONT LICENSE Version 1.1" in LICENCE
    # "Inter" is a trademark: the modified fonts must not use it.
    assert "Banners Sans".encode("utf-16-be") in font.data
    assert len(font.data) < 170_000
