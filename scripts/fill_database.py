"""
Fill an empty database with invented owners: `python -m scripts.fill_database CONNINFO OWNERS`.

The tables are created first. Needs a superuser; a million owners take minutes and 6 GB.
"""

import asyncio
import sys

from github_banners.database.migrations import migrate
from github_banners.models import utc_now
from tests.integration.database.population import fill


def main(conninfo: str, owners: str) -> None:
    """Create the tables and fill them."""
    asyncio.run(migrate(conninfo))
    fill(conninfo, owners=int(owners), now=utc_now())


if __name__ == "__main__":
    main(*sys.argv[1:])
