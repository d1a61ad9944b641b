"""
Store pictures as objects in an S3 bucket, for any number of processes at once.

The highest version of a banner wins, in whatever order versions are written: a put is conditional on
the ETag that was read with the stored version, and a writer that lost the race reads again. The
version is metadata of the object, so that reading it does not need the body. It stands at the end of
the body too, as on disk: the ETag of an object can be the MD5 of its body alone, and two versions of
one drawing must not have the same ETag. It is read there if the metadata was lost, in a backup say.
"""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    PreconditionError,
)
from obstore.store import S3Store

from github_banners.errors import BannersError, ConfigurationError, StorageUnavailable
from github_banners.log_throttle import LogThrottle
from github_banners.messaging.schemas import RemoveResponse, StoreRequest, StoreResponse
from github_banners.models import Clock, utc_now
from github_banners.serving.media_types import SVG
from github_banners.storage.banner_path import (
    file_name,
    find_file_name,
    parse_path,
    path_from_file_name,
    url_path,
)
from github_banners.storage.picture_format import (
    MAX_VERSION_BYTES,
    VERSION_PATTERN,
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
    retry_while_unavailable,
    without_implausible_version,
)

if TYPE_CHECKING:
    from obstore import Attributes, ObjectMeta, PutMode

CACHE_CONTROL = "public, max-age=600, stale-while-revalidate=60, stale-if-error=86400"
"""For readers that get an object from the bucket itself, or from a CDN in front of it."""

_VERSION, _REMOVED = "version", "removed"
_VERSION_TEXT = re.compile(VERSION_PATTERN, re.ASCII)
_REQUESTS_PER_BATCH = 16
_MAX_READ_SECONDS = 3.0
_MAX_CHECK_SECONDS = 10.0
_PAGE_LENGTH = 1000

# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_ERROR_CODE = re.compile(r"<Code>(\w{1,64})</Code>")
_STATUS = re.compile(r"status code: (\d{3})")
_NO_BUCKET = "NoSuchBucket"
_PERMANENT_STATUSES = {"401", "403", "404"}


@dataclass(frozen=True, slots=True)
class _StoredObject:
    """The version of an object if it has one, and the condition for replacing exactly this object."""

    version: StoredVersion | None
    e_tag: str


class BucketStore:
    """A store in a bucket; `bucket` is the client for it, with the prefix of all keys."""

    def __init__(self, bucket: S3Store, *, clock: Clock = utc_now) -> None:
        self._bucket = bucket
        self._clock = clock
        self.throttle = LogThrottle(lambda: asyncio.get_running_loop().time())
        self.is_available = True

    async def put(self, request: StoreRequest) -> StoreResponse:
        """Store a picture; a lost race is repeated until this version is stored or superseded."""
        return await self._put(
            request, deadline=asyncio.get_running_loop().time() + MAX_WRITE_SECONDS
        )

    async def put_many(self, banners: Sequence[StoreRequest]) -> list[StoreResponse | Exception]:
        """Store several pictures at once."""
        deadline = asyncio.get_running_loop().time() + MAX_WRITE_SECONDS
        slots = asyncio.Semaphore(_REQUESTS_PER_BATCH)

        async def put_banner(banner: StoreRequest) -> StoreResponse | Exception:
            try:
                async with slots:
                    return await self._put(banner, deadline=deadline)
            except Exception as error:  # noqa: BLE001 - the result of this banner alone
                return error

        return await asyncio.gather(*map(put_banner, banners))

    async def remove(self, path: str, *, version: int) -> RemoveResponse:
        """Remove a picture; a lost race is repeated as by `put`."""
        name = parse_path(path)
        with self._mapping_errors():
            async with asyncio.timeout(MAX_WRITE_SECONDS):
                while True:
                    stored = await self._read_object(file_name(name))
                    stored_version = stored.version if stored else None
                    removed_version = choose_tombstone(stored_version, version, now=self._clock())
                    if removed_version is None:
                        return RemoveResponse(url=url_path(name))
                    has_picture = stored is not None and not (
                        stored_version and stored_version.is_removed
                    )
                    written = StoredVersion(removed_version, is_removed=True)
                    body = tombstone(removed_version)
                    if await self._write(file_name(name), body, written, replaces=stored):
                        return RemoveResponse(url=url_path(name), removed=has_picture)

    async def get(self, path: str) -> StoredPicture | None:
        """Return a stored picture; one without a version at its end was not written by a store."""
        if (key := find_file_name(path)) is None:
            return None
        with self._mapping_errors():
            async with asyncio.timeout(_MAX_READ_SECONDS):
                try:
                    file = await self._bucket.get_async(key)
                    parts = split_version(bytes(await file.bytes_async()))
                except FileNotFoundError as error:
                    _raise_if_no_bucket(error)
                    return None
        if parts is None:
            return None
        version = parse_metadata(file.attributes) or StoredVersion(parts[1])
        stored = without_implausible_version(version, now=self._clock())
        return StoredPicture(parts[0], stored.version)

    async def get_version(self, path: str) -> StoredVersion | None:
        """Return the version in the metadata of an object, or else at its end."""
        if (key := find_file_name(path)) is None:
            return None
        with self._mapping_errors():
            async with asyncio.timeout(_MAX_READ_SECONDS):
                stored = await self._read_object(key)
        if stored is None or stored.version is None:
            return None
        return without_implausible_version(stored.version, now=self._clock())

    async def list_paths(self) -> AsyncIterator[list[str]]:
        """
        List the paths of all pictures and tombstones directly below the prefix.

        While the bucket is unavailable, the list is continued after the last key for half a minute.
        """
        pages, last_key = self._bucket.list(chunk_size=_PAGE_LENGTH), None
        while True:
            page: Sequence[ObjectMeta] | None = None
            async for attempt in retry_while_unavailable():
                with attempt, self._mapping_errors():
                    if attempt.num > 1:
                        pages = self._bucket.list(offset=last_key, chunk_size=_PAGE_LENGTH)
                    page = await anext(pages, None)
            if not page:
                return
            last_key = self._key_below_prefix(page[-1]["path"])
            keys = [self._key_below_prefix(meta["path"]) for meta in page]
            yield [path for key in keys if (path := path_from_file_name(key)) is not None]

    async def check(self) -> None:
        """
        Write, replace and remove an object, with the conditions on which `put` relies.

        :raises StorageUnavailable: the bucket can't be used; a missing permission is named
        :raises ConfigurationError: the server ignores conditions or metadata
        """
        key = f".github-banners-check-{secrets.token_hex(8)}"
        other = _StoredObject(None, e_tag='"00000000000000000000000000000000"')
        with self._mapping_errors():
            async with asyncio.timeout(_MAX_CHECK_SECONDS):
                # First, so that no object is left that can't be deleted.
                with _requiring("s3:DeleteObject"):
                    await self._bucket.delete_async(key)
                with _requiring("s3:PutObject"):
                    await self._write(key, b"1", StoredVersion(1), replaces=None)
                try:
                    with _requiring("s3:GetObject"):
                        stored = await self._read_object(key)
                    with _requiring("s3:ListBucket"):
                        await self._read_object(f"{key}-missing")
                    if stored is None or stored.version != StoredVersion(1):
                        raise ConfigurationError("the server does not store metadata of objects")
                    is_unconditional = [
                        await self._write(key, b"2", StoredVersion(2), replaces=replaces)
                        for replaces in (None, other)
                    ]
                    if any(is_unconditional):
                        raise ConfigurationError(
                            "the server ignores If-None-Match or If-Match: older pictures could"
                            " replace newer ones"
                        )
                    if not await self._write(key, b"3", StoredVersion(3), replaces=stored):
                        raise ConfigurationError("the server does not support If-Match")
                finally:
                    await self._bucket.delete_async(key)

    async def check_health(self) -> None:
        """Check whether the bucket works again if the last access failed; raise nothing."""
        if not self.is_available:
            with suppress(BannersError):
                await self.check()

    async def _put(self, request: StoreRequest, *, deadline: float) -> StoreResponse:
        name = parse_path(request.url_path)
        await asyncio.to_thread(check_picture, request.banner_info)
        response = StoreResponse(url=url_path(name))
        with self._mapping_errors():
            async with asyncio.timeout_at(deadline):
                while True:
                    stored = await self._read_object(file_name(name))
                    stored_version = stored.version if stored else None
                    version = choose_version(stored_version, request.version, now=self._clock())
                    if version is None:
                        return StoreResponse(url=response.url, superseded=True)
                    # False also if this very write arrived and its response did not: then the
                    # stored version is now our own, and an equal one overwrites.
                    body = with_version(request.banner_info, version)
                    written = StoredVersion(version)
                    if await self._write(file_name(name), body, written, replaces=stored):
                        return response

    async def _read_object(self, key: str) -> _StoredObject | None:
        try:
            # `head` returns no attributes.
            head = await self._bucket.get_async(key, options={"head": True})
            version = parse_metadata(head.attributes)
            if version is None and head.meta["size"] > 0:  # the end of nothing is an error
                # If the object is replaced meanwhile, the write with this ETag fails.
                end = await self._bucket.get_async(
                    key, options={"range": {"suffix": MAX_VERSION_BYTES}}
                )
                version = parse_version(bytes(await end.bytes_async()))
        except FileNotFoundError:
            return None
        return _StoredObject(version, head.meta["e_tag"] or "")

    async def _write(
        self, key: str, body: bytes, version: StoredVersion, *, replaces: _StoredObject | None
    ) -> bool:
        """Write an object; return False, and change nothing, if not exactly `replaces` is there."""
        mode: PutMode = "create" if replaces is None else {"e_tag": replaces.e_tag}
        attributes = {
            "Content-Type": SVG,
            "Cache-Control": CACHE_CONTROL,
            _VERSION: str(version.version),
            **({_REMOVED: "true"} if version.is_removed else {}),
        }
        try:
            await self._bucket.put_async(key, body, mode=mode, attributes=attributes)
        except (AlreadyExistsError, PreconditionError) as error:
            _raise_if_no_bucket(error)
            return False
        return True

    def _key_below_prefix(self, key: str) -> str:
        prefix = self._bucket.prefix
        return key.removeprefix(f"{prefix}/") if prefix else key

    @contextmanager
    def _mapping_errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, BaseError) as error:
            self.is_available = False
            raise StorageUnavailable(
                f"the bucket can't be used: {_describe(error)}", is_permanent=_is_permanent(error)
            ) from error
        self.is_available = True


def parse_metadata(attributes: "Attributes") -> StoredVersion | None:
    """Return the version in the metadata of an object, None if it has none."""
    text = attributes.get(_VERSION, "")
    if not _VERSION_TEXT.fullmatch(text):
        return None
    return StoredVersion(int(text), is_removed=_REMOVED in attributes)


@contextmanager
def _requiring(permission: str) -> Iterator[None]:
    """Name the permission that requests in the context need if they are refused without it."""
    try:
        yield
    except PermissionDeniedError as error:
        # The response to HEAD has no code; others are about the key itself, InvalidAccessKeyId say.
        if _error_code(error) not in {None, "AccessDenied"}:
            raise
        raise StorageUnavailable(
            f"{_describe(error)}: the key needs the permission {permission}", is_permanent=True
        ) from error


def _raise_if_no_bucket(error: Exception) -> None:
    """Raise an error again if it is about the bucket: obstore reports both as a missing object."""
    if _error_code(error) == _NO_BUCKET:
        raise error


def _error_code(error: Exception) -> str | None:
    """Return the error code in the server's response, which obstore gives only in its message."""
    match = _ERROR_CODE.search(str(error))
    return match[1] if match else None


def _is_permanent(error: Exception) -> bool:
    """Return whether the server refuses a request, so that it would refuse a retry as well."""
    match = _STATUS.search(str(error))
    return match is not None and match[1] in _PERMANENT_STATUSES


def _describe(error: Exception) -> str:
    """
    Describe an error in one line.

    Of a refusal only its code: S3 repeats what was signed, and with which key, in its messages.
    """
    if isinstance(error, TimeoutError):
        return "it did not respond in time"
    if code := _error_code(error):
        return f"the server responds {code}"
    if match := _STATUS.search(str(error)):
        return f"the server responds with status {match[1]}"
    # What follows the request and its duration; below are details for developers.
    return str(error).partition("\n")[0].rpartition(" - ")[2][:200]
