"""
Compare text keys bytewise, add a digest of an owner's rows, and set storage parameters.

An index sorted by a collation of the operating system is corrupt after that is upgraded: rows are not
found, and duplicates are inserted. Of duplicate logins the latest stays. Of banners with one name the
oldest keeps it, since names are permanent; the others get their id appended. All are rendered again.
"""

from alembic import op

revision = "0003"
down_revision = "0002"

_RESOLVE_DUPLICATES = """
alter table logins drop constraint logins_pkey;
alter table banners drop constraint banners_name_key;

delete from logins using (
    select login, owner_id, ctid, row_number() over (
        partition by login collate "C"
        order by held_since > now() + interval '10 minutes', held_since desc, owner_id desc
    ) as place
    from logins
) as ranked
where ranked.ctid = logins.ctid and ranked.place > 1;

with ranked as (
    select id,
        row_number() over (partition by name collate "C" order by id) as place,
        count(*) over (partition by name collate "C") as count,
        max(version) over (partition by name collate "C") as newest
    from banners
)
update banners set
    -- no other name ends like this: digests are base32, without 0
    name = case when ranked.place = 1 then name else name || '-0' || banners.id end,
    storage_path = case when ranked.place = 1 then name else name || '-0' || banners.id end,
    version = ranked.newest + 1,
    published_version = 0
from ranked
where ranked.id = banners.id and ranked.count > 1;
"""

_BYTEWISE = """
alter table logins alter column login type text collate "C", add primary key (login);
alter table banners alter column name type text collate "C",
    add constraint banners_name_key unique (name);
delete from accounts;
alter table accounts alter column account type text collate "C",
    alter column resource type text collate "C";
"""

_GROWTH = """
-- of the stored login and repositories
alter table users add column content_digest bytea;
-- look_digest of the last banner whose version was raised, while others are still to be raised
alter table users add column raise_banners_after bytea;
create index users_raising on users (id) where raise_banners_after is not null;

-- Free space in each page for new versions of rows (HOT updates), so that indexes need not change.
alter table users set (fillfactor = 90);
alter table banners set (fillfactor = 85);
alter table repositories set (fillfactor = 95);
-- The query for due owners reads dead index entries first. More frequent vacuums would write more
-- WAL than they save.
alter table users set (autovacuum_vacuum_scale_factor = 0.1);
"""


def upgrade() -> None:
    """Compare keys bytewise, and set storage parameters."""
    op.execute(_RESOLVE_DUPLICATES)
    op.execute(_BYTEWISE)
    op.execute(_GROWTH)
