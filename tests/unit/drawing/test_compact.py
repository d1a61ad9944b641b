from datetime import date

import pytest

from github_banners.drawing.layouts.compact import compute_layout
from github_banners.options import BannerOptions, HideableField, Layout

DEFAULT = BannerOptions(layout=Layout.COMPACT)


def test_compact_shows_login(snapshot):
    picture = compute_layout(snapshot(), DEFAULT, None)
    assert (picture.name.text, picture.name.size) == ("wycats", 14.5)
    assert picture.frame.outer_radius == 10


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (BannerOptions(title="My work"), "My work"),
        (BannerOptions(hide=(HideableField.LOGIN,)), "Yehuda Katz"),
        (DEFAULT, "wycats"),
    ],
)
def test_compact_shows_other_name_only_on_request(snapshot, options, name):
    assert compute_layout(snapshot(), options, None).name.text == name


def test_compact_hidden_login_stays_without_display_name(snapshot):
    assert (
        compute_layout(
            snapshot(name=None), BannerOptions(hide=(HideableField.LOGIN,)), None
        ).name.text
        == "wycats"
    )


def test_compact_right_to_left_name_is_isolated(snapshot):
    picture = compute_layout(snapshot(), BannerOptions(title="ليلى"), None)
    assert picture.name.text == "\u2068ليلى\u2069"


def test_compact_long_login_is_truncated(snapshot):
    name = compute_layout(snapshot(login="m" * 39), DEFAULT, None).name
    assert name.text.endswith("…")
    assert (name.size, name.width <= 146) == (12.5, True)


def test_compact_description_has_empty_state_and_day(snapshot):
    nothing = snapshot(original=0, forked=0, stars=0, forks=0, languages={})
    picture = compute_layout(nothing, DEFAULT, date(2026, 11, 20))
    assert picture.desc == (
        "0 stars, 0 forks, 0 repositories. No public repositories yet. As of 20 Nov 2026."
    )
