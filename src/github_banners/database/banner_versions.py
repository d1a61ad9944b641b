"""
Versions of banners: raised when their owner's numbers change, repaired after a wrong clock.

An owner may have more banners than one transaction should lock; the rest is raised in later ones.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from github_banners.database.session import Connection
from github_banners.models import END_OF_TIME, EPOCH, MAX_CLOCK_SKEW, to_epoch_microseconds

MAX_RAISED_BANNERS = 1000
"""Maximum number of one owner's banners that a transaction locks and raises."""

NAMES = "names"
"""A change of the owner's login or display name, which every banner shows."""

SELECTION = "selection"
"""A change of repositories that leaves the owner's numbers as they are."""


def latest_time(now: datetime | None) -> datetime:
    """Return the latest plausible time of a row; any time is plausible if `now` is None."""
    return now + MAX_CLOCK_SKEW if now is not None else END_OF_TIME


def latest_version(now: datetime | None) -> int:
    """Return the highest plausible version of a row; any is plausible if `now` is None."""
    return to_epoch_microseconds(latest_time(now)) if now is not None else 2**63 - 1


_RAISE = """
    with changes as (
        select * from unnest(%(ids)s::bigint[], %(changed)s::text[])
            as changes (owner_id, changed)
    ), picked as (
        -- at least the time of the new data, so that a restored database does not fall behind the
        -- pictures that are stored; nothing from a wrong clock
        select chosen.id, users.fetched_at, greatest(
                %(min_version)s::bigint,
                case when users.version <= %(latest)s then users.version end,
                case when users.fetched_at between %(epoch)s and %(latest_time)s
                    then (extract(epoch from users.fetched_at) * 1000000)::bigint end
            ) as version
        from users cross join lateral (
            select id from banners
            where banners.owner_id = users.id and look_digest > %(after)s
                and exists (
                    select from changes
                    where changes.owner_id = users.id and (
                        changed = %(names)s
                        or changed = any(banners.needs)
                        or changed = %(selection)s
                            and look ?| array['exclude_repos', 'include']
                    )
                )
            order by look_digest limit %(limit)s
        ) as chosen
        where users.id = any(%(ids)s)
    ), locked as (
        select banners.id, picked.version, picked.fetched_at
        from picked join banners on banners.id = picked.id
        order by banners.id
        for update of banners
    )
    update banners set
        version = case when banners.version > %(latest)s then locked.version
            else greatest(banners.version + 1, locked.version) end,
        updated_at = greatest(updated_at, locked.fetched_at)
    from locked where locked.id = banners.id
    returning banners.owner_id, banners.look_digest
"""


async def raise_banner_versions(
    conn: Connection,
    changes: Mapping[int, Collection[str]],
    *,
    now: datetime | None,
    after: bytes = b"",
    min_version: int = 0,
) -> Counter[int]:
    """
    Raise the versions of the banners that show what has changed.

    `changes` maps owner ids to what changed: `NAMES`, `SELECTION` or needs of banners. New versions are
    at least `min_version`, and that of the owner's last save. Banners are raised in the order of the
    digests of their options, starting after `after`. If an owner has more than MAX_RAISED_BANNERS, the
    last raised digest is saved in `users.raise_banners_after` for `raise_remaining_banners`. Return the
    number of raised banners by owner id.
    """
    pairs = [(owner_id, change) for owner_id in sorted(changes) for change in changes[owner_id]]
    parameters = {
        "ids": [owner_id for owner_id, _ in pairs],
        "changed": [change for _, change in pairs],
        "names": NAMES,
        "selection": SELECTION,
        "after": after,
        "limit": MAX_RAISED_BANNERS,
        "latest": latest_version(now),
        "latest_time": latest_time(now),
        "epoch": EPOCH,
        "min_version": min_version,
    }
    rows = await (await conn.execute(_RAISE, parameters)).fetchall()
    counts = Counter(owner_id for owner_id, _ in rows)
    last_digests: dict[int, bytes] = dict(sorted(rows))
    owner_ids = sorted(changes)
    partial = [owner_id for owner_id in owner_ids if NAMES not in changes[owner_id]]
    unfinished = [owner_id for owner_id in owner_ids if counts[owner_id] == MAX_RAISED_BANNERS]
    if unfinished or after:
        query = """
            update users set raise_banners_after = case
                -- what an earlier change has left to do is still to be done
                when users.id = any(%s) then least(users.raise_banners_after, progress.after)
                else progress.after end
            from unnest(%s::bigint[], %s::bytea[]) as progress (id, after)
            where progress.id = users.id
        """
        progress = [
            last_digests[owner_id] if owner_id in unfinished else None for owner_id in owner_ids
        ]
        await conn.execute(query, [partial, owner_ids, progress])
    return counts


async def repair_banner_versions(
    conn: Connection, owner_ids: Sequence[int], *, now: datetime
) -> None:
    """Replace implausible versions of owners' banners, and publish these banners again."""
    query = """
        with locked as (
            select banners.id, users.version
            from banners join users on users.id = banners.owner_id
            where banners.owner_id = any(%(ids)s)
                and (banners.version > %(latest)s or banners.published_version > %(latest)s)
            order by banners.id
            for update of banners
        )
        update banners set
            version = case when banners.version > %(latest)s
                then greatest(locked.version, %(now)s) else banners.version end,
            published_version = 0
        from locked where locked.id = banners.id
    """
    parameters = {
        "ids": sorted(owner_ids),
        "latest": latest_version(now),
        "now": to_epoch_microseconds(now),
    }
    await conn.execute(query, parameters)


async def raise_remaining_banners(conn: Connection, *, now: datetime) -> int:
    """
    Raise the next banners of an owner with more than MAX_RAISED_BANNERS.

    Return their number, at least 1; 0 if nothing is left to do.
    """
    query = """
        select id, raise_banners_after from users where raise_banners_after is not null
        order by id limit 1 for no key update skip locked
    """
    row = await (await conn.execute(query)).fetchone()
    if row is None:
        return 0
    owner_id, after = row
    raised = await raise_banner_versions(conn, {owner_id: [NAMES]}, now=now, after=after)
    return raised.total() or 1
