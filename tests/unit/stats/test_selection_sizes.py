"""Sizes of languages in selected repositories, counted by hand."""

import pytest

from github_banners.errors import TokenRequired
from github_banners.models import Repository, RepositoryLanguages
from github_banners.options import parse_options
from github_banners.stats.selection import aggregate_selected_sizes, find_counted_forks

REPOSITORIES = (
    Repository(1, "engine"),
    Repository(2, "old", is_archived=True),
    Repository(3, "Fork", is_fork=True),
    Repository(4, "old-fork", is_fork=True, is_archived=True),
)
ORIGINALS = (RepositoryLanguages(1, {"C": 100, "Go": 20}), RepositoryLanguages(2, {"C": 7}))
FORKS = (RepositoryLanguages(3, {"Perl": 500, "C": 1}), RepositoryLanguages(4, {"Go": 3}, other=2))


@pytest.mark.parametrize(
    ("raw_options", "forks", "sizes"),
    [
        ({}, set(), {"C": 107, "Go": 20}),
        ({"include": ""}, set(), {"C": 100, "Go": 20}),
        ({"include": "forks,archived"}, {3, 4}, {"Perl": 500, "C": 108, "Go": 23, "": 2}),
        ({"include": "forks"}, {3}, {"Perl": 500, "C": 101, "Go": 20}),
        ({"include": "forks,archived", "exclude_repos": "fork"}, {4}, {"C": 107, "Go": 23, "": 2}),
        ({"include": "forks", "exclude_repos": "fork"}, set(), {"C": 100, "Go": 20}),
    ],
)
def test_aggregate_selected_sizes_equals_a_count_by_hand(
    raw_options: dict[str, str], forks: set[int], sizes: dict[str, int]
) -> None:
    options = parse_options(raw_options)
    assert find_counted_forks(REPOSITORIES, options) == forks
    assert aggregate_selected_sizes(REPOSITORIES, ORIGINALS + FORKS, options) == sizes
    if forks:
        with pytest.raises(TokenRequired):
            aggregate_selected_sizes(REPOSITORIES, ORIGINALS, options)
    else:
        assert aggregate_selected_sizes(REPOSITORIES, ORIGINALS, options) == sizes


def test_aggregate_selected_sizes_new_fork_counts_with_the_next_fetch() -> None:
    repositories = (*REPOSITORIES, Repository(5, "new-fork", is_fork=True))
    options = parse_options({"include": "forks"})
    sizes = aggregate_selected_sizes(repositories, ORIGINALS + FORKS, options)
    assert sizes == {"Perl": 500, "C": 101, "Go": 20}


def test_aggregate_selected_sizes_empty_fork_is_not_a_missing_one() -> None:
    options = parse_options({"include": "forks"})
    sizes = (*ORIGINALS, RepositoryLanguages(3, {}))
    assert aggregate_selected_sizes(REPOSITORIES, sizes, options) == {"C": 100, "Go": 20}
