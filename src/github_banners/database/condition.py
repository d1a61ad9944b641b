"""
How a database is doing, for whoever checks the set-up.

Looks, and starts and changes nothing.
"""

from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from github_banners.database.embedded import _check_version, _explained, _status
from github_banners.database.embedded_files import _package_folder
from github_banners.database.migrations import HEAD, select_revision
from github_banners.errors import DatabaseUnavailable

OLDEST_MAJOR = 15
"""The oldest PostgreSQL that will do."""

_CONNECT_TIMEOUT_SECONDS = 3
_SOCKET_DIR_LINE = 4


@dataclass(frozen=True, slots=True)
class Condition:
    """What a server says: its version, and the revision of our tables, None for no tables."""

    version: str
    major: int
    revision: str | None

    @property
    def is_too_old(self) -> bool:
        """Tell whether the server lacks what we need."""
        return self.major < OLDEST_MAJOR

    @property
    def is_behind(self) -> bool:
        """Tell whether the tables are to be made or brought up to date."""
        return self.revision is None or self.revision < HEAD

    @property
    def is_ahead(self) -> bool:
        """Tell whether a newer version of this program has changed the tables."""
        return self.revision is not None and self.revision > HEAD


async def inspect(conninfo: str) -> Condition:
    """
    Ask a server how it is.

    :raises DatabaseUnavailable: it does not answer, or does not let us in
    """
    try:
        async with await psycopg.AsyncConnection.connect(
            conninfo, connect_timeout=_CONNECT_TIMEOUT_SECONDS
        ) as conn:
            number, version = conn.info.server_version, conn.info.parameter_status("server_version")
            revision = await select_revision(conn)
    except psycopg.Error as exc:
        raise DatabaseUnavailable(str(exc).strip().partition("\n")[0]) from exc
    return Condition((version or "").partition(" ")[0], number // 10_000, revision)


def find_embedded(data_dir: Path) -> str | None:
    """
    Say how the embedded server of a folder is reached while it runs; None where it does not.

    :raises Misconfigured: it could not be started: not installed, or the folder is not ours
    """
    _package_folder()
    with _explained(data_dir):
        _check_version(data_dir)
        status = _status(data_dir)
    if len(status) <= _SOCKET_DIR_LINE:
        return None
    folder = status[_SOCKET_DIR_LINE]
    return make_conninfo(host=folder, user="postgres", dbname="postgres", port=5432)
