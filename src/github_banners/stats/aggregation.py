"""Repositories -> six numbers: pure."""

from collections import Counter
from collections.abc import Iterable

from github_banners.models import Repository, Stats, sort_languages


def aggregate(repositories: Iterable[Repository]) -> Stats:
    """
    Add up an owner's repositories.

    Stars, forks and languages look at originals only: the stars of a fork are somebody else's. A
    language counts repositories; equal counts stand in the order of their names.
    """
    everything = tuple(repositories)
    originals = [one for one in everything if not one.is_fork]
    languages = Counter(one.language for one in originals if one.language)
    return Stats(
        total_repos=len(everything),
        original_repos=len(originals),
        forked_repos=len(everything) - len(originals),
        total_stars=sum(one.stars for one in originals),
        total_forks=sum(one.forks for one in originals),
        languages={name: languages[name] for name in sort_languages(languages)},
    )
