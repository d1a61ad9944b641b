import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from github_banners.drawing.charts import Segment, bar, distribute, ring
from github_banners.drawing.language_shares import Share

AMOUNTS = st.lists(st.integers(min_value=1, max_value=10**9), min_size=1, max_size=11)


def _shares(amounts: list[int]) -> list[Share]:
    whole = sum(amounts)
    return [Share("x", f"{at:06x}", amount, amount / whole) for at, amount in enumerate(amounts)]


def test_one_share_is_the_whole_figure():
    one = _shares([3])
    assert bar(one, x=32, y=121, width=782) == [Segment("000000", "M32 121h782")]
    assert ring(one, radius=25.5) == [Segment("000000", "0 0.0 160.2 160")]


def test_neighbours_have_a_gap():
    first, second = bar(_shares([1, 1]), x=32, y=121, width=782)
    assert (first.line, second.line) == ("M32 121h390", "M424 121h390")


@given(AMOUNTS)
def test_the_bar_is_full_and_shows_even_the_smallest(amounts):
    at = 32
    for segment in bar(_shares(amounts), x=32, y=121, width=782):
        found = re.fullmatch(r"M(\d+) 121h(\d+)", segment.line)
        assert found
        start, length = map(int, found.groups())
        assert start == pytest.approx(at, abs=1)
        assert length >= 3
        at = start + length + 2
    assert at - 2 == 814


@given(AMOUNTS)
def test_the_ring_is_closed(amounts):
    segments = ring(_shares(amounts), radius=25.5)
    starts = [float(one.line.split()[1]) for one in segments]
    lengths = [float(one.line.split()[2]) for one in segments]
    assert min(lengths) >= 2.4
    assert starts == sorted(starts)
    gaps = 2 * len(segments) if len(segments) > 1 else 0
    assert sum(lengths) + gaps == pytest.approx(160.2, abs=1)


def test_what_the_smallest_lack_is_taken_from_the_largest():
    assert distribute(_shares([98, 1, 1]), 100, 4) == pytest.approx([92, 4, 4])
