import json
import math
from collections.abc import Sequence
from fractions import Fraction
from importlib.resources import files
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from github_banners.drawing.colours import contrast, linear_rgb, oklab_from_linear
from github_banners.drawing.language_charts import (
    Ranking,
    Share,
    percentage_points,
    rank_languages,
    visible_languages,
)
from github_banners.drawing.themes import scheme
from github_banners.errors import RenderingFailed
from github_banners.options import BannerOptions, CountBy, HideableField, Theme, allowed_values
from tests.snapshots import make_snapshot

LIGHT = scheme(BannerOptions())
KNOWN = json.loads((files("github_banners.drawing") / "language_colours.json").read_text())
SAFE_THEMES = ["safe-light", "safe-dark", "auto-safe-dark"]

# Machado, Oliveira, Fernandes 2009, severity 1, on linear light:
# https://www.inf.ufrgs.br/~oliveira/pubs_files/CVD_Simulation/CVD_Simulation.html
COLOUR_VISIONS = {
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


def seen(colour: str, vision: str) -> tuple[float, float, float]:
    """Return a colour in OKLab as people with some colour vision see it."""
    light = [
        sum(a * b for a, b in zip(row, linear_rgb(colour), strict=True))
        for row in COLOUR_VISIONS[vision]
    ]
    return oklab_from_linear(*(min(max(channel, 0), 1) for channel in light))


def distance(first: str, second: str, vision: str) -> float:
    """Return the distance of two colours, rounded to two digits as in the design."""
    return round(math.dist(seen(first, vision), seen(second, vision)), 2)


def ranking(counts: dict[str, int], options: BannerOptions | None = None) -> Ranking:
    return rank_languages(counts, scheme=scheme(options or BannerOptions()), other_label="Other")


def single_share(theme: str, name: str) -> Share:
    (share,) = ranking({name: 1}, BannerOptions(theme=Theme(theme))).top(5)
    return share


def colours_by_rank(theme: str, *, languages: int, limit: int) -> list[str]:
    counts = {f"L{index:02}": 1 for index in range(languages)}
    return [share.colour for share in ranking(counts, BannerOptions(theme=Theme(theme))).top(limit)]


@pytest.mark.parametrize("theme", Theme)
def test_rank_languages_colours_contrast_with_every_background(theme):
    colours = scheme(BannerOptions(theme=theme))
    min_contrast = 3 if "contrast-" in theme or "safe-" in theme else 1.8
    assert colours.min_contrast == min_contrast
    language_colours = {single_share(theme, name).colour for name in KNOWN}
    for background in colours.backgrounds:
        assert (
            min(contrast(colour, background) for colour in language_colours | {colours.neutral})
            >= min_contrast
        )


def test_rank_languages_safe_themes_colour_by_rank():
    light = ["0b4a9e", "d97706", "00574b", "d6458b", "3d2a6d", "7d8590"]
    dark = ["6db6ff", "ff9d3c", "1f9e86", "ffd9ec", "8a6bd6", "9aa4b0"]
    assert colours_by_rank("safe-light", languages=9, limit=5) == light
    assert colours_by_rank("safe-dark", languages=9, limit=5) == dark
    assert single_share("safe-dark", "Ruby").colour == dark[0]


@pytest.mark.parametrize("vision", COLOUR_VISIONS)
@pytest.mark.parametrize("theme", SAFE_THEMES)
def test_rank_colours_adjacent_ones_differ_for_every_colour_vision(theme, vision):
    ring = colours_by_rank(theme, languages=20, limit=5)
    longest = colours_by_rank(theme, languages=11, limit=10)
    assert len(longest) == 11
    for first, second in [*pairwise(ring), *pairwise(longest)]:
        assert distance(first, second, vision) >= 0.12


@pytest.mark.parametrize("limit", [5, 6, 7])
@pytest.mark.parametrize("vision", COLOUR_VISIONS)
@pytest.mark.parametrize("theme", SAFE_THEMES)
def test_rank_colours_other_differs_from_the_last_rank(theme, vision, limit):
    *_, last, other = colours_by_rank(theme, languages=20, limit=limit)
    assert distance(last, other, vision) >= 0.11


@pytest.mark.parametrize("theme", SAFE_THEMES)
def test_rank_colours_contrast_with_custom_background(theme):
    options = BannerOptions(theme=Theme(theme), bg_color="3d2a6d")
    shares = ranking({f"L{index}": 1 for index in range(5)}, options).top(5)
    assert len(shares) == 5
    assert all(contrast(share.colour, "3d2a6d") >= 3 for share in shares)


def test_rank_languages_orders_by_count_then_name():
    counts = {"Go": 1, "C": 3, "Ada": 1, "Nothing": 0, "Hidden": 9}
    languages = rank_languages(counts, scheme=LIGHT, other_label="Other", excluded=("hidden",))
    assert [(share.name, share.amount) for share in languages.first] == [
        ("C", 3),
        ("Ada", 1),
        ("Go", 1),
    ]
    assert (languages.number, languages.total) == (3, 5)


def test_rank_languages_ranks_the_largest_langs_count():
    (description,) = allowed_values("langs_count")
    max_count = int(description.rpartition(" ")[2])
    assert len(ranking({f"L{index}": 1 for index in range(30)}).first) == max_count + 1


def test_rank_languages_beyond_max_ranked_are_counted():
    counts = {f"L{number}": 9 - number for number in range(8)}
    few = rank_languages(counts, scheme=LIGHT, other_label="Other", max_ranked=4)
    assert len(few.first) == 4
    assert few.top(3) == ranking(counts).top(3)


def test_rank_languages_of_none_is_empty():
    assert ranking({}).top(5) == ()


@given(st.lists(st.integers(1, 1000), max_size=60), st.integers(1, 10))
def test_ranking_top_adds_up_to_the_total(amounts, limit):
    counts = {f"L{index}": amount for index, amount in enumerate(amounts)}
    shares = ranking(counts).top(limit)
    assert sum(share.amount for share in shares) == sum(amounts)
    assert len(shares) == min(len(amounts), limit + 1)
    if amounts:
        assert sum(share.fraction for share in shares) == pytest.approx(1)


def test_ranking_top_ends_in_other():
    shares = ranking({f"L{index}": 10 - index for index in range(8)}).top(5)
    assert [share.name for share in shares] == ["L0", "L1", "L2", "L3", "L4", "Other"]
    assert shares[-1].amount == 5 + 4 + 3
    assert shares[-1].colour == LIGHT.neutral


def test_ranking_top_other_is_never_a_single_language():
    assert ranking({f"L{index}": 1 for index in range(6)}).top(5)[-1].name == "L5"


def test_rank_languages_colours_depend_on_theme():
    def colour(name: str, theme: Theme) -> str:
        return single_share(theme, name).colour

    assert colour("Ruby", Theme.DEFAULT) == "701516"
    assert colour("Ruby", Theme.DARK) != "701516"
    assert colour("Ruby", Theme.AUTO) == colour("Ruby", Theme.DARK)
    assert colour("JavaScript", Theme.AUTO) == colour("JavaScript", Theme.DEFAULT) != "f1e05a"
    assert colour("Made up", Theme.AUTO) == "7d8590"


def test_rank_languages_sanitizes_names():
    shares = ranking({"a\x00b": 2, "\u202e": 1}).top(5)
    assert [share.name for share in shares] == ["ab", "?"]


def largest_remainders(counts: Sequence[int]) -> list[int]:
    """Count percentages by hand: one point at a time to the largest remainder, the first of equal."""
    exact = [Fraction(100 * count, sum(counts)) for count in counts]
    points = [math.floor(percent) for percent in exact]
    open_indices = list(range(len(counts)))
    while sum(points) < 100:
        index = max(open_indices, key=lambda index: exact[index] - points[index])
        open_indices.remove(index)
        points[index] += 1
    return points


@pytest.mark.parametrize(
    ("counts", "points"),
    [
        ([7], [100]),
        ([51, 20, 4, 2, 1], [65, 26, 5, 3, 1]),
        ([1, 1, 1], [34, 33, 33]),
        ([2, 2, 2, 1], [29, 29, 28, 14]),
        ([401, 1], [100, 0]),
        ([993, 7], [99, 1]),
        ([1] * 200, [1] * 100 + [0] * 100),
    ],
)
def test_percentage_points_round_by_largest_remainder(counts, points):
    assert percentage_points(counts) == points


def test_percentage_points_of_none_are_empty():
    assert percentage_points([]) == []


# Few different counts have many equal remainders.
COUNTS = st.lists(st.integers(1, 5) | st.integers(1, 2**31 - 1), min_size=1, max_size=300)


@given(COUNTS)
def test_percentage_points_any_counts_equal_a_hand_count(counts):
    counts = sorted(counts, reverse=True)
    points = percentage_points(counts)
    assert points == largest_remainders(counts)
    assert sum(points) == 100
    assert points == sorted(points, reverse=True)


@given(COUNTS, st.integers(0, 10))
def test_ranking_top_any_limit_writes_the_same_percentages_and_the_rest(amounts, limit):
    counts = {f"L{index:03}": amount for index, amount in enumerate(amounts)}
    languages = sorted(counts, key=lambda name: (-counts[name], name))
    total = sum(amounts)
    points = largest_remainders([counts[name] for name in languages])

    def written(points: int, count: int) -> str:
        if count == total:
            return "100%"
        if points == 0 or count * 100 < total:
            return "<1%"
        return ">99%" if points == 100 else f"{points}%"

    expected = [
        (name, written(point, counts[name])) for name, point in zip(languages, points, strict=True)
    ]
    if len(languages) > limit + 1:
        rest = sum(counts[name] for name in languages[limit:])
        expected[limit:] = [("Other", written(100 - sum(points[:limit]), rest))]
    for max_ranked in (limit + 1, 11):
        shares = rank_languages(
            counts, scheme=LIGHT, other_label="Other", max_ranked=max_ranked
        ).top(limit)
        assert [(share.name, share.percent) for share in shares] == expected


@pytest.mark.parametrize(
    ("counts", "written"),
    [
        ({"C": 7}, ["100%"]),
        ({"C": 1, "Go": 1, "Zig": 1}, ["34%", "33%", "33%"]),
        ({"C": 401, "Go": 1}, [">99%", "<1%"]),
        # Rounded up, but still below 1 %.
        ({"C": 993, "Go": 7}, ["99%", "<1%"]),
        # Each of the first gets one of the missing points, so nothing is left of Other's 1.2 %.
        ({f"L{index}": 1976 for index in range(5)} | {"X": 60, "Y": 60}, ["20%"] * 5 + ["<1%"]),
    ],
)
def test_ranking_top_never_writes_0_and_100_only_of_one(counts, written):
    assert [share.percent for share in ranking(counts).top(5)] == written


def test_rank_languages_percentages_leave_out_excluded_languages():
    counts = {"C": 2, "Go": 1, "HTML": 97}
    languages = rank_languages(counts, scheme=LIGHT, other_label="Other", excluded=("html",))
    assert [share.percent for share in languages.top(5)] == ["67%", "33%"]


def by_size(sizes: dict[str, int] | None, **options: Any) -> Ranking:
    chosen = BannerOptions(count_by=CountBy.BYTES, **options)
    owner = replace(make_snapshot(), language_sizes=sizes)
    return visible_languages(owner, chosen, LIGHT, limit=5)


def test_visible_languages_by_size_equal_a_hand_count():
    # 10,000 bytes: 5,049 are 50.49 %, 3,030 30.3 %, 1,521 15.21 %, 400 4 %. The missing point goes
    # to the largest remainder, that of Ruby.
    languages = by_size({"Ruby": 5_049, "C": 3_030, "Go": 1_521, "Shell": 400})
    assert [(share.name, share.percent) for share in languages.top(5)] == [
        ("Ruby", "51%"),
        ("C", "30%"),
        ("Go", "15%"),
        ("Shell", "4%"),
    ]


def test_visible_languages_unlisted_bytes_are_part_of_other():
    # Of 10,000 bytes, 3,900 are not listed: more than any language, but never ranked.
    sizes = {"": 3_900, "Ruby": 3_100, "C": 2_500, "Go": 500}
    languages = by_size(sizes)
    assert languages.number == 3
    assert [(share.name, share.amount, share.percent) for share in languages.top(3)] == [
        ("Ruby", 3_100, "31%"),
        ("C", 2_500, "25%"),
        ("Go", 500, "5%"),
        ("Other", 3_900, "39%"),
    ]
    assert [(share.name, share.percent) for share in languages.top(2)] == [
        ("Ruby", "31%"),
        ("C", "25%"),
        ("Other", "44%"),
    ]


def test_visible_languages_by_size_leave_out_hidden_languages():
    sizes = {"HTML": 9_000, "Ruby": 600, "C": 300, "": 100}
    shares = by_size(sizes, hide_langs=("html",)).top(5)
    assert [(share.name, share.percent) for share in shares] == [
        ("Ruby", "60%"),
        ("C", "30%"),
        ("Other", "10%"),
    ]


def test_visible_languages_only_unlisted_bytes_are_other():
    assert [(share.name, share.percent) for share in by_size({"": 7}).top(5)] == [("Other", "100%")]
    assert by_size({}).top(5) == ()


@given(
    st.dictionaries(st.sampled_from([f"L{index}" for index in range(20)]), st.integers(1, 10**12)),
    st.integers(0, 10**12),
    st.integers(1, 10),
)
def test_visible_languages_by_size_add_up_to_all_bytes(sizes, unlisted, limit):
    largest_first = dict(sorted(sizes.items(), key=lambda item: -item[1]))
    languages = by_size(largest_first | ({"": unlisted} if unlisted else {}), langs_count=limit)
    shares = languages.top(min(limit, 5))
    assert sum(share.amount for share in shares) == sum(sizes.values()) + unlisted
    assert "" not in {share.name for share in shares}
    assert not unlisted or shares[-1].name == "Other"


def test_visible_languages_unknown_sizes_raise():
    with pytest.raises(RenderingFailed):
        by_size(None)
    assert by_size(None, hide=(HideableField.LANGUAGES,)).top(5) == ()
