"""Save many records at once, without those that can't be saved."""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from github_banners.database.connect import Database, is_connection_loss
from github_banners.database.session import Connection
from github_banners.errors import DatabaseUnavailable

T = TypeVar("T")

_SAVE_PIECES = 20
_MAX_SAVE_REFUSALS = 3


async def save_separately(
    database: Database,
    records: Sequence[T],
    save: Callable[[Connection, Sequence[T]], Awaitable[object]],
) -> list[tuple[T, Exception]]:
    """
    Save all records that can be saved, in one transaction; return the others with their errors.

    After a failure `save` is called again with parts of the same records, to isolate the bad ones.

    :raises DatabaseUnavailable: the server is down, or rejects every record; records of earlier
        transactions stay saved
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
            # A missing table or privilege makes every record fail.
            if is_connection_loss(error.__cause__) or refusals == _MAX_SAVE_REFUSALS:
                raise
            failure: Exception = error
        except Exception as error:  # noqa: BLE001 - a bad record can raise anything
            failure = error
        if len(part) == 1:
            failed.append((part[0], failure))
        else:
            size = -(-len(part) // _SAVE_PIECES)
            pieces = [part[start : start + size] for start in range(0, len(part), size)]
            pending.extendleft(reversed(pieces))
    return failed
