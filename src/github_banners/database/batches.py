"""Saves many records in one transaction, and where that fails in smaller ones, so that a bad one fails alone."""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from github_banners.database.connect import Database, is_connection_loss
from github_banners.database.session import Connection
from github_banners.errors import DatabaseUnavailable

T = TypeVar("T")

_PIECES = 20
_MAX_REFUSALS = 3


async def save_separately(
    database: Database,
    records: Sequence[T],
    save: Callable[[Connection, Sequence[T]], Awaitable[object]],
) -> list[tuple[T, Exception]]:
    """
    Save all records but the bad ones; return those, and why.

    `save` is called again for a part of the records after it has failed for more.

    :raises DatabaseUnavailable: the server is down, or refuses whatever it is given; what was saved
        before stays saved
    """
    pending = deque([records] if records else [])
    failed: list[tuple[T, Exception]] = []
    refusals = 0
    while pending:
        part = pending.popleft()
        try:
            async with database.transaction() as connection:
                await save(connection, part)
            refusals = 0
            continue
        except DatabaseUnavailable as error:
            refusals += len(part) == 1
            # A missing table or right is not the fault of one record.
            if is_connection_loss(error.__cause__) or refusals == _MAX_REFUSALS:
                raise
            failure: Exception = error
        except Exception as error:  # noqa: BLE001 - whatever a record can do wrong
            failure = error
        if len(part) == 1:
            failed.append((part[0], failure))
        else:
            size = -(-len(part) // _PIECES)
            pieces = [part[start : start + size] for start in range(0, len(part), size)]
            pending.extendleft(reversed(pieces))
    return failed
