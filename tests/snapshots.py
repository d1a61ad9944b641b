"""Numbers of an invented owner, for tests that draw banners."""

from collections.abc import Mapping
from datetime import UTC, datetime

from github_banners.models import Owner, RepositoryDetails, Snapshot, Stats

REPOSITORY = RepositoryDetails(
    id=11,
    name="handlebars-runtime",
    description="Minimal templating on steroids: logicless templates that keep the view and the code apart",
    language="Ruby",
    stars=11_558,
    forks=1_635,
    licence="MIT",
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
    )
