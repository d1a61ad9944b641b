"""The layout `activity`: its numbers and words in every locale, and its two forms."""

import gzip
import random
import re
from datetime import date
from typing import Any

import pytest
from msgspec.structs import replace

from github_banners.drawing import draw
from github_banners.drawing.layouts import LAYOUTS
from github_banners.drawing.locales import (
    LOCALES,
    activity_description,
    format_day,
    load_translations,
    numerals,
)
from github_banners.drawing.locales.cldr import month_names, plural_categories
from github_banners.drawing.text import width
from github_banners.errors import RenderingFailed
from github_banners.models import Activity
from github_banners.options import BannerOptions, HideableField, Layout, Locale, NumberFormat, Theme
from tests.snapshots import make_activity, make_snapshot

ACTIVITY = BannerOptions(layout=Layout.ACTIVITY)
NOVEMBER = date(2026, 11, 20)
MOCK = replace(
    make_activity(), last_year=1284, best_day=date(2026, 3, 14), best_count=38, current_streak=23
)
NOTHING = make_activity(days=[0] * 371, current_streak=0, longest_streak=0)
EM_OF_SPACE = width(" ", 1, bold=True)


def compute(
    activity: Activity = MOCK, options: BannerOptions = ACTIVITY, as_of: date | None = None
) -> Any:
    snapshot = make_snapshot(activity=activity)
    return LAYOUTS[Layout.ACTIVITY].compute_layout(snapshot, options, as_of)


def test_activity_shows_total_streaks_and_best_day():
    picture = compute()
    assert (picture.total, picture.caption.text) == ("1,284", "contributions in the last year")
    assert [
        (metric.icon, metric.position, metric.label, metric.value, metric.unit)
        for metric in picture.metrics.items
    ] == [
        ("f", 408, "Current streak", "23", "days"),
        ("f", 548, "Longest streak", "61", "days"),
        ("c", 690, "Best day", "38", "on 14 Mar"),
    ]
    assert (picture.metrics.size, picture.metrics.unit_size, picture.metrics.label_size) == (
        28,
        13,
        13,
    )
    assert picture.title == "Yehuda Katz (@wycats)"
    assert picture.desc == (
        "1,284 contributions in the last year. Current streak: 23 days. Longest streak: 61 days. "
        "Best day: 14 Mar 2026 (38)."
    )


def test_activity_narrow_form_shows_total_and_streaks():
    picture = compute()
    (total,) = picture.narrow_total.items
    assert (total.value, total.unit) == ("1,284", "contributions in the last year")
    assert [(metric.label, metric.value, metric.unit) for metric in picture.narrow.items] == [
        ("Current streak", "23", "days"),
        ("Longest streak", "61", "days"),
    ]
    # At a width of 340 px this is 10 px.
    assert picture.narrow.label_size == picture.narrow.unit_size == 25


def test_activity_numbers_follow_the_number_format():
    busy = replace(MOCK, last_year=12_468, best_count=1_050)
    short, full = (
        compute(busy, replace(ACTIVITY, number_format=number_format))
        for number_format in (NumberFormat.SHORT, NumberFormat.LONG)
    )
    assert (short.total, short.metrics.items[2].value) == ("12.4k", "1,050")
    assert (full.total, full.metrics.items[2].value) == ("12,468", "1,050")
    assert short.desc == full.desc
    assert short.desc.startswith("12,468 contributions")


def test_activity_without_contributions_has_zeros_and_no_best_day():
    picture = compute(NOTHING)
    assert picture.total == "0"
    assert [metric.value for metric in picture.metrics.items] == ["0", "0"]
    assert picture.heatmap.levels == ["", "", "", ""]
    assert len(picture.months) == 12
    assert picture.desc == (
        "0 contributions in the last year. Current streak: 0 days. Longest streak: 0 days."
    )


def test_activity_of_a_new_owner_has_no_months():
    picture = compute(Activity())
    assert picture.months == []
    assert draw(make_snapshot(activity=Activity()), ACTIVITY)


def test_activity_stale_numbers_have_their_day_after_the_caption():
    picture = compute(as_of=NOVEMBER)
    assert picture.caption.text == "contributions in the last year · as of 20 Nov"
    assert picture.desc.endswith(" As of 20 Nov 2026.")


def test_activity_unknown_contributions_are_an_error():
    snapshot = replace(make_snapshot(), activity=None)
    with pytest.raises(RenderingFailed):
        draw(snapshot, ACTIVITY)


def test_activity_title_option_is_the_accessible_title():
    assert compute(options=replace(ACTIVITY, title="Yehuda")).title == "Yehuda (@wycats)"
    assert compute(options=replace(ACTIVITY, title="ليلى")).frame.isolate == ""


def test_activity_ignores_options_for_languages():
    hidden = replace(ACTIVITY, hide=tuple(HideableField), langs_count=3)
    assert draw(make_snapshot(), hidden) == draw(make_snapshot(), ACTIVITY)


@pytest.mark.parametrize("locale", LOCALES)
def test_activity_texts_of_every_locale_fit(locale):
    texts, options = load_translations(locale).activity, replace(ACTIVITY, locale=Locale(locale))
    for month in range(1, 13):
        best_day = date(2026, month, 28)
        for count in (0, 1, 2, 5, 11, 23, 100, 999):
            activity = replace(
                MOCK,
                last_year=count * 13,
                best_count=count,
                best_day=best_day,
                current_streak=count,
                longest_streak=count,
            )
            picture = compute(activity, options, best_day)
            day = texts.on_day.format(day=format_day(best_day, locale))
            days = texts.days[numerals(locale)[count].plural]
            assert [metric.unit for metric in picture.metrics.items] == [days, days, day]
            assert [metric.unit for metric in picture.narrow.items] == [days, days]
            assert picture.narrow_total.items[0].unit
            assert "…" not in picture.caption.text
            assert picture.metrics.size >= 24
            assert picture.narrow.size >= 32
            assert picture.narrow_total.size == 42
    picture = compute(options=options)
    for metrics in (picture.metrics, picture.narrow):
        assert not any("…" in metric.label for metric in metrics.items)
    assert picture.metrics.label_size >= 11
    assert picture.narrow.label_size >= 24


@pytest.mark.parametrize("number_format", NumberFormat)
@pytest.mark.parametrize("locale", LOCALES)
def test_activity_largest_numbers_fit(locale, number_format):
    largest = 2**31 - 1
    activity = replace(
        MOCK,
        last_year=largest,
        best_count=largest,
        current_streak=largest,
        longest_streak=largest,
        best_day=date(2026, 9, 28),
    )
    options = replace(ACTIVITY, locale=Locale(locale), number_format=number_format)
    picture = compute(activity, options)
    for metrics, max_width in (
        (picture.metrics, 134),
        (picture.narrow, 240),
        (picture.narrow_total, 782),
    ):
        for metric in metrics.items:
            needed = width(metric.value, metrics.size, bold=True)
            if metric.unit:
                needed += EM_OF_SPACE * metrics.size + width(metric.unit, metrics.unit_size)
            assert needed <= max_width
    assert width(picture.total, 32, bold=True) <= 360


@pytest.mark.parametrize("locale", LOCALES)
def test_activity_words_have_every_plural_category(locale):
    texts, categories = load_translations(locale).activity, plural_categories(locale)
    assert set(texts.days) == set(texts.in_last_year) == categories
    assert set(texts.counted_days) | set(texts.counted_in_last_year) <= categories
    assert "{day}" in texts.on_day


@pytest.mark.parametrize(
    ("locale", "number", "words"),
    [
        ("en", 1, "1 contribution in the last year. Current streak: 1 day."),
        ("de", 1, "1 Beitrag im letzten Jahr."),
        ("fr", 2, "2 contributions sur les 12 derniers mois. Série en cours\xa0: 2 jours."),
        ("es", 2_000_000, "2.000.000 de contribuciones en el último año."),
        ("ru", 1, "1 вклад за последний год. Текущая серия: 1 день."),
        ("ru", 22, "22 вклада за последний год. Текущая серия: 22 дня."),
        ("ru", 25, "25 вкладов за последний год. Текущая серия: 25 дней."),
        ("pl", 21, "21 kontrybucji w ostatnim roku. Obecna seria: 21 dni."),
        ("pl", 1, "1 kontrybucja w ostatnim roku. Obecna seria: 1 dzień."),
        ("uk", 103, "103 внески за останній рік. Поточна серія: 103 дні."),
        ("ar", 2, "مساهمتان في السنة الأخيرة. السلسلة الحالية: يومان."),
        ("ar", 3, "3 مساهمات في السنة الأخيرة. السلسلة الحالية: 3 أيام."),
        ("ar", 11, "11 مساهمة في السنة الأخيرة. السلسلة الحالية: 11 يومًا."),
        ("he", 2, "2 תרומות בשנה האחרונה. רצף נוכחי: יומיים."),
        ("ja", 23, "過去1年間のコントリビューション 23 件。現在の連続日数：23日。"),
        ("zh-cn", 23, "过去一年有 23 次贡献。当前连续天数：23 天。"),
        ("hi", 5, "पिछले एक साल में 5 योगदान। मौजूदा स्ट्रीक: 5 दिन।"),
    ],
)
def test_activity_description_in_locale(locale, number, words):
    activity = replace(MOCK, last_year=number, current_streak=number)
    assert activity_description(activity, locale=locale).startswith(words)


@pytest.mark.parametrize("locale", LOCALES)
def test_activity_description_fills_every_placeholder(locale):
    stop = load_translations(locale).sentences.stop
    text = activity_description(MOCK, NOVEMBER, locale=locale)
    assert "{" not in text
    assert text.endswith(stop)
    assert stop * 2 not in text


@pytest.mark.parametrize(
    ("locale", "march"),
    [("de", "Mär"), ("ru", "март"), ("ja", "3月"), ("ar", "مارس"), ("fa", "مارس"), ("he", "מרץ")],
)
def test_month_names_do_not_depend_on_other_locales(locale, march):
    """Babel mixes up locales once the Japanese names have been read as they stand alone."""
    month_names.cache_clear()
    for other in ("ja", "ko", "ru"):
        month_names(other)
    assert month_names(locale)[2] == march


def test_activity_right_to_left_picture_is_mirrored():
    svg = draw(make_snapshot(), replace(ACTIVITY, locale=Locale.AR)).decode()
    assert '<g mask="url(#l)" id="r" transform="translate(781.4 125.6)scale(-14 14)">' in svg
    # The last column of both forms is as far from the left edge as it is else from the right one.
    assert "#h{transform:translate(-23.5px,-78.9px)scale(1.357)}" in svg
    assert svg.count("\u2067") == svg.count("\u2069") > 20
    left_to_right = draw(make_snapshot(), ACTIVITY).decode()
    assert "#h{transform:translate(-278.6px,-78.9px)scale(1.357)}" in left_to_right
    assert 'transform="translate(64.6 125.6)scale(14)">' in left_to_right


def test_activity_narrow_form_shows_the_last_26_weeks(parse):
    """The older columns are left out of the mask; the others end at the right edge of the text."""
    svg = draw(make_snapshot(), ACTIVITY).decode()
    assert "#w,#o{display:none}" in svg
    assert '<path id="o" d="M0-.5h27v7H0"/><path d="M27-.5h26v7H27"/>' in svg
    first, last = (-278.6 + 1.357 * x for x in (66 + 14 * 27, 66 + 14 * 53 - 3))
    assert round(first) == 324
    assert round(last) == 814


@pytest.mark.parametrize("theme", [Theme.DEFAULT, Theme("auto-nord")])
@pytest.mark.parametrize("locale", [Locale.EN, Locale.JA, Locale.AR, Locale.HI, Locale.FA])
def test_activity_with_a_different_level_every_day_stays_within_size_budget(theme, locale):
    for seed in range(10):
        dice = random.Random(seed)
        days = [dice.choice((0, 1, 2, 3, 4)) for _ in range(371)]
        snapshot = make_snapshot(
            login="maximiliane-alexandra-von-wittgenstein1",
            name="Maximiliane-Alexandra von Wittgenstein-Hohenlohe zu Berleburg-Sayn",
            activity=make_activity(days=days),
        )
        svg = draw(snapshot, replace(ACTIVITY, theme=theme, locale=locale), as_of=NOVEMBER)
        assert len(svg) <= 7_000
        assert len(gzip.compress(svg, 9)) <= 2_400


def test_activity_levels_without_days_have_no_rule():
    svg = draw(make_snapshot(activity=NOTHING), ACTIVITY).decode()
    assert not re.search(r"\.[abdf]\{", svg)
    assert svg.count("<path class=") == 1
