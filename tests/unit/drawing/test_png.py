"""PNG from our own drawings: size, fonts, what they do not cover, and what is refused."""

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

FILES = {weight: Path(file) for weight, file in zip((400, 600), png._FILES, strict=True)}
LICENCE = (png.FONTS / "OFL.txt").read_text(encoding="utf-8")


@pytest.fixture(scope="module", params=FILES.items(), ids=lambda it: str(it[0]))
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
def test_a_banner_is_twice_as_large(snapshot, layout):
    ground = LAYOUTS[layout].canvas
    look = BannerOptions(layout=layout)
    picture = to_png(draw(snapshot(), look))
    for one in (picture, to_png(explain(UnknownUser("x"), options=look))):
        assert size_of(one) == (SCALE * ground.width, SCALE * ground.height)
    assert to_png(draw(snapshot(), look)) == picture


@pytest.mark.parametrize("layout", Layout)
def test_motion_leaves_no_trace(snapshot, layout):
    moving, still = (BannerOptions(layout=layout, animate=animate) for animate in (True, False))
    assert to_png(draw(snapshot(), moving)) == to_png(draw(snapshot(), still))


@pytest.mark.parametrize("layout", Layout)
def test_of_two_grounds_the_light_one_is_drawn(snapshot, layout):
    """Without media queries, as if there were no dark one; what differs is no text and no ground."""
    bare = snapshot(languages={})
    pictures = [
        to_png(draw(bare, BannerOptions(layout=layout, theme=theme))) for theme in _LIGHT_AND_DARK
    ]
    light, both, dark = pictures
    assert light == both != dark


_LIGHT_AND_DARK = (Theme.DEFAULT, Theme.AUTO, Theme.DARK)


@pytest.mark.parametrize("theme", Theme)
def test_no_colour_hides_in_a_variable(snapshot, theme):
    """A variable would be black here: https://github.com/linebender/resvg has none."""
    assert b"var(" not in draw(snapshot(), BannerOptions(theme=theme))


@pytest.mark.parametrize("theme", Theme)
def test_every_theme_has_its_own_picture(snapshot, theme):
    look = BannerOptions(theme=theme, layout=Layout.COMPACT)
    assert size_of(to_png(draw(snapshot(), look)))[0] > 0


def test_text_is_drawn(snapshot):
    """Without a font of the right name text would vanish without a word."""
    named, nameless = (snapshot(name=name) for name in ("Yehuda Katz", "Yehuda Kat"))
    assert to_png(draw(named, BannerOptions())) != to_png(draw(nameless, BannerOptions()))


def test_both_weights_are_there(snapshot):
    svg = draw(snapshot(), BannerOptions())
    assert to_png(svg) != to_png(svg.replace(b"font-weight:600", b"font-weight:400"))


@pytest.mark.parametrize(
    ("text", "spelled"),
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
def test_what_the_fonts_lack_becomes_a_box(text, spelled):
    assert substitute(text) == spelled


def test_a_box_stands_in_the_picture(snapshot):
    names = ("佐藤", REPLACEMENT_CHARACTER * 2, "東京", "佐", "&佐")
    first, boxes, other, shorter, escaped = (
        # The initial and the ring's colours are the same.
        to_png(draw(snapshot(name=name), BannerOptions(title=f"x{name}")))
        for name in names
    )
    assert first == boxes == other
    assert len({first, shorter, escaped}) == 3


def test_what_is_markup_in_a_text_stays_text(snapshot):
    svg = draw(snapshot(), BannerOptions(title="<b>&amp;'\" 佐 </text>"))
    covered = png._substitute_all(svg.decode())
    assert "&lt;b&gt;&amp;amp;&#x27;&quot; □ &lt;/text&gt;" in covered
    to_png(svg)


def test_a_length_is_forced_on_no_font_that_is_known(snapshot):
    svg = draw(snapshot(name="สมชาย ศรีสุวรรณ ณ อยุธยา เกียรติศักดิ์ประเสริฐ"), BannerOptions()).decode()
    assert "textLength" in svg
    assert "textLength" not in png._substitute_all(svg)


def test_everything_at_once_can_be_drawn(snapshot):
    many = snapshot(languages={f"язык 語 {at}": 60 - at for at in range(60)}, name="W" * 64)
    for layout in Layout:
        for hide in ((), tuple(HideableField)):
            look = BannerOptions(layout=layout, hide=hide, langs_count=10)
            to_png(draw(many, look, as_of=date(2026, 11, 28)))


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
def test_what_is_none_of_ours_is_refused(svg):
    with pytest.raises(RenderingFailed):
        to_png(svg)


def test_the_list_of_covered_characters_is_the_fonts_own(font):
    listed = {code for code in range(0x30000) if is_covered(chr(code))}
    assert listed == font.glyphs.keys() - {0xFFFF}


def test_nothing_is_wider_than_the_layouts_reckon(font):
    """Each ASCII character by itself; of others the class reckons, and a narrow one makes up for it."""
    is_bold = font.weight == 600
    for code in font.glyphs.keys() - {0xFFFF}:
        reckoned = width(chr(code), 1, bold=is_bold)
        slack = 1.0 if chr(code).isascii() and chr(code) != "'" else 1.2
        assert font.advance(chr(code)) <= slack * reckoned + 1e-9, hex(code)


def test_the_box_is_narrower_than_all_that_it_stands_for(font):
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


def test_the_licence_lies_beside_the_fonts(font):
    assert "SIL OPEN FONT LICENSE Version 1.1" in LICENCE
    # The name of the original is left to the original.
    assert "Banners Sans".encode("utf-16-be") in font.data
    assert len(font.data) < 170_000
