"""Publish banners that failed after all others."""

from alembic import op

revision = "0002"
down_revision = "0001"

INDEX = """
drop index banners_unpublished;
create index banners_unpublished on banners (publish_leased_until nulls first, id)
    where is_active and published_version < version;
"""


def upgrade() -> None:
    """Index unpublished banners by the end of their lease."""
    op.execute(INDEX)
