"""The option `show`: which numbers the layouts show, in which order, and what they say of others."""

import gzip
import re
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from github_banners.drawing import draw
from github_banners.drawing.headline import NUMBER_KINDS
from github_banners.drawing.layouts import LAYOUTS, card, classic, compact
from github_banners.drawing.locales import format_count, load_translations
from github_banners.errors import BannersError, ContributionsHidden, NoContributions, TokenRequired
from github_banners.models import Activity, ContributionAccess, Owner, Snapshot
from github_banners.options import (
    CONTRIBUTION_NUMBERS,
    MAX_SHOWN_NUMBERS,
    BannerOptions,
    HideableField,
    Layout,
    Locale,
    NumberFormat,
    ShownNumber,
)
from tests.snapshots import make_snapshot

ACTIVITY = Activity(commits=48_120, pull_requests=2_381, issues=764, reviews=1_502, contributions=7)
FULL = replace(make_snapshot(), followers=9_412, activity=ACTIVITY)
VALUES = {
    ShownNumber.STARS: 11_558,
    ShownNumber.FORKS: 1_635,
    ShownNumber.REPOSITORIES: 150,
    ShownNumber.COMMITS: 48_120,
    ShownNumber.PULL_REQUESTS: 2_381,
    ShownNumber.ISSUES: 764,
    ShownNumber.REVIEWS: 1_502,
    ShownNumber.CONTRIBUTIONS: 7,
    ShownNumber.FOLLOWERS: 9_412,
}
KINDS = {kind.number: kind for kind in NUMBER_KINDS}
COMMITS, ISSUES, FOLLOWERS = ShownNumber.COMMITS, ShownNumber.ISSUES, ShownNumber.FOLLOWERS
STARS, FORKS, REPOSITORIES = ShownNumber.STARS, ShownNumber.FORKS, ShownNumber.REPOSITORIES
SIX = (STARS, COMMITS, ShownNumber.PULL_REQUESTS, ISSUES, ShownNumber.REVIEWS, FOLLOWERS)

any_layout = pytest.mark.parametrize("layout", MAX_SHOWN_NUMBERS)


def without_activity(access: ContributionAccess) -> Snapshot:
    return replace(FULL, activity=None, contribution_access=access)


def shown_icons(snapshot: Snapshot, options: BannerOptions) -> list[str]:
    """Return the icons of the numbers in the order of the picture."""
    picture = draw(snapshot, options).decode()
    return re.findall(r'id="([a-z])" class="i"', picture)


def describe(snapshot: Snapshot, options: BannerOptions) -> str:
    picture = LAYOUTS[options.layout].compute_layout(snapshot, options, None)
    return str(getattr(picture, "desc"))  # noqa: B009 - a struct of any layout


def test_number_kinds_cover_all_numbers_with_an_icon_each():
    assert set(KINDS) == set(ShownNumber)
    assert len({kind.icon for kind in NUMBER_KINDS}) == len(NUMBER_KINDS)
    for kind in NUMBER_KINDS:
        options = BannerOptions(show=(kind.number,))
        assert shown_icons(FULL, options) == [kind.icon]


@any_layout
@given(
    numbers=st.permutations(list(ShownNumber)),
    count=st.integers(1, 6),
    locale=st.sampled_from(Locale),
)
def test_layout_description_lists_exactly_the_shown_numbers(layout, numbers, count, locale):
    show = tuple(numbers[: min(count, MAX_SHOWN_NUMBERS[layout])])
    options = BannerOptions(
        layout=layout, show=show, locale=locale, hide=(HideableField.LANGUAGES,)
    )
    assert shown_icons(FULL, options) == [KINDS[number].icon for number in show]
    described = describe(FULL, options)
    counts = [format_count(KINDS[number].noun, VALUES[number], locale) for number in show]
    places = [described.index(text) for text in counts]
    assert places == sorted(places)
    patterns = load_translations(locale).sentences
    if REPOSITORIES not in show:
        assert described == patterns.comma.join(counts) + patterns.stop


@any_layout
def test_layout_shows_numbers_in_the_order_of_the_option(layout):
    show = (FOLLOWERS, STARS, COMMITS)
    options = BannerOptions(layout=layout, show=show)
    assert shown_icons(FULL, options) == ["o", "s", "c"]
    assert describe(FULL, options).startswith("9,412 followers, 11,558 stars, 48,120 commits. ")


@any_layout
@pytest.mark.parametrize(
    ("access", "reason"),
    [
        (ContributionAccess.NEEDS_TOKEN, "Only with a GitHub token: Commits, Issues."),
        (ContributionAccess.HIDDEN, "Hidden, as the profile is private: Commits, Issues."),
        (ContributionAccess.ORGANISATION, "Not counted for organisations: Commits, Issues."),
        (ContributionAccess.VISIBLE, "Not known yet: Commits, Issues."),
    ],
)
def test_layout_unknown_numbers_close_up_and_are_described(layout, access, reason):
    options = BannerOptions(layout=layout, show=(COMMITS, ISSUES, STARS))
    picture = LAYOUTS[layout].compute_layout(without_activity(access), options, None)
    (metric,) = picture.metrics.items  # type: ignore[attr-defined]
    only_stars = LAYOUTS[layout].compute_layout(FULL, replace(options, show=(STARS,)), None)
    assert metric.x == only_stars.metrics.items[0].x  # type: ignore[attr-defined]
    assert describe(without_activity(access), options).startswith(f"11,558 stars. {reason} ")


def test_layout_unknown_numbers_with_different_reasons_are_described_apart():
    owner = replace(without_activity(ContributionAccess.NEEDS_TOKEN), followers=None)
    options = BannerOptions(show=(FOLLOWERS, STARS, COMMITS))
    assert describe(owner, options).startswith(
        "11,558 stars. Not known yet: Followers. Only with a GitHub token: Commits."
    )


def test_layout_private_profile_hides_contributions_and_followers():
    owner = replace(without_activity(ContributionAccess.HIDDEN), followers=None)
    options = BannerOptions(show=(FOLLOWERS, STARS, COMMITS))
    assert shown_icons(owner, options) == ["s"]
    assert "Hidden, as the profile is private: Followers, Commits." in describe(owner, options)


def test_layout_organisation_has_neither_contributions_nor_followers():
    owner = replace(without_activity(ContributionAccess.ORGANISATION), followers=None)
    options = BannerOptions(show=(FOLLOWERS, STARS, COMMITS))
    assert "Not counted for organisations: Followers, Commits." in describe(owner, options)


@pytest.mark.parametrize("locale", Locale)
@pytest.mark.parametrize("access", ContributionAccess)
def test_layout_unknown_numbers_are_described_in_every_locale(locale, access):
    options = BannerOptions(show=(COMMITS, STARS, ISSUES), locale=locale)
    described = describe(without_activity(access), options)
    labels = load_translations(locale).labels
    assert labels.commits in described
    assert labels.issues in described
    assert "{" not in described


@any_layout
@pytest.mark.parametrize(
    ("access", "error"),
    [
        (ContributionAccess.NEEDS_TOKEN, TokenRequired),
        (ContributionAccess.HIDDEN, ContributionsHidden),
        (ContributionAccess.ORGANISATION, NoContributions),
    ],
)
def test_draw_without_any_known_number_raises_the_reason(
    layout: Layout, access: ContributionAccess, error: type[BannersError]
) -> None:
    owner = without_activity(access)
    with pytest.raises(error):
        draw(owner, BannerOptions(layout=layout, show=(COMMITS, ISSUES)))
    hidden = BannerOptions(layout=layout, show=(STARS, COMMITS), hide=(HideableField.STARS,))
    with pytest.raises(error):
        draw(owner, hidden)
    with pytest.raises(error):
        draw(replace(owner, followers=None), replace(hidden, show=(FOLLOWERS,)))


@any_layout
def test_draw_followers_missing_without_a_reason_are_only_described(layout):
    options = BannerOptions(layout=layout, show=(FOLLOWERS,))
    owner = replace(FULL, followers=None, activity=None)
    assert shown_icons(owner, options) == []
    assert describe(owner, options).startswith("Not known yet: Followers. ")


@any_layout
def test_layout_hide_hides_numbers_that_are_shown_by_the_option(layout):
    options = BannerOptions(
        layout=layout,
        show=(REPOSITORIES, COMMITS, STARS),
        hide=(HideableField.REPOSITORIES, HideableField.STARS),
    )
    assert shown_icons(FULL, options) == ["c"]
    assert describe(FULL, options).startswith("48,120 commits. ")


@any_layout
def test_contribution_numbers_are_those_read_from_the_activity(layout):
    show = tuple(number for number in ShownNumber if number in CONTRIBUTION_NUMBERS)
    options = BannerOptions(layout=layout, show=(STARS, *show))
    owner = without_activity(ContributionAccess.HIDDEN)
    assert shown_icons(owner, options) == ["s"]


@pytest.mark.parametrize(
    ("show", "split"),
    [
        ((STARS, FORKS, REPOSITORIES), True),
        ((COMMITS, ISSUES, REPOSITORIES), True),
        ((REPOSITORIES,), False),
        ((REPOSITORIES, STARS, FORKS), False),
        ((STARS, REPOSITORIES), False),
    ],
)
def test_parts_of_the_repositories_are_shown_only_in_the_last_of_three_places(show, split):
    options = BannerOptions(show=show)
    assert bool(classic.compute_layout(FULL, options, None).split) == split
    assert bool(card.compute_layout(FULL, options, None).forked) == split
    assert "93 original, 57 forked" in describe(FULL, options)


@pytest.mark.parametrize(
    ("count", "rows"),
    [
        (1, [[24]]),
        (3, [[24, 152, 280]]),
        (4, [[24, 210], [24, 210]]),
        (5, [[24, 152, 280], [24, 152]]),
        (6, [[24, 152, 280], [24, 152, 280]]),
    ],
)
def test_card_more_than_three_numbers_are_in_two_rows(count, rows):
    options = BannerOptions(layout=Layout.CARD, show=SIX[:count])
    picture = card.compute_layout(FULL, options, None)
    placed = [picture.metrics.items, picture.second_row]
    assert [[metric.x for metric in row] for row in placed if row] == rows
    assert picture.frame.canvas == (420, 220 if len(rows) == 1 else 274)


def test_card_bar_and_legend_follow_the_second_row():
    tall = BannerOptions(layout=Layout.CARD, show=SIX)
    usual, lower = (
        card.compute_layout(FULL, options, None)
        for options in (BannerOptions(layout=Layout.CARD), tall)
    )
    assert [item.dot_y - 54 for item in lower.legend] == [item.dot_y for item in usual.legend]
    assert lower.bar[0].line.startswith("M24 204h")
    empty = replace(make_snapshot(languages={}, original=0), followers=1, activity=ACTIVITY)
    ((y, _),) = card.compute_layout(empty, tall, None).empty_state
    assert y == 186 + 54


def test_card_unknown_numbers_leave_one_row():
    owner = without_activity(ContributionAccess.NEEDS_TOKEN)
    picture = card.compute_layout(owner, BannerOptions(layout=Layout.CARD, show=SIX), None)
    assert [metric.icon for metric in picture.metrics.items] == ["s", "o"]
    assert picture.frame.canvas == (420, 220)


def test_classic_narrow_form_shows_the_same_numbers_with_short_words():
    options = BannerOptions(show=(ShownNumber.CONTRIBUTIONS, ShownNumber.PULL_REQUESTS, FOLLOWERS))
    picture = classic.compute_layout(FULL, options, None)
    narrow = [(metric.icon, metric.value, metric.label) for metric in picture.narrow.items]
    assert narrow == [("d", "7", "contribs"), ("l", "2,381", "PRs"), ("o", "9,412", "followers")]
    assert picture.narrow.has_labels
    assert picture.narrow.size < 38
    assert [metric.icon for metric in picture.metrics.items] == ["d", "l", "o"]


def test_compact_shows_up_to_three_numbers():
    picture = compact.compute_layout(FULL, BannerOptions(show=SIX[:3]), None)
    assert [metric.icon for metric in picture.metrics.items] == ["s", "c", "l"]


@pytest.mark.parametrize("locale", Locale)
def test_card_with_six_numbers_stays_within_size_budget(locale):
    for name in ("Mia Silverthorne", "Nguyễn Thị Phương", "佐藤 美咲", "محمد الهاشمي"):
        owner = replace(FULL, owner=Owner(1, "mia-maintains", None, name))
        for number_format in NumberFormat:
            options = BannerOptions(
                layout=Layout.CARD, show=SIX, locale=locale, number_format=number_format
            )
            svg = draw(owner, options, as_of=date(2026, 11, 28))
            assert len(svg) <= 6_144
            assert len(gzip.compress(svg, 9)) <= 2_048
