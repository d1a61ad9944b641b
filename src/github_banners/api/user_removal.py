"""
Removes what is stored of a user: the rows at once, and then the pictures in the storage.

The rows are deleted in transactions of bounded size, which list the pictures to be removed. Whatever
interrupts it, repeating it does the rest: the rows that name the user are deleted last, and a picture
is listed until the storage has confirmed that it is removed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import TypeAlias

from github_banners.database import forgotten_users
from github_banners.database.connect import Database
from github_banners.database.forgotten_users import RemovedPicture, UserRows
from github_banners.messaging.schemas import RemoveResponse
from github_banners.models import Clock

RemovePicture: TypeAlias = Callable[[RemovedPicture], Awaitable[RemoveResponse]]
"""Removes a stored drawing, so that it is not stored again; else raises BannersError."""


async def delete_user(
    database: Database, owner_id: int, *, clock: Clock, removal_delay: timedelta = timedelta(0)
) -> UserRows:
    """
    Delete all rows of a user, a bounded number at a time; return how many they were.

    Running services remove the pictures, but not before `removal_delay`.

    :raises DatabaseUnavailable: some rows may have been deleted
    """
    deleted = UserRows()
    while True:
        async with database.transaction() as connection:
            now = clock()
            rows = await forgotten_users.delete_user_rows(
                connection, owner_id, now=now, removal_due_at=now + removal_delay
            )
        deleted += rows
        if rows.users or rows == UserRows():
            return deleted


async def remove_pictures(
    database: Database, remove: RemovePicture, pictures: Sequence[RemovedPicture]
) -> list[RemoveResponse | BaseException]:
    """
    Remove pictures at once, and delete the rows of those removed; return a result or an error for each.

    :raises DatabaseUnavailable: the rows remain, so the pictures will be removed again
    """
    results = await asyncio.gather(*map(remove, pictures), return_exceptions=True)
    removed = [
        picture
        for picture, result in zip(pictures, results, strict=True)
        if isinstance(result, RemoveResponse)
    ]
    if removed:
        async with database.transaction() as connection:
            await forgotten_users.delete_removed_pictures(connection, removed)
    return results
