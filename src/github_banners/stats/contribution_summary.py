"""
What banners show of an owner's contributions: totals, streaks, the best day and the last year.

Pure. Days are those of GitHub's calendar; days after `today`, the day in UTC, do not count. A day without
contributions does not end a streak before it is over everywhere.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from itertools import groupby

import msgspec

from github_banners.models import Activity, ContributionAccess, Contributions, ContributionYear

SHOWN_DAYS = 53 * 7
"""The number of days in `Activity.days`: 53 weeks."""

_ONE_DAY = timedelta(days=1)
# At UTC-12 a day ends at noon of the next one in UTC.
_LAST_DAY_END = timedelta(hours=12)


class ActivitySummary(msgspec.Struct, frozen=True, gc=False):
    """What banners show of contributions; without activity, `access` says why."""

    activity: Activity | None
    access: ContributionAccess


def summarize(contributions: Contributions, *, now: datetime) -> ActivitySummary:
    """Summarize an owner's contributions up to `now`, in UTC, if they can be read."""
    activity = None
    if contributions.access is ContributionAccess.VISIBLE:
        unfinished_days = 1 + (now.date() - (now - _LAST_DAY_END).date()).days
        activity = summarize_contributions(
            contributions.years, today=now.date(), unfinished_days=unfinished_days
        )
    return ActivitySummary(activity, contributions.access)


def summarize_contributions(
    years: Sequence[ContributionYear], *, today: date, unfinished_days: int = 1
) -> Activity:
    """
    Summarize contributions of all years up to `today`, both included.

    `unfinished_days` is the number of last days that are not over everywhere.
    """
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
        current_streak=current_streak(counts, unfinished_days=unfinished_days),
        longest_streak=longest_streak(counts),
        last_year=sum(year),
        best_day=best_day,
        best_count=best,
        last_day=today,
        days=tuple(counts[-SHOWN_DAYS:]),
    )


def current_streak(counts: Sequence[int], *, unfinished_days: int = 1) -> int:
    """
    Return the number of consecutive days with contributions that has not ended.

    The last `unfinished_days` do not end it, unless there are contributions after them.
    """
    length = 0
    for days_ago, count in enumerate(reversed(counts)):
        if count:
            length += 1
        elif length or days_ago >= unfinished_days:
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
    """Return the number of days from the same day of last year, as in GitHub's calendar."""
    try:
        same_day = today.replace(year=today.year - 1)
    except ValueError:  # 29 February
        same_day = date(today.year - 1, 2, 28)
    return (today - same_day).days + 1
