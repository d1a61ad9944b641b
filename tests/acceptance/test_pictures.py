"""
In a real browser with any installed font, no part of a picture overflows or touches another.

Media queries of a picture depend on the width at which it is displayed, here that of the viewport.
Many pictures share a page, each in its own shadow tree, so that styles do not affect other pictures.

`SOAK=long pytest tests/acceptance/test_pictures.py` tests all combinations of the cases below.
"""

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import partial
from importlib.resources import files
from itertools import combinations, islice
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import pytest
from msgspec.structs import replace

from github_banners import errors
from github_banners.drawing import draw, explain
from github_banners.models import Activity, Owner, RepositoryDetails, Snapshot, Stats
from github_banners.options import (
    MAX_SHOWN_NUMBERS,
    BannerOptions,
    ChartType,
    HideableField,
    Layout,
    Locale,
    NumberFormat,
    ShownNumber,
    Theme,
)
from tests.acceptance.chromium import IN_A_BROWSER
from tests.long_form import IS_LONG
from tests.snapshots import make_activity

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = IN_A_BROWSER

WIDE, NARROW = 846, 340

NAMES = {
    "one character": "i",
    "39 characters": "m" * 39,
    "narrow letters": "il" * 32,
    "capitals": "W" * 26,
    "long": "Maximiliane-Alexandra von Wittgenstein-Hohenlohe zu Berleburg",
    "Vietnamese": "Nguyễn Thị Phương Thảo Huỳnh Trần Đặng Khánh Vân",
    "Cyrillic": "Константин Константинович Щукин-Жуковский",
    "Japanese": "佐藤 美咲（さとう みさき）東京ソフトウェア開発研究所",
    "Korean": "김수한무거북이와두루미삼천갑자동방삭치치카포사리사리센타",
    "Arabic": "الدكتور عبد الرحمن بن محمد بن عبد العزيز آل الشيخ الهاشمي",
    "Hebrew": "נועה לוי־כהן מתל אביב־יפו שבישראל היפה",
    "Thai": "สมชาย ศรีสุวรรณ ณ อยุธยา เกียรติศักดิ์ประเสริฐ",
    "Hindi": "राजेन्द्र प्रसाद श्रीवास्तव चतुर्वेदी",
    "emoji with joiners": "👩‍👩‍👧‍👦 Zoë 🏳️‍🌈 ❤️❤️ 👨🏽‍💻 🇩🇪🇫🇷 1️⃣",
    "combining marks": "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘!͖̬̰̙̗̿̋ͥͥ̂ͣ̐́́͜͞",
    "Arabic letters alone": "ب ش ص ب ش ص ب ش ص ب ش ص",
    "Arabic ligatures": "ﷴ ﷶ ﷲ ﷴ ﷶ ﷲ ﷴ",
    "Burmese": "ဪဪဪ မောင်မောင် ဦးအောင်",
    "Malayalam": "ഔഐഈ ശ്രീജിത്ത് കൃഷ്ണൻ",
    "Inuktitut": "ᖖᖖᖖᖖᖖ ᙱᙱᙱᙱ",
    "ornaments": "꧁꧂꧁꧂ ‱‰ ǅǈǋ Ǆ ꟿꟿ ꜲꜲ",
    "both directions": "Layla ليلى 42 חדד Haddad",
}
KNOWN: Sequence[str] = sorted(
    json.loads((files("github_banners.drawing") / "language_colours.json").read_text()), key=len
)
NUMBERS = [0, 9_999, 10_000, 88_888, 999_950, 1_234_567, 2_147_483_647]
LANGUAGES = {
    "none": {},
    "one": {"Go": 3},
    "six": {"TypeScript": 34, "Rust": 22, "Go": 15, "Python": 12, "Shell": 7, "Vue": 4},
    "sixty": {f"{name} {index}": 60 - index for index, name in enumerate(["Language", "C"] * 30)},
    "longest": {name: 20 - index for index, name in enumerate(KNOWN[-12:])},
    "short": {
        name: 20 - index for index, name in enumerate(["C", "D", "R", "Go", "Qt", "V", "J", "Q"])
    },
    "one above all": {"Jupyter Notebook": 999_999, "Visual Basic .NET": 1, "C++": 1},
    "Arabic": {"لغة البرمجة": 2, "שפת תכנות": 1, "Go": 1},
}
ERRORS: dict[str, errors.BannersError] = {
    "unknown user": errors.UnknownUser("m" * 39),
    "an Arabic user": errors.UnknownUser(NAMES["Arabic"]),
    "GitHub": errors.GitHubUnavailable(),
    "too many": errors.TooManyRequests(40),
    "type": errors.InvalidType("type", "W" * 64, ("default", "dark", "auto")),
    "colour": errors.InvalidOption("bg_color", "?", ("a hex colour of 3, 4, 6 or 8 digits",)),
    "number": errors.InvalidOption("langs_count", "9" * 64, ("1 to 10",)),
    "no value": errors.InvalidOption("number_format", "", ("short", "long")),
    "list": errors.InvalidOption("hide", "W" * 64, tuple(HideableField)),
    "username": errors.InvalidOption("username", "-" * 64, ("a login",)),
    "no username": errors.InvalidOption("username"),
    "query": errors.InvalidOption("query", "", ("at most 100 options",)),
    "banner": errors.UnknownBanner("x"),
    "repository": errors.UnknownRepository("m" * 100, "n" * 20),
    "no repository": errors.InvalidOption("repo"),
    "counting": errors.FetchPending("maximiliane-alexandra-von-wittgenstein1"),
    "busy": errors.Overloaded(),
    "database": errors.DatabaseUnavailable(),
    "hidden": errors.ContributionsHidden("maximiliane-alexandra-von-wittgenstein1"),
    "organisation": errors.NoContributions("m" * 39),
    "token": errors.TokenRequired(),
    "card": errors.CardNotOffered("WakaTime"),
    "not served": errors.UserNotServed("maximiliane-alexandra-von-wittgenstein1"),
}

FORMS = {
    "classic": BannerOptions(),
    "card": BannerOptions(layout=Layout.CARD),
    "compact": BannerOptions(layout=Layout.COMPACT),
    "bar": BannerOptions(layout=Layout.LANGUAGES),
    "donut": BannerOptions(layout=Layout.LANGUAGES, shape=ChartType.DONUT),
    "repository": BannerOptions(layout=Layout.REPOSITORY),
    "activity": BannerOptions(layout=Layout.ACTIVITY),
}

ORDER = (*ShownNumber, *ShownNumber)
# Each number is in a place of each form; in the long run in every place.
SHOWN_NUMBERS = {
    layout: [
        ORDER[start : start + count]
        for count in range(3, maximum + 1)
        for start in range(0, len(ShownNumber), 1 if IS_LONG else 3)
    ]
    for layout, maximum in MAX_SHOWN_NUMBERS.items()
}

# The factors of a picture, each with its values.
FACTORS: dict[str, Sequence[Any]] = {
    "form": list(FORMS.values()),
    "name": [None, *NAMES.values()],
    "login": ["i", "wycats", "m" * 39, "W-" * 19 + "W"],
    "title": [None, "W" * 64, "i", NAMES["Japanese"] * 3, NAMES["Arabic"], NAMES["Thai"]],
    "stars": NUMBERS,
    "forks": NUMBERS,
    "original": [0, 1, 93, 12_345, 2_147_483_647],
    "forked": [0, 57, 888, 2_147_483_647],
    "languages": list(LANGUAGES.values()),
    "langs_count": [None, 1, 3, 7, 8, 9, 10],
    "licence": [None, "MIT", "CC-BY-NC-SA-4.0"],
    "is_archived": [False, True],
    "hide": [
        (),
        *((field,) for field in HideableField),
        (HideableField.STARS, HideableField.FORKS),
        tuple(HideableField),
    ],
    "number_format": list(NumberFormat),
    "as_of": [None, date(2026, 11, 28), date(2026, 9, 8)],
    "theme": [Theme.DEFAULT, Theme.AUTO],
    "locale": list(Locale),
}
T = TypeVar("T")
Row: TypeAlias = dict[str, Any]
Faults: TypeAlias = Callable[[Mapping[str, bytes]], list[str]]
BATCH = 100

SHOW = """
pictures => {
  document.body.style.margin = '0'
  document.body.replaceChildren()
  window.fonts = new CSSStyleSheet()
  for (const picture of pictures) {
    const root = document.body.appendChild(document.createElement('div')).attachShadow({mode: 'open'})
    root.innerHTML = picture
    root.adoptedStyleSheets = [window.fonts]
  }
}
"""

# Find texts that leave the card or overlap another text, an icon or a dot, in every font family.
# A box is as wide as the advance, and reaches from the cap height to the descender of a g.
FIND_FAULTS = """
families => {
  const boxesOf = svg => [...svg.querySelectorAll('text')]
    .filter(text => text.getClientRects().length && text.textContent.trim())
    .map(text => {
      const matrix = text.getScreenCTM()
      const size = parseFloat(getComputedStyle(text).fontSize) * matrix.a
      const box = text.getBBox()
      const baseline = matrix.d * text.getStartPositionOfChar(0).y + matrix.f
      const left = matrix.a * box.x + matrix.e
      return {
        what: text.textContent,
        left, right: left + matrix.a * box.width,
        top: baseline - 0.72 * size, bottom: baseline + 0.22 * size,
      }
    })
  const marksOf = svg => [...svg.querySelectorAll('.i, circle[fill], use')]
    .filter(mark => mark.getClientRects().length)
    .map(mark => {
      const {left, right, top, bottom} = mark.getBoundingClientRect()
      return {what: 'a mark', left, right, top, bottom}
    })
  const meet = (one, other) => one.left < other.right && other.left < one.right
    && one.top < other.bottom && other.top < one.bottom
  const faults = []
  const hosts = [...document.body.children]
  for (const family of families) {
    window.fonts.replaceSync(
      `svg { display: block; ${innerWidth < 400 ? 'width: 100%; height: auto' : ''} }
       svg text { font-family: '${family}', sans-serif !important }
       svg * { animation: none !important }`)
    hosts.forEach((host, at) => {
      const svg = host.shadowRoot.querySelector('svg')
      const card = svg.getBoundingClientRect()
      const margin = 8 * card.width / svg.viewBox.baseVal.width
      const texts = boxesOf(svg)
      const fault = words => faults.push([at, `${innerWidth}, ${family}: ${words}`])
      for (const box of texts)
        if (box.left < card.left + margin || box.right > card.right - margin
            || box.top < card.top || box.bottom > card.bottom)
          fault(`${box.what} leaves the card`)
      const others = [...texts, ...marksOf(svg)]
      texts.forEach((one, first) => others.slice(first + 1).forEach(other => {
        if (meet(one, other)) fault(`${one.what} touches ${other.what}`)
      }))
    })
  }
  return faults
}
"""


@pytest.fixture
def faults(page: "Page", families: list[str]) -> "Faults":
    return partial(_find_faults, page, families)


def _snapshot(
    name: str | None = "Yehuda Katz",
    *,
    login: str = "wycats",
    number: int = 1_635,
    languages: dict[str, int] | None = None,
) -> Snapshot:
    counts = LANGUAGES["six"] if languages is None else languages
    stats = Stats(number, number, number // 3, number, number, counts)
    return Snapshot(
        Owner(1, login, None, name),
        stats,
        datetime(2026, 11, 20, tzinfo=UTC),
        repository=_repository(name, login, stats, licence="Apache-2.0", is_archived=True),
        activity=_activity(number, number // 9, number // 3),
    )


def _repository(
    text: str | None, name: str, stats: Stats, *, licence: str | None, is_archived: bool
) -> RepositoryDetails:
    """Return a repository whose description repeats a text."""
    return RepositoryDetails(
        id=1,
        name=name,
        description=text and " ".join([text] * 6),
        language=next(iter(stats.languages), None),
        stars=stats.total_stars,
        forks=stats.total_forks,
        licence=licence,
        is_archived=is_archived,
        is_fork=bool(stats.forked_repos),
    )


def _active(number: int) -> Snapshot:
    """Return an owner who has a number of everything."""
    activity = Activity(number, number, number, number, number)
    return replace(_snapshot(number=number), followers=number, activity=activity)


def _activity(total: int, current_streak: int, longest_streak: int) -> Activity:
    """Return an activity with a best day that has all contributions, and a wide date."""
    days = [index % 9 for index in range(371)]
    activity = make_activity(
        days=days, current_streak=current_streak, longest_streak=longest_streak
    )
    best_day = date(2026, 9, 28) if total else None
    return replace(activity, last_year=total, best_count=total, best_day=best_day)


def _show(page: "Page", svg: bytes, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 400})
    page.set_content(f'<!doctype html><body style="margin:0">{svg.decode()}')


def _find_faults(page: "Page", families: Sequence[str], pictures: Mapping[str, bytes]) -> list[str]:
    """Return the problems of pictures in both widths, each with the label of its picture."""
    problems = []
    labels = list(pictures)
    for width in (WIDE, NARROW):
        page.set_viewport_size({"width": width, "height": 400})
        for start in range(0, len(labels), BATCH):
            some = labels[start : start + BATCH]
            page.evaluate(SHOW, [pictures[label].decode() for label in some])
            faults = page.evaluate(FIND_FAULTS, families)
            problems += [f"{some[index]}: {problem}" for index, problem in faults]
    return problems


def _select(cases: Sequence[T], index: int) -> Sequence[T]:
    """Return all cases in the long form, else one of them, another in each turn."""
    return cases if IS_LONG else [cases[index % len(cases)]]


def _draw_row(row: Row) -> bytes:
    original, forked = row["original"], row["forked"]
    total = min(original + forked, 2**31 - 1)
    stats = Stats(total, original, forked, row["stars"], row["forks"], row["languages"])
    owner = Owner(1, row["login"], None, row["name"])
    names = ("title", "langs_count", "hide", "number_format", "theme", "locale")
    options = replace(row["form"], **{name: row[name] for name in names})
    repository = _repository(
        row["name"],
        row["login"],
        stats,
        licence=row["licence"],
        is_archived=row["is_archived"],
    )
    moment = datetime(2026, 11, 20, tzinfo=UTC)
    activity = _activity(row["stars"], original, forked)
    snapshot = Snapshot(owner, stats, moment, repository=repository, activity=activity)
    return draw(snapshot, options, as_of=row["as_of"])


def _pairs(row: Mapping[str, int]) -> set[tuple[tuple[str, int], tuple[str, int]]]:
    return set(combinations(sorted(row.items()), 2))


def _all_pairs(factors: Mapping[str, Sequence[Any]]) -> Iterator[Row]:
    """Yield rows until every pair of values of two factors is in one of them."""
    places = {name: range(len(values)) for name, values in factors.items()}
    left = {
        ((snapshot, a), (other, b))
        for snapshot, other in combinations(sorted(factors), 2)
        for a in places[snapshot]
        for b in places[other]
    }
    dice = random.Random(1)
    while left:
        row = dict(min(left))
        for name in dice.sample(sorted(factors.keys() - row), len(factors) - 2):
            row[name] = max(places[name], key=lambda index: len(_pairs(row | {name: index}) & left))
        left -= _pairs(row)
        yield {name: factors[name][index] for name, index in row.items()}


def _random_rows(factors: Mapping[str, Sequence[Any]]) -> Iterator[Row]:
    """Yield an endless sequence of random rows, the same in every run."""
    dice = random.Random(2)
    while True:
        row = {name: dice.choice(values) for name, values in factors.items()}
        amount = dice.choice([1, 5, 60])
        row["languages"] = {
            snapshot: dice.randint(1, 60) for snapshot in dice.sample(KNOWN, amount)
        }
        yield row


def _cases() -> list[Row]:
    """Return rows with all pairs of values; in the long run for each form, and many more rows."""
    if not IS_LONG:
        return [*_all_pairs(FACTORS), *islice(_random_rows(FACTORS), 150)]
    spaces = [FACTORS | {"form": [form]} for form in FORMS.values()]
    paired = [row for space in spaces for row in _all_pairs(space)]
    return [*paired, *islice(_random_rows(FACTORS), 3_000)]


@pytest.mark.timeout(300)
def test_layout_with_any_options_has_no_overlaps(faults):
    assert faults({str(row): _draw_row(row) for row in _cases()}) == []


@pytest.mark.parametrize("form", FORMS)
def test_name_fits_its_area(faults, form):
    themes = (Theme.DEFAULT, Theme.DARK)
    pictures = {}
    for index, (label, name) in enumerate(NAMES.items()):
        for login in ("wycats", "m" * 39):
            for theme in _select(themes, index):
                options = replace(FORMS[form], theme=theme)
                pictures[f"{label}, {login}, {theme}"] = draw(_snapshot(name, login=login), options)
    assert faults(pictures) == []


@pytest.mark.parametrize("form", FORMS)
def test_number_fits_its_area(faults, form):
    variants = [replace(FORMS[form], number_format=number_format) for number_format in NumberFormat]
    pictures = {
        f"{number}, {options.number_format}": draw(_snapshot(number=number), options)
        for number in NUMBERS
        for options in variants
    }
    assert faults(pictures) == []


@pytest.mark.parametrize("layout", SHOWN_NUMBERS)
def test_shown_numbers_fit_their_area(faults, layout):
    snapshots = [_active(number) for number in (0, 1_635, 88_888, 999_950, 2_147_483_647)]
    variants = [
        (number_format, as_of)
        for number_format in NumberFormat
        for as_of in (None, date(2026, 9, 28))
    ]
    pictures = {}
    for first_index, locale in enumerate(Locale):
        for index, show in enumerate(SHOWN_NUMBERS[layout], first_index):
            for snapshot in _select(snapshots, index):
                for number_format, as_of in _select(variants, index):
                    options = BannerOptions(
                        layout=layout, show=show, locale=locale, number_format=number_format
                    )
                    label = f"{locale}, {show}, {snapshot.followers}, {number_format}, {as_of}"
                    pictures[label] = draw(snapshot, options, as_of=as_of)
    assert faults(pictures) == []


@pytest.mark.parametrize("form", FORMS)
def test_locale_fits_its_area(faults, form):
    longest = _snapshot(NAMES["long"], login="m" * 39, languages=LANGUAGES["longest"])
    snapshots = {
        **{str(number): _snapshot(number=number) for number in (0, 1, 2, 9_412, *NUMBERS[2:])},
        "longest": longest,
        "nothing": _snapshot(languages={}, number=0),
        "Arabic": _snapshot(NAMES["Arabic"]),
        "forks": replace(longest, stats=Stats(23, 0, 23, 0, 0, {})),
    }
    variants = [
        (NumberFormat.SHORT, None),
        (NumberFormat.SHORT, date(2026, 9, 28)),
        (NumberFormat.LONG, date(2026, 9, 28)),
    ]
    pictures = {}
    for first_index, locale in enumerate(Locale):
        for index, (label, snapshot) in enumerate(snapshots.items(), first_index):
            for number_format, as_of in _select(variants, index):
                options = replace(FORMS[form], locale=locale, number_format=number_format)
                name = f"{locale}, {label}, {number_format}, {as_of}"
                pictures[name] = draw(snapshot, options, as_of=as_of)
    assert faults(pictures) == []


@pytest.mark.parametrize("form", FORMS)
def test_legend_fits_its_area(faults, form):
    pictures = {}
    for label, languages in LANGUAGES.items():
        snapshot = _snapshot(languages=languages)
        for count in (None, 1, 3, 10):
            options = replace(FORMS[form], langs_count=count)
            pictures[f"{label}, {count}"] = draw(snapshot, options)
        pictures[f"{label}, old"] = draw(snapshot, FORMS[form], as_of=date(2026, 11, 28))
    assert faults(pictures) == []


@pytest.mark.parametrize("form", FORMS)
def test_long_language_names_fit_their_area(faults, form):
    groups = [KNOWN[index : index + 7] for index in range(len(KNOWN) - 70, len(KNOWN), 7)]
    pictures = {
        group[0]: draw(_snapshot(languages=dict.fromkeys(group, 3)), FORMS[form])
        for group in groups
    }
    assert faults(pictures) == []


@pytest.mark.parametrize("form", FORMS)
def test_empty_state_text_fits_its_area(faults, form):
    nothing = _snapshot(None, login="first-commit", number=0, languages={})
    forks = replace(nothing, stats=Stats(23, 0, 23, 0, 0, {}))
    pictures = {
        f"{label}, {as_of}": draw(snapshot, FORMS[form], as_of=as_of)
        for label, snapshot in (("nothing", nothing), ("forks", forks))
        for as_of in (None, date(2026, 9, 28))
    }
    assert faults(pictures) == []


@pytest.mark.parametrize("form", FORMS)
def test_explanation_fits_its_area(faults, form):
    hosts = ("", "banners.example", "h" * 60)
    pictures = {}
    for first_index, locale in enumerate(Locale):
        options = replace(FORMS[form], locale=locale)
        for index, (label, error) in enumerate(ERRORS.items(), first_index):
            for host in _select(hosts, index):
                name = f"{locale}, {label}, {host}"
                pictures[name] = explain(error, options=options, host=host)
    assert faults(pictures) == []


def test_auto_width_picture_adapts_to_its_width(page):
    shown = "id => getComputedStyle(document.getElementById(id)).display"
    for width, wide, narrow in ((WIDE, "inline", "none"), (NARROW, "none", "inline")):
        _show(page, draw(_snapshot(), BannerOptions()), width)
        assert (page.evaluate(shown, "w"), page.evaluate(shown, "n")) == (wide, narrow)


def test_auto_theme_picture_follows_colour_scheme(page):
    fill = "getComputedStyle(document.querySelector('.c')).fill"
    for scheme, colour in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(13, 17, 23)")):
        page.emulate_media(color_scheme=scheme)
        _show(page, draw(_snapshot(), BannerOptions(theme=Theme.AUTO)), WIDE)
        assert page.evaluate(fill) == colour
    page.emulate_media(color_scheme=None)


@pytest.mark.parametrize("form", FORMS)
def test_animation_is_short_and_respects_reduced_motion(page, form):
    lasting = """document.getAnimations().map(one => {
      const {delay, duration, iterations} = one.effect.getTiming()
      return (delay + duration) * iterations
    })"""
    for preference, animate, moves in (
        ("no-preference", True, True),
        ("reduce", True, False),
        ("no-preference", False, False),
    ):
        page.emulate_media(reduced_motion=preference)
        _show(page, draw(_snapshot(), replace(FORMS[form], animate=animate)), WIDE)
        milliseconds = page.evaluate(lasting)
        assert bool(milliseconds) == moves
        assert max(milliseconds, default=0) <= 800
    page.emulate_media(reduced_motion=None)
