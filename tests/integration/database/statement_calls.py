"""
Execute every statement of the database package as the service does, with realistic parameters.

Each call is a part of the service's work on a database that `population.fill` has filled. A call may
lock and write: it runs in a transaction that is rolled back.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import msgspec

from github_banners.database import (
    account_budgets,
    backlogs,
    banner_versions,
    banners,
    data_leases,
    forgotten_users,
    leases,
    login_holders,
    owner_data,
    repositories,
    users,
)
from github_banners.database.session import Connection
from github_banners.models import (
    ContributionAccess,
    Contributions,
    Owner,
    OwnerRepositories,
    RepositoryDetails,
    RepositoryLanguages,
    Stats,
    aggregate,
)
from github_banners.options import BannerOptions, DataKind, Theme, repository_need
from tests.integration.database.population import (
    OWNERS_WITH_MANY_BANNERS,
    OWNERS_WITH_MANY_REPOSITORIES,
)

HOUR = timedelta(hours=1)
MANY_BANNERS_ID = OWNERS_WITH_MANY_BANNERS[0]
MANY_REPOSITORIES_ID = OWNERS_WITH_MANY_REPOSITORIES[0]
NEW_ID = 10**12

Fetched = tuple[OwnerRepositories, Stats]


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows of the database: 20 owners, 1,000 banners by name, and data of each kind."""

    now: datetime
    owner_ids: Sequence[int]
    banner_names: Sequence[str]
    banner_owner_ids: Sequence[int]
    contributions_id: int
    sizes_id: int
    repository_owner_id: int


Call = Callable[[Connection, Sample], Awaitable[object]]


async def select_sample(conn: Connection, *, now: datetime) -> Sample:
    """Choose owners and banners at random, the same ones every time."""
    rows = await (
        await conn.execute("""
            select distinct on (banners.owner_id) banners.owner_id, banners.name
            from (select (random() * max(id))::bigint as owner_id
                from users, generate_series(1, 1020), setseed(0.5) group by generate_series) as drawn
            join banners on banners.owner_id = drawn.owner_id and drawn.owner_id > 100
        """)
    ).fetchall()
    ids: dict[str, int] = {}
    for need in ("contributions", "language_sizes", "repository/"):
        query = """
            select owner_id from owner_data
            where owner_id > 1000 and starts_with(need, %s) order by owner_id limit 1
        """
        row = await (await conn.execute(query, [need])).fetchone()
        assert row is not None
        ids[need] = int(row[0])
    return Sample(
        now=now,
        owner_ids=[owner_id for owner_id, _ in rows[::50]][:20],
        banner_names=[name for _, name in rows][:1000],
        banner_owner_ids=[owner_id for owner_id, _ in rows][:1000],
        contributions_id=ids["contributions"],
        sizes_id=ids["language_sizes"],
        repository_owner_id=ids["repository/"],
    )


async def fetch_stored(
    conn: Connection, owner_ids: Sequence[int], *, fetched_at: datetime
) -> list[Fetched]:
    """Return owners as GitHub would if nothing had changed."""
    fetched = []
    for snapshot in await users.select_snapshots(conn, owner_ids):
        stored = tuple(await repositories.select_repositories(conn, snapshot.owner.id))
        data = OwnerRepositories(snapshot.owner, stored, fetched_at, followers=snapshot.followers)
        fetched.append((data, aggregate(stored)))
    return fetched


def change(fetched: Sequence[Fetched]) -> list[Fetched]:
    """Return the owners with a new star, a new repository and new followers, and without one repository."""
    changed = []
    for data, stats in fetched:
        if not data.repositories:
            changed.append((data, stats))
            continue
        first, *rest = data.repositories
        starred = (replace(first, stars=first.stars + 1), *rest[1:])
        changed_data = replace(
            data, repositories=(*starred, replace(first, id=NEW_ID + first.id)), followers=1_000_000
        )
        changed.append((changed_data, aggregate(changed_data.repositories)))
    return changed


def rename(fetched: Sequence[Fetched]) -> list[Fetched]:
    """Give every owner a new login."""
    renamed = []
    for data, stats in fetched:
        owner = Owner(data.owner.id, f"new-{data.owner.login}", data.owner.node_id, "New name")
        renamed.append((replace(data, owner=owner), stats))
    return renamed


async def look_up(conn: Connection, sample: Sample) -> None:
    login = f"owner-{sample.owner_ids[0]}"
    await users.select_snapshot(conn, login, now=sample.now)
    await users.select_snapshot_by_id(conn, sample.owner_ids[0], now=sample.now)
    await banners.select_banner_with_snapshot(conn, sample.banner_names[0], now=sample.now)
    await repositories.select_repositories(conn, sample.owner_ids[0])
    await repositories.select_repositories(conn, MANY_REPOSITORIES_ID)


async def look_up_data(conn: Connection, sample: Sample) -> None:
    needs = [DataKind.CONTRIBUTIONS, DataKind.LANGUAGE_SIZES]
    await owner_data.select_data(conn, sample.contributions_id, needs, now=sample.now)
    need = await owner_data.select_repository_need(conn, sample.repository_owner_id, "Repository-1")
    assert need is not None
    await owner_data.select_data(conn, sample.repository_owner_id, [need], now=sample.now)


async def create_banners(conn: Connection, sample: Sample) -> None:
    for owner_id in (sample.owner_ids[0], MANY_BANNERS_ID):
        await banners.insert_banner(
            conn,
            owner_id=owner_id,
            options=BannerOptions(theme=Theme.DARK),
            names=[f"new-{owner_id}"],
            needs=[DataKind.CONTRIBUTIONS, DataKind.REPOSITORIES],
            max_banners=10_000,
            now=sample.now,
        )
        await leases.schedule_users(conn, [owner_id], now=sample.now, interval=HOUR)
        await data_leases.schedule_data(conn, [owner_id], now=sample.now, interval=HOUR)


async def fetch_for_requests(conn: Connection, sample: Sample) -> None:
    await leases.lease_users(
        conn, dict.fromkeys(sample.owner_ids, sample.now), now=sample.now, lease=HOUR
    )
    await leases.release_user(conn, sample.owner_ids[0], leased_until=sample.now)
    await login_holders.insert_identity(conn, Owner(NEW_ID, "Identity"), now=sample.now)


async def save_new_owner(conn: Connection, sample: Sample) -> None:
    [(data, stats)] = await fetch_stored(conn, sample.owner_ids[:1], fetched_at=sample.now)
    owner = Owner(NEW_ID, "Somebody-New", "U_new", "Somebody")
    await users.upsert_owners(conn, [(replace(data, owner=owner), stats)], now=sample.now)


async def save_many_repositories(conn: Connection, sample: Sample) -> None:
    fetched = await fetch_stored(conn, [MANY_REPOSITORIES_ID], fetched_at=sample.now)
    await users.upsert_owners(conn, change(fetched), now=sample.now)


async def lease_owners(conn: Connection, sample: Sample) -> None:
    due = await leases.lease_due_users(conn, now=sample.now, limit=20, interval=HOUR)
    assert len(due) == 20
    await leases.release_users(conn, {owner.id: sample.now + HOUR for owner in due})


async def save_unchanged(conn: Connection, sample: Sample) -> None:
    fetched = await fetch_stored(conn, sample.owner_ids, fetched_at=sample.now)
    for _ in range(2):  # the digests are stored by the first
        await users.upsert_owners(conn, fetched, now=sample.now)
    await leases.schedule_users(conn, sample.owner_ids, now=sample.now, interval=HOUR)


async def save_changed(conn: Connection, sample: Sample) -> None:
    fetched = await fetch_stored(conn, sample.owner_ids, fetched_at=sample.now)
    await users.upsert_owners(conn, change(fetched), now=sample.now)


async def save_renamed(conn: Connection, sample: Sample) -> None:
    ids = [*sample.owner_ids[:19], MANY_BANNERS_ID]
    fetched = await fetch_stored(conn, ids, fetched_at=sample.now)
    await users.upsert_owners(conn, rename(fetched), now=sample.now)
    # The owner has exactly MAX_RAISED_BANNERS, so that others seem to remain.
    await banner_versions.raise_remaining_banners(conn, now=sample.now)


async def mark_deleted(conn: Connection, sample: Sample) -> None:
    await users.mark_user_deleted(
        conn, sample.owner_ids[0], requested_at=sample.now, now=sample.now
    )


async def publish(conn: Connection, sample: Sample) -> None:
    leased = await leases.lease_unpublished_banners(conn, now=sample.now, limit=100)
    assert len(leased) == 100
    await leases.mark_published(conn, {banner.id: banner.version for banner, _ in leased})


async def fail_to_publish(conn: Connection, sample: Sample) -> None:
    leased = await leases.lease_unpublished_banners(conn, now=sample.now, limit=100)
    await leases.release_banners(conn, {banner.id: sample.now + HOUR for banner, _ in leased})


async def lease_all_unpublished(conn: Connection, sample: Sample) -> None:
    """Lease all that does not wait for a retry, as a hundredth of all banners does."""
    leased = await leases.lease_unpublished_banners(conn, now=sample.now, limit=1000)
    assert len(leased) >= 100


async def refresh_data(conn: Connection, sample: Sample) -> None:
    due = await data_leases.lease_due_data(conn, now=sample.now, limit=3)
    assert len(due) == 3
    await data_leases.release_data(conn, due[0], retry_at=sample.now + HOUR)


async def save_contributions(conn: Connection, sample: Sample) -> None:
    owner_id, kind = sample.contributions_id, DataKind.CONTRIBUTIONS
    stored = (await owner_data.select_data(conn, owner_id, [kind], now=sample.now))[kind].content
    assert isinstance(stored, Contributions)
    today = replace_last_day(stored)
    for content in (stored, today):
        await owner_data.save_data(
            conn, owner_id, kind, content, fetched_at=sample.now, now=sample.now
        )
    await data_leases.schedule_data(conn, [owner_id], now=sample.now, interval=HOUR)


def replace_last_day(contributions: Contributions) -> Contributions:
    """Add a contribution to the last day."""
    *years, last = contributions.years
    *days, today = last.days
    changed = msgspec.structs.replace(last, days=(*days, today + 1), commits=last.commits + 1)
    return Contributions((*years, changed), ContributionAccess.VISIBLE)


async def save_other_data(conn: Connection, sample: Sample) -> None:
    sizes = tuple(RepositoryLanguages(number, {"Go": number + 1}) for number in range(12))
    details = RepositoryDetails(1, "repository-1", stars=4)
    repository = repository_need(sample.repository_owner_id * 100_000 + 1)
    for owner_id, need, content in (
        (sample.sizes_id, DataKind.LANGUAGE_SIZES.value, sizes),
        (sample.repository_owner_id, repository, details),
        (MANY_BANNERS_ID, DataKind.LANGUAGE_SIZES.value, sizes),
    ):
        await owner_data.save_data(
            conn, owner_id, need, content, fetched_at=sample.now, now=sample.now
        )
        await data_leases.schedule_data(conn, [owner_id], now=sample.now, interval=HOUR)


async def record_requests(conn: Connection, sample: Sample) -> None:
    requested_at = dict.fromkeys(sample.banner_names, sample.now)
    await banners.touch_banners(conn, requested_at, now=sample.now)
    await leases.schedule_users(conn, sample.banner_owner_ids, now=sample.now, interval=HOUR)
    await data_leases.schedule_data(conn, sample.banner_owner_ids, now=sample.now, interval=HOUR)


async def forget_user(conn: Connection, sample: Sample) -> None:
    now = sample.now
    for owner_id in (sample.owner_ids[0], MANY_BANNERS_ID):
        assert await forgotten_users.select_user(conn, f"owner-{owner_id}") is not None
        await forgotten_users.count_user_rows(conn, owner_id)
        rows = await forgotten_users.delete_user_rows(conn, owner_id, now=now, removal_due_at=now)
        assert rows.banners
    pictures = await forgotten_users.select_removed_pictures(conn, after="", limit=16)
    assert len(pictures) == 16
    await forgotten_users.delete_removed_pictures(conn, pictures)
    await forgotten_users.insert_denied_logins(conn, ["owner-1", "owner-2"], now=now)
    await forgotten_users.delete_denied_login(conn, "owner-1")


async def finish_forgetting(conn: Connection, sample: Sample) -> None:
    await forgotten_users.select_forgotten(conn, since=sample.now - HOUR)
    await forgotten_users.delete_expired(conn, now=sample.now)
    pictures = await forgotten_users.lease_removed_pictures(conn, now=sample.now, limit=16)
    assert len(pictures) == 16
    await forgotten_users.delete_removed_pictures(conn, pictures)


async def remove_gone_users(conn: Connection, sample: Sample) -> None:
    gone_before = sample.now - timedelta(days=90)
    start = (gone_before - timedelta(days=1), 0)
    leased = await forgotten_users.lease_gone_users(
        conn, gone_before=gone_before, after=start, now=sample.now, limit=20
    )
    assert leased


async def share_budget(conn: Connection, sample: Sample) -> None:
    account, resource, now = "account-50", "graphql", sample.now
    report = account_budgets.BudgetReport(3000, now + HOUR, now)
    await account_budgets.update_budget(
        conn, account, resource, limit=5000, report=report, unreported=3, now=now
    )
    await account_budgets.delete_expired_leases(conn, account, resource, observed_at=now, now=now)
    await account_budgets.select_leases(conn, account, resource, process="process-1")
    await account_budgets.upsert_lease(
        conn, account, resource, process="process-1", points=100, expires_at=now, now=now
    )


async def measure_backlogs(conn: Connection, sample: Sample) -> None:
    measured = await backlogs.select_backlogs(conn, now=sample.now)
    assert measured.unpublished_banners == backlogs.MAX_COUNTED


CALLS: dict[str, Call] = {
    "request: look up": look_up,
    "request: look up data": look_up_data,
    "request: create banners, of an owner of 1,000 too": create_banners,
    "request: fetch": fetch_for_requests,
    "request: save a new owner": save_new_owner,
    "refresh: lease 20, give them back": lease_owners,
    "refresh: save 20, unchanged": save_unchanged,
    "refresh: save 20, all changed": save_changed,
    "refresh: save 20 renamed, one with 1,000 banners": save_renamed,
    "refresh: save one with 5,000 repositories": save_many_repositories,
    "refresh: mark as deleted": mark_deleted,
    "outbox: publish 100": publish,
    "outbox: give 100 back": fail_to_publish,
    "outbox: lease up to 1,000, 1 % of all wait": lease_all_unpublished,
    "data: lease 3": refresh_data,
    "data: save contributions": save_contributions,
    "data: save sizes and a repository": save_other_data,
    "forget: two users, one with 1,000 banners": forget_user,
    "forget: what remains": finish_forgetting,
    "forget: lease users who are gone": remove_gone_users,
    "bookkeeping: 1,000 requests": record_requests,
    "bookkeeping: budget": share_budget,
    "bookkeeping: backlogs": measure_backlogs,
}
"""What the service does, by a description."""
