"""PNGs that the rasterizer makes from our SVGs: size, palettes, fonts, uncovered characters."""

import struct
from datetime import date
from pathlib import Path

import pytest
from msgspec.structs import replace

from github_banners.drawing import draw, explain, png_text
from github_banners.drawing.fallback_fonts import WORDS_FOLDER, FallbackFonts
from github_banners.drawing.layouts import LAYOUTS
from github_banners.drawing.open_graph import HEIGHT, WIDTH, draw_open_graph
from github_banners.drawing.png import SCALE, to_png
from github_banners.drawing.png_text import REPLACEMENT_CHARACTER
from github_banners.errors import UnknownBanner, UnknownUser
from github_banners.options import (
    BannerOptions,
    HideableField,
    Layout,
    Locale,
    Theme,
)
from tests.machine_fonts import set_machine_fonts
from tests.png_size import read_png_size
from tests.snapshots import REPOSITORY, make_activity, make_snapshot


@pytest.fixture(autouse=True)
def no_machine_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    set_machine_fonts(monkeypatch)


@pytest.mark.parametrize("layout", Layout)
def test_to_png_is_twice_as_large(layout):
    canvas = LAYOUTS[layout].canvas
    options = BannerOptions(layout=layout)
    picture = to_png(draw(make_snapshot(), options))
    for png_bytes in (picture, to_png(explain(UnknownUser("x"), options=options))):
        assert read_png_size(png_bytes) == (SCALE * canvas.width, SCALE * canvas.height)
    assert to_png(draw(make_snapshot(), options)) == picture


@pytest.mark.parametrize("layout", Layout)
def test_to_png_ignores_animation(layout):
    moving, still = (BannerOptions(layout=layout, animate=animate) for animate in (True, False))
    assert to_png(draw(make_snapshot(), moving)) == to_png(draw(make_snapshot(), still))


@pytest.mark.parametrize("layout", Layout)
def test_to_png_of_two_palettes_uses_light_one(layout):
    """Media queries do not apply. Without languages the pictures differ in palette colours only."""
    bare = make_snapshot(languages={}, repository=replace(REPOSITORY, language=None))
    pictures = [
        to_png(draw(bare, BannerOptions(layout=layout, theme=theme)))
        for theme in (Theme.DEFAULT, Theme.AUTO, Theme.DARK)
    ]
    light, both, dark = pictures
    assert light == both != dark


@pytest.mark.parametrize("theme", [theme for theme in Theme if len(theme.palette_names) == 1])
def test_to_png_every_theme_is_drawn(theme):
    options = BannerOptions(theme=theme, layout=Layout.COMPACT)
    width, _ = read_png_size(to_png(draw(make_snapshot(), options)))
    assert width == SCALE * LAYOUTS[Layout.COMPACT].canvas.width


def test_to_png_draws_text():
    """With a wrong font name text would vanish silently."""
    named, nameless = (make_snapshot(name=name) for name in ("Yehuda Katz", "Yehuda Kat"))
    assert to_png(draw(named, BannerOptions())) != to_png(draw(nameless, BannerOptions()))


def test_to_png_has_both_font_weights():
    svg = draw(make_snapshot(), BannerOptions())
    assert to_png(svg) != to_png(svg.replace(b"font-weight:600", b"font-weight:400"))


def test_to_png_uncovered_graphemes_become_boxes():
    names = ("佐藤", REPLACEMENT_CHARACTER * 2, "東京", "佐", "&佐")
    first, boxes, other, shorter, escaped = (
        # The initial and the ring's colours are the same.
        to_png(draw(make_snapshot(name=name), BannerOptions(title=f"x{name}")))
        for name in names
    )
    assert first == boxes == other
    assert len({first, shorter, escaped}) == 3


def test_to_png_escaped_markup_is_drawn():
    to_png(draw(make_snapshot(), BannerOptions(title="<b>&amp;'\" 佐 </text>")))


def test_to_png_largest_pictures_are_drawn():
    many = make_snapshot(
        languages={f"язык 語 {index}": 60 - index for index in range(60)}, name="W" * 64
    )
    for layout in Layout:
        for hide in ((), tuple(HideableField)):
            options = BannerOptions(layout=layout, hide=hide, langs_count=10)
            to_png(draw(many, options, as_of=date(2026, 11, 28)))


@pytest.mark.parametrize("locale", ["ja", "ko", "zh-cn", "zh-tw", "ar", "he", "fa", "hi"])
def test_to_png_own_words_are_drawn_in_our_subsets(locale, monkeypatch):
    svg = draw(make_snapshot(), BannerOptions(locale=Locale(locale), layout=Layout.CARD))
    drawn = to_png(svg)
    monkeypatch.setattr(png_text, "word_fonts", lambda: FallbackFonts([]))
    assert to_png(svg) != drawn


def make_small_bold(font: bytes) -> bytes:
    """Return a font that says it is bold (`usWeightClass`), and has glyphs of half the size."""
    rows = struct.iter_unpack(">4sIII", font[12 : 12 + 16 * font[5]])
    offsets = {tag: offset for tag, _, offset, _ in rows}
    changed = bytearray(font)
    struct.pack_into(">H", changed, offsets[b"OS/2"] + 4, 700)
    (units_per_em,) = struct.unpack_from(">H", font, offsets[b"head"] + 18)
    struct.pack_into(">H", changed, offsets[b"head"] + 18, 2 * units_per_em)
    return bytes(changed)


def test_to_png_words_of_a_span_are_drawn_in_its_weight_alone(monkeypatch, tmp_path):
    """Of two weights, resvg would take a part of the glyphs of each word from the other one."""
    regular = (Path(WORDS_FOLDER) / "BannersWordsDevanagari-Regular.ttf").read_bytes()
    options = BannerOptions(locale=Locale.HI, layout=Layout.ACTIVITY)
    svg = draw(replace(make_snapshot(), activity=make_activity()), options)
    (tmp_path / "NotoSansDevanagari-Regular.ttf").write_bytes(regular)
    set_machine_fonts(monkeypatch, tmp_path)
    drawn = to_png(svg)
    (tmp_path / "NotoSansDevanagari-Bold.ttf").write_bytes(make_small_bold(regular))
    set_machine_fonts(monkeypatch, tmp_path)
    assert to_png(svg) == drawn
    assert to_png(svg.replace(b".m{font-weight:400}", b"")) != drawn


@pytest.mark.parametrize("layout", Layout)
def test_to_png_of_open_graph_has_exact_size(layout):
    options = BannerOptions(layout=layout, theme=Theme.DARK)
    for banner in (draw(make_snapshot(), options), explain(UnknownBanner("x"), options=options)):
        assert read_png_size(to_png(draw_open_graph(banner))) == (WIDTH, HEIGHT)


def test_to_png_of_open_graph_without_our_colours_is_drawn():
    drawn = draw_open_graph(b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>')
    assert read_png_size(to_png(drawn)) == (WIDTH, HEIGHT)
