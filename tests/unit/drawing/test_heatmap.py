"""The heatmap of contributions: levels, runs, weeks of each locale, labels and colours."""

import re
from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from github_banners.drawing.colours import contrast
from github_banners.drawing.heatmap import (
    WEEKS,
    Heatmap,
    heat_colours,
    heatmap,
    month_labels,
    weekday_labels,
)
from github_banners.drawing.locales import LOCALES
from github_banners.drawing.text import width
from github_banners.drawing.themes import scheme
from github_banners.options import PALETTES, BannerOptions, Theme

TUESDAY = date(2026, 11, 24)
FIRST_WEEKDAYS = {
    **dict.fromkeys(["de", "fr", "es", "it", "nl", "pl", "ru", "uk", "tr", "zh-cn"], "Monday"),
    **dict.fromkeys(["en", "pt-br", "ja", "ko", "zh-tw", "he", "hi"], "Sunday"),
    **dict.fromkeys(["ar", "fa"], "Saturday"),
}
COUNTS = st.lists(st.integers(0, 12) | st.integers(0, 2**31), max_size=371)


def parse_cells(path: str) -> list[tuple[int, int]]:
    """Return column and row of every day that a path covers; it must cover none twice."""
    assert re.fullmatch(r"(M\d+ \d+h\d+)*", path)
    cells = [
        (int(column) + step, int(row))
        for column, row, length in re.findall(r"M(\d+) (\d+)h(\d+)", path)
        for step in range(int(length))
    ]
    assert len(cells) == len(set(cells))
    return cells


def parse_levels(picture: Heatmap) -> dict[tuple[int, int], int]:
    """Return the level of every day that is drawn, by column and row."""
    drawn = dict.fromkeys(parse_cells(picture.track), 0)
    for level, path in enumerate(picture.levels, 1):
        cells = parse_cells(path)
        assert set(cells) <= drawn.keys()
        drawn.update(dict.fromkeys(cells, level))
    return drawn


def last_days(days: Sequence[int], last_day: date = TUESDAY, locale: str = "en") -> list[int]:
    """Return the levels of the last days, oldest first."""
    drawn = parse_levels(heatmap(days, last_day, locale))
    cells = sorted(drawn)
    return [drawn[cell] for cell in cells[len(cells) - len(days) :]]


def test_heatmap_weeks_are_columns_and_future_days_are_not_drawn():
    drawn = parse_levels(heatmap([0] * 369 + [5, 6], TUESDAY, "en"))
    assert len(drawn) == 52 * 7 + 3
    assert {cell for cell in drawn if cell[0] == 52} == {(52, 0), (52, 1), (52, 2)}
    assert {cell: level for cell, level in drawn.items() if level} == {(52, 1): 2, (52, 2): 4}


@pytest.mark.parametrize("locale", LOCALES)
def test_heatmap_weeks_begin_as_in_the_locale(locale):
    names = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
    begins = names.index(FIRST_WEEKDAYS[locale])
    for weekday in range(7):
        last_day = TUESDAY + timedelta(days=weekday)
        column = [
            row for column, row in parse_levels(heatmap([], last_day, locale)) if column == 52
        ]
        assert len(column) == (last_day.weekday() - begins) % 7 + 1


def test_heatmap_runs_join_equal_days_of_a_row():
    days = [0] * 371
    for week in (10, 11, 12, 20):
        days[4 + 7 * week] = 3
    assert heatmap(days, TUESDAY, "en").levels[0] == "M10 0h3M20 0h1"


def test_heatmap_runs_pass_beneath_higher_levels():
    days = [0] * 371
    for week, count in enumerate([1, 9, 1, 5, 5, 0, 1, 9], 10):
        days[4 + 7 * week] = count
    levels = heatmap(days, TUESDAY, "en").levels
    assert levels == ["M10 0h3M16 0h1", "", "M13 0h2", "M11 0h1M17 0h1"]


def test_heatmap_without_contributions_has_only_the_track():
    for days in ([], [0] * 371):
        picture = heatmap(days, TUESDAY, "en")
        assert picture.levels == ["", "", "", ""]
        assert len(parse_cells(picture.track)) == 367


def test_heatmap_without_last_day_is_full():
    assert len(parse_levels(heatmap([], None, "en"))) == WEEKS * 7


@pytest.mark.parametrize(
    ("counts", "levels"),
    [
        ([1, 2, 3, 4], [1, 2, 3, 4]),
        ([9, 0, 9], [2, 0, 2]),
        ([9] * 4, [1] * 4),
        ([1, 2], [2, 4]),
        ([1, 2, 900], [2, 3, 4]),
        ([1, 1, 1, 1, 1, 1, 1, 20], [1, 1, 1, 1, 1, 1, 1, 4]),
        ([8, 7, 6, 5, 4, 3, 2, 1], [4, 4, 3, 3, 2, 2, 1, 1]),
    ],
)
def test_heatmap_levels_are_quarters_of_the_days_with_contributions(counts, levels):
    assert last_days(counts) == levels


def test_heatmap_days_that_are_not_shown_have_no_influence():
    shown = [1, 2, 3, 4] * 91 + [1, 2, 3]
    assert last_days(shown) == shown
    assert heatmap([1000] * 4 + shown, TUESDAY, "en") == heatmap(shown, TUESDAY, "en")


@given(COUNTS, st.integers(0, 6), st.sampled_from(LOCALES))
def test_heatmap_more_contributions_never_have_a_lower_level(counts, later, locale):
    last_day = TUESDAY + timedelta(days=later)
    drawn = parse_levels(heatmap(counts, last_day, locale))
    days = counts[-len(drawn) :]
    levels = [drawn[cell] for cell in sorted(drawn)]
    assert not any(levels[: len(drawn) - len(days)])
    pairs = sorted(zip(days, levels[len(drawn) - len(days) :], strict=True))
    assert [level for _, level in pairs] == sorted(level for _, level in pairs)
    assert all(bool(count) == bool(level) for count, level in pairs)
    active = Counter(level for _, level in pairs if level)
    assert active[4] <= -(-sum(active.values()) // 4)


def test_month_labels_are_at_the_week_of_the_first_day():
    labels = [(label.position, label.text) for label in month_labels(TUESDAY, "en")]
    assert labels[:3] == [(1, "Dec"), (5, "Jan"), (10, "Feb")]
    assert labels[-1] == (49, "Nov")
    assert len(labels) == 12
    assert month_labels(None, "en") == []


@pytest.mark.parametrize("locale", LOCALES)
def test_month_labels_do_not_touch(locale):
    for day in range(366):
        labels = month_labels(TUESDAY + timedelta(days=day), locale)
        assert 12 <= len(labels) <= 13
        for label, following in pairwise(labels):
            max_width = 14 * (following.position - label.position)
            assert width(label.text, 11.5) <= max_width - 2


@pytest.mark.parametrize(
    ("locale", "labels"),
    [
        ("en", [(1, "Mon"), (3, "Wed"), (5, "Fri")]),
        ("de", [(0, "Mo."), (2, "Mi."), (4, "Fr.")]),
        ("ja", [(1, "月"), (3, "水"), (5, "金")]),
        ("ar", [(2, "ن"), (4, "ر"), (6, "ج")]),
    ],
)
def test_weekday_labels_are_at_their_rows(locale, labels):
    shown = weekday_labels(locale, 11.5, 30)
    assert [(label.position, label.text) for label in shown] == labels


@pytest.mark.parametrize("locale", LOCALES)
def test_weekday_labels_fit(locale):
    labels = weekday_labels(locale, 11.5, 30)
    assert all(0 < width(label.text, 11.5) <= 30 for label in labels)


@pytest.mark.parametrize("theme", Theme)
def test_heat_colours_of_every_theme_are_distinguishable(theme):
    colours = scheme(BannerOptions(theme=theme))
    for background, levels, palette in zip(
        colours.backgrounds, heat_colours(colours), colours.palettes, strict=True
    ):
        contrasts = [contrast(level, background) for level in levels]
        assert contrasts[0] > 1.05
        for lower, higher in pairwise(contrasts):
            assert higher >= 1.2 * lower
        assert levels[4] == palette.accent


def test_heat_colours_are_mixed_with_the_accent():
    (levels,) = heat_colours(scheme(BannerOptions()))
    assert levels == [PALETTES["default"].track, "b0cff3", "7aaeeb", "428ce3", "0969da"]


@pytest.mark.parametrize("background", ["000000", "123456", "fff", "00000080"])
@pytest.mark.parametrize("accent", ["00ff00", "00ff00c0"])
def test_heat_colours_on_any_background_are_opaque_and_ascend(background, accent):
    options = BannerOptions(bg_color=background, text_color="888888", accent_color=accent)
    colours = scheme(options)
    (levels,) = heat_colours(colours)
    assert all(re.fullmatch("[0-9a-f]{6}", level) for level in levels)
    contrasts = [contrast(level, colours.backgrounds[0]) for level in levels]
    assert contrasts == sorted(contrasts)
