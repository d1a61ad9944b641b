from datetime import date

import pytest

from github_banners.drawing.layouts.classic import compute_layout
from github_banners.drawing.text import width
from github_banners.options import BannerOptions, HideableField, NumberFormat

LOOK = BannerOptions()


def test_numbers_names_and_languages(snapshot):
    picture = compute_layout(snapshot(), LOOK, None)
    assert picture.title == "Yehuda Katz (@wycats)"
    assert picture.desc == (
        "11,558 stars, 1,635 forks, 150 repositories (93 original, 57 forked). "
        "Top languages: Ruby 65%, JavaScript 26%, Rust 5%."
    )
    assert [metric.value for metric in picture.metrics.items] == ["11.5k", "1,635", "150"]
    assert [metric.x for metric in picture.metrics.items] == [408, 526, 644]
    assert picture.metrics.size == 32
    assert picture.split
    assert picture.split.original == "93 original"
    assert picture.name.byline
    assert (picture.name.y, picture.name.byline.text) == (57, "@wycats")
    assert [item.name for item in picture.legend] == ["Ruby", "JavaScript", "Rust", "C", "CSS"]
    assert len(picture.bar) == len(picture.ring) == 5
    assert picture.frame.colour_variants[0].glow == "701516"


def test_one_of_each_is_said_in_the_singular(snapshot):
    few = snapshot(stars=1, forks=1, original=1, forked=0, languages={})
    assert compute_layout(few, LOOK, None).desc.startswith(
        "1 star, 1 fork, 1 repository (1 original"
    )


@pytest.mark.parametrize("name", [None, "", "wycats", "\u202e", "\u0301"])
def test_without_a_display_name_the_login_stands_alone(snapshot, name):
    picture = compute_layout(snapshot(name=name), LOOK, None)
    assert picture.title == picture.name.text.text == "wycats"
    assert (picture.name.y, picture.name.byline) == (69, None)


def test_a_title_takes_the_place_of_the_name(snapshot):
    picture = compute_layout(snapshot(), BannerOptions(title="My work"), None)
    assert picture.name.text.text == "My work"
    assert picture.initial.text == "M"
    assert picture.title == "My work (@wycats)"


def test_hidden_metrics_close_up(snapshot):
    picture = compute_layout(
        snapshot(),
        BannerOptions(hide=(HideableField.FORKS, HideableField.LOGIN, HideableField.STARS)),
        None,
    )
    (only,) = picture.metrics.items
    assert (only.icon, only.x) == ("p", 408)
    assert [(one.icon, one.x) for one in picture.narrow.items] == [("p", 34)]
    assert picture.split
    assert picture.name.byline is None
    assert picture.desc.startswith("150 repositories")


def test_everything_can_be_hidden(snapshot):
    picture = compute_layout(snapshot(), BannerOptions(hide=tuple(HideableField)), None)
    assert not picture.metrics.items
    assert not picture.split
    assert not picture.bar
    assert not picture.legend
    assert picture.desc == ""
    assert picture.frame.colour_variants[0].glow == "0969da"


def test_without_repositories_there_is_no_split(snapshot):
    picture = compute_layout(snapshot(), BannerOptions(hide=(HideableField.REPOSITORIES,)), None)
    assert picture.split is None
    assert [metric.icon for metric in picture.metrics.items] == ["s", "f"]


@pytest.mark.parametrize(
    ("original", "forked", "hide", "note"),
    [
        (0, 0, (), "No public repositories yet"),
        (0, 23, (), "Only forks so far; languages count original repositories"),
        (3, 0, (), ""),
        (0, 0, (HideableField.LANGUAGES,), ""),
    ],
)
def test_the_note_says_why_there_are_no_languages(snapshot, original, forked, hide, note):
    empty = snapshot(original=original, forked=forked, languages={})
    picture = compute_layout(empty, BannerOptions(hide=hide), None)
    assert (picture.empty_state.text if picture.empty_state else "") == note
    assert not picture.ring
    assert bool(picture.split) == bool(original + forked)


def test_bar_and_legend_show_the_same_however_many_there_are(snapshot):
    many = snapshot(languages={f"Language number {at}": 60 - at for at in range(60)})
    picture = compute_layout(many, LOOK, None)
    assert 2 <= len(picture.legend) == len(picture.bar) < 7
    assert picture.legend[-1].name == "Other"
    assert len(picture.ring) == 6


@pytest.mark.parametrize(("count", "shown"), [(1, 2), (3, 4), (6, 7), (10, 11)])
def test_langs_count(snapshot, count, shown):
    many = snapshot(languages={chr(65 + at): 60 - at for at in range(20)})
    picture = compute_layout(many, BannerOptions(langs_count=count), None)
    assert len(picture.legend) == len(picture.bar) == shown
    assert len(picture.ring) == min(shown, 6)


def test_hidden_languages_are_not_counted(snapshot):
    picture = compute_layout(snapshot(), BannerOptions(hide_langs=("css", "ruby")), None)
    assert [item.name for item in picture.legend] == ["JavaScript", "Rust", "C"]
    assert [item.percent for item in picture.legend] == ["77%", "15%", "8%"]


def test_old_numbers_carry_their_day_and_take_room_from_the_legend(snapshot):
    languages = {f"{'Language'[:7]}{at}": 9 for at in range(7)}
    picture = compute_layout(snapshot(languages=languages), LOOK, date(2026, 11, 20))
    assert picture.as_of == "as of 20 Nov"
    assert picture.desc.endswith(" As of 20 Nov 2026.")
    assert len(picture.legend) < len(
        compute_layout(snapshot(languages=languages), LOOK, None).legend
    )


def test_long_numbers_shrink_together_and_give_way_to_short_ones(snapshot):
    long = BannerOptions(number_format=NumberFormat.LONG)
    some = compute_layout(snapshot(stars=123_456, forks=5), long, None).metrics
    assert [metric.value for metric in some.items] == ["123,456", "5", "150"]
    assert some.size == 21
    most = compute_layout(snapshot(stars=2**31 - 1, original=2**31 - 1, forked=0), long, None)
    assert [metric.value for metric in most.metrics.items] == ["2.1B", "1,635", "2,147,483,647"]
    assert [metric.value for metric in most.narrow.items] == ["2.1B", "1,635", "2.1B"]


def test_the_narrow_form_drops_labels_before_numbers_and_size_before_digits(snapshot):
    assert compute_layout(snapshot(), LOOK, None).narrow.has_labels
    long = BannerOptions(number_format=NumberFormat.LONG)
    tight = compute_layout(snapshot(stars=1_234_567), long, None).narrow
    assert (tight.size, tight.has_labels) == (32, False)
    assert tight.items[0].value == "1,234,567"


def test_a_total_that_needs_the_room_has_no_split(snapshot):
    assert compute_layout(snapshot(original=12_000, forked=345), LOOK, None).split is None


def test_the_glow_follows_the_languages_only_where_it_is_told_to(snapshot):
    assert (
        compute_layout(snapshot(languages={}), LOOK, None).frame.colour_variants[0].glow == "0969da"
    )


def test_after_a_long_total_the_split_starts_where_the_widest_font_ends(snapshot):
    look = BannerOptions(
        number_format=NumberFormat.LONG, hide=(HideableField.STARS, HideableField.FORKS)
    )
    picture = compute_layout(snapshot(original=12, forked=345_678), look, None)
    (total,) = picture.metrics.items
    assert total.value == "345,690"
    assert picture.split
    end = total.x + width(total.value, picture.metrics.size, bold=True)
    assert float(picture.split.x) == pytest.approx(end, abs=0.1)
