import gzip
import random
import re
from datetime import date
from xml.etree.ElementTree import Element

import pytest
from hypothesis import given
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

# Maximum size and gzipped size in bytes with the longest names; a pair of palettes adds a little.
BUDGETS = {
    (Layout.CLASSIC, ChartType.BAR): (6_144, 2_048),
    (Layout.CARD, ChartType.BAR): (4_857, 1_824),
    (Layout.COMPACT, ChartType.BAR): (2_899, 1_332),
    (Layout.LANGUAGES, ChartType.BAR): (3_872, 1_343),
    (Layout.LANGUAGES, ChartType.DONUT): (3_218, 1_278),
    (Layout.REPOSITORY, ChartType.BAR): (3_000, 1_400),
    (Layout.ACTIVITY, ChartType.BAR): (7_000, 2_400),
}
# The budgets of these hold for a pair of palettes too.
STRICT = {Layout.CLASSIC, Layout.ACTIVITY}
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
EXTRA_FOR_A_PAIR = (169, 67)
LAYOUT_IDS = ["classic", "card", "compact", "bar", "donut", "repository", "activity"]

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

# Every code point, including lone surrogates.
ANYTHING = st.text(alphabet=st.characters(), max_size=80)
NUMBERS = st.integers(min_value=0, max_value=2**31 - 1)
BANNER_OPTIONS = st.builds(
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
TAGS |= {"tspan", "path", "clipPath", "use", "mask", "pattern"}


def _style(root: Element) -> str:
    return next(element.text or "" for element in root.iter() if element.tag.endswith("style"))


@given(
    names=st.tuples(ANYTHING, st.none() | ANYTHING),
    numbers=st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS),
    languages_and_options=st.tuples(
        st.dictionaries(ANYTHING, NUMBERS, max_size=60), BANNER_OPTIONS
    ),
)
def test_draw_any_text_is_well_formed_xml_without_new_markup(
    parse, snapshot, names, numbers, languages_and_options
):
    login, name = names
    languages, options = languages_and_options
    stars, forks, original, forked = numbers
    owner = snapshot(
        login=login,
        name=name,
        stars=stars,
        forks=forks,
        original=original,
        forked=forked,
        languages=languages,
    )
    svg = draw(owner, options, as_of=date(2026, 11, 20) if stars % 2 else None)
    root = parse(svg)
    assert {element.tag.partition("}")[2] for element in root.iter()} <= TAGS
    assert root[1].tag.endswith("desc")
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\ufffe\uffff]", svg.decode())


@given(name=ANYTHING, value=ANYTHING, host=ANYTHING)
def test_explain_any_text_is_well_formed_xml(parse, name, value, host):
    for error in (UnknownUser(name), InvalidOption(name, value, (host, name))):
        root = parse(explain(error, host=host))
        assert len([element for element in root.iter() if element.tag.endswith("text")]) == 3


@pytest.mark.parametrize("hide", [(), (HideableField.LANGUAGES,), tuple(HideableField)])
@pytest.mark.parametrize(("layout", "shape"), BUDGETS, ids=LAYOUT_IDS)
def test_draw_always_has_title_and_description(parse, snapshot, layout, shape, hide):
    for languages in ({}, {"Go": 3}):
        for hide_langs in ((), ("go",)):
            options = BannerOptions(layout=layout, shape=shape, hide=hide, hide_langs=hide_langs)
            title, desc, *_ = parse(draw(snapshot(languages=languages), options))
            assert title.text
            assert desc.text


def test_draw_markup_in_names_is_escaped(parse, snapshot):
    evil = "</text><script>alert(1)</script>\"'&"
    root = parse(draw(snapshot(name=evil, languages={evil: 1}), BannerOptions()))
    texts = ["".join(element.itertext()) for element in root.iter() if element.tag.endswith("text")]
    assert any(text.startswith("</text><script>") for text in texts)
    assert not [element for element in root.iter() if "script" in element.tag]


def test_draw_equal_input_gives_equal_bytes(snapshot):
    assert draw(snapshot(), BannerOptions()) == draw(snapshot(), BannerOptions())


@pytest.mark.parametrize("theme", [Theme.DEFAULT, Theme.DARK, Theme.AUTO])
@pytest.mark.parametrize(("layout", "shape"), BUDGETS, ids=LAYOUT_IDS)
def test_draw_longest_names_stay_within_size_budget(snapshot, layout, shape, theme):
    options = BannerOptions(layout=layout, shape=shape, theme=theme)
    max_bytes, max_gzipped = _size_budget(layout, shape, theme)
    for name in LONG_NAMES:
        for seed in range(20):
            svg = draw(_large_owner(snapshot, name, seed), options, as_of=date(2026, 11, 28))
            assert len(svg) <= max_bytes
            assert len(gzip.compress(svg, 9)) <= max_gzipped


@pytest.mark.parametrize("locale", Locale)
@pytest.mark.parametrize(("layout", "shape"), BUDGETS, ids=LAYOUT_IDS)
def test_draw_every_locale_stays_within_size_budget(snapshot, layout, shape, locale):
    """With typical names: the longest of other scripts make classic up to a tenth larger."""
    for name in ("Mia Silverthorne", USUAL_NAMES.get(locale, "Nguyễn Thị Phương")):
        for theme in (Theme.DEFAULT, Theme("auto-nord")):
            options = BannerOptions(layout=layout, shape=shape, theme=theme, locale=locale)
            svg = draw(
                snapshot(login="mia-maintains", name=name), options, as_of=date(2026, 11, 28)
            )
            max_bytes, max_gzipped = _size_budget(layout, shape, theme)
            assert len(svg) <= max_bytes
            assert len(gzip.compress(svg, 9)) <= max_gzipped


def _size_budget(layout: Layout, shape: ChartType, theme: Theme) -> tuple[int, int]:
    size_bytes, gzip_bytes = BUDGETS[layout, shape]
    if len(theme.palette_names) == 1 or layout in STRICT:
        return size_bytes, gzip_bytes
    return size_bytes + EXTRA_FOR_A_PAIR[0], gzip_bytes + EXTRA_FOR_A_PAIR[1]


def _large_owner(snapshot: MakeSnapshot, name: str, seed: int) -> Snapshot:
    dice = random.Random(seed)
    return snapshot(
        login=LONG_LOGIN,
        name=name,
        stars=dice.randint(1000, 9999),
        forks=dice.randint(1000, 9999),
        original=dice.randint(100, 999),
        forked=dice.randint(100, 999),
        languages={name: dice.randint(1, 2000) for name in dice.sample(LANGUAGES, 9)},
    )


@pytest.mark.parametrize(("layout", "shape"), BUDGETS, ids=LAYOUT_IDS)
def test_draw_many_marks_and_languages_stay_within_size_budget(snapshot, layout, shape):
    dice = random.Random(7)
    marks = "".join(chr(dice.randint(0x300, 0x36F)) for _ in range(900))
    name = "".join("aeiou"[index % 5] + marks[index : index + 9] for index in range(0, 900, 9))
    languages = {chr(65 + index) * 2: 60 - index for index in range(26)}
    options = BannerOptions(layout=layout, shape=shape, theme=Theme.AUTO, langs_count=10)
    assert len(draw(snapshot(name=name, languages=languages), options)) <= 6_144


def test_draw_uses_no_css_variables_or_direction(snapshot):
    svg = draw(snapshot(), BannerOptions(theme=Theme.AUTO)).decode()
    assert "var(" not in svg
    assert "direction=" not in svg
    assert '<g id="n" display="none">' in svg


@pytest.mark.parametrize("languages", [None, {}], ids=["with languages", "without languages"])
@pytest.mark.parametrize("hide", [(), tuple(HideableField)], ids=["nothing hidden", "all hidden"])
@pytest.mark.parametrize("form", BUDGETS, ids=LAYOUT_IDS)
def test_draw_only_used_classes_have_rules(parse, snapshot, form, languages, hide):
    layout, shape = form
    owner = snapshot(languages=languages, original=0 if languages == {} else 93)
    root = parse(
        draw(owner, BannerOptions(layout=layout, shape=shape, theme=Theme.AUTO, hide=hide))
    )
    used = {name for element in root.iter() for name in (element.get("class") or "").split()}
    ruled = set(re.findall(r"\.([a-z])\{[^}]*(?:fill|stroke):#", _style(root)))
    assert ruled - used <= {"m"} if hide else ruled <= used
    assert used - {"k", "g"} <= ruled


def test_draw_auto_theme_has_colours_for_light_and_dark(parse, snapshot):
    style = _style(parse(draw(snapshot(), BannerOptions(theme=Theme.AUTO))))
    light, _, dark = style.partition("@media(prefers-color-scheme:dark)")
    assert "#ffffff" in light
    assert "#0d1117" in dark
    assert "prefers-color-scheme" not in _style(
        parse(draw(snapshot(), BannerOptions(theme=Theme.DARK)))
    )


@pytest.mark.parametrize(("layout", "shape"), BUDGETS, ids=LAYOUT_IDS)
def test_draw_animation_is_optional_and_respects_reduced_motion(parse, snapshot, layout, shape):
    moving = _style(parse(draw(snapshot(), BannerOptions(layout=layout, shape=shape))))
    assert moving.index("prefers-reduced-motion:no-preference") < moving.index("animation:")
    used, known = (
        set(re.findall(pattern, moving)) for pattern in ("animation:([a-z])", "keyframes ([a-z])")
    )
    assert used == known
    assert "to{" not in moving
    still = draw(snapshot(), BannerOptions(layout=layout, shape=shape, animate=False)).decode()
    assert not re.search("animation|keyframes|reduced-motion", still)
    plain = re.sub(r"@keyframes.*\}", "", moving)
    assert plain == _style(parse(still.encode()))


@pytest.mark.parametrize(("layout", "shape"), BUDGETS, ids=LAYOUT_IDS)
def test_draw_every_layout_has_role_title_and_description(parse, snapshot, layout, shape):
    root = parse(
        draw(snapshot(), BannerOptions(layout=layout, shape=shape), as_of=date(2026, 11, 20))
    )
    assert root.get("role") == "img"
    title, desc, *_ = root
    assert (title.tag.partition("}")[2], desc.tag.partition("}")[2]) == ("title", "desc")
    names = "wycats/handlebars" if layout is Layout.REPOSITORY else "Yehuda Katz (@wycats)"
    assert names in (title.text or "")
    assert (desc.text or "").endswith(". As of 20 Nov 2026.")


@pytest.mark.parametrize(("layout", "radius"), [("card", "12"), ("compact", "10")])
def test_draw_without_radius_uses_that_of_the_layout(parse, snapshot, layout, radius):
    for radius_option, drawn in ((None, radius), (0, "0"), (20, "20")):
        root = parse(draw(snapshot(), BannerOptions(layout=Layout(layout), radius=radius_option)))
        assert (
            next(element.get("rx") for element in root.iter() if element.get("class") == "c")
            == drawn
        )


def test_draw_border_and_radius_follow_options(parse, snapshot):
    def card(options: BannerOptions) -> dict[str, str]:
        root: Element = parse(draw(snapshot(), options))
        return next(element.attrib for element in root.iter() if "rx" in element.attrib)

    assert card(BannerOptions())["rx"] == "12"
    assert card(BannerOptions(radius=0))["rx"] == "0"
    bare = card(BannerOptions(border=False))
    assert (bare["x"], bare["width"], bare["height"]) == ("0", "846", "192")
    assert "stroke:#d1d9e0" not in draw(snapshot(), BannerOptions(border=False)).decode()


def test_draw_colour_options_are_in_the_style(parse, snapshot):
    options = BannerOptions(bg_color="10203040", title_color="aabbcc", accent_color="ddeeff")
    style = _style(parse(draw(snapshot(), options)))
    assert ".c{fill:#10203040;" in style
    assert ".t{fill:#aabbcc}" in style
    assert ".i{stroke:#ddeeff}" in style


def test_draw_right_to_left_names_are_isolated(snapshot):
    svg = draw(snapshot(name="ليلى حدّاد"), BannerOptions()).decode()
    assert ">\u2068ليلى حدّاد\u2069</text>" in svg
    title = "\u2068ليلى حدّاد\u2069 (\u2066@wycats\u2069)"  # `wycats@` in a text from right to left
    assert f"<title>{title}</title>" in svg


MIRRORED = [
    BannerOptions(locale=Locale.HE),
    BannerOptions(title="ليلى"),
    BannerOptions(locale=Locale.AR, border=False),
]


@pytest.mark.parametrize("options", MIRRORED, ids=["by locale", "by name", "both"])
@pytest.mark.parametrize(("layout", "shape"), BUDGETS, ids=LAYOUT_IDS)
def test_draw_right_to_left_picture_is_mirrored(parse, snapshot, layout, shape, options):
    shows_no_name = shape is ChartType.DONUT or layout is Layout.ACTIVITY
    if shows_no_name and options.locale is Locale.EN:
        return
    form = replace(options, layout=layout, shape=shape)
    svg = draw(snapshot(), form, as_of=date(2026, 11, 20))
    root = parse(svg)
    width = float(root.get("width") or 0)
    assert root.get("text-anchor") == "end"
    assert [element.get("cx") for element in root.iter() if "gradientUnits" in element.attrib] == [
        f"{width:g}"
    ]
    rings = [element for element in root.iter() if "rotate" in element.get("transform", "")]
    assert all(element.get("transform", "").endswith("rotate(-90)scale(1 -1)") for element in rings)
    plain = parse(
        draw(snapshot(), BannerOptions(layout=layout, shape=shape), as_of=date(2026, 11, 20))
    )
    mirrored_x, x = (_first_text_x(picture) for picture in (root, plain))
    assert mirrored_x == pytest.approx(width - x)
    assert "direction=" not in svg.decode()


def _first_text_x(root: Element) -> float:
    """Return the x of the first text."""
    first = next(element for element in root.iter() if element.tag.endswith("text"))
    return float(first.get("x") or 0)


@pytest.mark.parametrize("locale", [Locale.EN, Locale.JA, Locale.AR, Locale.FA])
@pytest.mark.parametrize(("layout", "shape"), BUDGETS, ids=LAYOUT_IDS)
def test_draw_resolves_placeholders_and_closes_isolates(snapshot, layout, shape, locale):
    options = BannerOptions(layout=layout, shape=shape, locale=locale)
    svg = draw(snapshot(), options, as_of=date(2026, 11, 20)).decode()
    assert not re.search(r"@[-\[<>]", svg)
    assert len(re.findall("[\u2066-\u2068]", svg)) == svg.count("\u2069")
    assert ("\u2067" in svg) == (locale in {Locale.AR, Locale.FA})


def test_draw_guessed_widths_get_a_text_length(parse, snapshot):
    root = parse(draw(snapshot(name="श्रीमान राजेन्द्र प्रसाद श्रीवास्तव चतुर्वेदी"), BannerOptions()))
    name = next(element for element in root.iter() if element.get("id") == "h")
    assert 0 < float(name.get("textLength") or 0) <= 276
    assert name.get("lengthAdjust") == "spacingAndGlyphs"
