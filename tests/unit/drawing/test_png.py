"""What is sent to the rasterizer, and its fonts: uncovered characters, widths, rejected input."""

import unicodedata
from functools import cache
from pathlib import Path

import pytest

from github_banners.drawing import draw, png
from github_banners.drawing.png import REPLACEMENT_CHARACTER, is_covered, substitute, to_png
from github_banners.drawing.text import width
from github_banners.errors import RenderingFailed
from github_banners.options import BannerOptions, Theme
from tests.unit.drawing.truetype import Font

FILES = {weight: Path(file) for weight, file in zip((400, 600), png.FONT_FILES, strict=True)}
LICENCE = (png.FONTS / "OFL.txt").read_text(encoding="utf-8")


@pytest.fixture(scope="module", params=FILES.items(), ids=lambda item: str(item[0]))
def font(request: pytest.FixtureRequest) -> Font:
    weight, path = request.param
    font = Font(path)
    assert font.weight == weight
    return font


@pytest.mark.parametrize("theme", Theme)
def test_draw_uses_no_css_variable_that_png_would_lose(snapshot, theme):
    """A CSS variable would be black: https://github.com/linebender/resvg does not support them."""
    assert b"var(" not in draw(snapshot(), BannerOptions(theme=theme))


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


def test_substitute_texts_escaped_markup_stays_text(snapshot):
    svg = draw(snapshot(), BannerOptions(title="<b>&amp;'\" 佐 </text>"))
    covered = png.substitute_texts(svg.decode())
    assert "&lt;b&gt;&amp;amp;&#x27;&quot; □ &lt;/text&gt;" in covered


def test_substitute_texts_drops_forced_text_lengths(snapshot):
    svg = draw(snapshot(name="สมชาย ศรีสุวรรณ ณ อยุธยา เกียรติศักดิ์ประเสริฐ"), BannerOptions()).decode()
    assert "textLength" in svg
    assert "textLength" not in png.substitute_texts(svg)


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
    box = font.advance(REPLACEMENT_CHARACTER)
    replaced = replaced_characters()
    assert len(replaced) > 100_000
    assert [hex(ord(code)) for code in replaced if width(code, 1, bold=is_bold) < box] == []


@cache
def replaced_characters() -> list[str]:
    """Return the letters, numbers, symbols and punctuation that become a box."""
    characters = map(chr, range(0x80, 0x30000))
    return [
        character
        for character in characters
        if unicodedata.category(character)[0] in "LNSP"
        and substitute(character) == REPLACEMENT_CHARACTER
    ]


def test_fonts_have_licence_and_own_name(font):
    assert "SIL OPEN FONT LICENSE Version 1.1" in LICENCE
    # "Inter" is a trademark: the modified fonts must not use it.
    assert "Banners Sans".encode("utf-16-be") in font.data
    assert len(font.data) < 170_000
