"""A store whose writes and removals are recorded in traces; used only while traces are on."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager, ExitStack

from github_banners.log_throttle import LogThrottle
from github_banners.messaging.schemas import (
    BatchedBanner,
    RemoveResponse,
    StoreRequest,
    StoreResponse,
)
from github_banners.serving.telemetry import StartSpan, Tracing, version_attributes
from github_banners.storage.picture_format import StoredVersion
from github_banners.storage.store import Store, StoredPicture


def trace_store(store: Store, *, tracing: Tracing) -> Store:
    """Return the store itself if traces are off, else one that records writes."""
    start_span = tracing.start_span
    return store if start_span is None else _TracedStore(store, start_span)


class _TracedStore:
    """
    A `Store` that records writes and removals.

    The picture of a batch is recorded in its own trace, for as long as the whole batch takes.
    """

    def __init__(self, store: Store, start_span: StartSpan) -> None:
        self._store = store
        self._start_span = start_span

    @property
    def is_available(self) -> bool:
        """True if the last access succeeded."""
        return self._store.is_available

    @property
    def throttle(self) -> LogThrottle:
        """The limit of log lines about failures."""
        return self._store.throttle

    async def put(self, request: StoreRequest) -> StoreResponse:
        """Store a picture within a span."""
        with self._span(request):
            return await self._store.put(request)

    async def put_many(self, banners: Sequence[StoreRequest]) -> list[StoreResponse | Exception]:
        """Store several pictures, each within a span."""
        with ExitStack() as stack:
            for banner in banners:
                stack.enter_context(self._span(banner))
            return await self._store.put_many(banners)

    async def remove(self, path: str, *, version: int) -> RemoveResponse:
        """Remove a picture within a span."""
        with self._start_span("remove banner", attributes=version_attributes(path, version)):
            return await self._store.remove(path, version=version)

    async def get(self, path: str) -> StoredPicture | None:
        """Return a stored picture."""
        return await self._store.get(path)

    async def get_version(self, path: str) -> StoredVersion | None:
        """Return the version of a stored picture or tombstone."""
        return await self._store.get_version(path)

    def list_paths(self) -> AsyncIterator[list[str]]:
        """List the paths of all stored pictures and tombstones."""
        return self._store.list_paths()

    def _span(self, request: StoreRequest) -> AbstractContextManager[str]:
        return self._start_span(
            "write banner",
            attributes=version_attributes(request.url_path, request.version),
            parent=request.traceparent if isinstance(request, BatchedBanner) else None,
        )
