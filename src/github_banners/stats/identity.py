"""
Finds which account holds a login, for banners that show none of its numbers.

The answer is a snapshot: with the last known numbers, or with none (`Snapshot.has_numbers`).
"""

from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial

import msgspec

from github_banners.database.connect import Database
from github_banners.database.login_holders import insert_identity
from github_banners.database.users import select_snapshot_by_id
from github_banners.errors import (
    DatabaseUnavailable,
    FetchPending,
    GitHubUnavailable,
    TooManyRequests,
    UnknownUser,
)
from github_banners.models import Clock, Owner, Snapshot, to_epoch_microseconds, without_numbers
from github_banners.stats.fetch import (
    DATABASE_TIMEOUT_SECONDS,
    Charge,
    DataSource,
    Deadline,
    ErrorCache,
    SingleFlight,
)
from github_banners.stats.lookup import Lookup


class IdentityLookup:
    """Finds owners by login, with at most one request to GitHub per login and `max_age`."""

    def __init__(
        self,
        *,
        lookup: Lookup,
        database: Database,
        github: DataSource,
        max_age: timedelta,
        clock: Clock,
    ) -> None:
        self._lookup = lookup
        self._database = database
        self._github = github
        self._max_age = max_age
        self._clock = clock
        self._fetches: SingleFlight[Snapshot] = SingleFlight(ErrorCache(clock=clock))

    async def find(self, login: str, *, deadline: Deadline, charge: Charge) -> Snapshot:
        """
        Find the account that holds a login now, or held it last.

        :raises UnknownUser: GitHub knows no account with this login
        :raises FetchPending: nothing is known, and the fetch exceeds the deadline
        :raises GitHubUnavailable: nothing is known, and GitHub can't be reached
        :raises TooManyRequests: nothing is known, and `charge` refused the request
        """
        known = await self._lookup.find_known(login, deadline)
        if known is not None and self._is_confirmed(known, login):
            return known
        try:
            fetch = partial(self._fetch, login)
            task = self._fetches.join_or_start(login.lower(), fetch, charge=charge)
            return await self._fetches.wait(task, login, deadline)
        except UnknownUser:
            if known is None or known.is_deleted:
                raise
            # A former login, or a deleted account: the last holder is found by its id.
            result = await self._lookup.find_by_login(login, deadline=deadline, charge=charge)
            return result.snapshot
        except (GitHubUnavailable, FetchPending, TooManyRequests):
            if known is None or known.is_deleted:
                raise
            return known

    async def close(self) -> None:
        """Cancel all fetches."""
        await self._fetches.close()

    def _is_confirmed(self, known: Snapshot, login: str) -> bool:
        if known.is_deleted or known.owner.login.lower() != login.lower():
            return False
        requested_at = self._lookup.cache.login_requested_at(login)
        return self._clock() - max(known.fetched_at, requested_at) < self._max_age

    async def _fetch(self, login: str) -> Snapshot:
        requested_at = self._clock()
        owner = await self._github.identify(login)
        known = self._lookup.cache.get(owner.id) or await self._read(owner.id)
        if known is None:
            known = without_numbers(owner, version=to_epoch_microseconds(requested_at))
            self._lookup.writer.schedule([owner.id], self._insert(owner, requested_at))
        snapshot = msgspec.structs.replace(known, owner=owner, is_deleted=False)
        self._lookup.cache.put(snapshot)
        self._lookup.cache.put_login(login, owner.id, requested_at=requested_at)
        return snapshot

    async def _read(self, owner_id: int) -> Snapshot | None:
        """Read an owner who is stored under another login; None if the database is down."""
        select = partial(select_snapshot_by_id, owner_id=owner_id, now=self._clock())
        with suppress(DatabaseUnavailable):
            return await self._database.run_within(select, timeout_seconds=DATABASE_TIMEOUT_SECONDS)
        return None

    async def _insert(self, owner: Owner, requested_at: datetime) -> None:
        async with self._database.transaction() as connection:
            await insert_identity(connection, owner, now=requested_at)
