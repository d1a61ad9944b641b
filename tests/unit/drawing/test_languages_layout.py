from datetime import date
from itertools import pairwise

import pytest
from msgspec.structs import replace

from github_banners.drawing.layouts.languages import compute_layout
from github_banners.options import BannerOptions, ChartType, CountBy, HideableField

BAR, DONUT = BannerOptions(), BannerOptions(shape=ChartType.DONUT)
AS_OF = date(2026, 11, 20)


def test_languages_bar_has_heading_and_rows(snapshot):
    picture = compute_layout(snapshot(), BAR, None)
    assert picture.title == "Yehuda Katz (@wycats): Languages"
    assert picture.desc == (
        "5 languages by repositories: Ruby 51, JavaScript 20, Rust 4, C 2, CSS 1."
    )
    assert picture.heading
    assert picture.heading.text.text == "Languages"
    assert picture.heading.caption == "by repositories"
    assert len(picture.bar) == 5
    assert not picture.ring
    assert picture.centre is None
    assert picture.rows
    assert [(row.name.text, row.percent) for row in picture.rows.items] == [
        ("Ruby", "65%"),
        ("JavaScript", "26%"),
        ("Rust", "5%"),
        ("C", "3%"),
        ("CSS", "1%"),
    ]


def test_languages_donut_has_count_in_centre(snapshot):
    picture = compute_layout(snapshot(), DONUT, None)
    assert picture.centre
    assert (picture.centre.count, picture.centre.word.text) == ("5", "languages")
    assert len(picture.ring) == 5
    assert not picture.bar
    assert picture.heading is None


def test_languages_one_language_is_singular(snapshot):
    picture = compute_layout(snapshot(languages={"Go": 3}), DONUT, None)
    assert picture.centre
    assert (picture.centre.count, picture.centre.word.text) == ("1", "language")
    assert picture.desc == "1 language by repositories: Go 3."
    assert picture.rows
    assert [(row.y, row.percent) for row in picture.rows.items] == [(115, "100%")]


@pytest.mark.parametrize(
    ("number", "places"),
    [
        (1, [(24, 145)]),
        (4, [(24, 103), (24, 131), (24, 159), (24, 187)]),
        (5, [(24, 117), (24, 145), (24, 173), (220, 117), (220, 145)]),
        (8, [(x, y) for x in (24, 220) for y in (103, 131, 159, 187)]),
    ],
)
def test_languages_rows_fill_one_column_then_two(snapshot, number, places):
    owner = snapshot(languages={chr(65 + index): 9 for index in range(number)})
    rows = compute_layout(owner, BAR, None).rows
    assert rows
    assert [(row.x, row.y) for row in rows.items] == places
    assert rows.end == (372 if number <= 4 else 176)


def test_languages_donut_rows_are_in_one_column(snapshot):
    rows = compute_layout(
        snapshot(languages={chr(65 + index): 9 for index in range(6)}), DONUT, None
    ).rows
    assert rows
    assert [(row.x, row.y) for row in rows.items] == [(218, y) for y in range(45, 186, 28)]
    assert (rows.end, rows.size) == (178, 14)


@pytest.mark.parametrize("shape", ChartType)
@pytest.mark.parametrize("count", [None, *range(1, 11)])
@pytest.mark.parametrize("number", [0, 1, 2, 6, 8, 11, 60])
def test_languages_any_number_of_rows_fits(snapshot, number, count, shape):
    many = snapshot(languages={f"Language {index}": 60 - index for index in range(number)})
    picture = compute_layout(many, BannerOptions(shape=shape, langs_count=count), AS_OF)
    items = picture.rows.items if picture.rows else ()
    limit = count or (7 if shape is ChartType.BAR else 5)
    assert len(items) == len(picture.bar) + len(picture.ring) == min(number, limit + 1)
    for column in {row.x for row in items}:
        ys = [row.y for row in items if row.x == column]
        assert min(ys) >= (92 if shape is ChartType.BAR else 35)
        assert max(ys) <= 204
        assert all(after - before >= 16 for before, after in pairwise(ys))


def test_languages_long_names_are_truncated_before_percentages(snapshot):
    long = snapshot(languages={"Mathematical Programming System": 5, "m" * 60: 4, "Go": 1})
    for options in (BAR, DONUT):
        rows = compute_layout(long, options, None).rows
        assert rows
        first, second, third = rows.items
        assert second.name.text.endswith("…")
        assert third.name.size == 14
        assert first.name.size < 14 or options is BAR


def test_languages_hidden_ones_are_not_counted(snapshot):
    options = BannerOptions(shape=ChartType.DONUT, hide_langs=("css", "ruby"))
    picture = compute_layout(snapshot(), options, None)
    assert picture.centre
    assert picture.centre.count == "3"
    assert "Ruby" not in picture.desc


@pytest.mark.parametrize("shape", ChartType)
def test_languages_all_hidden_chart_is_empty(snapshot, shape):
    picture = compute_layout(
        snapshot(), BannerOptions(shape=shape, hide=(HideableField.LANGUAGES,)), None
    )
    assert not any([picture.bar, picture.ring, picture.rows, picture.empty_state, picture.centre])
    assert picture.desc == ""


@pytest.mark.parametrize(
    ("options", "forked", "lines"),
    [
        (BAR, 0, ["No public repositories yet"]),
        (BAR, 3, ["Only forks so far; languages count original repositories"]),
        (DONUT, 3, ["Only forks so far;", "languages count", "original repositories"]),
    ],
)
def test_languages_without_any_explains_why(snapshot, options, forked, lines):
    picture = compute_layout(snapshot(original=0, forked=forked, languages={}), options, None)
    assert picture.empty_state
    assert [line.text.text for line in picture.empty_state.lines] == lines
    middle = sum(line.y for line in picture.empty_state.lines) / len(lines)
    assert middle == (145 if options is BAR else 115)
    assert picture.desc == " ".join(lines) + "."


def test_languages_title_replaces_heading(snapshot):
    picture = compute_layout(snapshot(), BannerOptions(title="What I write"), None)
    assert picture.heading
    assert picture.heading.text.text == "What I write"
    assert picture.title == "What I write (@wycats): Languages"


def test_languages_stale_numbers_show_day(snapshot):
    bar, donut = (compute_layout(snapshot(), options, AS_OF) for options in (BAR, DONUT))
    assert bar.heading
    assert bar.heading.caption == "by repositories · as of 20 Nov"
    assert donut.as_of
    assert donut.as_of.text == "as of 20 Nov"
    assert bar.desc.endswith(". As of 20 Nov 2026.")


def test_languages_long_title_leaves_only_the_day(snapshot):
    picture = compute_layout(snapshot(), BannerOptions(title="W" * 64), AS_OF)
    assert picture.heading
    assert picture.heading.caption == "as of 20 Nov"
    assert picture.heading.text.text.endswith("…")


@pytest.mark.parametrize("shape", ChartType)
def test_languages_by_size_say_so_and_have_no_counts(snapshot, shape):
    # 7,000 bytes: 57.14 %, 28.57 % and 14.29 % that GitHub does not list.
    owner = replace(snapshot(), language_sizes={"C": 4_000, "Go": 2_000, "": 1_000})
    picture = compute_layout(owner, BannerOptions(shape=shape, count_by=CountBy.BYTES), None)
    assert picture.desc == "2 languages by size: C 57%, Go 29%, Other 14%."
    assert picture.rows
    assert [(row.name.text, row.percent) for row in picture.rows.items] == [
        ("C", "57%"),
        ("Go", "29%"),
        ("Other", "14%"),
    ]
    if shape is ChartType.BAR:
        assert picture.heading
        assert picture.heading.caption == "by size"
    else:
        assert picture.centre
        assert picture.centre.count == "2"
