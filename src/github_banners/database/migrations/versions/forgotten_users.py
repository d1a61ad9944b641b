"""
Record which users were forgotten, which of their pictures are still stored, and which are denied.

An earlier version that runs beside this one saves what it has requested of a user before, so a user who
is forgotten meanwhile may have to be forgotten again.
"""

from alembic import op

revision = "0007"
down_revision = "0006"

_TABLES = """
create table if not exists forgotten_users (
    owner_id bigint primary key,
    -- what was requested from GitHub until then is not saved any more
    forgotten_at timestamptz not null,
    -- of the tombstones in the storage; a new banner of the user gets a higher one
    version bigint not null check (version > 0)
);
create index if not exists forgotten_users_time on forgotten_users (forgotten_at);

-- pictures of deleted banners that the storage still has to remove
create table if not exists removed_pictures (
    storage_path text collate "C" primary key,
    version bigint not null check (version > 0),
    -- a process that removes it postpones this, as a lease
    due_at timestamptz not null
);
create index if not exists removed_pictures_due on removed_pictures (due_at);

create table if not exists denied_logins (
    login text collate "C" primary key check (login = lower(login)),
    denied_at timestamptz not null
);

-- users that are deleted on GitHub
create index if not exists users_gone on users (gone_since, id) where gone_since is not null;
"""

# Without access to these tables no user could be saved. The service may run as another role than
# `migrate`: it gets the rights that it has on `users`.
_GRANTS = """
do $$
declare
    role_name text;
begin
    for role_name in
        select distinct pg_get_userbyid(grantee)
        from pg_class, aclexplode(relacl)
        where oid = 'users'::regclass and privilege_type = 'INSERT'
            and grantee not in (0, relowner)
    loop
        execute 'grant select, insert, update, delete'
            ' on forgotten_users, removed_pictures, denied_logins to ' || quote_ident(role_name);
    end loop;
end
$$;
"""


def upgrade() -> None:
    """Create the tables and the index."""
    op.execute(_TABLES)
    op.execute(_GRANTS)
