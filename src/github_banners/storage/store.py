"""
The interface of a store of pictures: of all writes for a banner, the highest version is kept.

A removed picture leaves a tombstone with a version: pictures of that version and of lower ones are
not stored any more, and readers find no picture.

`folder_store` keeps them as files in a folder, `bucket_store` as objects in an S3 bucket.
`open_store` chooses by location, and is the only place that does.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import stamina

from github_banners.errors import BannersError, StorageUnavailable
from github_banners.log_throttle import LogThrottle
from github_banners.messaging.schemas import RemoveResponse, StoreRequest, StoreResponse
from github_banners.messaging.version_check import plausible_version
from github_banners.models import to_epoch_microseconds
from github_banners.storage.picture_format import StoredVersion

MAX_WRITE_SECONDS = 3.0
"""Time limit of a write, and of a whole batch: the caller's timeout is five seconds."""

MAX_RETRY_SECONDS = 30.0
"""How long a copy repeats an access to a store that is unavailable."""


class StoreOutcome(StrEnum):
    """The outcome of a request to store a picture."""

    STORED = "stored"
    SUPERSEDED = "superseded"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class StoredPicture:
    """A picture without its version comment, and the version."""

    body: bytes
    version: int


def without_implausible_version(stored: StoredVersion, *, now: datetime) -> StoredVersion:
    """Return a stored version, with 0 in place of one from a wrong clock."""
    return replace(stored, version=plausible_version(stored.version, now=now) or 0)


def choose_version(
    stored: StoredVersion | None, version: int | None, *, now: datetime
) -> int | None:
    """
    Return the version to store a picture with; None if what is stored supersedes the picture.

    A picture without a version, or with an implausible one, gets that of the stored picture.
    """
    stored = without_implausible_version(stored or StoredVersion(0), now=now)
    plausible = plausible_version(version, now=now)
    if stored.supersedes(plausible):
        return None
    return stored.version if plausible is None else plausible


def choose_tombstone(stored: StoredVersion | None, version: int, *, now: datetime) -> int | None:
    """
    Return the version of the tombstone to write at a removal; None if what is stored has to stay.

    That is a newer picture, or a tombstone that is not older. An implausible version, from a wrong
    clock, counts as now.
    """
    plausible = plausible_version(version, now=now)
    removed_version = to_epoch_microseconds(now) if plausible is None else plausible
    if stored is None:
        return removed_version
    stored = without_implausible_version(stored, now=now)
    is_newer = stored.version > removed_version
    is_same = stored.is_removed and stored.version == removed_version
    return None if is_newer or is_same else removed_version


def retry_while_unavailable() -> AsyncIterator[stamina.Attempt]:
    """Return attempts at an access to a store, for half a minute unless its error is permanent."""
    return stamina.retry_context(
        on=lambda error: isinstance(error, StorageUnavailable) and not error.is_permanent,
        attempts=None,
        timeout=MAX_RETRY_SECONDS,
        wait_max=5.0,
    ).__aiter__()


def outcome_from_response(response: StoreResponse) -> StoreOutcome:
    """Return the outcome of a request that did not fail, for the metrics."""
    return StoreOutcome.SUPERSEDED if response.superseded else StoreOutcome.STORED


def outcome_from_error(error: BannersError) -> StoreOutcome:
    """Return the outcome for the metrics: refused requests are the caller's fault."""
    return StoreOutcome.REFUSED if error.status < 500 else StoreOutcome.FAILED


class Store(Protocol):
    """Stores pictures by path."""

    @property
    def is_available(self) -> bool:
        """True if the last access succeeded, for readiness."""

    @property
    def throttle(self) -> LogThrottle:
        """Limits logging of failures."""

    async def put(self, request: StoreRequest) -> StoreResponse:
        """
        Store a picture, unless a newer one is stored; an equal version overwrites a picture only.

        A request without a version, or with an implausible one from a wrong clock, gets the version
        of the stored picture; a stored version that is implausible loses to any other. If the caller
        is cancelled, the picture may be stored all the same.

        :raises InvalidOption: the path or the picture is invalid
        :raises StorageUnavailable: the store can't be written
        """
        ...

    async def put_many(self, banners: Sequence[StoreRequest]) -> list[StoreResponse | Exception]:
        """
        Store several pictures independently; return one result each, and errors as results.

        What is not stored within `MAX_WRITE_SECONDS` is reported as unavailable.
        """
        ...

    async def remove(self, path: str, *, version: int) -> RemoveResponse:
        """
        Replace a picture of this version or a lower one by a tombstone; a newer one stays.

        The tombstone is written too if there is no picture, since one may be on its way.

        :raises InvalidOption: the path is invalid
        :raises StorageUnavailable: the store can't be written
        """
        ...

    async def get(self, path: str) -> StoredPicture | None:
        """
        Return a stored picture; None if there is none, it was removed, or the path is invalid.

        :raises StorageUnavailable: the store can't be read
        """
        ...

    async def get_version(self, path: str) -> StoredVersion | None:
        """
        Return the version of a stored picture or tombstone, without reading all of it.

        None if there is neither, or the path is invalid.

        :raises StorageUnavailable: the store can't be read
        """
        ...

    def list_paths(self) -> AsyncIterator[list[str]]:
        """
        List the paths of all stored pictures and tombstones in any order, a page at a time.

        :raises StorageUnavailable: the store can't be read
        """
        ...
