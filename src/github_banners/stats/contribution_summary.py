"""
What banners show of an owner's contributions: totals, streaks, the best day and the last year.

Pure. Days are those of GitHub's calendar; days after `today` do not count, and a `today` without
contributions does not end a streak, since the day is not over.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import groupby

import msgspec

from github_banners.models import Activity, ContributionAccess, Contributions, ContributionYear

SHOWN_DAYS = 53 * 7
"""The number of days in `Activity.days`: 53 weeks."""

_ONE_DAY = timedelta(days=1)


class ActivitySummary(msgspec.Struct, frozen=True, gc=False):
    """What banners show of contributions; without activity, `access` says why."""

    activity: Activity | None
    access: ContributionAccess


def summarize(contributions: Contributions, *, today: date) -> ActivitySummary:
    """Summarize an owner's contributions, if they can be read."""
    is_visible = contributions.access is ContributionAccess.VISIBLE
    activity = summarize_contributions(contributions.years, today=today) if is_visible else None
    return ActivitySummary(activity, contributions.access)


def summarize_contributions(years: Sequence[ContributionYear], *, today: date) -> Activity:
    """Summarize contributions of all years up to `today`, both included."""
    counts = _daily_counts(years, today)
    year = counts[-_days_of_last_year(today) :]
    best = max(year, default=0)
    # Of equal days, the latest one.
    best_day = today - _ONE_DAY * year[::-1].index(best) if best else None
    return Activity(
        commits=sum(year.commits for year in years),
        pull_requests=sum(year.pull_requests for year in years),
        issues=sum(year.issues for year in years),
        reviews=sum(year.reviews for year in years),
        contributions=sum(counts),
        current_streak=current_streak(counts),
        longest_streak=longest_streak(counts),
        last_year=sum(year),
        best_day=best_day,
        best_count=best,
        last_day=today,
        days=tuple(counts[-SHOWN_DAYS:]),
    )


def current_streak(counts: Sequence[int]) -> int:
    """Return the number of days with contributions up to the last one, or up to the day before."""
    length = 0
    for days_ago, count in enumerate(reversed(counts)):
        if count:
            length += 1
        elif days_ago:
            break
    return length


def longest_streak(counts: Sequence[int]) -> int:
    """Return the largest number of consecutive days with contributions."""
    runs = (sum(1 for _ in run) for is_active, run in groupby(counts, key=bool) if is_active)
    return max(runs, default=0)


def _daily_counts(years: Sequence[ContributionYear], today: date) -> list[int]:
    """Return the count of every day from the first year on, at least of `SHOWN_DAYS`, to `today`."""
    first_year = min((year.year for year in years), default=today.year)
    start = min(date(first_year, 1, 1), today - _ONE_DAY * (SHOWN_DAYS - 1))
    counts = [0] * ((today - start).days + 1)
    for year in years:
        offset = (date(year.year, 1, 1) - start).days
        days = year.days[: max(0, len(counts) - offset)]
        counts[offset : offset + len(days)] = days
    return counts


def _days_of_last_year(today: date) -> int:
    """Return the number of days since the same day of last year, without that day."""
    try:
        same_day = today.replace(year=today.year - 1)
    except ValueError:  # 29 February
        same_day = date(today.year - 1, 2, 28)
    return (today - same_day).days
