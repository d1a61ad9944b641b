from datetime import date

import pytest

from github_banners.drawing.layouts.card import compute_layout
from github_banners.options import BannerOptions, HideableField, NumberFormat

LOOK = BannerOptions()
LONG = BannerOptions(number_format=NumberFormat.LONG)
AS_OF = date(2026, 11, 20)


def test_numbers_names_and_languages(snapshot):
    picture = compute_layout(snapshot(), LOOK, None)
    assert picture.title == "Yehuda Katz (@wycats)"
    assert picture.desc == (
        "11,558 stars, 1,635 forks, 150 repositories (93 original, 57 forked). "
        "Top languages: Ruby 65%, JavaScript 26%, Rust 5%."
    )
    assert [(one.x, one.value) for one in picture.metrics.items] == [
        (24, "11.5k"),
        (140, "1,635"),
        (256, "150"),
    ]
    assert (picture.metrics.size, picture.forked) == (25, "57 forked")
    assert (picture.name.size, picture.name.text) == (19, "Yehuda Katz")
    assert picture.byline
    assert (picture.byline.size, picture.byline.text) == (13.5, "@wycats")
    assert [item.name for item in picture.legend] == ["Ruby", "JavaScript", "Rust", "C", "CSS"]
    assert len(picture.bar) == len(picture.ring) == 5
    assert picture.frame.colour_variants[0].glow == "701516"
    assert picture.stale is None


def test_a_long_legend_has_two_rows_and_a_short_one_stands_between_them(snapshot):
    two = compute_layout(snapshot(), LOOK, None).legend
    assert {item.dot_y for item in two} == {173, 194}
    one = compute_layout(snapshot(languages={"Go": 2, "C": 1}), LOOK, None).legend
    assert {item.dot_y for item in one} == {181}


@pytest.mark.parametrize("count", [None, 1, 5, 10])
@pytest.mark.parametrize("number", [0, 1, 2, 6, 7, 60])
def test_bar_and_legend_show_the_same_however_many_there_are(snapshot, number, count):
    many = snapshot(languages={f"Language {at}": 60 - at for at in range(number)})
    picture = compute_layout(many, BannerOptions(langs_count=count), None)
    assert len(picture.legend) == len(picture.bar) <= min(number, (count or 5) + 1)
    assert len(picture.ring) == min(number, min(count or 5, 5) + 1)
    assert all(24 <= item.dot_x <= 396 for item in picture.legend)


def test_a_language_with_an_endless_name_leaves_room_for_its_share(snapshot):
    languages = {"m" * 60: 999, "W" * 60: 1}
    picture = compute_layout(snapshot(languages=languages), LOOK, None)
    assert [item.percent for item in picture.legend] == [">99%", "<1%"]
    assert all(item.name.endswith("…") for item in picture.legend)


@pytest.mark.parametrize(
    ("forked", "original", "look", "words"),
    [
        (0, 150, LOOK, ""),
        (1, 150, LOOK, "1 forked"),
        (11_223, 99_999, LOOK, ""),
        (57, 93, BannerOptions(hide=(HideableField.REPOSITORIES,)), ""),
        (57, 93, BannerOptions(hide=(HideableField.STARS, HideableField.FORKS)), "57 forked"),
    ],
)
def test_forks_follow_the_total_where_they_have_room(snapshot, forked, original, look, words):
    assert compute_layout(snapshot(forked=forked, original=original), look, None).forked == words


def test_hidden_metrics_close_up(snapshot):
    picture = compute_layout(
        snapshot(), BannerOptions(hide=(HideableField.FORKS, HideableField.LOGIN)), None
    )
    assert [(one.icon, one.x) for one in picture.metrics.items] == [("s", 24), ("p", 140)]
    assert picture.byline is None


def test_everything_can_be_hidden(snapshot):
    picture = compute_layout(snapshot(), BannerOptions(hide=tuple(HideableField)), None)
    assert not any(
        [picture.metrics.items, picture.bar, picture.ring, picture.legend, picture.empty_state]
    )
    assert (picture.desc, picture.forked) == ("", "")


@pytest.mark.parametrize("number", [0, 1, 9_999, 10_000, 123_456, 1_234_567, 2**31 - 1])
def test_every_number_has_room(snapshot, number):
    one = snapshot(stars=number, forks=number, original=number, forked=0)
    for look in (LOOK, LONG):
        metrics = compute_layout(one, look, None).metrics
        assert metrics.size >= 14
        assert len(metrics.items) == 3
    if number < 10**7:
        assert compute_layout(one, LONG, None).metrics.items[0].value == f"{number:,}"


@pytest.mark.parametrize(("forked", "note"), [(0, "No public repositories yet"), (3, "Only forks")])
def test_the_note_says_why_there_are_no_languages(snapshot, forked, note):
    picture = compute_layout(snapshot(original=0, forked=forked, languages={}), LOOK, None)
    ((y, line),) = picture.empty_state
    assert y == 186
    assert line.text.startswith(note)
    assert not line.text.endswith("…")
    assert not picture.ring


def test_old_numbers_have_a_clock_and_their_day_where_the_name_leaves_room(snapshot):
    short, long = (
        compute_layout(snapshot(name=name), LOOK, AS_OF) for name in ("Yehuda Katz", "Yehuda " * 9)
    )
    assert short.stale
    assert short.stale.text == "as of 20 Nov"
    assert long.stale
    assert long.stale.text == ""
    assert long.desc.endswith(" As of 20 Nov 2026.")


def test_the_longest_names_are_cut(snapshot):
    picture = compute_layout(snapshot(login="m" * 39, name="W" * 64), LOOK, None)
    assert picture.name.text.endswith("…")
    assert picture.name.width <= 314
    assert picture.byline
    assert picture.byline.width <= 314
