import pytest
from hypothesis import given
from hypothesis import strategies as st

from github_banners.drawing.languages import percentages, ranked, shares
from github_banners.drawing.themes import scheme
from github_banners.look import Look, Theme

LIGHT = scheme(Look())


def test_ranked_by_count_then_name():
    counts = {"Go": 1, "C": 3, "Ada": 1, "Nothing": 0, "Hidden": 9}
    assert ranked(counts, without=("hidden",)) == [("C", 3), ("Ada", 1), ("Go", 1)]


def test_the_rest_is_other_and_last():
    ranking = [(f"L{at}", 10 - at) for at in range(8)]
    shown = shares(ranking, keep=5, scheme=LIGHT)
    assert [share.name for share in shown] == ["L0", "L1", "L2", "L3", "L4", "Other"]
    assert shown[-1].amount == 5 + 4 + 3
    assert sum(share.part for share in shown) == pytest.approx(1)
    assert shown[-1].colour == LIGHT.neutral


def test_other_never_stands_for_a_single_language():
    ranking = [(f"L{at}", 1) for at in range(6)]
    assert [share.name for share in shares(ranking, keep=5, scheme=LIGHT)][-1] == "L5"


def test_colours_suit_the_ground():
    def colour(name: str, theme: Theme) -> str:
        return shares([(name, 1)], keep=5, scheme=scheme(Look(theme=theme)))[0].colour

    assert colour("Ruby", Theme.DEFAULT) == "701516"
    assert colour("Ruby", Theme.DARK) != "701516"
    assert colour("Ruby", Theme.AUTO) == colour("Ruby", Theme.DARK)
    assert colour("JavaScript", Theme.AUTO) == colour("JavaScript", Theme.DEFAULT) != "f1e05a"
    assert colour("Made up", Theme.AUTO) == "7d8590"


def test_names_are_cleaned():
    names = [share.name for share in shares([("a\x00b", 2), ("\u202e", 1)], keep=5, scheme=LIGHT)]
    assert names == ["ab", "?"]


@pytest.mark.parametrize(
    ("counts", "written"),
    [
        ([7], ["100%"]),
        ([51, 20, 4, 2, 1], ["65%", "26%", "5%", "3%", "1%"]),
        ([1, 1, 1], ["34%", "33%", "33%"]),
        ([401, 1], [">99%", "<1%"]),
        ([993, 7], ["99%", "<1%"]),
    ],
)
def test_percentages(counts, written):
    assert percentages(counts) == written


@given(st.lists(st.integers(min_value=1, max_value=2**31 - 1), min_size=1, max_size=11))
def test_percentages_add_up(counts):
    written = percentages(sorted(counts, reverse=True))
    plain = [int(one[:-1]) for one in written if one[0] not in "<>"]
    assert sum(plain) <= 100
    if len(plain) == len(counts):
        assert sum(plain) == 100
    assert ("100%" in written) == (len(counts) == 1)
