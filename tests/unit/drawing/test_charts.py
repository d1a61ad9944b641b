import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from github_banners.drawing.language_charts import Segment, Share, bar, distribute, ring

AMOUNTS = st.lists(st.integers(min_value=1, max_value=10**9), min_size=1, max_size=11)


def _shares(amounts: list[int]) -> list[Share]:
    total = sum(amounts)
    return [
        Share("x", f"{index:06x}", amount, amount / total, "1%")
        for index, amount in enumerate(amounts)
    ]


def test_charts_single_share_fills_bar_and_ring():
    shares = _shares([3])
    assert bar(shares, x=32, y=121, width=782) == [Segment("000000", "M32 121h782")]
    assert ring(shares, radius=25.5) == [Segment("000000", "0 0.0 160.2 160")]


def test_bar_two_shares_have_a_gap():
    first, second = bar(_shares([1, 1]), x=32, y=121, width=782)
    assert (first.line, second.line) == ("M32 121h390", "M424 121h390")


@given(AMOUNTS)
def test_bar_any_shares_fill_it_and_stay_visible(amounts):
    expected_start = 32
    for segment in bar(_shares(amounts), x=32, y=121, width=782):
        match = re.fullmatch(r"M(\d+) 121h(\d+)", segment.line)
        assert match
        start, length = map(int, match.groups())
        assert start == pytest.approx(expected_start, abs=1)
        assert length >= 3
        expected_start = start + length + 2
    assert expected_start - 2 == 814


@given(AMOUNTS)
def test_ring_any_shares_close_it(amounts):
    segments = ring(_shares(amounts), radius=25.5)
    starts = [float(segment.line.split()[1]) for segment in segments]
    lengths = [float(segment.line.split()[2]) for segment in segments]
    assert min(lengths) >= 2.4
    assert starts == sorted(starts)
    gaps = 2 * len(segments) if len(segments) > 1 else 0
    assert sum(lengths) + gaps == pytest.approx(160.2, abs=1)


def test_distribute_takes_minimum_lengths_from_largest_share():
    assert distribute(_shares([98, 1, 1]), 100, 4) == pytest.approx([92, 4, 4])
