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
alter table users add column if not exists content_digest bytea;
-- look_digest of the last banner whose version was raised, while others are still to be raised
alter table users add column if not exists raise_banners_after bytea;
create index if not exists users_raising on users (id) where raise_banners_after is not null;

-- Free space in each page for new versions of rows (HOT updates), so that indexes need not change.
alter table users set (fillfactor = 90);
alter table banners set (fillfactor = 85);
alter table repositories set (fillfactor = 95);
-- The query for due owners reads dead index entries first. More frequent vacuums would write more
-- WAL than they save.
alter table users set (autovacuum_vacuum_scale_factor = 0.1);
"""

# An earlier version that ran after this revision, and after `migrate --back-to`, saved owners without
# their digest.
_CLEAR_DIGESTS = "update users set content_digest = null where content_digest is not null"

# Earlier versions prepare statements in their sessions. One that returns a column whose collation has
# changed fails ("cached plan must not change result type"), which ends such a process. A new session
# has to wait for the locks of this transaction. Where alembic_version was created in this transaction
# as well, no earlier version is running.
_END_SESSIONS_WITH_OLD_PLANS = """
select pg_terminate_backend(activity.pid)
from pg_stat_activity as activity
join pg_class as class on class.oid = 'alembic_version'::regclass
where activity.datname = current_database()
    and activity.usename = current_user
    and activity.application_name = 'github-banners'
    and class.xmin <> pg_current_xact_id()::xid;
"""


def upgrade() -> None:
    """Compare keys bytewise, and set storage parameters."""
    op.execute(_RESOLVE_DUPLICATES)
    op.execute(_BYTEWISE)
    op.execute(_GROWTH)
    op.execute(_CLEAR_DIGESTS)
    op.execute(_END_SESSIONS_WITH_OLD_PLANS)
