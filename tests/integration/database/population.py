"""
Fill a database with invented owners, in SQL: their repositories, banners and data.

Assumed of every thousand owners: 1.4 banners each; 300, 200 and 200 have been requested within a day,
a week and 30 days; the number of repositories is log-normal, and the next refresh is at a random time
of the owner's interval. The first ten owners have 1,000 banners each, the next ten 5,000 repositories.
"""

import math
from datetime import datetime

import msgspec
import psycopg
from psycopg.sql import SQL, Identifier

from github_banners.models import (
    ContributionAccess,
    RepositoryDetails,
    RepositoryLanguages,
    to_epoch_microseconds,
)
from github_banners.options import (
    BannerOptions,
    CountBy,
    Layout,
    ShownNumber,
    banner_needs,
    to_canonical_json,
)

OWNERS_WITH_MANY_BANNERS = range(1, 11)
OWNERS_WITH_MANY_REPOSITORIES = range(11, 21)
MANY_BANNERS = 1000
MANY_REPOSITORIES = 5000

# Shares of a hundred banners.
_OPTIONS = [
    (BannerOptions(), 64),
    (BannerOptions(exclude_repos=("repository-1",)), 6),
    (BannerOptions(layout=Layout.ACTIVITY), 10),
    (BannerOptions(show=(ShownNumber.COMMITS, ShownNumber.STARS)), 8),
    (BannerOptions(count_by=CountBy.BYTES), 6),
    (BannerOptions(show=(ShownNumber.FOLLOWERS,)), 3),
    (BannerOptions(layout=Layout.REPOSITORY, repo="repository-1"), 3),
]

_USERS = """
    insert into users (
        id, node_id, login, display_name, total_repos, original_repos, forked_repos, total_stars,
        total_forks, languages, version, fetched_at, due_at, refresh_every, content_digest, followers
    )
    select id, 'U_kgDO' || id, 'Owner-' || id, 'Owner ' || id, 12, 9, 3, 40, 8,
        '{"Python":4,"Go":3,"C":2}', %(version)s - id, fetched_at,
        -- a two hundredth is overdue
        case when id %% 200 = 0 then %(now)s - random() * interval '10 minutes'
            else fetched_at + refresh_every end,
        refresh_every, sha256(id::text::bytea), (random() * 100)::int
    from (
        select id, refresh_every, %(now)s - random() * refresh_every as fetched_at
        from (
            select id, interval '1 hour' * case
                when id %% 10 < 3 then 1 when id %% 10 < 5 then 6 when id %% 10 < 7 then 24 else 168
            end as refresh_every
            from generate_series(1, %(owners)s) as id
        ) as tiers
    ) as turns
"""

_LOGINS = "insert into logins select lower(login), id, fetched_at from users order by id"

_REPOSITORIES = """
    insert into repositories (owner_id, id, name, stars, forks, is_fork, language, is_archived)
    select owner_id, owner_id * 100000 + place, 'repository-' || place,
        (random() ^ 8 * 1000)::int, (random() ^ 8 * 100)::int, place %% 4 = 0,
        (array['Python', 'Go', 'C', 'TypeScript', 'Rust', null])[1 + place %% 6], place %% 9 = 0
    from (
        select id as owner_id, case
            when id between %(first)s and %(last)s then %(many)s
            -- log-normal, by the method of Box and Muller
            else least(5000, exp(%(mu)s + 1.95 * sqrt(-2 * ln(1 - random())) * cos(pi() * 2 * random())))
        end::int as repositories
        from users
    ) as counts
    cross join generate_series(1, repositories) as place
"""

_BANNERS = """
    insert into banners (
        owner_id, name, look, look_digest, needs, version, published_version, publish_leased_until,
        storage_path, created_at, updated_at, last_requested_at
    )
    select owner_id, 'owner-' || owner_id || '-' || place, options.look, sha256((place || name)::bytea),
        options.needs, version,
        -- a thousandth is new, and a hundredth could not be published
        case when number %% 1000 = 0 or number %% 100 = 1 then 0 else version end,
        case when number %% 100 = 1 then %(now)s + random() * interval '4 minutes' end,
        'owner-' || owner_id || '-' || place, %(now)s - interval '90 days', fetched_at,
        %(now)s - case refresh_every
            when interval '1 hour' then random() * interval '1 day'
            when interval '6 hours' then interval '1 day' * (1 + 6 * random())
            when interval '24 hours' then interval '1 day' * (7 + 23 * random())
            else interval '1 day' * (30 + 90 * random())
        end
    from (
        select users.id as owner_id, users.login as name, version, fetched_at, refresh_every, place,
            row_number() over () as number, (users.id * 37 + place * 11) %% 100 as share
        from users cross join generate_series(1, case
            when users.id between %(first)s and %(last)s then %(many)s
            else 1 + (users.id %% 4 = 0)::int + (users.id %% 8 = 0)::int
        end) as place
    ) as numbered
    join (
        select look::jsonb, array_replace(
                string_to_array(needs, ','), 'repository', 'repository/0') as needs,
            upto - width as lowest, upto as limit_of_share
        from unnest(%(looks)s::text[], %(needs)s::text[], %(widths)s::int[], %(upto)s::int[])
            as options (look, needs, width, upto)
    ) as options on share >= lowest and share < limit_of_share
"""

# The need of a repository has its id, which the options above do not know.
_REPOSITORY_NEEDS = """
    update banners set needs = array['repository/' || owner_id * 100000 + 1]
    where needs = array['repository/0']
"""

_OWNER_DATA = """
    insert into owner_data (owner_id, need, content, version, fetched_at, due_at, refresh_every)
    select owner_id, need,
        case
            when need = 'contributions' then %(contributions)s
            when need = 'language_sizes' then %(sizes)s
            else %(details)s
        end::json,
        %(version)s, fetched_at,
        case when owner_id %% 200 = 1 then %(now)s - random() * interval '10 minutes'
            else fetched_at + pause end,
        pause
    from (
        select owner_id, need, greatest(refresh_every, interval '1 day') as pause,
            %(now)s - random() * greatest(refresh_every, interval '1 day') as fetched_at
        from (
            select distinct owner_id, need from banners cross join unnest(needs) as need
            where need not in ('repositories', 'followers')
        ) as wanted
        join users on users.id = wanted.owner_id
    ) as turns
    order by owner_id, need
"""

_YEARS = """
    insert into contribution_years
    select owner_id, year, days, 300, 20, 30, 10
    from owner_data
    cross join generate_series((2026 - owner_id %% 5)::int, 2026) as year
    join (
        -- eight invented years serve for all
        select number, array_agg(case when random() < 0.6 then 0 else (random() ^ 2 * 12)::int end)
            as days
        from generate_series(0, 7) as number cross join generate_series(1, 365) as day
        group by number
    ) as calendars on number = (owner_id + year) %% 8
    where need = 'contributions'
    order by owner_id, year
"""

_ACCOUNTS = """
    insert into accounts (account, resource, remaining, points_limit, reset_at, updated_at)
    select 'account-' || account, resource || case when process = 0 then '' else '/process-' || process end,
        4000, 5000, %(now)s + interval '30 minutes', %(now)s
    from generate_series(1, 100) as account cross join unnest(array['graphql', 'core']) as resource
    cross join generate_series(0, 10) as process
"""

# Deleted on GitHub within half a year.
_GONE = """
    update users set gone_since = %(now)s - random() * interval '180 days' where id %% 200 = 7
"""

_FORGOTTEN = """
    insert into forgotten_users
    select 1000000000 + number, %(now)s - number * interval '2 minutes', %(version)s
    from generate_series(1, 5000) as number
"""

_REMOVED_PICTURES = """
    insert into removed_pictures
    select 'removed-' || number, %(version)s, %(now)s + (number - 5000) * interval '3 milliseconds'
    from generate_series(1, 30000) as number
"""

_TABLES = (
    *("users", "logins", "repositories", "banners", "owner_data", "contribution_years"),
    *("accounts", "forgotten_users", "removed_pictures"),
)


def fill(conninfo: str, *, owners: int, now: datetime, mean_repositories: float = 14.4) -> None:
    """
    Fill the empty tables of a migrated database, and analyze them; needs a superuser.

    Numbers of repositories have the median `mean_repositories / 6.7`.
    """
    total = 0
    upto = [total := total + width for _, width in _OPTIONS]
    details = RepositoryDetails(
        1, "repository-1", description="A tool " * 10, language="Go", stars=3
    )
    sizes = [RepositoryLanguages(number, {"Python": 9000, "Go": 70}) for number in range(12)]
    base = {"now": now, "version": to_epoch_microseconds(now), "owners": owners}
    many_repositories = {
        "first": OWNERS_WITH_MANY_REPOSITORIES[0],
        "last": OWNERS_WITH_MANY_REPOSITORIES[-1],
        "many": MANY_REPOSITORIES,
        "mu": 0.76 + math.log(mean_repositories / 14.4),
    }
    many_banners = {
        "first": OWNERS_WITH_MANY_BANNERS[0],
        "last": OWNERS_WITH_MANY_BANNERS[-1],
        "many": MANY_BANNERS,
        "looks": [to_canonical_json(options).decode() for options, _ in _OPTIONS],
        "needs": [",".join(banner_needs(options)) for options, _ in _OPTIONS],
        "widths": [width for _, width in _OPTIONS],
        "upto": upto,
    }
    data = {
        "contributions": f'{{"access":"{ContributionAccess.VISIBLE}"}}',
        "sizes": msgspec.json.encode(sizes).decode(),
        "details": msgspec.json.encode(details).decode(),
    }
    with psycopg.connect(conninfo, autocommit=True) as conn:
        # Without the checks of foreign keys, which take most of the time.
        conn.execute("set session_replication_role = replica")
        conn.execute("set synchronous_commit = off")
        conn.execute("set work_mem = '256MB'")
        conn.execute("select setseed(0.5)")
        for statement, parameters in (
            (_USERS, base),
            (_LOGINS, None),
            (_REPOSITORIES, many_repositories),
            (_BANNERS, base | many_banners),
            (_REPOSITORY_NEEDS, None),
            (_OWNER_DATA, base | data),
            (_YEARS, {}),
            (_ACCOUNTS, base),
            (_GONE, base),
            (_FORGOTTEN, base),
            (_REMOVED_PICTURES, base),
        ):
            conn.execute(statement, parameters)
        for table in _TABLES:
            conn.execute(SQL("vacuum (analyze) {}").format(Identifier(table)))
