"""The bucket behind a proxy that breaks requests: errors are ours, in time, and nothing is lost."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from structlog.testing import capture_logs

from github_banners.errors import ConfigurationError, StorageUnavailable
from github_banners.messaging.schemas import StoreRequest, StoreResponse
from github_banners.models import utc_now
from github_banners.serving.health import Health
from github_banners.settings import Settings, StorageBucket
from github_banners.storage import open_store as open_store_module
from github_banners.storage.open_store import open_bucket, open_service_store, open_store
from github_banners.storage.picture_format import StoredVersion, tombstone, with_version
from github_banners.storage.store import Store, StoredPicture
from tests.integration.s3_fault_proxy import S3Fault, S3Request, always
from tests.integration.s3_server import BUCKET, SECRET_KEY, S3Server, bucket_environment
from tests.integration.store_backends import BucketBackend
from tests.long_form import IS_LONG
from tests.time_limits import finish_within
from tests.unit.storage.requests import picture, store_request

MAX_SECONDS = 3.5
ROUNDS = 100 if IS_LONG else 6

REASONS = {
    S3Fault.UNAVAILABLE: "503",
    S3Fault.SLOW_DOWN: "503|SlowDown",
    S3Fault.INTERNAL: "500|InternalError",
    S3Fault.EXPIRED: "403|ExpiredToken",
    S3Fault.DENIED: "403|AccessDenied",
    S3Fault.HANG: "did not respond in time",
}


@pytest.fixture
async def store(bucket: BucketBackend) -> AsyncIterator[Store]:
    async with open_store(bucket.location, bucket.settings) as store:
        yield store


def request(version: int, name: str = "a") -> StoreRequest:
    return store_request(name, picture(version), version=version)


@pytest.mark.parametrize("fault", S3Fault)
async def test_fault_is_unavailable_in_time_and_over_at_once(
    store: Store, bucket: BucketBackend, fault: S3Fault
) -> None:
    await store.put(request(1))
    bucket.proxy.choose_fault = always(fault)
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "put": lambda: store.put(request(2)),
        "get": lambda: store.get("a"),
        "get_version": lambda: store.get_version("a"),
        "remove": lambda: store.remove("a", version=0),
    }

    async def fail(call: Callable[[], Awaitable[object]]) -> None:
        with pytest.raises(StorageUnavailable, match=REASONS.get(fault, "used")) as error_info:
            await call()
        message = str(error_info.value)
        assert "\n" not in message
        assert len(message) < 250
        assert SECRET_KEY not in message

    # The response to HEAD has no body that could be truncated.
    failing = ["get"] if fault is S3Fault.TRUNCATE else [*calls]
    failures = asyncio.gather(*(fail(calls[name]) for name in failing))
    await finish_within(failures, seconds=MAX_SECONDS)
    assert not store.is_available
    bucket.come_back()
    stored = await store.get("a")
    assert stored is not None
    assert stored.body == picture(stored.version)
    assert await store.put(request(3)) == StoreResponse(url="/banners/a")
    assert await store.get("a") == StoredPicture(picture(3), 3)
    assert store.is_available


@pytest.mark.parametrize("fault", [S3Fault.HANG, S3Fault.SLOW_DOWN] if IS_LONG else [S3Fault.HANG])
async def test_put_many_fault_fails_each_in_time(
    store: Store, bucket: BucketBackend, fault: S3Fault
) -> None:
    bucket.proxy.choose_fault = always(fault)
    putting = store.put_many([request(1, f"b-{number}") for number in range(64)])
    results = await finish_within(putting, seconds=MAX_SECONDS)
    assert [type(result) for result in results] == [StorageUnavailable] * 64


async def test_put_many_one_hanging_banner_fails_alone(store: Store, bucket: BucketBackend) -> None:
    bucket.proxy.choose_fault = lambda call: S3Fault.HANG if "/b-3." in call.path else None
    results = await store.put_many([request(1, f"b-{number}") for number in range(8)])
    failed = [index for index, result in enumerate(results) if isinstance(result, Exception)]
    assert failed == [3]


@pytest.mark.parametrize(
    "fault",
    [fault for fault in S3Fault if fault not in {S3Fault.HANG, S3Fault.EXPIRED, S3Fault.DENIED}]
    if IS_LONG
    else [S3Fault.SLOW_DOWN, S3Fault.DROP_RESPONSE],
)
async def test_every_third_request_fails_and_nothing_acknowledged_is_lost(
    store: Store, bucket: BucketBackend, fault: S3Fault
) -> None:
    randomness = random.Random(7)
    bucket.proxy.choose_fault = lambda call: fault if randomness.random() < 1 / 3 else None
    acknowledged = 0
    for version in range(1, ROUNDS + 1):
        try:
            response = await store.put(request(version))
        except StorageUnavailable:
            continue
        assert not response.superseded
        acknowledged = version
    bucket.come_back()
    stored = await store.get("a")
    assert stored is not None
    assert stored.version >= acknowledged > 0
    assert stored.body == picture(stored.version)


@pytest.mark.parametrize("method", ["HEAD", "PUT"])
async def test_storage_without_traffic_notices_that_the_bucket_is_back(
    bucket: BucketBackend, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr(open_store_module, "_PROBE_INTERVAL_SECONDS", 0.1)
    requests = 0

    def choose(call: S3Request) -> S3Fault | None:
        nonlocal requests
        requests += 1
        return S3Fault.DENIED if call.method == method else None

    bucket.proxy.choose_fault = choose
    async with open_service_store(bucket.location, bucket.settings, clock=utc_now) as store:
        with pytest.raises(StorageUnavailable):
            await store.put(request(1))
        await asyncio.sleep(1)
        health = Health({"store": lambda: store.is_available})
        assert health.degraded() == ["store"]
        bucket.come_back()
        async with asyncio.timeout(30):
            while health.degraded():  # noqa: ASYNC110 - a state, no event
                await asyncio.sleep(0.05)
        bucket.proxy.choose_fault = choose
        requests = 0
        await asyncio.sleep(0.5)
        assert requests == 0
    assert bucket.contents() == {}


async def test_put_with_lost_response_is_stored(store: Store, bucket: BucketBackend) -> None:
    """The client repeats the put, whose condition its first attempt has made false."""
    await store.put(request(1))
    puts = 0

    def choose(call: S3Request) -> S3Fault | None:
        nonlocal puts
        puts += call.method == "PUT"
        return S3Fault.DROP_RESPONSE if call.method == "PUT" and puts == 1 else None

    bucket.proxy.choose_fault = choose
    assert await store.put(request(2)) == StoreResponse(url="/banners/a")
    assert puts >= 2
    assert await store.get("a") == StoredPicture(picture(2), 2)


async def test_object_of_another_program_is_none_and_is_replaced(
    store: Store, bucket: BucketBackend
) -> None:
    bucket.add_file("a.svg", picture(7))
    assert await store.get("a") is None
    assert await store.get_version("a") is None
    assert await store.put(request(1)) == StoreResponse(url="/banners/a")
    assert await store.get("a") == StoredPicture(picture(1), 1)


async def test_picture_without_metadata_has_the_version_at_its_end(
    store: Store, bucket: BucketBackend
) -> None:
    bucket.add_file("a.svg", with_version(picture(5), 5))
    assert await store.get_version("a") == StoredVersion(5)
    assert await store.get("a") == StoredPicture(picture(5), 5)
    assert await store.put(request(4)) == StoreResponse(url="/banners/a", superseded=True)
    assert await store.put(request(6)) == StoreResponse(url="/banners/a")
    assert await store.get("a") == StoredPicture(picture(6), 6)


async def test_tombstone_without_metadata_refuses_older_pictures(
    store: Store, bucket: BucketBackend
) -> None:
    bucket.add_file("a.svg", tombstone(5))
    assert await store.get_version("a") == StoredVersion(5, is_removed=True)
    assert await store.get("a") is None
    assert await store.put(request(5)) == StoreResponse(url="/banners/a", superseded=True)
    assert not (await store.remove("a", version=5)).removed
    assert await store.put(request(6)) == StoreResponse(url="/banners/a")


@pytest.mark.parametrize("body", [b"", b"<svg/>"])
async def test_object_without_a_version_is_none(
    store: Store, bucket: BucketBackend, body: bytes
) -> None:
    bucket.add_file("a.svg", body)
    assert await store.get_version("a") is None
    assert await store.get("a") is None
    assert await store.put(request(1)) == StoreResponse(url="/banners/a")


async def test_stored_implausible_version_loses_to_any(store: Store, bucket: BucketBackend) -> None:
    far_ahead = 2**63 - 1
    body = with_version(picture(3), far_ahead)
    bucket.client().put("banners/a.svg", body, attributes={"version": str(far_ahead)})
    assert await store.get("a") == StoredPicture(picture(3), 0)
    assert await store.get_version("a") == StoredVersion(0)
    assert await store.put(request(4)) == StoreResponse(url="/banners/a")
    assert await store.get("a") == StoredPicture(picture(4), 4)


async def test_object_deleted_meanwhile_is_written_again(
    store: Store, bucket: BucketBackend
) -> None:
    await store.put(request(1))
    is_deleted = False

    def choose(call: S3Request) -> None:
        nonlocal is_deleted
        if call.method == "PUT" and not is_deleted:
            is_deleted = True
            bucket.client().delete("banners/a.svg")

    bucket.proxy.choose_fault = choose
    assert await store.put(request(2)) == StoreResponse(url="/banners/a")
    assert await store.get("a") == StoredPicture(picture(2), 2)


async def test_object_has_the_headers_with_which_it_can_be_served(
    store: Store, bucket: BucketBackend
) -> None:
    await store.put(request(5))
    head = bucket.client().get("banners/a.svg", options={"head": True})
    assert head.attributes == {
        "Content-Type": "image/svg+xml",
        "Cache-Control": "public, max-age=600, stale-while-revalidate=60, stale-if-error=86400",
        "version": "5",
    }


async def test_bucket_without_a_prefix_works(bucket: BucketBackend) -> None:
    async with open_store(StorageBucket(BUCKET, ""), bucket.settings) as store:
        await store.put(request(1, "without-a-prefix"))
        assert await store.get("without-a-prefix") == StoredPicture(picture(1), 1)
        pages = [page async for page in store.list_paths()]
        assert [path for page in pages for path in page] == ["without-a-prefix"]


@pytest.mark.parametrize(
    "fault", [S3Fault.SLOW_DOWN, S3Fault.TRUNCATE] if IS_LONG else [S3Fault.SLOW_DOWN]
)
async def test_list_paths_continues_after_a_fault(
    store: Store, bucket: BucketBackend, s3_server: S3Server, fault: S3Fault
) -> None:
    paths = {f"b-{number}" for number in range(2500)}
    folder = s3_server.folder / "data" / BUCKET / bucket.prefix
    folder.mkdir(parents=True)
    for path in paths:
        (folder / f"{path}.svg").touch()
    lists = 0

    def choose(request: S3Request) -> S3Fault | None:
        nonlocal lists
        lists += "list-type" in request.path
        return fault if 3 <= lists <= 6 else None

    bucket.proxy.choose_fault = choose
    pages = [page async for page in store.list_paths()]
    assert sorted(path for page in pages for path in page) == sorted(paths)
    assert lists == 7


# What is wrong with the settings


async def fail_everywhere(settings: Settings, location: StorageBucket, *, match: str) -> None:
    """Check that opening logs the reason once, and that each access and the check raise it."""
    with capture_logs() as logs:
        async with open_store(location, settings) as store:
            assert [line["event"] for line in logs] == ["store.unavailable"] * len(logs)
            for call in (store.get("a"), store.put(request(1))):
                with pytest.raises(StorageUnavailable, match=match):
                    await call
    with pytest.raises(StorageUnavailable, match=match):
        await open_bucket(location, settings).check()


async def test_missing_bucket_is_named(bucket: BucketBackend) -> None:
    await fail_everywhere(
        bucket.settings, StorageBucket("not-there", "banners"), match="NoSuchBucket"
    )


@pytest.mark.parametrize(
    ("variable", "match"),
    [
        ("AWS_ACCESS_KEY_ID", "InvalidAccessKeyId|403"),
        ("AWS_SECRET_ACCESS_KEY", "SignatureDoesNotMatch|403"),
    ],
)
async def test_wrong_key_is_named_and_not_shown(
    bucket: BucketBackend, variable: str, match: str
) -> None:
    environment = {**bucket.environment, variable: "wrong-and-hidden"}
    settings = Settings.from_environment(environment)
    await fail_everywhere(settings, bucket.location, match=rf"^(?!.*hidden).*(?:{match})")


async def test_server_that_is_not_there_is_described(bucket: BucketBackend) -> None:
    settings = Settings.from_environment({**bucket.environment, **bucket_environment(1)})
    await fail_everywhere(settings, bucket.location, match="can't be used: HTTP error")


def test_variable_that_only_obstore_reads_is_reported(
    bucket: BucketBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "perhaps")
    with pytest.raises(ConfigurationError, match=r"AWS_.*perhaps[^\n]*\Z"):
        open_bucket(bucket.location, bucket.settings)


@pytest.mark.parametrize(
    "variables",
    [
        {"AWS_ENDPOINT_URL": "", "AWS_ENDPOINT_URL_S3": " "},
        {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1", "AWS_REGION": "elsewhere"},
        {"AWS_ENDPOINT_URL_S3": '"http://127.0.0.1:1"'},
        {"AWS_SKIP_SIGNATURE": "", "AWS_CHECKSUM_ALGORITHM": ""},
        {"AWS_VIRTUAL_HOSTED_STYLE_REQUEST": ' "false" '},
        {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": ""},
    ],
    ids=" ".join,
)
async def test_settings_win_over_the_environment_and_empty_variables_are_unset(
    bucket: BucketBackend, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    await open_bucket(bucket.location, bucket.settings).check()
    assert {name: os.environ[name] for name in variables} == variables
