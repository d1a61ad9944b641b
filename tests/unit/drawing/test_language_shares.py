import json
import math
from importlib.resources import files
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from github_banners.drawing.colours import _linear, _oklab_from_linear, contrast
from github_banners.drawing.language_shares import Ranking, Share, percentages, rank_languages
from github_banners.drawing.themes import scheme
from github_banners.options import BannerOptions, Theme, allowed_values

LIGHT = scheme(BannerOptions())
KNOWN = json.loads((files("github_banners.drawing") / "language_colours.json").read_text())
SAFE = ["safe-light", "safe-dark", "auto-safe-dark"]

# Machado, Oliveira, Fernandes 2009, severity 1, on linear light:
# https://www.inf.ufrgs.br/~oliveira/pubs_files/CVD_Simulation/CVD_Simulation.html
EYES = {
    "normal": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protan": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deutan": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritan": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}


def seen(colour: str, eyes: str) -> tuple[float, float, float]:
    """Tell where in OKLab a colour lies for some eyes."""
    light = [sum(a * b for a, b in zip(row, _linear(colour), strict=True)) for row in EYES[eyes]]
    return _oklab_from_linear(*(min(max(one, 0), 1) for one in light))


def apart(one: str, other: str, eyes: str) -> float:
    """Say how far apart two colours are, to the two digits that the design gives."""
    return round(math.dist(seen(one, eyes), seen(other, eyes)), 2)


def ranking(counts: dict[str, int], look: BannerOptions | None = None) -> Ranking:
    return rank_languages(counts, scheme=scheme(look or BannerOptions()), other_label="Other")


def of(theme: str, name: str) -> Share:
    (share,) = ranking({name: 1}, BannerOptions(theme=Theme(theme))).top(5)
    return share


def colours_by_rank(theme: str, *, languages: int, keep: int) -> list[str]:
    counts = {f"L{at:02}": 1 for at in range(languages)}
    return [share.colour for share in ranking(counts, BannerOptions(theme=Theme(theme))).top(keep)]


@pytest.mark.parametrize("theme", Theme)
def test_every_ground_shows_every_language(theme):
    colours = scheme(BannerOptions(theme=theme))
    least = 3 if "contrast-" in theme or "safe-" in theme else 1.8
    assert colours.min_contrast == least
    found = {of(theme, name).colour for name in KNOWN}
    for ground in colours.backgrounds:
        assert min(contrast(one, ground) for one in found | {colours.neutral}) >= least


def test_safe_themes_colour_by_rank():
    light = ["0b4a9e", "d97706", "00574b", "d6458b", "3d2a6d", "7d8590"]
    dark = ["6db6ff", "ff9d3c", "1f9e86", "ffd9ec", "8a6bd6", "9aa4b0"]
    assert colours_by_rank("safe-light", languages=9, keep=5) == light
    assert colours_by_rank("safe-dark", languages=9, keep=5) == dark
    assert of("safe-dark", "Ruby").colour == dark[0]


@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize("theme", SAFE)
def test_neighbours_can_be_told_apart_by_all_eyes(theme, eyes):
    ring = colours_by_rank(theme, languages=20, keep=5)
    longest = colours_by_rank(theme, languages=11, keep=10)
    assert len(longest) == 11
    for one, other in [*pairwise(ring), *pairwise(longest)]:
        assert apart(one, other, eyes) >= 0.12


@pytest.mark.parametrize("keep", [5, 6, 7])
@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize("theme", SAFE)
def test_what_is_shown_unless_wished_otherwise_ends_in_an_other_apart(theme, eyes, keep):
    *_, last, other = colours_by_rank(theme, languages=20, keep=keep)
    assert apart(last, other, eyes) >= 0.11


@pytest.mark.parametrize("theme", SAFE)
def test_an_own_ground_moves_the_ladder(theme):
    look = BannerOptions(theme=Theme(theme), bg_color="3d2a6d")
    found = ranking({f"L{at}": 1 for at in range(5)}, look).top(5)
    assert len(found) == 5
    assert all(contrast(share.colour, "3d2a6d") >= 3 for share in found)


def test_ranked_by_count_then_name():
    counts = {"Go": 1, "C": 3, "Ada": 1, "Nothing": 0, "Hidden": 9}
    found = rank_languages(counts, scheme=LIGHT, other_label="Other", excluded=("hidden",))
    assert [(share.name, share.amount) for share in found.first] == [
        ("C", 3),
        ("Ada", 1),
        ("Go", 1),
    ]
    assert (found.number, found.total) == (3, 5)


def test_all_that_can_be_wished_for_is_ranked():
    (wish,) = allowed_values("langs_count")
    most = int(wish.rpartition(" ")[2])
    assert len(ranking({f"L{at}": 1 for at in range(30)}).first) == most + 1


def test_ranked_more_than_most_counts_the_rest():
    counts = {f"L{number}": 9 - number for number in range(8)}
    few = rank_languages(counts, scheme=LIGHT, other_label="Other", max_ranked=4)
    assert len(few.first) == 4
    assert few.top(3) == ranking(counts).top(3)


def test_nothing_can_be_ranked():
    assert ranking({}).top(5) == ()


@given(st.lists(st.integers(1, 1000), max_size=60), st.integers(1, 10))
def test_what_is_shown_is_all_there_is(amounts, keep):
    counts = {f"L{at}": amount for at, amount in enumerate(amounts)}
    shown = ranking(counts).top(keep)
    assert sum(share.amount for share in shown) == sum(amounts)
    assert len(shown) == min(len(amounts), keep + 1)
    if amounts:
        assert sum(share.fraction for share in shown) == pytest.approx(1)


def test_the_rest_is_other_and_last():
    shown = ranking({f"L{at}": 10 - at for at in range(8)}).top(5)
    assert [share.name for share in shown] == ["L0", "L1", "L2", "L3", "L4", "Other"]
    assert shown[-1].amount == 5 + 4 + 3
    assert shown[-1].colour == LIGHT.neutral


def test_other_never_stands_for_a_single_language():
    assert ranking({f"L{at}": 1 for at in range(6)}).top(5)[-1].name == "L5"


def test_colours_suit_the_ground():
    def colour(name: str, theme: Theme) -> str:
        return of(theme, name).colour

    assert colour("Ruby", Theme.DEFAULT) == "701516"
    assert colour("Ruby", Theme.DARK) != "701516"
    assert colour("Ruby", Theme.AUTO) == colour("Ruby", Theme.DARK)
    assert colour("JavaScript", Theme.AUTO) == colour("JavaScript", Theme.DEFAULT) != "f1e05a"
    assert colour("Made up", Theme.AUTO) == "7d8590"


def test_names_are_cleaned():
    shown = ranking({"a\x00b": 2, "\u202e": 1}).top(5)
    assert [share.name for share in shown] == ["ab", "?"]


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
