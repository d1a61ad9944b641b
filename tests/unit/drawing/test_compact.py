from datetime import date

import pytest

from github_banners.drawing.layouts.compact import compute_layout
from github_banners.options import BannerOptions, HideableField, NumberFormat

LOOK = BannerOptions()


def test_numbers_and_login(snapshot):
    picture = compute_layout(snapshot(), LOOK, None)
    assert picture.title == "Yehuda Katz (@wycats)"
    assert picture.desc == (
        "11,558 stars, 1,635 forks, 150 repositories (93 original, 57 forked). "
        "Top languages: Ruby 65%, JavaScript 26%, Rust 5%."
    )
    assert (picture.name.text, picture.name.size) == ("wycats", 14.5)
    assert [(one.x, one.value) for one in picture.metrics.items] == [
        (198, "11.5k"),
        (274, "1,635"),
        (346, "150"),
    ]
    assert picture.metrics.size == 14
    assert len(picture.ring) == 5
    assert picture.frame.outer_radius == 10


@pytest.mark.parametrize(
    ("look", "name"),
    [
        (BannerOptions(title="My work"), "My work"),
        (BannerOptions(hide=(HideableField.LOGIN,)), "Yehuda Katz"),
        (LOOK, "wycats"),
    ],
)
def test_another_name_stands_in_the_logins_place_only_if_wished(snapshot, look, name):
    assert compute_layout(snapshot(), look, None).name.text == name


def test_a_hidden_login_stays_where_there_is_no_other_name(snapshot):
    assert (
        compute_layout(
            snapshot(name=None), BannerOptions(hide=(HideableField.LOGIN,)), None
        ).name.text
        == "wycats"
    )


def test_a_name_that_turns_direction_is_isolated(snapshot):
    picture = compute_layout(snapshot(), BannerOptions(title="ليلى"), None)
    assert picture.name.text == "\u2068ليلى\u2069"


def test_a_long_login_is_cut(snapshot):
    name = compute_layout(snapshot(login="m" * 39), LOOK, None).name
    assert name.text.endswith("…")
    assert (name.size, name.width <= 146) == (12.5, True)


def test_hidden_metrics_close_up(snapshot):
    picture = compute_layout(snapshot(), BannerOptions(hide=(HideableField.STARS,)), None)
    assert [(one.icon, one.x) for one in picture.metrics.items] == [("f", 198), ("p", 274)]


def test_everything_can_be_hidden(snapshot):
    picture = compute_layout(snapshot(), BannerOptions(hide=tuple(HideableField)), None)
    assert not picture.metrics.items
    assert not picture.ring
    assert picture.desc == ""


@pytest.mark.parametrize("number", [0, 1, 9_999, 10_000, 99_999_999, 999_999_999, 2**31 - 1])
@pytest.mark.parametrize("number_format", NumberFormat)
def test_every_number_has_room(snapshot, number, number_format):
    one = snapshot(stars=number, forks=number, original=number, forked=0)
    metrics = compute_layout(one, BannerOptions(number_format=number_format), None).metrics
    assert metrics.size >= 11
    assert len(metrics.items) == 3


def test_what_has_no_room_stands_in_the_description(snapshot):
    nothing = snapshot(original=0, forked=0, stars=0, forks=0, languages={})
    picture = compute_layout(nothing, LOOK, date(2026, 11, 20))
    assert picture.desc == (
        "0 stars, 0 forks, 0 repositories. No public repositories yet. As of 20 Nov 2026."
    )


@pytest.mark.parametrize("count", [None, 1, 3, 10])
@pytest.mark.parametrize("number", [0, 1, 2, 7, 60])
def test_the_ring_shows_five_and_other_at_most(snapshot, number, count):
    many = snapshot(languages={f"Language {at}": 60 - at for at in range(number)})
    ring = compute_layout(many, BannerOptions(langs_count=count), None).ring
    assert len(ring) == min(number, min(count or 5, 5) + 1)
