"""
What a banner shows besides its owner's numbers.

That is: selected repositories, language sizes, contributions, or one repository. `complete` is pure;
`read_completed` takes everything from PostgreSQL.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import nlargest
from typing import Any, TypeAlias

import msgspec

from github_banners.database.owner_data import OwnerData, select_data
from github_banners.database.repositories import select_repositories
from github_banners.database.session import Connection
from github_banners.errors import closest_match, contributions_error
from github_banners.models import (
    ContributionAccess,
    Contributions,
    Repository,
    RepositoryDetails,
    RepositoryLanguages,
    Snapshot,
)
from github_banners.options import (
    CONTRIBUTION_NUMBERS,
    BannerOptions,
    DataKind,
    Layout,
    ShownNumber,
    data_needs,
    parse_need,
    shows_only_totals,
)
from github_banners.stats.contribution_summary import ActivitySummary, summarize
from github_banners.stats.selection import aggregate_selected, aggregate_selected_sizes

ShownContent: TypeAlias = ActivitySummary | tuple[RepositoryLanguages, ...] | RepositoryDetails
"""Data in the form in which it is cached: contributions are summarized."""


_MAX_COMPARED = 1000  # 20 ms


@dataclass(frozen=True, slots=True)
class ShownData:
    """Data of one kind; `fetched_at` is when GitHub was requested."""

    content: ShownContent
    fetched_at: datetime


def to_shown_data(content: OwnerData, fetched_at: datetime) -> ShownData:
    """Summarize contributions up to the time they were fetched; leave other data as it is."""
    if isinstance(content, Contributions):
        return ShownData(summarize(content, now=fetched_at), fetched_at)
    return ShownData(content, fetched_at)


def needs_repository_rows(options: BannerOptions) -> bool:
    """Return whether a banner's numbers are added up from single repositories."""
    return options.has_selection or DataKind.LANGUAGE_SIZES in data_needs(options)


def complete(
    snapshot: Snapshot,
    options: BannerOptions,
    data: Mapping[DataKind, ShownData],
    repositories: Sequence[Repository] = (),
) -> Snapshot:
    """
    Return a snapshot with all that a banner shows; `fetched_at` is that of its oldest part.

    `repositories` are those of the owner, if `needs_repository_rows`.

    :raises LookupError: data is missing
    :raises TokenRequired: forks are counted by size, and their sizes were not fetched
    :raises BannersError: there are neither contributions nor followers to draw, and the banner shows
        nothing else
    """
    needs = data_needs(options)
    changes: dict[str, Any] = {}
    if options.has_selection:
        changes["stats"] = aggregate_selected(repositories, options)
    for kind in needs - {DataKind.REPOSITORIES, DataKind.FOLLOWERS}:
        if kind not in data:
            raise LookupError(f"{kind} of owner {snapshot.owner.id} are missing")
        content = data[kind].content
        if isinstance(content, ActivitySummary):
            changes |= {"activity": content.activity, "contribution_access": content.access}
        elif isinstance(content, RepositoryDetails):
            changes["repository"] = content
        else:
            sizes = aggregate_selected_sizes(repositories, content, options)
            changes["language_sizes"] = sizes
    times = [shown.fetched_at for kind, shown in data.items() if kind in needs]
    if DataKind.REPOSITORIES in needs:
        times.append(snapshot.fetched_at)
    completed = msgspec.structs.replace(snapshot, fetched_at=min(times), **changes)
    if needs.isdisjoint({DataKind.CONTRIBUTIONS, DataKind.FOLLOWERS}):
        return completed
    if DataKind.REPOSITORIES in needs:
        completed = _reconcile_access(completed)
    if _shows_nothing(completed, options):
        raise contributions_error(completed.contribution_access, completed.owner.login)
    return completed


def _reconcile_access(snapshot: Snapshot) -> Snapshot:
    """Hide the followers of a private profile, and recognise an organisation by having none."""
    if snapshot.contribution_access is ContributionAccess.HIDDEN:
        followers = snapshot.followers or None
        return msgspec.structs.replace(snapshot, followers=followers)
    # GitHub has a number for every user. It is also missing in rows of versions that did not store it yet;
    # these are fetched again like other numbers.
    if snapshot.followers is None and snapshot.activity is None:
        access = ContributionAccess.ORGANISATION
        return msgspec.structs.replace(snapshot, contribution_access=access)
    return snapshot


def _shows_nothing(snapshot: Snapshot, options: BannerOptions) -> bool:
    """Return whether all numbers that a banner shows are unavailable."""
    if snapshot.contribution_access is ContributionAccess.VISIBLE:
        return False
    if options.layout is Layout.ACTIVITY:
        return True
    available = set(options.show).difference(CONTRIBUTION_NUMBERS, options.hide)
    if snapshot.followers is None:
        available.discard(ShownNumber.FOLLOWERS)
    return not available


def suggest_repository(name: str, repositories: Iterable[Repository]) -> str | None:
    """
    Return the repository whose name is closest to a misspelt one, None if none is close.

    Of very many repositories, those with the most stars are compared.
    """
    compared = nlargest(_MAX_COMPARED, repositories, key=lambda repository: repository.stars)
    names = {repository.name.lower(): repository.name for repository in compared}
    closest = closest_match(name.lower(), sorted(names))
    return names[closest] if closest is not None else None


async def read_completed(
    connection: Connection, snapshot: Snapshot, options: BannerOptions, needs: Sequence[str]
) -> Snapshot:
    """
    Return a snapshot with all that a permanent banner shows, from PostgreSQL.

    :raises LookupError: something is not stored yet
    :raises TokenRequired: forks are counted by size, and their sizes are not stored
    :raises BannersError: there are neither contributions nor followers to draw, and the banner shows
        nothing else
    """
    if DataKind.REPOSITORIES in needs and not snapshot.has_numbers:
        raise LookupError(f"the numbers of owner {snapshot.owner.id} are not stored")
    if shows_only_totals(options):
        return snapshot
    repositories: Sequence[Repository] = ()
    if needs_repository_rows(options):
        repositories = await select_repositories(connection, snapshot.owner.id)
        if not repositories and snapshot.stats.total_repos:
            raise LookupError(f"the repositories of owner {snapshot.owner.id} are not stored")
    stored = await select_data(connection, snapshot.owner.id, needs)
    data = {
        parse_need(need)[0]: to_shown_data(part.content, part.fetched_at)
        for need, part in stored.items()
    }
    return complete(snapshot, options, data, repositories)
