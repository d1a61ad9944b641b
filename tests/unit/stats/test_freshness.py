"""Classification of numbers by age, and choice of the newer snapshot."""

from datetime import UTC, datetime, timedelta

import pytest

from github_banners.models import Owner, Snapshot, Stats
from github_banners.stats.snapshots import (
    Freshness,
    Ttls,
    classify_freshness,
    select_newer,
)

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TTLS = Ttls()
TICK = timedelta(microseconds=1)
MINUTES, HOURS = timedelta(minutes=1), timedelta(hours=1)


def build_snapshot(fetched_at: datetime, version: int) -> Snapshot:
    return Snapshot(Owner(1, "alice"), Stats(0, 0, 0, 0, 0, {}), fetched_at, version)


@pytest.mark.parametrize(
    ("age", "freshness"),
    [
        (0 * MINUTES, Freshness.FRESH),
        (10 * MINUTES - TICK, Freshness.FRESH),
        (10 * MINUTES, Freshness.SOFT_STALE),
        (24 * HOURS - TICK, Freshness.SOFT_STALE),
        (24 * HOURS, Freshness.HARD_STALE),
        (10_000 * HOURS, Freshness.HARD_STALE),
        # Clocks differ a little; a date far ahead is wrong, and must not count as fresh for years.
        (-10 * MINUTES + TICK, Freshness.FRESH),
        (-10 * MINUTES, Freshness.HARD_STALE),
        (-10_000 * HOURS, Freshness.HARD_STALE),
    ],
    ids=str,
)
def test_classify_freshness_at_the_limits_changes_class(
    age: timedelta, freshness: Freshness
) -> None:
    assert classify_freshness(NOW - age, TTLS, now=NOW) is freshness


def test_classify_freshness_with_equal_limits_never_returns_soft_stale() -> None:
    ttls = Ttls(soft=HOURS, hard=HOURS)
    assert classify_freshness(NOW - HOURS + TICK, ttls, now=NOW) is Freshness.FRESH
    assert classify_freshness(NOW - HOURS, ttls, now=NOW) is Freshness.HARD_STALE


def test_select_newer_of_two_times_returns_the_later() -> None:
    old, new = build_snapshot(NOW - HOURS, 9), build_snapshot(NOW, 1)
    assert select_newer(old, new) is select_newer(new, old) is new


def test_select_newer_of_one_time_returns_the_higher_version() -> None:
    low, high = build_snapshot(NOW, 1), build_snapshot(NOW, 2)
    assert select_newer(low, high) is select_newer(high, low) is high
    same = build_snapshot(NOW, 2)
    assert select_newer(high, same) is same
