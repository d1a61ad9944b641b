"""Functions of the domain model; the six numbers against a count by hand."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from github_banners.models import (
    EPOCH,
    Owner,
    Repository,
    Snapshot,
    Stats,
    aggregate,
    filter_repositories,
    to_epoch_microseconds,
    utc_now,
    without_implausible_times,
    without_numbers,
)

REPOSITORIES = st.lists(
    st.builds(
        Repository,
        id=st.integers(1, 1000),
        name=st.sampled_from(["x", "Y", "z.js"]),
        stars=st.integers(0, 10**6),
        forks=st.integers(0, 10**6),
        is_fork=st.booleans(),
        is_archived=st.booleans(),
        language=st.sampled_from([None, "", "C", "C++", "c", "Go", "Zig", "教育"]),
    ),
    max_size=60,
)


def test_to_epoch_microseconds_is_exact_in_any_time_zone() -> None:
    assert to_epoch_microseconds(datetime(1970, 1, 1, tzinfo=UTC)) == 0
    time = datetime(2026, 11, 20, 12, 0, 0, 123456, tzinfo=UTC)
    assert to_epoch_microseconds(time) == 1_795_176_000_123_456
    in_other_zone = time.astimezone(timezone(timedelta(hours=-7)))
    assert to_epoch_microseconds(in_other_zone) == to_epoch_microseconds(time)
    assert to_epoch_microseconds(datetime(9999, 12, 31, tzinfo=UTC)) < 2**63


def test_utc_now_has_time_zone() -> None:
    assert utc_now().utcoffset() == timedelta(0)


@given(
    repositories=REPOSITORIES,
    excluded_names=st.frozensets(st.sampled_from(["x", "y", "z.js", "unknown"])),
    include_archived=st.booleans(),
)
def test_filter_repositories_leaves_excluded_ones_out(
    repositories: list[Repository], excluded_names: frozenset[str], include_archived: bool
) -> None:
    rest = [
        repository
        for repository in repositories
        if repository.name.lower() not in excluded_names
        and (include_archived or not repository.is_archived)
    ]
    selected = filter_repositories(
        repositories, excluded_names=excluded_names, include_archived=include_archived
    )
    assert selected == rest


@given(repositories=REPOSITORIES)
def test_aggregate_include_forks_adds_numbers_of_forks(repositories: list[Repository]) -> None:
    stats = aggregate(repositories, include_forks=True)
    originals = aggregate(repositories)
    as_originals = aggregate([replace(repository, is_fork=False) for repository in repositories])
    assert (stats.total_stars, stats.total_forks) == (
        as_originals.total_stars,
        as_originals.total_forks,
    )
    assert stats.languages == as_originals.languages
    assert (stats.total_repos, stats.original_repos, stats.forked_repos) == (
        originals.total_repos,
        originals.original_repos,
        originals.forked_repos,
    )


def count_by_hand(repositories: list[Repository]) -> Stats:
    stars = forks = originals = 0
    languages: dict[str, int] = {}
    for repository in repositories:
        if not repository.is_fork:
            originals += 1
            stars, forks = stars + repository.stars, forks + repository.forks
            if repository.language:
                languages[repository.language] = languages.get(repository.language, 0) + 1
    total = len(repositories)
    return Stats(total, originals, total - originals, stars, forks, languages)


@given(repositories=REPOSITORIES)
def test_aggregate_equals_naive_count(repositories: list[Repository]) -> None:
    assert aggregate(iter(repositories)) == count_by_hand(repositories)


@given(repositories=REPOSITORIES, data=st.data())
def test_aggregate_in_any_order_is_equal(
    repositories: list[Repository], data: st.DataObject
) -> None:
    first, second = aggregate(repositories), aggregate(data.draw(st.permutations(repositories)))
    assert first == second
    assert list(first.languages) == list(second.languages)


@given(repositories=REPOSITORIES)
def test_aggregate_sorts_languages_by_count_then_name(repositories: list[Repository]) -> None:
    languages = list(aggregate(repositories).languages.items())
    assert languages == sorted(languages, key=lambda item: (-item[1], item[0]))


def test_aggregate_equal_counts_sorts_by_name() -> None:
    names = ["Zig", "C", "Go", "C", "Zig", "Ada"]
    repositories = [Repository(number, "x", language=name) for number, name in enumerate(names)]
    assert list(aggregate(repositories).languages.items()) == [
        ("C", 2),
        ("Zig", 2),
        ("Ada", 1),
        ("Go", 1),
    ]


def test_aggregate_counts_forks_as_repositories_only() -> None:
    fork = Repository(1, "x", stars=9, forks=9, is_fork=True, language="C")
    assert aggregate([fork]) == Stats(1, 0, 1, 0, 0, {})
    assert aggregate([]) == Stats(0, 0, 0, 0, 0, {})


NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
NEXT_YEAR = NOON + timedelta(days=365)


@pytest.mark.parametrize(
    ("fetched_at", "version_time", "expected"),
    [
        (NOON, NOON, (NOON, to_epoch_microseconds(NOON))),
        (NEXT_YEAR, NOON, (EPOCH, to_epoch_microseconds(NOON))),
        (NOON, NEXT_YEAR, (NOON, 0)),
        (NEXT_YEAR, NEXT_YEAR, (EPOCH, 0)),
    ],
)
def test_without_implausible_times_resets_those_of_a_wrong_clock(
    fetched_at: datetime, version_time: datetime, expected: tuple[datetime, int]
) -> None:
    snapshot = Snapshot(
        Owner(1, "ada"), aggregate([]), fetched_at, version=to_epoch_microseconds(version_time)
    )
    plausible = without_implausible_times(snapshot, now=NOON)
    assert (plausible.fetched_at, plausible.version) == expected


def test_without_numbers_has_only_the_identity() -> None:
    snapshot = without_numbers(Owner(1, "ada"), version=7)
    assert (snapshot.owner.login, snapshot.version, snapshot.has_numbers) == ("ada", 7, False)
    assert snapshot.stats == aggregate([])
