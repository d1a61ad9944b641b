"""Open the store of a location, as the settings say: a folder, or an S3 bucket."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from obstore.exceptions import BaseError
from obstore.store import S3Store

from github_banners.errors import ConfigurationError, StorageUnavailable
from github_banners.models import Clock, utc_now
from github_banners.serving.service import background_task
from github_banners.settings import VARIABLES, Settings, StorageBucket, StorageLocation
from github_banners.settings.environment import SYNONYMS
from github_banners.settings.parsers import strip, unquote
from github_banners.storage.bucket_store import BucketStore
from github_banners.storage.folder_store import FolderStore
from github_banners.storage.store import Store

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config

_log = structlog.get_logger(__name__)

_TIMEOUT_SECONDS = 2.0
_PROBE_INTERVAL_SECONDS = 5.0

# Three attempts fit into the time limit of a write, unless the server hangs.
_RETRIES: "RetryConfig" = {
    "max_retries": 2,
    "retry_timeout": timedelta(seconds=3),
    "backoff": {
        "init_backoff": timedelta(milliseconds=100),
        "max_backoff": timedelta(milliseconds=500),
        "base": 2,
    },
}


@asynccontextmanager
async def open_store(
    location: StorageLocation,
    settings: Settings,
    *,
    clock: Clock = utc_now,
    timeout_seconds: float = _TIMEOUT_SECONDS,
) -> AsyncIterator[Store]:
    """
    Open a store; finish its writes at the end. `timeout_seconds` limits one request to a bucket.

    A bucket that can't be read is logged once, and is no error: it may be back later.

    :raises ConfigurationError: the settings of the bucket are invalid
    """
    if isinstance(location, StorageBucket):
        bucket = open_bucket(location, settings, clock=clock, timeout_seconds=timeout_seconds)
        try:
            await bucket.get_version("check")
        except StorageUnavailable as error:
            _log.warning("store.unavailable", location=str(location), reason=str(error))
        yield bucket
        return
    folder = FolderStore(location, clock=clock)
    try:
        yield folder
    finally:
        folder.close()


@asynccontextmanager
async def open_service_store(
    location: StorageLocation, settings: Settings, *, clock: Clock
) -> AsyncIterator[Store]:
    """Open a store as `open_store` does, and notice without traffic that a bucket works again."""
    async with open_store(location, settings, clock=clock) as store:
        if not isinstance(store, BucketStore):
            yield store
            return
        async with background_task(_probe_health(store), name="bucket probes"):
            yield store


async def _probe_health(bucket: BucketStore) -> None:
    while True:
        await asyncio.sleep(_PROBE_INTERVAL_SECONDS)
        await bucket.check_health()


def open_bucket(
    location: StorageBucket,
    settings: Settings,
    *,
    clock: Clock = utc_now,
    timeout_seconds: float = _TIMEOUT_SECONDS,
) -> BucketStore:
    """
    Return the store in a bucket; nothing is sent.

    obstore itself reads further variables that begin with `AWS_`, among them those of roles. Of these
    empty ones count as unset, and quotes around a value are removed, as for settings.

    :raises ConfigurationError: one of these variables is invalid
    """
    # One request deletes one object: not every server has the other form.
    config: S3Config = {"conditional_put": "etag", "disable_bulk_delete": True}
    if settings.aws_region:
        config["region"] = settings.aws_region
    if settings.aws_endpoint_url:
        config["endpoint"] = settings.aws_endpoint_url
    if settings.aws_access_key_id and settings.aws_secret_access_key:
        config["access_key_id"] = settings.aws_access_key_id.reveal()
        config["secret_access_key"] = settings.aws_secret_access_key.reveal()
    if settings.aws_session_token:
        config["session_token"] = settings.aws_session_token.reveal()
    client: ClientConfig = {
        "allow_http": settings.aws_allow_http,
        "connect_timeout": timedelta(seconds=1),
        "timeout": timedelta(seconds=timeout_seconds),
    }
    try:
        with _cleaned_variables():
            client_store = S3Store(
                location.name,
                prefix=location.prefix or None,
                config=config,
                client_options=client,
                retry_config=_RETRIES,
            )
    except (BaseError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigurationError(
            f"A variable that begins with AWS_ is invalid: {reason}"
        ) from error
    return BucketStore(client_store, clock=clock)


@contextmanager
def _cleaned_variables() -> Iterator[None]:
    """
    Replace the `AWS_` variables by those that obstore is to read, until the end of the block.

    For obstore an empty variable has a value, and a variable can win over an argument: those that
    are settings of ours are passed as arguments only.
    """
    before = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    settings = {name for name in before if name in VARIABLES or name in SYNONYMS.values()}
    cleaned = {name: unquote(strip(value)) for name, value in before.items()}
    try:
        for name, value in cleaned.items():
            if value and name not in settings:
                os.environ[name] = value
            else:
                del os.environ[name]
        yield
    finally:
        os.environ.update(before)
