"""
The numbers of the repositories that a banner selects by its options `exclude_repos` and `include`.

Banners without these options show the stored numbers of their owner. For others the numbers are added
up from the owner's repositories: the stored rows, or what was fetched and is not stored yet.
"""

from collections.abc import Iterable

import msgspec

from github_banners.database.repositories import select_repositories
from github_banners.database.session import Connection
from github_banners.models import OwnerRepositories, Repository, Snapshot, Stats, aggregate
from github_banners.options import BannerOptions, Inclusion


def aggregate_selected(repositories: Iterable[Repository], options: BannerOptions) -> Stats:
    """Add up the repositories that a banner selects."""
    return aggregate(
        repositories,
        excluded_names=frozenset(options.exclude_repos),
        include_forks=Inclusion.FORKS in options.include,
        include_archived=Inclusion.ARCHIVED in options.include,
    )


async def read_selected(
    connection: Connection, snapshot: Snapshot, options: BannerOptions
) -> Snapshot:
    """
    Return a snapshot with the numbers of the stored repositories that a banner selects.

    :raises LookupError: the owner has repositories, but none is stored
    """
    if not options.has_selection:
        return snapshot
    repositories = await select_repositories(connection, snapshot.owner.id)
    if not repositories and snapshot.stats.total_repos:
        raise LookupError(f"the repositories of owner {snapshot.owner.id} are not stored")
    return msgspec.structs.replace(snapshot, stats=aggregate_selected(repositories, options))


def select_unsaved(
    unsaved: OwnerRepositories | None, snapshot: Snapshot, options: BannerOptions
) -> Snapshot | None:
    """Return a snapshot with selected numbers; None if the stored rows are as new as this."""
    if unsaved is None or unsaved.fetched_at < snapshot.fetched_at:
        return None
    stats = aggregate_selected(unsaved.repositories, options)
    return msgspec.structs.replace(snapshot, stats=stats)
