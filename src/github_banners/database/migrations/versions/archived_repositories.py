"""
Record which repositories are archived.

A constant default needs no rewrite of the table. Until their owner is saved again, repositories count
as not archived; the digest of an owner's rows covers the column, so the next save fills it in.
"""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column, which earlier versions neither read nor write."""
    op.execute(
        "alter table repositories add column if not exists is_archived boolean not null default false"
    )
