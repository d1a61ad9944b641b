"""
The numbers of the repositories that a banner selects by its options `exclude_repos` and `include`.

Banners without these options show the stored numbers of their owner. For others the numbers are added
up from the owner's repositories. Sizes of languages that were fetched without a token may be those of
originals only; such sizes are refused for a banner that counts forks. Pure.
"""

from collections.abc import Collection, Iterable

from github_banners.errors import TokenRequired
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
    sizes: Collection[RepositoryLanguages],
    options: BannerOptions,
) -> dict[str, int]:
    """
    Add up the bytes per language of the repositories whose languages a banner counts.

    :raises TokenRequired: the banner counts forks, and `sizes` has only originals
    """
    forks = find_counted_forks(repositories, options)
    if not has_fork_sizes(sizes, forks):
        raise TokenRequired
    counted = forks.union(
        repository.id for repository in _select(repositories, options) if not repository.is_fork
    )
    return aggregate_sizes(size for size in sizes if size.repository_id in counted)


def find_counted_forks(
    repositories: Iterable[Repository], options: BannerOptions
) -> frozenset[int]:
    """Return the ids of the forks whose languages a banner counts."""
    if Inclusion.FORKS not in options.include:
        return frozenset()
    selected = _select(repositories, options)
    return frozenset(repository.id for repository in selected if repository.is_fork)


def has_fork_sizes(sizes: Iterable[RepositoryLanguages], forks: Collection[int]) -> bool:
    """
    Return whether `sizes` were fetched with forks, as far as a banner counts any (`forks`, by id).

    All forks of an owner are fetched, or none. So one fork is enough: others that are missing are newer than
    the sizes, and count when these are fetched again, as new originals do.
    """
    return not forks or any(languages.repository_id in forks for languages in sizes)


def _select(repositories: Iterable[Repository], options: BannerOptions) -> list[Repository]:
    return filter_repositories(
        repositories,
        excluded_names=frozenset(options.exclude_repos),
        include_archived=Inclusion.ARCHIVED in options.include,
    )
