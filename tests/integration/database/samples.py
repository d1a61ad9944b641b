"""Sample data, as fetched from GitHub."""

from datetime import UTC, datetime, timedelta

from github_banners.models import Owner, OwnerRepositories, Repository, Stats

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def fetched_owner(
    owner_id: int = 1,
    login: str | None = None,
    *,
    fetched_at: datetime = NOON,
    stars: int = 5,
    name: str | None = "Somebody",
    node_id: str | None = "U_1",
    repositories: tuple[Repository, ...] | None = None,
    languages: dict[str, int] | None = None,
) -> tuple[OwnerRepositories, Stats]:
    """Return a fetched owner with repositories, and the matching numbers."""
    if repositories is None:
        repositories = (Repository(owner_id * 10, "first", stars=stars, language="Python"),)
    owner = Owner(owner_id, login or f"User-{owner_id}", node_id, name)
    languages = {"Python": 1} if languages is None else languages
    total = len(repositories)
    return OwnerRepositories(owner, repositories, fetched_at), Stats(
        total, total, 0, stars, 0, languages
    )
