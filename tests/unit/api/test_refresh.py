"""Pauses of the background refresh."""

import pytest

from github_banners.api.refresh import pause_seconds


@pytest.mark.parametrize(
    ("failed_batches", "seconds"), [(0, 2), (1, 4), (2, 8), (3, 16), (4, 30), (5, 30), (10**6, 30)]
)
def test_pause_seconds_grow_with_failed_batches(failed_batches: int, seconds: float) -> None:
    assert pause_seconds(failed_batches) == seconds
