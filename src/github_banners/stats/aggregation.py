"""Aggregation of an owner's repositories to the numbers of a banner; pure."""

from collections import Counter
from collections.abc import Iterable

from github_banners.models import Repository, Stats, sort_languages


def aggregate(repositories: Iterable[Repository]) -> Stats:
    """
    Add up an owner's repositories.

    Forks are excluded from stars, forks and languages. `languages` maps a language to the number of
    repositories, most frequent first, then by name.
    """
    all_repositories = tuple(repositories)
    originals = [repository for repository in all_repositories if not repository.is_fork]
    languages = Counter(repository.language for repository in originals if repository.language)
    return Stats(
        total_repos=len(all_repositories),
        original_repos=len(originals),
        forked_repos=len(all_repositories) - len(originals),
        total_stars=sum(repository.stars for repository in originals),
        total_forks=sum(repository.forks for repository in originals),
        languages={name: languages[name] for name in sort_languages(languages)},
    )
