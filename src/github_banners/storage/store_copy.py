"""
Copy all pictures from one store to another, from a folder to a bucket for example.

Tombstones of removed pictures are copied too, so that nothing comes back. A picture that the target has
at the same version or a newer one is skipped, so a copy that was stopped is resumed by starting it again.
Both stores may be in use: the target compares versions at each write, as always.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TextIO

from github_banners.errors import InvalidOption, StorageUnavailable
from github_banners.messaging.schemas import StoreRequest
from github_banners.serving.progress import show_progress
from github_banners.settings import Settings, StorageBucket, StorageLocation
from github_banners.storage.open_store import open_bucket, open_store
from github_banners.storage.store import Store, retry_while_unavailable
from github_banners.tasks import gather_or_cancel

_COPIES_AT_ONCE = 16
_MAX_CONSECUTIVE_FAILURES = _COPIES_AT_ONCE
# A page of the list may take long; reads and writes have limits of their own.
_LIST_TIMEOUT_SECONDS = 20.0
_MAX_LISTED_FAILURES = 20


@dataclass(slots=True)
class CopyCounts:
    """What has become of the pictures so far, and the first ones that can't be copied."""

    copied: int = 0
    skipped: int = 0
    failed: int = 0
    failures: list[str] = field(default_factory=list)
    consecutive_failures: int = field(default=0, compare=False)
    """How many accesses to a store have failed since the last picture that was copied or skipped."""

    def __str__(self) -> str:
        parts = [f"Copied {self.copied:,}", f"up to date {self.skipped:,}"]
        parts += [f"failed {self.failed:,}"] if self.failed else []
        return f"{', '.join(parts)}."

    def add_failure(self, path: str, reason: str) -> None:
        """Count a picture that can't be copied."""
        self.failed += 1
        if len(self.failures) < _MAX_LISTED_FAILURES:
            self.failures.append(f"{path}: {reason}")


async def copy_with_progress(
    source: StorageLocation,
    target: StorageLocation,
    settings: Settings,
    *,
    counts: CopyCounts,
    stream: TextIO,
) -> None:
    """
    Copy all pictures from one location to another, and show the counts on `stream` meanwhile.

    :raises StorageUnavailable: a store can't be used
    :raises ConfigurationError: the server of the target bucket is unsuitable
    """
    if isinstance(target, StorageBucket):
        # What no retry can change is said at once, and not for each picture.
        async for attempt in retry_while_unavailable():
            with attempt:
                await open_bucket(target, settings).check()
    async with (
        open_store(source, settings, timeout_seconds=_LIST_TIMEOUT_SECONDS) as source_store,
        open_store(target, settings) as target_store,
        show_progress(lambda _: str(counts), stream=stream),
    ):
        await copy_pictures(source_store, target_store, counts=counts)


async def copy_pictures(source: Store, target: Store, *, counts: CopyCounts) -> None:
    """
    Copy all pictures that `target` does not have; `counts` is updated meanwhile.

    A picture that can't be read or written is counted as failed, after half a minute if a retry may
    help. Several in succession mean that a store is down, or refuses everything.

    :raises StorageUnavailable: a store can't be used
    """
    async for page in source.list_paths():
        remaining = iter(page)
        await gather_or_cancel(
            *(_copy_remaining(source, target, remaining, counts) for _ in range(_COPIES_AT_ONCE))
        )


async def _copy_remaining(
    source: Store, target: Store, paths: Iterator[str], counts: CopyCounts
) -> None:
    """Copy one picture after another from an iterator that several tasks share."""
    for path in paths:
        try:
            async for attempt in retry_while_unavailable():
                with attempt:
                    await _copy_picture(source, target, path, counts)
        except StorageUnavailable as error:
            counts.consecutive_failures += 1
            if counts.consecutive_failures >= _MAX_CONSECUTIVE_FAILURES:
                raise
            counts.add_failure(path, str(error))
        else:
            counts.consecutive_failures = 0


async def _copy_picture(source: Store, target: Store, path: str, counts: CopyCounts) -> None:
    stored, in_target = await source.get_version(path), await target.get_version(path)
    if stored is None:
        counts.add_failure(path, "it was not written completely")
        return
    # Of a tombstone and a picture of the same version, the tombstone is kept.
    if in_target is not None and (in_target.version, in_target.is_removed) >= (
        stored.version,
        stored.is_removed,
    ):
        counts.skipped += 1
        return
    if stored.is_removed:
        await target.remove(path, version=stored.version)
        counts.copied += 1
        return
    picture = await source.get(path)
    if picture is None:
        counts.add_failure(path, "it was removed meanwhile")
        return
    request = StoreRequest(
        url_path=path, banner_info=picture.body, banner_format="svg", version=picture.version
    )
    try:
        response = await target.put(request)
    except InvalidOption as error:
        counts.add_failure(path, str(error))
        return
    if response.superseded:
        counts.skipped += 1
    else:
        counts.copied += 1
