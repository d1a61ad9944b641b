from datetime import date

import pytest

from github_banners.drawing.layouts.card import compute_layout
from github_banners.options import BannerOptions, HideableField, NumberFormat

DEFAULT = BannerOptions()
LONG = BannerOptions(number_format=NumberFormat.LONG)
AS_OF = date(2026, 11, 20)


def test_card_shows_names_and_forks(snapshot):
    picture = compute_layout(snapshot(), DEFAULT, None)
    assert picture.forked == "57 forked"
    assert (picture.name.size, picture.name.text) == (19, "Yehuda Katz")
    assert picture.byline
    assert (picture.byline.size, picture.byline.text) == (13.5, "@wycats")
    assert [item.name for item in picture.legend] == ["Ruby", "JavaScript", "Rust", "C", "CSS"]
    assert len(picture.bar) == 5
    assert picture.stale is None


def test_card_legend_uses_two_rows_or_one_between_them(snapshot):
    two = compute_layout(snapshot(), DEFAULT, None).legend
    assert {item.dot_y for item in two} == {173, 194}
    single = compute_layout(snapshot(languages={"Go": 2, "C": 1}), DEFAULT, None).legend
    assert {item.dot_y for item in single} == {181}


@pytest.mark.parametrize("count", [None, 1, 5, 10])
@pytest.mark.parametrize("number", [0, 1, 2, 6, 7, 60])
def test_card_legend_stays_inside(snapshot, number, count):
    many = snapshot(languages={f"Language {index}": 60 - index for index in range(number)})
    picture = compute_layout(many, BannerOptions(langs_count=count), None)
    assert all(24 <= item.dot_x <= 396 for item in picture.legend)


def test_card_long_language_name_is_truncated_before_percentage(snapshot):
    languages = {"m" * 60: 999, "W" * 60: 1}
    picture = compute_layout(snapshot(languages=languages), DEFAULT, None)
    assert [item.percent for item in picture.legend] == [">99%", "<1%"]
    assert all(item.name.endswith("…") for item in picture.legend)


@pytest.mark.parametrize(
    ("forked", "original", "options", "words"),
    [
        (0, 150, DEFAULT, ""),
        (1, 150, DEFAULT, "1 forked"),
        (11_223, 99_999, DEFAULT, ""),
        (57, 93, BannerOptions(hide=(HideableField.REPOSITORIES,)), ""),
        (57, 93, BannerOptions(hide=(HideableField.STARS, HideableField.FORKS)), "57 forked"),
    ],
)
def test_card_forked_shown_only_if_it_fits(snapshot, forked, original, options, words):
    assert compute_layout(snapshot(forked=forked, original=original), options, None).forked == words


def test_card_hidden_login_has_no_byline(snapshot):
    picture = compute_layout(snapshot(), BannerOptions(hide=(HideableField.LOGIN,)), None)
    assert picture.byline is None


@pytest.mark.parametrize("number", [0, 1, 9_999, 10_000, 123_456, 1_234_567])
def test_card_number_below_ten_million_is_shown_in_full(snapshot, number):
    owner = snapshot(stars=number, forks=number, original=number, forked=0)
    assert compute_layout(owner, LONG, None).metrics.items[0].value == f"{number:,}"


@pytest.mark.parametrize(
    ("forked", "message"), [(0, "No public repositories yet"), (3, "Only forks")]
)
def test_card_without_languages_explains_why(snapshot, forked, message):
    picture = compute_layout(snapshot(original=0, forked=forked, languages={}), DEFAULT, None)
    ((y, line),) = picture.empty_state
    assert y == 186
    assert line.text.startswith(message)
    assert not line.text.endswith("…")
    assert not picture.ring


def test_card_stale_numbers_show_day_only_if_name_leaves_room(snapshot):
    short, long = (
        compute_layout(snapshot(name=name), DEFAULT, AS_OF)
        for name in ("Yehuda Katz", "Yehuda " * 9)
    )
    assert short.stale
    assert short.stale.text == "as of 20 Nov"
    assert long.stale
    assert long.stale.text == ""
    assert long.desc.endswith(" As of 20 Nov 2026.")


def test_card_long_names_are_truncated(snapshot):
    picture = compute_layout(snapshot(login="m" * 39, name="W" * 64), DEFAULT, None)
    assert picture.name.text.endswith("…")
    assert picture.name.width <= 314
    assert picture.byline
    assert picture.byline.width <= 314
