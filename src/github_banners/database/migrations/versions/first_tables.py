"""Create the tables."""

from alembic import op

revision = "0001"
down_revision = None

TABLES = """
create table users (
    id bigint primary key,
    node_id text,
    login text not null,
    display_name text,
    total_repos integer not null check (total_repos >= 0),
    original_repos integer not null check (original_repos >= 0),
    forked_repos integer not null check (forked_repos >= 0),
    total_stars bigint not null check (total_stars >= 0),
    total_forks bigint not null check (total_forks >= 0),
    -- json and not jsonb: it keeps the order of its keys
    languages json not null,
    version bigint not null check (version > 0),
    fetched_at timestamptz not null,
    gone_since timestamptz,
    -- null: the owner has no banner
    due_at timestamptz,
    -- delay between a save and the next due_at
    refresh_every interval,
    leased_until timestamptz
);
create index users_due on users (due_at, id) where due_at is not null;

create table logins (
    login text primary key check (login = lower(login)),
    owner_id bigint not null references users on delete cascade,
    -- when the owner was first seen with this login
    held_since timestamptz not null
);
create index logins_owner on logins (owner_id);

-- A transferred repository can appear under two owners for a while, so its id alone is no key.
create table repositories (
    owner_id bigint not null references users on delete cascade,
    id bigint not null,
    name text not null,
    stars integer not null,
    forks integer not null,
    is_fork boolean not null,
    language text,
    primary key (owner_id, id)
);

create table banners (
    id bigint generated always as identity primary key,
    owner_id bigint not null references users,
    name text not null unique check (name = lower(name)),
    look jsonb not null,
    -- SHA-256 of the canonical options, which can be too long for an index
    look_digest bytea not null,
    version bigint not null check (version > 0),
    published_version bigint not null default 0,
    publish_leased_until timestamptz,
    storage_path text not null,
    is_active boolean not null default true,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    last_requested_at timestamptz not null,
    unique (owner_id, look_digest)
);
create index banners_unpublished on banners (id) where is_active and published_version < version;

create table accounts (
    -- a public name for a token, not the token
    account text not null,
    resource text not null,
    remaining integer not null,
    points_limit integer not null check (points_limit >= 0),
    reset_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (account, resource)
);
"""


def upgrade() -> None:
    """Create the tables."""
    op.execute(TABLES)
