"""
Compute what refreshing the present banners costs of GitHub's rate limit, for `check`.

Only what the background refreshes counts: owners and data with an active banner, as often as they are
scheduled. docs/configuration.md lists the same costs. Retries, first fetches of a history and requests
of clients are not counted.
"""

from dataclasses import dataclass

import psycopg

from github_banners.database.connect import error_text
from github_banners.database.session import connect, transaction
from github_banners.errors import DatabaseUnavailable

_SELECT_COSTS = """
    with active as (
        select owner_id, needs from banners where is_active
    ), refreshed as (
        select 'owner' as need, users.id as owner_id,
            -- owners that are deleted on GitHub are checked weekly
            case when gone_since is null then refresh_every else interval '7 days' end as pause
        from users
        where due_at is not null and exists (select from active where active.owner_id = users.id)
        union all
        select split_part(need, '/', 1), owner_id, refresh_every
        from owner_data
        where due_at is not null and exists (
            select from active
            where active.owner_id = owner_data.owner_id and owner_data.need = any(active.needs)
        )
    ), priced as (
        select need, original_repos, greatest(ceil(total_repos / 100.0), 1) as pages,
            3600 / extract(epoch from pause) as per_hour
        from refreshed join users on users.id = refreshed.owner_id
        where pause > interval '0'
    )
    select
        (select count(*) from active),
        (select count(distinct owner_id) from active),
        -- a batch of twenty owners costs one point, and each further page of an owner another one
        coalesce(sum(per_hour * case need
            when 'owner' then 0.05 + pages - 1
            when 'language_sizes' then pages
            when 'contributions' then 1
            else 0
        end), 0)::float8,
        coalesce(sum(per_hour) filter (where need = 'repository'), 0)::float8,
        -- a profile and its pages; each original repository has its languages at a path of its own
        coalesce(sum(per_hour * case need
            when 'owner' then 1 + pages
            when 'language_sizes' then original_repos
            when 'repository' then 1
            else 0
        end), 0)::float8
    from priced
"""


@dataclass(frozen=True, slots=True)
class RefreshCosts:
    """
    Active banners, the owners that have them, and what their refreshes cost in an hour.

    With a token that is `graphql_points` and `rest_requests`, without one `anonymous_requests` over
    REST.
    """

    banners: int
    owners: int
    graphql_points: float
    rest_requests: float
    anonymous_requests: float


async def fetch_refresh_costs(conninfo: str, *, schema: str) -> RefreshCosts:
    """
    Compute the costs from the up-to-date tables in a schema.

    :raises DatabaseUnavailable: rows can't be read
    """
    try:
        async with (
            await connect(conninfo, application_name="github-banners-check") as conn,
            transaction(conn, schema=schema),
        ):
            row = await (await conn.execute(_SELECT_COSTS)).fetchone()
    except psycopg.Error as exc:
        raise DatabaseUnavailable(error_text(exc)) from exc
    return RefreshCosts(*(row or (0, 0, 0.0, 0.0, 0.0)))
