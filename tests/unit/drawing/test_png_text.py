"""The fonts of a picture's texts: our two, the subsets for our words, those of the machine."""

import re
import unicodedata
from collections.abc import Iterator
from datetime import date
from functools import cache
from html import unescape
from pathlib import Path

import pytest
from msgspec.structs import replace

from github_banners.drawing import draw, explain, png, png_text
from github_banners.drawing.fallback_fonts import WORDS_FOLDER
from github_banners.drawing.locales import LOCALES
from github_banners.drawing.png_text import REPLACEMENT_CHARACTER, choose_fonts, is_covered
from github_banners.drawing.text import width
from github_banners.errors import (
    BannersError,
    CardNotOffered,
    ContributionsHidden,
    FetchPending,
    GitHubUnavailable,
    InvalidOption,
    InvalidType,
    NoContributions,
    Overloaded,
    TokenRequired,
    TooManyRequests,
    Unavailable,
    UnknownBanner,
    UnknownRepository,
    UnknownUser,
    UserNotServed,
)
from github_banners.models import Activity
from github_banners.options import (
    BannerOptions,
    ChartType,
    Layout,
    Locale,
    NumberFormat,
    ShownNumber,
)
from tests.machine_fonts import set_machine_fonts
from tests.snapshots import REPOSITORY
from tests.unit.drawing.conftest import MakeSnapshot
from tests.unit.drawing.truetype import Font

FILES = {weight: Path(file) for weight, file in zip((400, 600), png.FONT_FILES, strict=True)}
LICENCES = [folder / "OFL.txt" for folder in (png_text.FONTS, Path(WORDS_FOLDER))]
WORD_JOINER = "\u2060"


@pytest.fixture(autouse=True)
def machine_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use no fonts of the machine."""
    set_machine_fonts(monkeypatch)


@pytest.fixture(scope="module", params=FILES.items(), ids=lambda item: str(item[0]))
def font(request: pytest.FixtureRequest) -> Font:
    weight, path = request.param
    font = Font(path)
    assert font.weight == weight
    return font


def find_texts(markup: str) -> list[str]:
    """Return the texts of all text elements, without tags and without what only chooses fonts."""
    contents = re.findall(r"<text\b[^>]*>(.*?)</text>", markup)
    return [
        unescape(re.sub("<[^>]*>", "", content)).removeprefix(WORD_JOINER) for content in contents
    ]


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("Yehuda Katz", "Yehuda Katz"),
        ("Nguyễn Thị Phương Thảo", "Nguyễn Thị Phương Thảo"),
        ("Константин Щукин", "Константин Щукин"),
        ("Ελένη Παπαδοπούλου", "Ελένη Παπαδοπούλου"),
        ("“quoted” – it’s 5 €…", "“quoted” – it’s 5 €…"),
        ("佐藤 美咲", "□□ □□"),
        ("김철수", "□□□"),
        ("ليلى 42", "ليلى 42"),
        ("สมชาย", "□□□□□"),
        ("राजेन्द्र", "राजेन्द्र"),
        ("👩‍👩‍👧‍👦 Zoë 🏳️‍🌈", "□ Zoë □"),
        ("1️⃣ 🇩🇪🇫🇷", "1 □□"),
        ("e\u1ab0\u0301", "e\u0301"),
        ("\u1ab0", ""),
        ("ἄνεμος", "ανεμος"),
        ("\u2068ليلى\u2069", "\u2068ليلى\u2069"),
        ("<&佐", "<&□"),
        ("", ""),
    ],
)
def test_choose_fonts_uncovered_graphemes_become_boxes(text, drawn):
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    markup, _ = choose_fonts(f"<svg><text>{escaped}</text></svg>")
    assert find_texts(markup) == [drawn]


def test_choose_fonts_word_of_our_subset_in_part_becomes_boxes_as_a_whole():
    """A name drawn in glyphs and boxes would be harder to read than one in boxes."""
    markup, _ = choose_fonts("<svg><text>語 語龘 「語龘」</text></svg>")
    assert find_texts(markup) == ["語 □□ 「□□」"]


def test_choose_fonts_second_font_comes_first_and_ours_draws_plain_characters():
    """In another order resvg loses glyphs or panics: it replaces them one by one."""
    markup, paths = choose_fonts('<svg><text x="1">Zoë &lt; 5 نجوم</text></svg>')
    assert markup == (
        '<svg><text x="1" xml:space="preserve" font-family="\'Banners Words Arabic\'">'
        f'{WORD_JOINER}<tspan font-family="Banners Sans">Zoë &lt; 5 </tspan>نجوم</text></svg>'
    )
    assert [Path(path).name for path in paths] == ["BannersWordsArabic-Regular.ttf"]


def test_choose_fonts_second_font_comes_first_in_the_weight_of_its_words():
    markup, _ = choose_fonts(
        '<svg><text>5 <tspan class="m">नव॰</tspan></text>'
        '<text>नव॰ <tspan class="m">5</tspan></text></svg>'
    )
    contents = re.findall(r"<text\b[^>]*>(.*?)</text>", markup)
    assert [content.partition(WORD_JOINER)[0] for content in contents] == ['<tspan class="m">', ""]


def test_choose_fonts_replaces_list_for_browsers():
    """A font of the machine that is loaded for another text must not draw all texts."""
    markup, paths = choose_fonts("<svg font-family=\"-apple-system,'Noto Sans',sans-serif\"></svg>")
    assert (markup, paths) == ('<svg font-family="Banners Sans"></svg>', [])


def test_choose_fonts_drops_forced_text_lengths(snapshot):
    svg = draw(snapshot(name="สมชาย ศรีสุวรรณ ณ อยุธยา เกียรติศักดิ์ประเสริฐ"), BannerOptions()).decode()
    assert "textLength" in svg
    assert "textLength" not in choose_fonts(svg)[0]


def test_choose_fonts_escaped_markup_stays_text(snapshot):
    svg = draw(snapshot(), BannerOptions(title="<b>&amp;'\" 佐 </text>"))
    markup, _ = choose_fonts(svg.decode())
    assert "&lt;b&gt;&amp;amp;&#x27;&quot; □ &lt;/text&gt;" in markup


def draw_pictures(locale: Locale, snapshot: MakeSnapshot) -> Iterator[bytes]:
    """Yield pictures that show every text of a locale, except the names of their owners."""
    day = date(2026, 11, 20)
    many = snapshot(languages={f"L{index}": 60 - index for index in range(60)})
    for layout in Layout:
        for shape in ChartType:
            options = BannerOptions(layout=layout, locale=locale, shape=shape)
            yield draw(many, options, as_of=day)
            yield draw(snapshot(languages={}), options)
            in_full = BannerOptions(layout=layout, locale=locale, number_format=NumberFormat.LONG)
            yield draw(many, in_full)
    active = replace(snapshot(), followers=5, activity=Activity(12_345, 5, 11, 2, 0))
    for start in range(0, len(ShownNumber), 3):
        show = tuple(ShownNumber)[start : start + 3]
        yield draw(active, BannerOptions(locale=locale, show=show))
    archived = snapshot(repository=replace(REPOSITORY, is_archived=True))
    yield draw(archived, BannerOptions(layout=Layout.REPOSITORY, locale=locale))
    errors: list[BannersError] = [
        UnknownUser("x"),
        UnknownRepository("x"),
        InvalidOption("repo", "", ()),
        InvalidOption("repo", "/", ("a repository's name",)),
        GitHubUnavailable(),
        Unavailable(),
        Overloaded("x"),
        FetchPending("x"),
        ContributionsHidden("x"),
        NoContributions("x"),
        TokenRequired(),
        UserNotServed("x"),
        CardNotOffered("x"),
        TooManyRequests(40),
        TooManyRequests(90),
        UnknownBanner("x"),
        InvalidType("type", "drakula", ("dracula",)),
        InvalidOption("radius", "99", ("0 to 20",)),
        InvalidOption("username", "", ()),
        InvalidOption("username", "-x", ()),
        InvalidOption("border", "maybe", ("true", "false")),
        InvalidOption("bg_color", "x", ("a hex colour of 3, 4, 6 or 8 digits",)),
        InvalidOption("title", "x", ("at most 64 characters",)),
        InvalidOption("langs_count", "x", ("1 to 10",)),
        InvalidOption("exclude", "x", ("names separated by commas, at most 50",)),
        InvalidOption("layout", "", ()),
    ]
    for error in errors:
        yield explain(error, options=BannerOptions(locale=locale), host="banners.example")
        yield explain(error, options=BannerOptions(locale=locale))


@pytest.mark.parametrize("locale", LOCALES)
def test_choose_fonts_own_words_of_every_locale_need_no_machine_font(snapshot, locale):
    for svg in draw_pictures(Locale(locale), snapshot):
        texts = find_texts(choose_fonts(svg.decode())[0])
        assert texts
        assert not [text for text in texts if REPLACEMENT_CHARACTER in text]


def test_choose_fonts_machine_font_comes_before_our_subset(monkeypatch, tmp_path):
    subset = Path(WORDS_FOLDER) / "BannersWordsArabic-Regular.ttf"
    for style in ("Regular", "Bold"):
        (tmp_path / f"NotoSansArabic-{style}.ttf").write_bytes(subset.read_bytes())
    set_machine_fonts(monkeypatch, tmp_path)
    _, paths = choose_fonts("<svg><text>نجوم</text><text>كوكب</text><text>其他</text></svg>")
    assert [Path(path).name for path in paths] == [
        "NotoSansArabic-Regular.ttf",
        "NotoSansArabic-Bold.ttf",
        "BannersWordsCJK-Regular.otf",
    ]


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
    """Return the letters, numbers, symbols and punctuation that can become a box."""
    characters = map(chr, range(0x80, 0x30000))
    return [
        character
        for character in characters
        if unicodedata.category(character)[0] in "LNSP"
        and not is_covered(character)
        and not is_covered(unicodedata.normalize("NFD", character)[0])
    ]


def test_fonts_have_licence_and_own_name(font):
    # "Inter" and "Noto" are trademarks: the modified fonts must not use them.
    assert "Banners Sans".encode("utf-16-be") in font.data
    assert len(font.data) < 170_000
    words = [path.read_bytes() for path in Path(WORDS_FOLDER).glob("BannersWords*")]
    assert len(words) == 4
    assert sum(map(len, words)) < 200_000
    assert all("Banners Words".encode("utf-16-be") in data for data in words)
    assert not any("Noto Sans".encode("utf-16-be") in data for data in words)
    for licence in LICENCES:
        assert "SIL OPEN FONT LICENSE Version 1.1" in licence.read_text(encoding="utf-8")
