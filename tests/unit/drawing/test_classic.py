from datetime import date

import pytest

from github_banners.drawing.layouts.classic import compute_layout
from github_banners.drawing.text import width
from github_banners.options import BannerOptions, HideableField, NumberFormat

DEFAULT = BannerOptions()


def test_classic_shows_names_split_and_legend(snapshot):
    picture = compute_layout(snapshot(), DEFAULT, None)
    assert picture.split
    assert picture.split.original == "93 original"
    assert picture.name.byline
    assert (picture.name.y, picture.name.byline.text) == (57, "@wycats")
    assert [item.name for item in picture.legend] == ["Ruby", "JavaScript", "Rust", "C", "CSS"]
    assert len(picture.bar) == 5


def test_classic_description_of_one_is_singular(snapshot):
    few = snapshot(stars=1, forks=1, original=1, forked=0, languages={})
    assert compute_layout(few, DEFAULT, None).desc.startswith(
        "1 star, 1 fork, 1 repository (1 original"
    )


@pytest.mark.parametrize("name", [None, "", "wycats", "\u202e", "\u0301"])
def test_classic_without_display_name_shows_login_alone(snapshot, name):
    picture = compute_layout(snapshot(name=name), DEFAULT, None)
    assert picture.title == picture.name.text.text == "wycats"
    assert (picture.name.y, picture.name.byline) == (69, None)


def test_classic_title_replaces_name(snapshot):
    picture = compute_layout(snapshot(), BannerOptions(title="My work"), None)
    assert picture.name.text.text == "My work"
    assert picture.initial.text == "M"
    assert picture.title == "My work (@wycats)"


def test_classic_hidden_parts_leave_no_gap_in_narrow_form(snapshot):
    picture = compute_layout(
        snapshot(),
        BannerOptions(hide=(HideableField.FORKS, HideableField.LOGIN, HideableField.STARS)),
        None,
    )
    assert [(metric.icon, metric.x) for metric in picture.narrow.items] == [("p", 34)]
    assert picture.split
    assert picture.name.byline is None
    assert picture.desc.startswith("150 repositories")


def test_classic_with_everything_hidden_glow_is_accent(snapshot):
    picture = compute_layout(snapshot(), BannerOptions(hide=tuple(HideableField)), None)
    assert picture.glow == ""


def test_classic_hidden_repositories_have_no_split(snapshot):
    picture = compute_layout(snapshot(), BannerOptions(hide=(HideableField.REPOSITORIES,)), None)
    assert picture.split is None
    assert [metric.icon for metric in picture.metrics.items] == ["s", "f"]


@pytest.mark.parametrize(
    ("original", "forked", "hide", "message"),
    [
        (0, 0, (), "No public repositories yet"),
        (0, 23, (), "Only forks so far; languages count original repositories"),
        (3, 0, (), ""),
        (0, 0, (HideableField.LANGUAGES,), ""),
    ],
)
def test_classic_without_languages_explains_why(snapshot, original, forked, hide, message):
    empty = snapshot(original=original, forked=forked, languages={})
    picture = compute_layout(empty, BannerOptions(hide=hide), None)
    assert (picture.empty_state.text if picture.empty_state else "") == message
    assert not picture.ring
    assert bool(picture.split) == bool(original + forked)


def test_classic_many_languages_end_in_other(snapshot):
    many = snapshot(languages={f"Language number {index}": 60 - index for index in range(60)})
    picture = compute_layout(many, DEFAULT, None)
    assert 2 <= len(picture.legend) == len(picture.bar) < 7
    assert picture.legend[-1].name == "Other"
    assert len(picture.ring) == 6


@pytest.mark.parametrize(("count", "shown"), [(1, 2), (3, 4), (6, 7), (10, 11)])
def test_classic_langs_count_limits_legend_bar_and_ring(snapshot, count, shown):
    many = snapshot(languages={chr(65 + index): 60 - index for index in range(20)})
    picture = compute_layout(many, BannerOptions(langs_count=count), None)
    assert len(picture.legend) == len(picture.bar) == shown
    assert len(picture.ring) == min(shown, 6)


def test_classic_hidden_languages_are_not_counted(snapshot):
    picture = compute_layout(snapshot(), BannerOptions(hide_langs=("css", "ruby")), None)
    assert [item.name for item in picture.legend] == ["JavaScript", "Rust", "C"]
    assert [item.percent for item in picture.legend] == ["77%", "15%", "8%"]


def test_classic_stale_numbers_show_day_and_shorten_legend(snapshot):
    languages = {f"{'Language'[:7]}{index}": 9 for index in range(7)}
    picture = compute_layout(snapshot(languages=languages), DEFAULT, date(2026, 11, 20))
    assert picture.as_of == "as of 20 Nov"
    assert picture.desc.endswith(" As of 20 Nov 2026.")
    assert len(picture.legend) < len(
        compute_layout(snapshot(languages=languages), DEFAULT, None).legend
    )


def test_classic_long_numbers_shrink_together_then_become_short(snapshot):
    long = BannerOptions(number_format=NumberFormat.LONG)
    shorter = compute_layout(snapshot(stars=123_456, forks=5), long, None).metrics
    assert [metric.value for metric in shorter.items] == ["123,456", "5", "150"]
    assert shorter.size == 21
    longest = compute_layout(snapshot(stars=2**31 - 1, original=2**31 - 1, forked=0), long, None)
    assert [metric.value for metric in longest.metrics.items] == ["2.1B", "1,635", "2,147,483,647"]
    assert [metric.value for metric in longest.narrow.items] == ["2.1B", "1,635", "2.1B"]


def test_classic_narrow_form_shrinks_then_drops_labels(snapshot):
    assert compute_layout(snapshot(), DEFAULT, None).narrow.has_labels
    long = BannerOptions(number_format=NumberFormat.LONG)
    tight = compute_layout(snapshot(stars=1_234_567), long, None).narrow
    assert (tight.size, tight.has_labels) == (32, False)
    assert tight.items[0].value == "1,234,567"


def test_classic_long_total_has_no_split(snapshot):
    assert compute_layout(snapshot(original=12_000, forked=345), DEFAULT, None).split is None


def test_classic_without_languages_glow_is_accent(snapshot):
    assert compute_layout(snapshot(languages={}), DEFAULT, None).glow == ""


def test_classic_split_starts_after_full_width_of_long_total(snapshot):
    options = BannerOptions(
        number_format=NumberFormat.LONG, hide=(HideableField.STARS, HideableField.FORKS)
    )
    picture = compute_layout(snapshot(original=12, forked=345_678), options, None)
    (total,) = picture.metrics.items
    assert total.value == "345,690"
    assert picture.split
    end = total.x + width(total.value, picture.metrics.size, bold=True)
    assert float(picture.split.x) == pytest.approx(end, abs=0.1)
