"""Age -> what to do."""

from datetime import UTC, datetime, timedelta

import pytest

from github_banners.models import Owner, Snapshot, Stats
from github_banners.stats.freshness import (
    Freshness,
    Ttls,
    classify_freshness,
    seconds_fresh,
    select_newer,
)

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TTLS = Ttls()
TICK = timedelta(microseconds=1)
MINUTES, HOURS = timedelta(minutes=1), timedelta(hours=1)


def asked(fetched_at: datetime, version: int) -> Snapshot:
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
def test_an_age_says_what_to_do(age: timedelta, freshness: Freshness) -> None:
    assert classify_freshness(NOW - age, TTLS, now=NOW) is freshness


def test_equal_limits_leave_nothing_soft() -> None:
    ttls = Ttls(soft=HOURS, hard=HOURS)
    assert classify_freshness(NOW - HOURS + TICK, ttls, now=NOW) is Freshness.FRESH
    assert classify_freshness(NOW - HOURS, ttls, now=NOW) is Freshness.HARD_STALE


@pytest.mark.parametrize(
    ("age", "seconds"),
    [(0 * MINUTES, 600), (TICK, 599), (10 * MINUTES - TICK, 0), (10 * MINUTES, 0), (HOURS, 0)],
    ids=str,
)
def test_seconds_are_counted_down(age: timedelta, seconds: int) -> None:
    assert seconds_fresh(NOW - age, TTLS, now=NOW) == seconds


def test_the_later_answer_wins() -> None:
    old, new = asked(NOW - HOURS, 9), asked(NOW, 1)
    assert select_newer(old, new) is select_newer(new, old) is new


def test_of_answers_of_one_time_the_higher_version_wins() -> None:
    low, high = asked(NOW, 1), asked(NOW, 2)
    assert select_newer(low, high) is select_newer(high, low) is high
    same = asked(NOW, 2)
    assert select_newer(high, same) is same
