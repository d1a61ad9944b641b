import pytest

from github_banners.drawing import draw
from github_banners.drawing.headline import (
    empty_state_text,
    fit_numbers,
    place_numbers,
    select_numbers,
)
from github_banners.drawing.text import width
from github_banners.models import EPOCH, Owner, Snapshot, Stats
from github_banners.options import (
    MAX_SHOWN_NUMBERS,
    BannerOptions,
    HideableField,
    Layout,
    Locale,
    NumberFormat,
)

ROOMS = (100, 100, 100)


def _snapshot(stars: int) -> Snapshot:
    return Snapshot(Owner(1, "ada"), Stats(3, 2, 1, stars, 5, {}), EPOCH)


def test_place_numbers_hidden_ones_leave_no_gap():
    numbers = select_numbers(_snapshot(1), BannerOptions(hide=(HideableField.STARS,)), ROOMS).slots
    metrics = place_numbers(numbers, fit_numbers(numbers, (20, 10)), (7, 8, 9))
    assert [
        (number_slot.icon, number_slot.label, number_slot.x, number_slot.value)
        for number_slot in metrics.items
    ] == [
        ("f", "Forks", 7, "5"),
        ("p", "Repositories", 8, "3"),
    ]


def test_fit_numbers_all_have_size_of_widest():
    numbers = select_numbers(_snapshot(9_999), BannerOptions(), ROOMS).slots
    assert fit_numbers(numbers, (20, 10)).size == 20
    assert fit_numbers(numbers, (40, 20, 10)).size == 20


def test_fit_numbers_too_long_in_full_becomes_short():
    numbers = select_numbers(
        _snapshot(2**31 - 1), BannerOptions(number_format=NumberFormat.LONG), ROOMS
    ).slots
    fitted = fit_numbers(numbers, (20, 15))
    assert [value.text for value in fitted.values] == ["2.1B", "5", "3"]
    assert fitted.size == 20


@pytest.mark.parametrize("locale", Locale)
@pytest.mark.parametrize("number_format", NumberFormat)
def test_fit_numbers_every_locale_fits(locale, number_format):
    for number in (9_999, 88_888, 999_950, 1_234_567, 2**31 - 1):
        options = BannerOptions(locale=locale, number_format=number_format)
        numbers = select_numbers(_snapshot(number), options, ROOMS).slots
        fitted = fit_numbers(numbers, (20, 10))
        for number_slot, value in zip(numbers, fitted.values, strict=True):
            assert value.em_width * fitted.size <= number_slot.room
            assert width(number_slot.label.text, number_slot.label.size) <= number_slot.room - 21


@pytest.mark.parametrize("hide", [tuple(HideableField)])
def test_place_numbers_all_hidden_gives_none(hide):
    numbers = select_numbers(_snapshot(1), BannerOptions(hide=hide), ROOMS).slots
    assert place_numbers(numbers, fit_numbers(numbers, (20,)), (1, 2, 3)).items == []


@pytest.mark.parametrize("layout", [*MAX_SHOWN_NUMBERS, Layout.LANGUAGES])
@pytest.mark.parametrize("forked", [0, 3])
def test_draw_selection_that_leaves_nothing_says_nothing_about_the_owner(layout, forked):
    snapshot = Snapshot(Owner(1, "ada"), Stats(forked, 0, forked, 0, 0, {}), EPOCH)
    options = BannerOptions(layout=layout, exclude_repos=("x",))
    assert empty_state_text(snapshot.stats, BannerOptions(layout=layout)) != ""
    assert empty_state_text(snapshot.stats, options) == ""
    picture = draw(snapshot, options).decode()
    assert "No public" not in picture
    assert "Only forks" not in picture
