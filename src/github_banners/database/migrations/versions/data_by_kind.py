"""
Store further data of owners, and which data each banner shows.

An earlier version that runs beside this one neither reads nor writes what is new: its banners show
repositories only, which the default of `needs` says.
"""

from alembic import op

revision = "0005"
down_revision = "0004"

_CHANGES = """
alter table users add column if not exists followers integer check (followers >= 0);

-- as `options.DataKind`; for one repository with its id: `repository/123`
alter table banners add column if not exists needs text[] collate "C" not null default '{repositories}';

create table if not exists owner_data (
    owner_id bigint not null references users on delete cascade,
    need text collate "C" not null,
    -- null: not fetched yet; json and not jsonb, because it is only read whole
    content json,
    version bigint not null check (version >= 0),
    fetched_at timestamptz not null,
    -- null: no banner needs it
    due_at timestamptz,
    refresh_every interval,
    leased_until timestamptz,
    primary key (owner_id, need)
);
create index if not exists owner_data_due on owner_data (due_at, owner_id) where due_at is not null;

create table if not exists contribution_years (
    owner_id bigint not null references users on delete cascade,
    year smallint not null,
    -- counts per day from 1 January on
    days integer[] not null check (array_position(days, null) is null),
    commits integer not null check (commits >= 0),
    issues integer not null check (issues >= 0),
    pull_requests integer not null check (pull_requests >= 0),
    reviews integer not null check (reviews >= 0),
    primary key (owner_id, year)
);
"""


def upgrade() -> None:
    """Create the tables and columns."""
    op.execute(_CHANGES)
