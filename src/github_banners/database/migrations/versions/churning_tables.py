"""
Set storage parameters of tables whose rows change often.

They apply to pages that are written from now on, and lock out neither readers nor writers.
"""

from alembic import op

revision = "0006"
down_revision = "0005"

_CHANGES = """
-- Free space in each page for the next version of a row (HOT updates), so that indexes need not
-- change: of a lease; of the current year, 1.5 KB and so a fifth of a page; of a budget, which changes
-- every few seconds.
alter table owner_data set (fillfactor = 90);
alter table contribution_years set (fillfactor = 80);
alter table accounts set (fillfactor = 50);
-- The queries for due data and for unpublished banners read dead index entries first, as the one for
-- due owners does.
alter table owner_data set (autovacuum_vacuum_scale_factor = 0.1);
alter table banners set (autovacuum_vacuum_scale_factor = 0.1);
"""


def upgrade() -> None:
    """Set the parameters."""
    op.execute(_CHANGES)
