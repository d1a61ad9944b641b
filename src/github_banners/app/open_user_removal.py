"""The composition of `forget` and `allow`: a database, and the storage by signed HTTP or directly."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from github_banners.api.user_removal import RemovePicture, delete_user, remove_pictures
from github_banners.database import forgotten_users
from github_banners.database.connect import Database
from github_banners.database.forgotten_users import RemovedPicture, UserRows
from github_banners.database.migrations import migrate
from github_banners.messaging.clients import StorageClient, open_service_http
from github_banners.messaging.schemas import RemoveResponse
from github_banners.messaging.signing import Signer
from github_banners.models import Clock, Owner, utc_now
from github_banners.settings import ServiceName, Settings, StorageLocation, Url
from github_banners.storage.open_store import open_store
from github_banners.storage.store import Store

_BATCH_SIZE = 16
# Running services leave the pictures to this command for so long, so that it can count them.
_REMOVAL_DELAY = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class StoredUser:
    """
    What is stored under a login.

    `owner` is None if nothing is; `logins` are all logins of the owner, or the one that was looked up.
    `waiting_pictures` is the number of pictures that the storage has not removed since earlier calls.
    """

    owner: Owner | None
    logins: Sequence[str]
    rows: UserRows = field(default_factory=UserRows)
    waiting_pictures: int = 0

    @property
    def is_empty(self) -> bool:
        """True if there is nothing to remove."""
        return self.owner is None and not self.waiting_pictures


@dataclass(slots=True)
class Removal:
    """
    What was removed.

    `pictures` were in the storage and are removed, `absent_pictures` were not there. `failure` is why
    pictures could not be removed.
    """

    rows: UserRows = field(default_factory=UserRows)
    pictures: int = 0
    absent_pictures: int = 0
    failed_pictures: int = 0
    failure: str = ""


async def find_user(conninfo: str, login: str) -> StoredUser:
    """
    Count what is stored of the user who has a login, or had it last.

    The database is migrated before.

    :raises DatabaseUnavailable: PostgreSQL is down
    :raises ConfigurationError: the database can't be used
    """
    await migrate(conninfo)
    async with (
        Database(conninfo, max_connections=1) as database,
        database.transaction() as connection,
    ):
        waiting = await forgotten_users.count_removed_pictures(connection)
        match = await forgotten_users.select_user(connection, login)
        if match is None:
            return StoredUser(None, [login.lower()], waiting_pictures=waiting)
        owner, logins = match
        rows = await forgotten_users.count_user_rows(connection, owner.id)
        return StoredUser(owner, logins, rows, waiting)


async def remove_user(
    settings: Settings,
    user: StoredUser,
    *,
    conninfo: str,
    location: Url | StorageLocation,
    deny: bool,
    clock: Clock = utc_now,
) -> Removal:
    """
    Remove what is stored of a user, and all pictures that are still waiting to be removed.

    `location` is the address of the storage service, or the folder or bucket itself. With `deny`, the
    user's logins are denied first.

    :raises DatabaseUnavailable: PostgreSQL is down; repeat it for the rest
    """
    removal = Removal()
    async with (
        Database(conninfo, max_connections=2) as database,
        _open_remover(settings, location, clock=clock) as remove,
    ):
        if deny:
            async with database.transaction() as connection:
                await forgotten_users.insert_denied_logins(connection, user.logins, now=clock())
        if user.owner is not None:
            removal.rows = await delete_user(
                database, user.owner.id, clock=clock, removal_delay=_REMOVAL_DELAY
            )
        await _remove_waiting(database, remove, removal)
    return removal


async def allow_login(conninfo: str, login: str) -> bool:
    """
    Allow a login that was denied; return whether it was. The database is migrated before.

    :raises DatabaseUnavailable: PostgreSQL is down
    """
    await migrate(conninfo)
    async with (
        Database(conninfo, max_connections=1) as database,
        database.transaction() as connection,
    ):
        return await forgotten_users.delete_denied_login(connection, login)


async def _remove_waiting(database: Database, remove: RemovePicture, removal: Removal) -> None:
    """Remove all waiting pictures, until the storage removes none of a batch."""
    after = ""
    while True:
        async with database.transaction() as connection:
            pictures = await forgotten_users.select_removed_pictures(
                connection, after=after, limit=_BATCH_SIZE
            )
        if not pictures:
            return
        after = pictures[-1].path
        results = await remove_pictures(database, remove, pictures)
        responses = [result for result in results if isinstance(result, RemoveResponse)]
        removal.pictures += sum(response.removed for response in responses)
        removal.absent_pictures += sum(not response.removed for response in responses)
        removal.failed_pictures += len(results) - len(responses)
        failures = [str(result) for result in results if isinstance(result, BaseException)]
        removal.failure = removal.failure or next(iter(failures), "")
        if not responses:
            async with database.transaction() as connection:
                removal.failed_pictures = await forgotten_users.count_removed_pictures(connection)
            return


@asynccontextmanager
async def _open_remover(
    settings: Settings, location: Url | StorageLocation, *, clock: Clock
) -> AsyncIterator[RemovePicture]:
    """Open the storage service at a URL, or the store at another location."""
    async with AsyncExitStack() as stack:
        remover: StorageClient | Store
        if isinstance(location, str):
            signer = Signer(settings.signing_keys[0], service=ServiceName.API, clock=clock)
            http = await stack.enter_async_context(open_service_http())
            remover = StorageClient(http, base_url=location, signer=signer)
        else:
            remover = await stack.enter_async_context(open_store(location, settings, clock=clock))

        async def remove(picture: RemovedPicture) -> RemoveResponse:
            return await remover.remove(picture.path, version=picture.version)

        yield remove
