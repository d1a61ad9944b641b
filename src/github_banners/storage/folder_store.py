"""
Store pictures as files in a folder, each written atomically.

The highest version of a banner wins, in whatever order versions are written: one of 256 lock files
beside the pictures guards read, compare and replace across threads and processes. Readers take no
lock. obstore is used for reading only: it passes each call to its own threads, which makes writing
under a lock three times slower than plain file operations.
"""

import asyncio
import errno
import fcntl
import hashlib
import os
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog
from obstore.exceptions import BaseError
from obstore.store import LocalStore

from github_banners.errors import StorageUnavailable
from github_banners.log_throttle import LogThrottle
from github_banners.messaging.schemas import RemoveResponse, StoreRequest, StoreResponse
from github_banners.messaging.version_check import plausible_version
from github_banners.models import Clock, utc_now
from github_banners.storage.banner_path import (
    file_name,
    find_file_name,
    parse_path,
    path_from_file_name,
    url_path,
)
from github_banners.storage.picture_format import (
    MAX_VERSION_BYTES,
    StoredVersion,
    check_picture,
    parse_version,
    split_version,
    tombstone,
    with_version,
)
from github_banners.storage.store import (
    MAX_WRITE_SECONDS,
    StoredPicture,
    choose_tombstone,
    choose_version,
    without_implausible_version,
)

_log = structlog.get_logger(__name__)

_LOCKS = ".locks"  # no path of a banner begins with a dot
_TEMPORARY_SUFFIX = ".draft"
# Left by a killed process: a temporary file, or one of obstore, which earlier releases wrote with.
_LEFTOVER = re.compile(r"(?P<name>[a-z0-9_-]+)\.svg(?:\.draft|#\d+)")
_PERMANENT_ERRORS = {
    errno.EACCES,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}
_WRITER_THREADS = 8
_PAGE_LENGTH = 1000


class FolderStore:
    """
    A store in a folder; close it once nothing is stored any more.

    The first put also removes files that killed processes left behind in `folder`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        clock: Clock = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder = folder
        self._clock = clock
        self._monotonic = monotonic
        self.throttle = LogThrottle(monotonic)
        self._is_swept = False
        self._local_store: LocalStore | None = None
        self.is_available = True
        # Threads of its own: waiting for a lock must not occupy the default pool of the process.
        self._writers = ThreadPoolExecutor(_WRITER_THREADS, thread_name_prefix="store")

    def close(self) -> None:
        """Finish the writes that have started."""
        self._writers.shutdown()

    async def put(self, request: StoreRequest) -> StoreResponse:
        """Store a picture; a write that has started is finished, also when the caller is cancelled."""
        loop = asyncio.get_running_loop()
        path = parse_path(request.url_path)
        return await loop.run_in_executor(self._writers, self._put, path, request)

    async def put_many(self, banners: Sequence[StoreRequest]) -> list[StoreResponse | Exception]:
        """Store pictures one after another in one thread, so that no thread ever holds two locks."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._writers, self._put_each, banners)

    async def remove(self, path: str, *, version: int) -> RemoveResponse:
        """Remove a picture; as for `put`, a removal that has started is finished."""
        loop = asyncio.get_running_loop()
        name = parse_path(path)
        return await loop.run_in_executor(self._writers, self._remove, name, version)

    async def get(self, path: str) -> StoredPicture | None:
        """Return a stored picture; a file without a version was not written completely."""
        if (name := find_file_name(path)) is None:
            return None
        with self._mapping_errors():
            try:
                file = await self._backend().get_async(name)
                return self._parse(bytes(await file.bytes_async()))
            except FileNotFoundError:
                return None

    async def get_version(self, path: str) -> StoredVersion | None:
        """Return the version at the end of a file."""
        if (name := find_file_name(path)) is None:
            return None
        with self._mapping_errors():
            stored = await asyncio.to_thread(_read_version, self.folder / name)
        if stored is None:
            return None
        return without_implausible_version(stored, now=self._clock())

    async def list_paths(self) -> AsyncIterator[list[str]]:
        """List the paths of all pictures and tombstones; a missing folder is an error."""
        with self._mapping_errors():
            names = await asyncio.to_thread(os.listdir, self.folder)
        paths = [path for name in names if (path := path_from_file_name(name)) is not None]
        for start in range(0, len(paths), _PAGE_LENGTH):
            yield paths[start : start + _PAGE_LENGTH]

    def _put_each(self, banners: Sequence[StoreRequest]) -> list[StoreResponse | Exception]:
        results: list[StoreResponse | Exception] = []
        deadline = self._monotonic() + MAX_WRITE_SECONDS
        for banner in banners:
            if self._monotonic() > deadline:
                results.append(StorageUnavailable("the store is too slow for the whole batch"))
                continue
            try:
                results.append(self._put(parse_path(banner.url_path), banner))
            except Exception as error:  # noqa: BLE001 - the result of this banner alone
                results.append(error)
        return results

    def _put(self, name: str, request: StoreRequest) -> StoreResponse:
        check_picture(request.banner_info)
        with self._mapping_errors(), self._locked(name):
            # Under the lock, so that no other writer gets between the comparison and the replacement.
            path = self.folder / file_name(name)
            version = choose_version(_read_version(path), request.version, now=self._clock())
            if version is None:
                return StoreResponse(url=url_path(name), superseded=True)
            _write_atomically(path, with_version(request.banner_info, version))
        self._begin_sweep()
        return StoreResponse(url=url_path(name))

    def _remove(self, name: str, version: int) -> RemoveResponse:
        with self._mapping_errors(), self._locked(name):
            path, now = self.folder / file_name(name), self._clock()
            stored = _read_version(path)
            removed_version = choose_tombstone(stored, version, now=now)
            if removed_version is None:
                return RemoveResponse(url=url_path(name))
            has_picture = path.exists() and not (stored and stored.is_removed)
            _write_atomically(path, tombstone(removed_version))
        self._begin_sweep()
        return RemoveResponse(url=url_path(name), removed=has_picture)

    def _begin_sweep(self) -> None:
        """Start the sweep once, unless the store is being closed."""
        if not self._is_swept:
            self._is_swept = True
            with suppress(RuntimeError):  # raised by an executor that was shut down
                self._writers.submit(self._sweep)

    def _sweep(self) -> None:
        """Remove the files that killed processes left; the locks protect files still being written."""
        try:
            with os.scandir(self.folder) as entries:
                for entry in entries:
                    if (leftover := _LEFTOVER.fullmatch(entry.name)) is not None:
                        with self._locked(leftover["name"]), suppress(FileNotFoundError):
                            os.unlink(entry.path)  # noqa: PTH108 - `entry` comes from scandir
        except OSError as error:
            _log.warning("store.not_swept", reason=str(error))

    def _parse(self, stored: bytes) -> StoredPicture | None:
        """Parse a file; None if it has no version at its end and so was not written completely."""
        parts = split_version(stored)
        if parts is None:
            return None
        body, version = parts
        return StoredPicture(body, plausible_version(version, now=self._clock()) or 0)

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        # A file per banner would never be removed; 256 are few, and collisions only cost a wait.
        shard = hashlib.sha256(name.encode()).digest()[0]
        path = self.folder / _LOCKS / f"{shard:02x}"
        try:
            lock = _open_lock(path)
        except FileNotFoundError:
            self.folder.mkdir(parents=True, exist_ok=True)
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
                f"the store can't be used: {str(error).partition(chr(10))[0]}",
                is_permanent=isinstance(error, OSError) and error.errno in _PERMANENT_ERRORS,
            ) from error
        self.is_available = True

    def _backend(self) -> LocalStore:
        if self._local_store is None:
            self._local_store = LocalStore(self.folder, mkdir=True)
        return self._local_store


def _open_lock(path: Path) -> int:
    """Open a lock file with mode 0600: a user who may read a file may also lock it."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _read_version(path: Path) -> StoredVersion | None:
    """Return the version of a picture or tombstone; None if there is none, or it has no version."""
    try:
        with path.open("rb", buffering=0) as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - MAX_VERSION_BYTES))
            return parse_version(file.read())
    except FileNotFoundError:
        return None


def _write_atomically(path: Path, body: bytes) -> None:
    """Replace a file atomically; the caller holds its lock, so the temporary name is unique."""
    temporary = path.with_name(path.name + _TEMPORARY_SUFFIX)
    try:
        temporary.write_bytes(body)
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise
