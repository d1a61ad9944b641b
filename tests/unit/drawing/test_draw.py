import gzip
import random
import re
from datetime import date
from xml.etree.ElementTree import Element

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from github_banners.drawing import draw, explain
from github_banners.errors import InvalidOption, UnknownUser
from github_banners.models import Snapshot
from github_banners.options import (
    BannerOptions,
    ChartType,
    HideableField,
    Layout,
    Locale,
    NumberFormat,
    Theme,
)
from tests.unit.drawing.conftest import MakeSnapshot

# Bytes and bytes gzipped, with the longest names; a pair of palettes may need a little more.
BUDGETS = {
    (Layout.CLASSIC, ChartType.BAR): (6_144, 2_048),
    (Layout.CARD, ChartType.BAR): (4_857, 1_824),
    (Layout.COMPACT, ChartType.BAR): (2_899, 1_332),
    (Layout.LANGUAGES, ChartType.BAR): (3_872, 1_343),
    (Layout.LANGUAGES, ChartType.DONUT): (3_218, 1_278),
}
USUAL_NAMES = {
    Locale.JA: "佐藤 美咲",
    Locale.KO: "김민수",
    Locale.ZH_CN: "王小明",
    Locale.ZH_TW: "王小明",
    Locale.AR: "محمد الهاشمي",
    Locale.HE: "נועה לוי",
    Locale.FA: "مریم رضایی",
    Locale.HI: "राजेन्द्र प्रसाद",
    Locale.RU: "Константин Щукин",
    Locale.UK: "Олена Шевченко",
}
FOR_A_PAIR = (169, 67)
LAYOUT_IDS = ["classic", "card", "compact", "bar", "donut"]

LANGUAGES = [
    "Jupyter Notebook",
    "TypeScript",
    "CoffeeScript",
    "Emacs Lisp",
    "PowerShell",
    "Objective-C",
    "Dockerfile",
    "JavaScript",
    "Visual Basic .NET",
    "Mathematical Programming System",
]
LONG_LOGIN = "maximiliane-alexandra-von-wittgenstein1"
LONG_NAMES = [
    "Maximiliane-Alexandra von Wittgenstein-Hohenlohe zu Berleburg-Sayn",
    "Константин Константинович Константинопольский-Преображенский мл.",
    "الدكتور عبد الرحمن بن محمد بن عبد العزيز آل الشيخ الهاشمي القرشي",
    "Nguyễn Thị Phương Thảo Huỳnh Trần Đặng Khánh Vân Quỳnh Như Ngọc Ánh",
    "佐藤 美咲（さとう みさき）東京都渋谷区",
    "👩‍👩‍👧‍👦👨🏽‍💻🏳️‍🌈👩🏿‍🚀" * 16,
]

# Any code point at all, lone surrogates too.
ANYTHING = st.text(alphabet=st.characters(), max_size=80)
NUMBERS = st.integers(min_value=0, max_value=2**31 - 1)
LOOKS = st.builds(
    BannerOptions,
    theme=st.sampled_from(Theme),
    locale=st.sampled_from(Locale),
    layout=st.sampled_from(Layout),
    shape=st.sampled_from(ChartType),
    hide=st.sets(st.sampled_from(HideableField)).map(lambda fields: tuple(sorted(fields))),
    langs_count=st.none() | st.integers(min_value=1, max_value=10),
    title=st.none() | st.text(alphabet=st.characters(), max_size=64),
    number_format=st.sampled_from(NumberFormat),
    radius=st.none() | st.integers(min_value=0, max_value=20),
    border=st.booleans(),
    animate=st.booleans(),
    bg_color=st.sampled_from([None, "fff", "10203040", "123456"]),
)


TAGS = {"svg", "title", "desc", "style", "radialGradient", "stop", "rect", "g", "circle", "text"}
TAGS |= {"tspan", "path", "clipPath", "use"}


def _style(root: Element) -> str:
    return next(element.text or "" for element in root.iter() if element.tag.endswith("style"))


@settings(max_examples=150, deadline=None)
@given(
    names=st.tuples(ANYTHING, st.none() | ANYTHING),
    numbers=st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS),
    languages_look=st.tuples(st.dictionaries(ANYTHING, NUMBERS, max_size=60), LOOKS),
)
def test_whatever_is_drawn_is_xml_and_no_text_became_markup(
    parse, snapshot, names, numbers, languages_look
):
    login, name = names
    languages, look = languages_look
    stars, forks, original, forked = numbers
    one = snapshot(
        login=login,
        name=name,
        stars=stars,
        forks=forks,
        original=original,
        forked=forked,
        languages=languages,
    )
    svg = draw(one, look, as_of=date(2026, 11, 20) if stars % 2 else None)
    root = parse(svg)
    assert {element.tag.partition("}")[2] for element in root.iter()} <= TAGS
    assert root[1].tag.endswith("desc")
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\ufffe\uffff]", svg.decode())


@settings(max_examples=80, deadline=None)
@given(name=ANYTHING, value=ANYTHING, host=ANYTHING)
def test_whatever_is_explained_is_xml(parse, name, value, host):
    for error in (UnknownUser(name), InvalidOption(name, value, (host, name))):
        root = parse(explain(error, host=host))
        assert len([one for one in root.iter() if one.tag.endswith("text")]) == 3


@pytest.mark.parametrize("hide", [(), (HideableField.LANGUAGES,), tuple(HideableField)])
@pytest.mark.parametrize(("layout", "shape"), BUDGETS, ids=LAYOUT_IDS)
def test_every_banner_can_be_read_out(parse, snapshot, layout, shape, hide):
    for languages in ({}, {"Go": 3}):
        for hide_langs in ((), ("go",)):
            look = BannerOptions(layout=layout, shape=shape, hide=hide, hide_langs=hide_langs)
            title, desc, *_ = parse(draw(snapshot(languages=languages), look))
            assert title.text
            assert desc.text


def test_markup_is_text(parse, snapshot):
    evil = "</text><script>alert(1)</script>\"'&"
    root = parse(draw(snapshot(name=evil, languages={evil: 1}), BannerOptions()))
    texts = ["".join(element.itertext()) for element in root.iter() if element.tag.endswith("text")]
    assert any(text.startswith("</text><script>") for text in texts)
    assert not [element for element in root.iter() if "script" in element.tag]


def test_equal_input_gives_equal_bytes(snapshot):
    assert draw(snapshot(), BannerOptions()) == draw(snapshot(), BannerOptions())


@pytest.mark.parametrize("theme", [Theme.DEFAULT, Theme.DARK, Theme.AUTO])
@pytest.mark.parametrize(("layout", "shape"), BUDGETS, ids=LAYOUT_IDS)
def test_small_enough(snapshot, layout, shape, theme):
    look = BannerOptions(layout=layout, shape=shape, theme=theme)
    most = _most(layout, shape, theme)
    for name in LONG_NAMES:
        for seed in range(20):
            svg = draw(_large(snapshot, name, seed), look, as_of=date(2026, 11, 28))
            assert len(svg) <= most[0]
            assert len(gzip.compress(svg, 9)) <= most[1]


@pytest.mark.parametrize("locale", Locale)
@pytest.mark.parametrize(("layout", "shape"), BUDGETS, ids=LAYOUT_IDS)
def test_small_enough_in_every_locale(snapshot, layout, shape, locale):
    """With usual names; the longest of other scripts make classic up to a tenth larger."""
    for name in ("Mia Silverthorne", USUAL_NAMES.get(locale, "Nguyễn Thị Phương")):
        for theme in (Theme.DEFAULT, Theme("auto-nord")):
            look = BannerOptions(layout=layout, shape=shape, theme=theme, locale=locale)
            svg = draw(snapshot(login="mia-maintains", name=name), look, as_of=date(2026, 11, 28))
            most_bytes, most_gzip_bytes = _most(layout, shape, theme)
            assert len(svg) <= most_bytes
            assert len(gzip.compress(svg, 9)) <= most_gzip_bytes


def _most(layout: Layout, shape: ChartType, theme: Theme) -> tuple[int, int]:
    size_bytes, gzip_bytes = BUDGETS[layout, shape]
    if len(theme.palettes) == 1 or layout is Layout.CLASSIC:
        return size_bytes, gzip_bytes
    return size_bytes + FOR_A_PAIR[0], gzip_bytes + FOR_A_PAIR[1]


def _large(snapshot: MakeSnapshot, name: str, seed: int) -> Snapshot:
    dice = random.Random(seed)
    return snapshot(
        login=LONG_LOGIN,
        name=name,
        stars=dice.randint(1000, 9999),
        forks=dice.randint(1000, 9999),
        original=dice.randint(100, 999),
        forked=dice.randint(100, 999),
        languages={one: dice.randint(1, 2000) for one in dice.sample(LANGUAGES, 9)},
    )


@pytest.mark.parametrize(("layout", "shape"), BUDGETS, ids=LAYOUT_IDS)
def test_even_marks_without_end_and_a_wide_choice_of_languages_stay_small(snapshot, layout, shape):
    dice = random.Random(7)
    marks = "".join(chr(dice.randint(0x300, 0x36F)) for _ in range(900))
    name = "".join("aeiou"[at % 5] + marks[at : at + 9] for at in range(0, 900, 9))
    languages = {chr(65 + at) * 2: 60 - at for at in range(26)}
    look = BannerOptions(layout=layout, shape=shape, theme=Theme.AUTO, langs_count=10)
    assert len(draw(snapshot(name=name, languages=languages), look)) <= 6_144


def test_plain_css_that_every_renderer_knows(snapshot):
    svg = draw(snapshot(), BannerOptions(theme=Theme.AUTO)).decode()
    assert "var(" not in svg
    assert "direction=" not in svg
    assert '<g id="n" display="none">' in svg


@pytest.mark.parametrize("languages", [None, {}], ids=["with languages", "without languages"])
@pytest.mark.parametrize("hide", [(), tuple(HideableField)], ids=["nothing hidden", "all hidden"])
@pytest.mark.parametrize("form", BUDGETS, ids=LAYOUT_IDS)
def test_only_used_classes_have_rules(parse, snapshot, form, languages, hide):
    layout, shape = form
    one = snapshot(languages=languages, original=0 if languages == {} else 93)
    root = parse(draw(one, BannerOptions(layout=layout, shape=shape, theme=Theme.AUTO, hide=hide)))
    used = {name for element in root.iter() for name in (element.get("class") or "").split()}
    ruled = set(re.findall(r"\.([a-z])\{[^}]*(?:fill|stroke):#", _style(root)))
    assert ruled - used <= {"m"} if hide else ruled <= used
    assert used - {"k", "g"} <= ruled


def test_auto_repeats_colours_for_the_dark(parse, snapshot):
    style = _style(parse(draw(snapshot(), BannerOptions(theme=Theme.AUTO))))
    light, _, dark = style.partition("@media(prefers-color-scheme:dark)")
    assert "#ffffff" in light
    assert "#0d1117" in dark
    assert "prefers-color-scheme" not in _style(
        parse(draw(snapshot(), BannerOptions(theme=Theme.DARK)))
    )


@pytest.mark.parametrize(("layout", "shape"), BUDGETS, ids=LAYOUT_IDS)
def test_motion_can_be_left_out_and_asks_the_reader(parse, snapshot, layout, shape):
    moving = _style(parse(draw(snapshot(), BannerOptions(layout=layout, shape=shape))))
    assert moving.index("prefers-reduced-motion:no-preference") < moving.index("animation:")
    used, known = (set(re.findall(it, moving)) for it in ("animation:([a-z])", "keyframes ([a-z])"))
    assert used == known
    assert "to{" not in moving
    still = draw(snapshot(), BannerOptions(layout=layout, shape=shape, animate=False)).decode()
    assert not re.search("animation|keyframes|reduced-motion", still)
    plain = re.sub(r"@keyframes.*\}", "", moving)
    assert plain == _style(parse(still.encode()))


@pytest.mark.parametrize(("layout", "shape"), BUDGETS, ids=LAYOUT_IDS)
def test_every_layout_is_read_out(parse, snapshot, layout, shape):
    root = parse(
        draw(snapshot(), BannerOptions(layout=layout, shape=shape), as_of=date(2026, 11, 20))
    )
    assert root.get("role") == "img"
    title, desc, *_ = root
    assert (title.tag.partition("}")[2], desc.tag.partition("}")[2]) == ("title", "desc")
    assert "Yehuda Katz (@wycats)" in (title.text or "")
    assert (desc.text or "").endswith(". As of 20 Nov 2026.")


@pytest.mark.parametrize(("layout", "radius"), [("card", "12"), ("compact", "10")])
def test_the_usual_radius_is_the_layouts(parse, snapshot, layout, radius):
    for wished, drawn in ((None, radius), (0, "0"), (20, "20")):
        root = parse(draw(snapshot(), BannerOptions(layout=Layout(layout), radius=wished)))
        assert next(one.get("rx") for one in root.iter() if one.get("class") == "c") == drawn


def test_border_and_radius(parse, snapshot):
    def ground(look: BannerOptions) -> dict[str, str]:
        root: Element = parse(draw(snapshot(), look))
        return next(one.attrib for one in root.iter() if "rx" in one.attrib)

    assert ground(BannerOptions())["rx"] == "12"
    assert ground(BannerOptions(radius=0))["rx"] == "0"
    bare = ground(BannerOptions(border=False))
    assert (bare["x"], bare["width"], bare["height"]) == ("0", "846", "192")
    assert "stroke:#d1d9e0" not in draw(snapshot(), BannerOptions(border=False)).decode()


def test_own_colours_are_drawn(parse, snapshot):
    look = BannerOptions(bg_color="10203040", title_color="aabbcc", accent_color="ddeeff")
    style = _style(parse(draw(snapshot(), look)))
    assert ".c{fill:#10203040;" in style
    assert ".t{fill:#aabbcc}" in style
    assert ".i{stroke:#ddeeff}" in style


def test_names_from_right_to_left_are_isolated(snapshot):
    svg = draw(snapshot(name="ليلى حدّاد"), BannerOptions()).decode()
    assert ">\u2068ليلى حدّاد\u2069</text>" in svg
    assert "<title>\u2068ليلى حدّاد\u2069 (@wycats)</title>" in svg


MIRRORED = [
    BannerOptions(locale=Locale.HE),
    BannerOptions(title="ليلى"),
    BannerOptions(locale=Locale.AR, border=False),
]


@pytest.mark.parametrize("look", MIRRORED, ids=["by locale", "by name", "both"])
@pytest.mark.parametrize(("layout", "shape"), BUDGETS, ids=LAYOUT_IDS)
def test_what_is_read_from_right_to_left_is_mirrored(parse, snapshot, layout, shape, look):
    if shape is ChartType.DONUT and look.locale is Locale.EN:
        return  # shows no name
    form = replace(look, layout=layout, shape=shape)
    svg = draw(snapshot(), form, as_of=date(2026, 11, 20))
    root = parse(svg)
    width = float(root.get("width") or 0)
    assert root.get("text-anchor") == "end"
    assert [one.get("cx") for one in root.iter() if "gradientUnits" in one.attrib] == [f"{width:g}"]
    rings = [one for one in root.iter() if "rotate" in one.get("transform", "")]
    assert all(one.get("transform", "").endswith("rotate(-90)scale(1 -1)") for one in rings)
    plain = parse(
        draw(snapshot(), BannerOptions(layout=layout, shape=shape), as_of=date(2026, 11, 20))
    )
    (turned, straight) = (_named_position(one) for one in (root, plain))
    assert turned == pytest.approx(width - straight)
    assert "direction=" not in svg.decode()


def _named_position(root: Element) -> float:
    """Find where the first text starts that stands at a place of its own."""
    first = next(one for one in root.iter() if one.tag.endswith("text"))
    return float(first.get("x") or 0)


@pytest.mark.parametrize("locale", [Locale.EN, Locale.JA, Locale.AR, Locale.FA])
@pytest.mark.parametrize(("layout", "shape"), BUDGETS, ids=LAYOUT_IDS)
def test_no_mark_of_a_template_is_printed_and_every_isolate_ends(snapshot, layout, shape, locale):
    look = BannerOptions(layout=layout, shape=shape, locale=locale)
    svg = draw(snapshot(), look, as_of=date(2026, 11, 20)).decode()
    assert not re.search(r"@[-\[<>]", svg)
    assert len(re.findall("[\u2066-\u2068]", svg)) == svg.count("\u2069")
    assert ("\u2067" in svg) == (locale in {Locale.AR, Locale.FA})


def test_guessed_widths_are_forced_into_their_room(parse, snapshot):
    root = parse(draw(snapshot(name="श्रीमान राजेन्द्र प्रसाद श्रीवास्तव चतुर्वेदी"), BannerOptions()))
    name = next(one for one in root.iter() if one.get("id") == "h")
    assert 0 < float(name.get("textLength") or 0) <= 276
    assert name.get("lengthAdjust") == "spacingAndGlyphs"
