"""
Compare every kind of picture with its golden file, element by element.

`GOLDEN=rewrite pytest tests/golden` rewrites the files; look at them before you commit them.
"""

import base64
import os
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from itertools import zip_longest
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from msgspec.structs import replace

from github_banners import errors
from github_banners.drawing import draw, explain
from github_banners.models import (
    Activity,
    ContributionAccess,
    Owner,
    RepositoryDetails,
    Snapshot,
    Stats,
)
from github_banners.options import (
    BannerOptions,
    ChartType,
    CountBy,
    HideableField,
    Layout,
    Locale,
    NumberFormat,
    ShownNumber,
    Theme,
)
from tests.snapshots import make_activity

HERE = Path(__file__).parent
LIGHT, DARK, AUTO = (
    BannerOptions(theme=theme) for theme in (Theme.DEFAULT, Theme.DARK, Theme.AUTO)
)


def _snapshot(login: str, name: str | None, stats: Stats) -> Snapshot:
    return Snapshot(Owner(1, login, None, name), stats, datetime(2026, 11, 20, tzinfo=UTC))


WYCATS = _snapshot(
    "wycats",
    "Yehuda Katz",
    Stats(150, 93, 57, 11_558, 1_635, {"Ruby": 51, "JavaScript": 20, "Rust": 4, "C": 2, "CSS": 1}),
)
MANY = _snapshot(
    "maximiliane-alexandra-von-wittgenstein1",
    "Maximiliane-Alexandra von Wittgenstein-Hohenlohe zu Berleburg",
    Stats(
        111_222,
        99_999,
        11_223,
        1_234_567,
        999_950,
        {"Jupyter Notebook": 27, "Emacs Lisp": 21, "JavaScript": 14, "TypeScript": 13}
        | {"Visual Basic .NET": 9, "C++": 8, "Rust": 8},
    ),
)
ARABIC = _snapshot(
    "layla-haddad",
    "ليلى حدّاد",
    Stats(50, 41, 9, 3_210, 284, {"Python": 53, "Go": 26, "Shell": 12, "Made up": 9}),
)
HINDI = _snapshot(
    "rajendra",
    "श्रीमान राजेन्द्र प्रसाद श्रीवास्तव चतुर्वेदी",
    Stats(405, 402, 3, 9, 0, {"Lua": 401, "C": 1}),
)
NOTHING = _snapshot("first-commit", None, Stats(0, 0, 0, 0, 0, {}))
FORKS = _snapshot("samreyes", "Sam Reyes", Stats(23, 0, 23, 0, 0, {}))
BUSY, IDLE, NEW = (
    replace(WYCATS, activity=activity)
    for activity in (
        make_activity(),
        make_activity(days=[0] * 371, current_streak=0, longest_streak=0),
        make_activity(days=[1, 2], last_day=date(2026, 3, 2), current_streak=2, longest_streak=2),
    )
)

ACTIVE = replace(
    WYCATS,
    followers=9_412,
    activity=Activity(
        commits=48_120, pull_requests=2_381, issues=764, reviews=1_502, contributions=53_418
    ),
    language_sizes={"Ruby": 5_012_345, "JavaScript": 2_098_765, "C": 150_000, "": 41_000},
)
HIDDEN = replace(WYCATS, followers=9_412, contribution_access=ContributionAccess.HIDDEN)
SIX = (
    ShownNumber.STARS,
    ShownNumber.COMMITS,
    ShownNumber.PULL_REQUESTS,
    ShownNumber.ISSUES,
    ShownNumber.REVIEWS,
    ShownNumber.CONTRIBUTIONS,
)


def _with_repository(snapshot: Snapshot, **details: Any) -> Snapshot:
    return replace(snapshot, repository=RepositoryDetails(**{"id": 1, **details}))


HANDLEBARS = _with_repository(
    WYCATS,
    name="handlebars.js",
    description="Minimal templating on steroids",
    language="JavaScript",
    stars=18_412,
    forks=2_034,
    licence="MIT",
)
OLD_FORK = _with_repository(
    MANY,
    name="a-library-with-a-name-that-does-not-fit-into-one-line",
    description="A declarative, efficient and flexible library for building user interfaces, "
    "with documentation at https://library.example/documentation/getting-started",
    language="Jupyter Notebook",
    stars=1_234_567,
    forks=999_950,
    licence="BSD-3-Clause-Clear",
    is_archived=True,
    is_fork=True,
)
ARABIC_LIBRARY = _with_repository(
    ARABIC,
    name="arabic-nlp",
    description="مكتبة لمعالجة اللغة العربية باستخدام Python، مع أدوات للتحليل الصرفي والنحوي وغيرها",
    language="Python",
    stars=3_210,
    forks=284,
    licence="GPL-3.0",
    is_archived=True,
)
JAPANESE_LIBRARY = _with_repository(
    WYCATS,
    name="mecab-lite",
    description="日本語の形態素解析器。高速で、辞書の追加が簡単にできます。「すもももももももものうち」も解析します。",
    language="C++",
    stars=12_345,
)
DOTFILES = _with_repository(NOTHING, name=".dotfiles")

OWN_COLOURS = BannerOptions(
    bg_color="ff880022",
    border_color="884400",
    title_color="aa0000",
    text_color="552200",
    muted_color="775533",
    accent_color="008855",
    radius=0,
    animate=False,
)
PARTLY_HIDDEN = BannerOptions(
    hide=(HideableField.FORKS, HideableField.LOGIN),
    hide_langs=("css",),
    langs_count=2,
    title="Yehuda",
    number_format=NumberFormat.LONG,
    border=False,
)
CARD, COMPACT, BAR, ACTIVITY = (
    BannerOptions(layout=layout)
    for layout in (Layout.CARD, Layout.COMPACT, Layout.LANGUAGES, Layout.ACTIVITY)
)
DONUT = replace(BAR, shape=ChartType.DONUT)
REPOSITORY = BannerOptions(layout=Layout.REPOSITORY)
OLD = date(2026, 11, 20)
TYPES = ("default", "dark", "dracula")

PICTURES: dict[str, Callable[[], bytes]] = {
    "classic-default": lambda: draw(WYCATS, LIGHT),
    "classic-dark": lambda: draw(WYCATS, DARK),
    "classic-auto": lambda: draw(WYCATS, AUTO),
    "classic-long-and-old": lambda: draw(MANY, LIGHT, as_of=OLD),
    "classic-arabic-auto": lambda: draw(ARABIC, AUTO),
    "classic-hindi-dark": lambda: draw(HINDI, DARK),
    "classic-nothing-auto": lambda: draw(NOTHING, AUTO),
    "classic-only-forks": lambda: draw(FORKS, LIGHT),
    "classic-own-colours": lambda: draw(WYCATS, OWN_COLOURS),
    "classic-partly-hidden": lambda: draw(WYCATS, PARTLY_HIDDEN),
    "classic-all-hidden": lambda: draw(WYCATS, BannerOptions(hide=tuple(HideableField))),
    "card-default": lambda: draw(WYCATS, CARD),
    "card-auto": lambda: draw(WYCATS, replace(CARD, theme=Theme.AUTO)),
    "card-long-and-old": lambda: draw(MANY, CARD, as_of=OLD),
    "card-arabic-and-old": lambda: draw(ARABIC, CARD, as_of=OLD),
    "card-nothing-dark": lambda: draw(NOTHING, replace(CARD, theme=Theme.DARK)),
    "card-only-forks": lambda: draw(FORKS, CARD),
    "card-partly-hidden": lambda: draw(WYCATS, replace(PARTLY_HIDDEN, layout=Layout.CARD)),
    "card-all-hidden": lambda: draw(WYCATS, replace(CARD, hide=tuple(HideableField))),
    "compact-default": lambda: draw(WYCATS, COMPACT),
    "compact-auto": lambda: draw(WYCATS, replace(COMPACT, theme=Theme.AUTO)),
    "compact-long-and-old": lambda: draw(MANY, COMPACT, as_of=OLD),
    "compact-nothing-dark": lambda: draw(NOTHING, replace(COMPACT, theme=Theme.DARK)),
    "compact-own-colours": lambda: draw(ARABIC, replace(OWN_COLOURS, layout=Layout.COMPACT)),
    "compact-all-hidden": lambda: draw(WYCATS, replace(COMPACT, hide=tuple(HideableField))),
    "languages-default": lambda: draw(WYCATS, BAR),
    "languages-auto": lambda: draw(ARABIC, replace(BAR, theme=Theme.AUTO)),
    "languages-long-and-old": lambda: draw(MANY, BAR, as_of=OLD),
    "languages-only-forks-dark": lambda: draw(FORKS, replace(BAR, theme=Theme.DARK)),
    "languages-all-hidden": lambda: draw(WYCATS, replace(BAR, hide=tuple(HideableField))),
    "donut-default": lambda: draw(WYCATS, DONUT),
    "donut-auto": lambda: draw(ARABIC, replace(DONUT, theme=Theme.AUTO)),
    "donut-long-and-old": lambda: draw(MANY, DONUT, as_of=OLD),
    "donut-only-forks-dark": lambda: draw(FORKS, replace(DONUT, theme=Theme.DARK)),
    "donut-all-hidden": lambda: draw(WYCATS, replace(DONUT, hide=tuple(HideableField))),
    "repository-default": lambda: draw(HANDLEBARS, REPOSITORY),
    "repository-auto": lambda: draw(HANDLEBARS, replace(REPOSITORY, theme=Theme.AUTO)),
    "repository-contrast": lambda: draw(
        OLD_FORK, replace(REPOSITORY, theme=Theme("contrast-dark"), number_format=NumberFormat.LONG)
    ),
    "repository-long-and-old": lambda: draw(OLD_FORK, REPOSITORY, as_of=OLD),
    "repository-nothing-dark": lambda: draw(DOTFILES, replace(REPOSITORY, theme=Theme.DARK)),
    "repository-own-colours": lambda: draw(
        HANDLEBARS, replace(OWN_COLOURS, layout=Layout.REPOSITORY, title="Handlebars")
    ),
    "repository-arabic-and-old": lambda: draw(
        ARABIC_LIBRARY, replace(REPOSITORY, locale=Locale.AR), as_of=OLD
    ),
    "repository-arabic-in-english": lambda: draw(ARABIC_LIBRARY, REPOSITORY),
    "repository-japanese": lambda: draw(JAPANESE_LIBRARY, replace(REPOSITORY, locale=Locale.JA)),
    "classic-japanese-dark": lambda: draw(WYCATS, replace(DARK, locale=Locale.JA)),
    "classic-persian-and-old": lambda: draw(MANY, replace(LIGHT, locale=Locale.FA), as_of=OLD),
    "card-hebrew-only-forks": lambda: draw(FORKS, replace(CARD, locale=Locale.HE), as_of=OLD),
    "compact-arabic": lambda: draw(ARABIC, replace(COMPACT, locale=Locale.AR, title="ليلى")),
    "compact-russian-long": lambda: draw(MANY, replace(COMPACT, locale=Locale.RU)),
    "languages-arabic-and-old": lambda: draw(MANY, replace(BAR, locale=Locale.AR), as_of=OLD),
    "donut-hebrew-and-old": lambda: draw(ARABIC, replace(DONUT, locale=Locale.HE), as_of=OLD),
    "activity-default": lambda: draw(BUSY, ACTIVITY),
    "activity-auto": lambda: draw(BUSY, replace(ACTIVITY, theme=Theme("auto-nord"))),
    "activity-nothing-dark": lambda: draw(IDLE, replace(ACTIVITY, theme=Theme.DARK)),
    "activity-german-long": lambda: draw(
        BUSY, replace(ACTIVITY, locale=Locale.DE, number_format=NumberFormat.LONG, border=False)
    ),
    "activity-arabic-and-old": lambda: draw(BUSY, replace(ACTIVITY, locale=Locale.AR), as_of=OLD),
    "activity-japanese-and-old": lambda: draw(BUSY, replace(ACTIVITY, locale=Locale.JA), as_of=OLD),
    "activity-russian-new": lambda: draw(NEW, replace(ACTIVITY, locale=Locale.RU)),
    "activity-own-colours": lambda: draw(BUSY, replace(OWN_COLOURS, layout=Layout.ACTIVITY)),
    "state-contributions-hidden": lambda: explain(
        errors.ContributionsHidden("wycats"), options=ACTIVITY
    ),
    "state-no-contributions-dark": lambda: explain(
        errors.NoContributions("rust-lang"), options=replace(ACTIVITY, theme=Theme.DARK)
    ),
    "state-user-not-served": lambda: explain(errors.UserNotServed("wycats"), options=LIGHT),
    "state-user-not-served-arabic": lambda: explain(
        errors.UserNotServed("wycats"), options=replace(CARD, locale=Locale.AR)
    ),
    "state-token-required": lambda: explain(errors.TokenRequired(), options=ACTIVITY),
    "classic-other-numbers": lambda: draw(ACTIVE, replace(LIGHT, show=SIX[3:])),
    "classic-followers-arabic-auto": lambda: draw(
        ACTIVE, replace(AUTO, show=(ShownNumber.FOLLOWERS, *SIX[:2]), locale=Locale.AR)
    ),
    "card-four-numbers-dark": lambda: draw(
        ACTIVE, replace(CARD, show=SIX[:4], theme=Theme.DARK, locale=Locale.JA)
    ),
    "card-six-numbers": lambda: draw(ACTIVE, replace(CARD, show=SIX)),
    "card-six-numbers-persian-and-old": lambda: draw(
        ACTIVE, replace(CARD, show=SIX, locale=Locale.FA), as_of=OLD
    ),
    "card-without-contributions": lambda: draw(HIDDEN, replace(CARD, show=SIX)),
    "card-by-size": lambda: draw(ACTIVE, replace(CARD, count_by=CountBy.BYTES)),
    "compact-other-numbers-german": lambda: draw(
        ACTIVE, replace(COMPACT, show=SIX[2:5], locale=Locale.DE)
    ),
    "languages-by-size": lambda: draw(ACTIVE, replace(BAR, count_by=CountBy.BYTES)),
    "donut-by-size-dark": lambda: draw(
        ACTIVE, replace(DONUT, count_by=CountBy.BYTES, theme=Theme.DARK)
    ),
    "state-card": lambda: explain(errors.UnknownUser("adalindqist"), options=CARD),
    "state-compact-dark": lambda: explain(
        errors.GitHubUnavailable(), options=replace(COMPACT, theme=Theme.DARK)
    ),
    "state-compact-arabic": lambda: explain(
        errors.UnknownUser("adalindqist"),
        options=BannerOptions(layout=Layout.COMPACT, locale=Locale.AR),
    ),
    "state-persian-dark": lambda: explain(
        errors.TooManyRequests(40), options=replace(DARK, locale=Locale.FA)
    ),
    "state-russian": lambda: explain(
        errors.InvalidType("type", "drakula", TYPES), options=BannerOptions(locale=Locale.RU)
    ),
    "state-unknown-repository": lambda: explain(
        errors.UnknownRepository("handelbars.js", "handlebars.js"), options=REPOSITORY
    ),
    "state-no-repository-hebrew": lambda: explain(
        errors.InvalidOption("repo"), options=replace(REPOSITORY, locale=Locale.HE)
    ),
    "state-unknown-user": lambda: explain(errors.UnknownUser("adalindqist")),
    "state-unknown-user-auto": lambda: explain(errors.UnknownUser("adalindqist"), options=AUTO),
    "state-github-unavailable": lambda: explain(errors.GitHubUnavailable(), options=DARK),
    "state-too-many-requests": lambda: explain(errors.TooManyRequests(40)),
    "state-invalid-type": lambda: explain(errors.InvalidType("type", "drakula", TYPES)),
    "state-invalid-option": lambda: explain(errors.InvalidOption("radius", "99", ("0 to 20",))),
    "state-unknown-banner": lambda: explain(errors.UnknownBanner("x"), host="banners.example"),
    "state-counting": lambda: explain(errors.FetchPending("wycats")),
    "state-busy": lambda: explain(errors.Overloaded()),
    "state-numbers-unavailable": lambda: explain(errors.DatabaseUnavailable()),
}


@pytest.mark.parametrize("name", PICTURES)
def test_picture_equals_golden_file(name, tmp_path):
    golden, drawn = HERE / f"{name}.svg", PICTURES[name]()
    if os.environ.get("GOLDEN") == "rewrite":
        golden.write_bytes(drawn)
    approved = golden.read_bytes() if golden.exists() else b"<svg/>"
    if difference := _first_difference(approved, drawn):
        page = tmp_path / f"{name}.html"
        page.write_text(_side_by_side(name, approved, drawn), encoding="utf-8")
        pytest.fail(f"{name} differs: {difference}\nold and new side by side: {page}")


def test_golden_files_all_have_a_picture():
    assert {path.stem for path in HERE.glob("*.svg")} == set(PICTURES)


def _first_difference(approved: bytes, drawn: bytes) -> str | None:
    pairs = zip_longest(_elements(approved), _elements(drawn), fillvalue="nothing")
    return next((f"{old} became {new}" for old, new in pairs if old != new), None)


def _elements(svg: bytes) -> Iterator[str]:
    for element in ET.fromstring(svg).iter():
        attributes = dict(sorted(element.attrib.items()))
        yield f"{element.tag} {attributes} {element.text!r} {element.tail!r}"


def _side_by_side(name: str, *pictures: bytes) -> str:
    images = "".join(
        f'<img width="{width}" src="data:image/svg+xml;base64,{base64.b64encode(svg).decode()}">'
        for width in (846, 340)
        for svg in pictures
    )
    panels = "".join(
        f'<div style="background:{background};padding:8px">{images}</div>'
        for background in ("#ffffff", "#0d1117")
    )
    return f"<!doctype html><meta charset=utf-8><title>{name}</title>{panels}"
