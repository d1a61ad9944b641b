"""The check of a bucket: it names what is missing, and leaves nothing."""

from collections.abc import Callable

import pytest

from github_banners.errors import ConfigurationError, StorageUnavailable
from github_banners.storage.open_store import open_bucket
from tests.integration.s3_fault_proxy import S3Fault
from tests.integration.store_backends import BucketBackend


async def test_check_leaves_nothing(bucket: BucketBackend) -> None:
    await open_bucket(bucket.location, bucket.settings).check()
    assert bucket.contents() == {}


@pytest.mark.parametrize(
    ("permission", "method", "suffix"),
    [
        ("s3:DeleteObject", "DELETE", ""),
        ("s3:PutObject", "PUT", ""),
        ("s3:GetObject", "HEAD", ""),
        ("s3:ListBucket", "HEAD", "-missing"),
    ],
)
async def test_check_names_a_missing_permission(
    bucket: BucketBackend, permission: str, method: str, suffix: str
) -> None:
    bucket.proxy.choose_fault = lambda call: (
        S3Fault.DENIED if call.method == method and call.path.endswith(suffix) else None
    )
    with pytest.raises(StorageUnavailable, match=f"the key needs the permission {permission}$"):
        await open_bucket(bucket.location, bucket.settings).check()
    assert bucket.contents() == {}


UNFIT_SERVERS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "ignores conditions": (
        lambda response: (
            b'HTTP/1.1 200 OK\r\netag: "1"\r\ncontent-length: 0\r\n\r\n'
            if response.startswith(b"HTTP/1.1 412 ")
            else response
        ),
        "ignores If-None-Match or If-Match",
    ),
    "loses metadata": (
        lambda response: response.replace(b"x-amz-meta-version", b"x-amz-meta-nothing"),
        "does not store metadata",
    ),
}


@pytest.mark.parametrize(("change", "match"), UNFIT_SERVERS.values(), ids=list(UNFIT_SERVERS))
async def test_check_names_what_the_server_does_not_support(
    bucket: BucketBackend, change: Callable[[bytes], bytes], match: str
) -> None:
    bucket.proxy.change_response = change
    with pytest.raises(ConfigurationError, match=match):
        await open_bucket(bucket.location, bucket.settings).check()
    assert bucket.contents() == {}
