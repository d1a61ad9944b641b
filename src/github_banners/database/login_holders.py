"""Store which owner has a login, or had it last, and owners without numbers."""

from collections.abc import Sequence
from datetime import datetime

from github_banners.database.banner_versions import latest_time
from github_banners.database.session import Connection, strip_unstorable, to_columns
from github_banners.models import EPOCH, Owner, OwnerRepositories, to_epoch_microseconds


async def upsert_logins(
    conn: Connection, owners: Sequence[OwnerRepositories], *, now: datetime | None
) -> None:
    """Assign logins to their owners; a login belongs to the owner seen with it last."""
    by_age = sorted(owners, key=lambda owner_repositories: owner_repositories.fetched_at)
    holders = {
        owner_repositories.owner.login.lower(): (
            owner_repositories.owner.id,
            owner_repositories.fetched_at,
        )
        for owner_repositories in by_age
    }
    query = """
        insert into logins as stored (login, owner_id, held_since)
        select fresh.*
        from unnest(%(logins)s::text[], %(owner_ids)s::bigint[], %(times)s::timestamptz[])
            as fresh (login, owner_id, held_since)
        -- before the conflict, which locks the stored row and so writes it to the WAL
        where not exists (
            select from logins as same
            where same.login = fresh.login and same.owner_id = fresh.owner_id
                and same.held_since <= %(latest)s
        )
        order by fresh.login
        on conflict (login) do update
        set owner_id = excluded.owner_id, held_since = excluded.held_since
        where stored.owner_id <> excluded.owner_id and stored.held_since <= excluded.held_since
            or stored.held_since > %(latest)s
    """
    rows = ((strip_unstorable(login), *holder) for login, holder in holders.items())
    logins, owner_ids, times = to_columns(rows, column_count=3)
    parameters = {
        "logins": logins,
        "owner_ids": owner_ids,
        "times": times,
        "latest": latest_time(now),
    }
    await conn.execute(query, parameters)


async def insert_identity(conn: Connection, owner: Owner, *, now: datetime) -> None:
    """
    Save an owner whose identity alone was fetched at `now`; a stored owner stays unchanged.

    An owner who was forgotten since is not saved. The numbers are stored as 0 and as fetched in 1970:
    they are hard-stale and never served.
    """
    query = """
        insert into users (
            id, node_id, login, display_name, total_repos, original_repos, forked_repos,
            total_stars, total_forks, languages, fetched_at, version
        )
        select %(id)s, %(node_id)s, %(login)s, %(display_name)s, 0, 0, 0, 0, 0, '{}', %(epoch)s,
            %(version)s
        where not exists (
            select from forgotten_users where owner_id = %(id)s and forgotten_at >= %(now)s
        )
        on conflict (id) do nothing
        returning id
    """
    parameters = {
        "id": owner.id,
        "node_id": strip_unstorable(owner.node_id),
        "login": strip_unstorable(owner.login),
        "display_name": strip_unstorable(owner.display_name),
        "epoch": EPOCH,
        "version": to_epoch_microseconds(now),
        "now": now,
    }
    cursor = await conn.execute(query, parameters)
    if await cursor.fetchone() is not None:
        await upsert_logins(conn, [OwnerRepositories(owner, (), now)], now=now)
