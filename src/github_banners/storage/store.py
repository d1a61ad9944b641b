"""
The store: files in a folder, written whole or not at all.

The only place that knows obstore. Of two drawings of one banner the higher version stays, whoever
writes first: a lock file, one of 256 beside the banners, guards read, compare and put across
threads and processes. Readers take no lock. What is done under a lock is done by plain calls in our
own thread: obstore hands each one to its own threads, which takes three times as long.
"""

import asyncio
import fcntl
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import structlog
from obstore.exceptions import BaseError
from obstore.store import LocalStore

from github_banners.errors import InvalidOption, InvalidSettings, StorageUnavailable
from github_banners.log_throttle import LogThrottle
from github_banners.messaging.schemas import StoreRequest
from github_banners.messaging.version_check import plausible_version
from github_banners.models import Clock, utc_now
from github_banners.storage.banner_path import MEDIA_TYPE, file_name, parse_path, url_path
from github_banners.storage.picture_format import (
    MAX_VERSION_BYTES,
    check_picture,
    split_version,
    with_version,
)

_log = structlog.get_logger(__name__)

_LOCKS = ".locks"  # no banner's path begins with a dot
_TEMPORARY_SUFFIX = ".draft"
# What a killed process left: a draft of ours, or one of obstore, which earlier releases wrote with.
_LEFTOVER = re.compile(r"(?P<name>[a-z0-9_-]+)\.svg(?:\.draft|#\d+)")
_WRITER_THREADS = 8
_MAX_BATCH_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class PutResult:
    """Where a picture is; `is_superseded` says that a newer one was there and stays."""

    url: str
    is_superseded: bool = False


@dataclass(frozen=True, slots=True)
class StoredPicture:
    """A picture as it was put, and its version."""

    body: bytes
    version: int
    media_type: str = MEDIA_TYPE


def open_store(url: str, *, clock: Clock = utc_now) -> "Store":
    """
    Open the store that BANNERS_STORAGE_URL names; nothing is touched before the first use.

    :raises InvalidSettings: it is not the address of a folder
    """
    return Store(path_from_url(url), clock=clock)


def path_from_url(url: str) -> Path:
    """
    Read the address of a folder.

    :raises InvalidSettings: it is none
    """
    parts = urlsplit(url)
    path = unquote(parts.path)
    is_plain = not (parts.query or parts.fragment or "\0" in path)
    if (
        parts.scheme != "file"
        or parts.netloc not in {"", "localhost"}
        or path[:1] != "/"
        or not is_plain
    ):
        example = "file:///var/lib/github-banners"
        raise InvalidSettings([f"BANNERS_STORAGE_URL must be a folder such as {example}"])
    return Path(path)


class Store:
    """
    Pictures by path; close it when nobody puts any more.

    `is_available` says whether the last try reached the disk, for readiness. The first put also
    removes what killed processes have left behind. `throttle` says which failures are worth a line.
    """

    def __init__(
        self,
        folder: Path,
        *,
        clock: Clock = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._monotonic = monotonic
        self.throttle = LogThrottle(monotonic)
        self._is_swept = False
        self._local_store: LocalStore | None = None
        self.is_available = True
        # Its own threads: who waits for a lock must not hold up the rest of the program.
        self._writers = ThreadPoolExecutor(_WRITER_THREADS, thread_name_prefix="store")

    def close(self) -> None:
        """Finish what is being written."""
        self._writers.shutdown()

    async def put_request(self, request: StoreRequest) -> PutResult:
        """Store what another service asks for; errors as `put`."""
        return await self.put(request.url_path, request.banner_info, version=request.version)

    async def put(self, path: str, body: bytes, *, version: int | None) -> PutResult:
        """
        Store a picture, unless a newer one is there; an equal version overwrites.

        Without a version, or with one that only a wrong clock can have made, a picture is as new as
        the stored one; any is newer than a stored one with such a version. What has begun is
        finished, also when the caller is cancelled.

        :raises InvalidOption: no banner can have this path, or the body is no picture
        :raises StorageUnavailable: the disk can't take it now
        """
        loop = asyncio.get_running_loop()
        name = parse_path(path)
        return await loop.run_in_executor(self._writers, self._put, name, body, version)

    async def put_many(self, banners: Sequence[StoreRequest]) -> list[PutResult | Exception]:
        """
        Store several pictures, each for itself: one result each, an error in place of raising it.

        They are written one after another in one thread, so that no two locks are ever held at once.
        What has not begun within three seconds is unavailable: the caller waits for five.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._writers, self._put_each, banners)

    async def get(self, path: str) -> StoredPicture | None:
        """
        Find a picture; None too for a path that no banner can have.

        :raises StorageUnavailable: the disk can't be read now
        """
        try:
            name = parse_path(path)
        except InvalidOption:
            return None
        with self._mapping_errors():
            try:
                found = await self._backend().get_async(file_name(name))
                return self._parse(bytes(await found.bytes_async()))
            except FileNotFoundError:
                return None

    def _put_each(self, banners: Sequence[StoreRequest]) -> list[PutResult | Exception]:
        results: list[PutResult | Exception] = []
        deadline = self._monotonic() + _MAX_BATCH_SECONDS
        for banner in banners:
            if self._monotonic() > deadline:
                results.append(StorageUnavailable("the store is too slow for the whole batch"))
                continue
            try:
                name = parse_path(banner.url_path)
                results.append(self._put(name, banner.banner_info, banner.version))
            except Exception as error:  # noqa: BLE001 - it is this banner's alone
                results.append(error)
        return results

    def _put(self, name: str, body: bytes, version: int | None) -> PutResult:
        check_picture(body)
        with self._mapping_errors(), self._locked(name):
            path, now = self._folder / file_name(name), self._clock()
            stored_version = plausible_version(_read_version(path), now=now) or 0
            version = plausible_version(version, now=now)
            newest = stored_version if version is None else version
            if newest < stored_version:
                return PutResult(url_path(name), is_superseded=True)
            _write_atomically(path, with_version(body, newest))
        self._begin_sweep()
        return PutResult(url_path(name))

    def _begin_sweep(self) -> None:
        """Sweep once, in a thread of its own; not any more when all threads are to end."""
        if not self._is_swept:
            self._is_swept = True
            with suppress(RuntimeError):
                self._writers.submit(self._sweep)

    def _sweep(self) -> None:
        """Remove what killed processes left; nobody writes a banner's draft without its lock."""
        try:
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    if (leftover := _LEFTOVER.fullmatch(entry.name)) is not None:
                        with self._locked(leftover["name"]), suppress(FileNotFoundError):
                            os.unlink(entry.path)  # noqa: PTH108 - of a scan of the folder
        except OSError as error:
            _log.warning("store.not_swept", reason=str(error))

    def _parse(self, stored: bytes) -> StoredPicture | None:
        """Read a file; one without a version at its end was not written to the end."""
        parts = split_version(stored)
        if parts is None:
            return None
        body, version = parts
        return StoredPicture(body, plausible_version(version, now=self._clock()) or 0)

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        shard = hashlib.sha256(name.encode()).digest()[0]
        path = self._folder / _LOCKS / f"{shard:02x}"
        try:
            lock = _open_lock(path)
        except FileNotFoundError:
            self._folder.mkdir(parents=True, exist_ok=True)
            path.parent.mkdir(exist_ok=True, mode=0o700)
            lock = _open_lock(path)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    @contextmanager
    def _mapping_errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, BaseError) as error:
            self.is_available = False
            raise StorageUnavailable(
                f"the store can't be used: {str(error).partition(chr(10))[0]}"
            ) from error
        self.is_available = True

    def _backend(self) -> LocalStore:
        if self._local_store is None:
            self._local_store = LocalStore(self._folder, mkdir=True)
        return self._local_store


def _open_lock(path: Path) -> int:
    """Open a lock file, for us alone: whoever may read a file may lock it."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _read_version(path: Path) -> int:
    """Read the version of a stored picture; 0 where there is none, or not to its end."""
    try:
        with path.open("rb", buffering=0) as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - MAX_VERSION_BYTES))
            found = split_version(file.read())
    except FileNotFoundError:
        return 0
    return found[1] if found is not None else 0


def _write_atomically(path: Path, body: bytes) -> None:
    """Write a file whole or not at all; the lock is held, so nobody else writes its draft."""
    temporary = path.with_name(path.name + _TEMPORARY_SUFFIX)
    try:
        temporary.write_bytes(body)
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise
