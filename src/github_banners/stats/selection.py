"""
The numbers of the repositories that a banner selects by its options `exclude_repos` and `include`.

Banners without these options show the stored numbers of their owner. For others the numbers are added
up from the owner's repositories. Pure.
"""

from collections.abc import Iterable

from github_banners.models import (
    Repository,
    RepositoryLanguages,
    Stats,
    aggregate,
    aggregate_sizes,
    filter_repositories,
)
from github_banners.options import BannerOptions, Inclusion


def aggregate_selected(repositories: Iterable[Repository], options: BannerOptions) -> Stats:
    """Add up the repositories that a banner selects."""
    includes_forks = Inclusion.FORKS in options.include
    return aggregate(_select(repositories, options), include_forks=includes_forks)


def aggregate_selected_sizes(
    repositories: Iterable[Repository],
    sizes: Iterable[RepositoryLanguages],
    options: BannerOptions,
) -> dict[str, int]:
    """Add up the bytes per language of the repositories whose languages a banner counts."""
    includes_forks = Inclusion.FORKS in options.include
    counted = {
        repository.id
        for repository in _select(repositories, options)
        if includes_forks or not repository.is_fork
    }
    return aggregate_sizes(size for size in sizes if size.repository_id in counted)


def _select(repositories: Iterable[Repository], options: BannerOptions) -> list[Repository]:
    return filter_repositories(
        repositories,
        excluded_names=frozenset(options.exclude_repos),
        include_archived=Inclusion.ARCHIVED in options.include,
    )
