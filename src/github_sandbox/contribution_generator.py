"""
Generates contributions by day: the same seed always gives a day of an account the same numbers.

The unit is a whole calendar year, drawn from a random generator of its own, so that neither the
requested window nor the present day changes a day's numbers. What makes a year: working days are
busier than weekends, an account grows over its first years, some years are a pause, and in a year
there are holidays, bursts and streaks.
"""

from calendar import isleap
from collections.abc import Iterator, Sequence
from datetime import date
from functools import lru_cache
from random import Random

import msgspec

from github_sandbox.models import Account

_CACHED_YEARS = 1_024
_MAX_PER_DAY = 150
_PAUSE_SHARE = 0.1
_WEEKEND = {5, 6}


class Counts(msgspec.Struct, frozen=True, gc=False):
    """Contributions of one day by kind; `restricted` ones are in private repositories."""

    commits: int = 0
    issues: int = 0
    pull_requests: int = 0
    reviews: int = 0
    restricted: int = 0


NO_CONTRIBUTIONS = Counts()


class _Habits(msgspec.Struct, frozen=True):
    """
    How an account contributes.

    Chances that a working day or a day at a weekend has contributions, and their mean number; then
    the fractions of them that are issues, pull requests, reviews or restricted.
    """

    workday_chance: float
    weekend_chance: float
    mean: float
    issues: float
    pull_requests: float
    reviews: float
    restricted: float


class ContributionGenerator:
    """Generates the contributions of every account of one seed."""

    def __init__(self, *, seed: int) -> None:
        self._seed = seed
        self._cached_year = lru_cache(_CACHED_YEARS)(self._generate_year)

    def year(self, account: Account, year: int) -> Sequence[Counts]:
        """Return the numbers of each day of a year, also of days in the future."""
        if not self.is_active(account, year):
            return (NO_CONTRIBUTIONS,) * (366 if isleap(year) else 365)
        level = account.activity * self._level(account, year)
        return self._cached_year(account.id, year, level, account.is_steady)

    def is_active(self, account: Account, year: int) -> bool:
        """Return whether there are contributions in a year; a whole active year has some."""
        return year >= account.created_at.year and self._level(account, year) > 0

    def _level(self, account: Account, year: int) -> float:
        """Return how busy a year is; a pause is 0, as are organizations and inactive accounts."""
        if account.is_organization or not account.activity:
            return 0
        random = self._random(account.id, f"level/{year}")
        age = year - account.created_at.year
        if age > 0 and random.random() < _PAUSE_SHARE and not account.is_steady:
            return 0
        return min(1, 0.4 + 0.15 * age) * random.lognormvariate(0, 0.35)

    def _generate_year(
        self, account_id: int, year: int, level: float, is_steady: bool
    ) -> Sequence[Counts]:
        habits = _draw_habits(self._random(account_id, "habits"), is_steady=is_steady)
        random = self._random(account_id, str(year))
        first_weekday = date(year, 1, 1).weekday()
        weekdays = [(first_weekday + day) % 7 for day in range(366 if isleap(year) else 365)]
        chances = [
            habits.weekend_chance if weekday in _WEEKEND else habits.workday_chance
            for weekday in weekdays
        ]
        means = [
            level * habits.mean * (0.4 if weekday in _WEEKEND else 1.0) for weekday in weekdays
        ]
        _add_episodes(random, chances, means, is_steady=is_steady)
        return tuple(
            _draw_day(random, habits, mean) if random.random() < chance else NO_CONTRIBUTIONS
            for chance, mean in zip(chances, means, strict=True)
        )

    def _random(self, account_id: int, purpose: str) -> Random:
        return Random(f"{self._seed}/{account_id}/contributions/{purpose}")  # noqa: S311


def _draw_habits(random: Random, *, is_steady: bool) -> _Habits:
    workday_chance = 0.99 if is_steady else random.uniform(0.25, 0.85)
    return _Habits(
        workday_chance=workday_chance,
        weekend_chance=0.95 if is_steady else workday_chance * random.uniform(0.1, 0.7),
        mean=5.0 if is_steady else random.uniform(1, 7),
        issues=random.uniform(0.02, 0.08),
        pull_requests=random.uniform(0.05, 0.2),
        reviews=random.uniform(0.02, 0.2),
        restricted=random.choice((0, 0, 0.3)),
    )


def _add_episodes(
    random: Random, chances: list[float], means: list[float], *, is_steady: bool
) -> None:
    """Change the chances and means of the days in holidays, bursts and streaks."""
    days = len(chances)
    for span in _draw_spans(random, days, count=random.randint(3, 7), shortest=4, longest=15):
        factor = random.uniform(1.8, 4)
        for day in span:
            chances[day] = min(1, chances[day] * 1.5)
            means[day] *= factor
    longest_holiday = 2 if is_steady else 18
    for span in _draw_spans(random, days, count=3, shortest=2, longest=longest_holiday):
        for day in span:
            chances[day] = 0
    # Streaks come last, so that a year with any activity has at least one.
    for span in _draw_spans(random, days, count=random.randint(1, 2), shortest=12, longest=40):
        for day in span:
            chances[day] = 1


def _draw_spans(
    random: Random, days: int, *, count: int, shortest: int, longest: int
) -> Iterator[range]:
    for _ in range(count):
        length = random.randint(shortest, longest)
        first = random.randrange(days - length)
        yield range(first, first + length)


def _draw_day(random: Random, habits: _Habits, mean: float) -> Counts:
    """Draw the numbers of a day that has at least one contribution."""
    total = min(_MAX_PER_DAY, 1 + int(random.expovariate(1 / mean)))
    commits, parts = total, []
    for share in (habits.issues, habits.pull_requests, habits.reviews, habits.restricted):
        # The random number rounds up as often as the fraction says.
        part = min(commits, int(total * share + random.random()))
        commits -= part
        parts.append(part)
    return Counts(commits, *parts)
