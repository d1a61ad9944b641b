"""
Compute what refreshing the present banners costs of GitHub's rate limit, for `check`.

Only what the background refreshes counts: owners and data with an active banner, as often as they are
scheduled. docs/configuration.md lists the same costs. Retries, first fetches of a history and requests
of clients are not counted. A batch of twenty owners costs one point, and so does one of a single owner:
owners are in one batch if they become due within the seconds between two batches.
"""

from dataclasses import dataclass
from datetime import datetime

from github_banners.database.server_info import check_transaction
from github_banners.models import OWNERS_PER_QUERY

SECONDS_BETWEEN_BATCHES = 2.0
"""The pause of the background refresh after a batch that was not full."""

_SELECT_COSTS = """
    with active as (
        select owner_id, needs from banners where is_active
    ), counting_forks as (
        select distinct owner_id from banners
        where is_active and 'language_sizes' = any(needs) and look->'include' ? 'forks'
    ), refreshed as (
        select 'owner' as need, users.id as owner_id,
            -- owners that are deleted on GitHub are checked weekly
            case when gone_since is null then refresh_every else interval '7 days' end as pause,
            due_at
        from users
        where due_at is not null and exists (select from active where active.owner_id = users.id)
        union all
        select split_part(need, '/', 1), owner_id, refresh_every, due_at
        from owner_data
        where due_at is not null and exists (
            select from active
            where active.owner_id = owner_data.owner_id and owner_data.need = any(active.needs)
        )
    ), priced as (
        select need,
            case when counting_forks.owner_id is null then original_repos else total_repos end
                as sized_repos,
            greatest((total_repos + 99) / 100, 1) as pages,
            3600 / extract(epoch from pause)::float8 as per_hour,
            -- those that are overdue are leased together
            floor(extract(epoch from greatest(refreshed.due_at, %(now)s))::float8 / %(seconds)s) as turn
        from refreshed join users on users.id = refreshed.owner_id
            left join counting_forks on counting_forks.owner_id = refreshed.owner_id
        where pause > interval '0'
    ), batches as (
        select per_hour * ((count(*) + %(owners)s - 1) / %(owners)s) as points from priced
        where need = 'owner' group by per_hour, turn
    ), costs as (
        -- each further page of an owner costs a point of its own
        select coalesce(sum(per_hour) filter (where need = 'owner'), 0) / %(owners)s as full_batches,
            coalesce(sum(per_hour * case need
                when 'owner' then pages - 1
                when 'language_sizes' then pages
                when 'contributions' then 1
                else 0
            end), 0) as others,
            coalesce(sum(per_hour) filter (where need = 'repository'), 0) as requests,
            -- a profile and its pages; the languages of each repository that counts have a path
            coalesce(sum(per_hour * case need
                when 'owner' then 1 + pages
                when 'language_sizes' then sized_repos
                when 'repository' then 1
                else 0
            end), 0) as anonymous
        from priced
    )
    select
        (select count(*) from active),
        (select count(distinct owner_id) from active),
        coalesce((select sum(points) from batches), 0) + others,
        full_batches + others,
        requests,
        anonymous
    from costs
"""


@dataclass(frozen=True, slots=True)
class RefreshCosts:
    """
    Active banners, the owners that have them, and what their refreshes cost in an hour.

    With a token that is `graphql_points` and `rest_requests`, without one `anonymous_requests` over
    REST. `min_graphql_points` is what the same owners cost among so many that all batches are full.
    """

    banners: int
    owners: int
    graphql_points: float
    min_graphql_points: float
    rest_requests: float
    anonymous_requests: float


async def fetch_refresh_costs(conninfo: str, *, schema: str, now: datetime) -> RefreshCosts:
    """
    Compute the costs from the up-to-date tables in a schema.

    :raises DatabaseUnavailable: rows can't be read
    """
    parameters = {"now": now, "seconds": SECONDS_BETWEEN_BATCHES, "owners": OWNERS_PER_QUERY}
    async with check_transaction(conninfo, schema=schema) as conn:
        row = await (await conn.execute(_SELECT_COSTS, parameters)).fetchone()
    return RefreshCosts(*(row or (0, 0, 0.0, 0.0, 0.0, 0.0)))
