"""
Text keys that are compared bytewise, a digest of what an owner's rows hold, and settings of tables.

A key whose order comes from the operating system is damaged when that is upgraded: rows can't be found, and
others are inserted beside them. Of two logins the one held later stays. Of two banners of one name the older one
keeps it, since addresses are for ever; the other is called by its name and its id. Both are drawn anew.
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
    -- no permanent name ends like this: a 0 is no digit of theirs
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
-- of what was stored last of an owner's login and repositories
alter table users add column content_digest bytea;
-- while an owner has banners whose version is still to be raised: the look_digest of the last raised one
alter table users add column raise_banners_after bytea;
create index users_raising on users (id) where raise_banners_after is not null;

-- Room for the next version of a row beside the last one, so that indexes need not change with it.
alter table users set (fillfactor = 90);
alter table banners set (fillfactor = 85);
alter table repositories set (fillfactor = 95);
-- The search for who is due reads dead entries first; more often would write more WAL than it saves.
alter table users set (autovacuum_vacuum_scale_factor = 0.1);
"""

# Earlier versions prepare statements in their sessions. One that returns a column whose collation has changed fails
# ("cached plan must not change result type"), which ends such a process. A new session has to wait for the locks of
# this transaction. Where alembic_version was created in this transaction as well, no earlier version is running.
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
    """Compare keys bytewise, and make room for what changes often."""
    op.execute(_RESOLVE_DUPLICATES)
    op.execute(_BYTEWISE)
    op.execute(_GROWTH)
    op.execute(_END_SESSIONS_WITH_OLD_PLANS)
