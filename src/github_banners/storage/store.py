"""
The interface of a store of pictures: of all writes for a banner, the highest version is kept.

`folder_store` keeps them as files in a folder, `bucket_store` as objects in an S3 bucket.
`open_store` chooses by location, and is the only place that does.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from github_banners.errors import BannersError
from github_banners.log_throttle import LogThrottle
from github_banners.messaging.schemas import StoreRequest, StoreResponse

MAX_WRITE_SECONDS = 3.0
"""Time limit of a write, and of a whole batch: the caller's timeout is five seconds."""


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
        Store a picture, unless a newer one is stored; an equal version overwrites.

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

    async def get(self, path: str) -> StoredPicture | None:
        """
        Return a stored picture; None if there is none, or the path is invalid.

        :raises StorageUnavailable: the store can't be read
        """
        ...

    async def get_version(self, path: str) -> int | None:
        """
        Return the version of a stored picture, without reading all of it; None as for `get`.

        :raises StorageUnavailable: the store can't be read
        """
        ...

    def list_paths(self) -> AsyncIterator[list[str]]:
        """
        List the paths of all stored pictures in any order, a page at a time.

        :raises StorageUnavailable: the store can't be read
        """
        ...
