"""Numbers of an invented owner, for tests that draw banners."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

from github_banners.models import Activity, Owner, RepositoryDetails, Snapshot, Stats

REPOSITORY = RepositoryDetails(
    id=11,
    name="handlebars-runtime",
    description="Minimal templating on steroids: logicless templates that keep the view and the code apart",
    language="Ruby",
    stars=11_558,
    forks=1_635,
    licence="MIT",
)


def make_activity(
    *,
    days: Sequence[int] | None = None,
    last_day: date = date(2026, 11, 24),
    current_streak: int = 23,
    longest_streak: int = 61,
) -> Activity:
    """Contributions of 53 weeks; without `days`, about half of the days have some."""
    if days is None:
        days = [max(0, index * index * 3 % 31 - 14) for index in range(371)]
    best_count = max(days, default=0)
    return Activity(
        current_streak=current_streak,
        longest_streak=longest_streak,
        last_year=sum(days),
        best_day=last_day - timedelta(days=len(days) - 1 - list(days).index(best_count))
        if best_count
        else None,
        best_count=best_count,
        last_day=last_day,
        days=tuple(days),
    )


def make_snapshot(
    *,
    login: str = "wycats",
    name: str | None = "Yehuda Katz",
    stars: int = 11_558,
    forks: int = 1_635,
    original: int = 93,
    forked: int = 57,
    languages: Mapping[str, int] | None = None,
    repository: RepositoryDetails = REPOSITORY,
    activity: Activity | None = None,
) -> Snapshot:
    default_languages = {"Ruby": 51, "JavaScript": 20, "Rust": 4, "C": 2, "CSS": 1}
    stats = Stats(
        total_repos=original + forked,
        original_repos=original,
        forked_repos=forked,
        total_stars=stars,
        total_forks=forks,
        languages=default_languages if languages is None else dict(languages),
    )
    return Snapshot(
        Owner(1, login, None, name),
        stats,
        datetime(2026, 11, 20, tzinfo=UTC),
        repository=repository,
        activity=activity or make_activity(),
    )
