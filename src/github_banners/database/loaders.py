"""
Convert stored values that Python can't hold, so that one row can't fail the query of a whole batch.

PostgreSQL stores times beyond the years 1 to 9999, also `infinity`, and any JSON. The service writes
neither, but the rows of a damaged or hand-edited database may hold them.
"""

from datetime import datetime
from typing import Any

import msgspec
import psycopg
from psycopg.adapt import Buffer, Loader
from psycopg.types.datetime import TimestamptzLoader

from github_banners.models import EPOCH


class TimeLoader(TimestamptzLoader):
    """Loads a `timestamptz`; one that Python can't hold counts as unknown, like an implausible time."""

    def load(self, data: Buffer) -> datetime:
        """Return the time, or the epoch."""
        try:
            return super().load(data)
        except psycopg.DataError:
            return EPOCH


class LanguagesLoader(Loader):
    """Loads `users.languages`, the only value read as `json`; if malformed, empty until the next save."""

    def load(self, data: Buffer) -> dict[str, int]:
        """Return the number of repositories by language."""
        try:
            return msgspec.json.decode(data, type=dict[str, int])
        except (msgspec.DecodeError, ValueError, RecursionError):
            return {}


def register_loaders(conn: psycopg.AsyncConnection[Any]) -> None:
    """Use these loaders for the queries of a connection."""
    conn.adapters.register_loader("timestamptz", TimeLoader)
    conn.adapters.register_loader("json", LanguagesLoader)
