"""
Banners in a bucket: `serve`, `storage` and `check`, while the S3 server works, fails and is killed.

`-s` shows the table of results; with `SOAK=long` there are all faults, each for half a minute.
"""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from github_banners.storage.open_store import open_bucket
from github_banners.storage.store import StoredPicture
from tests.acceptance.fault_checks import (
    FaultCheck,
    Row,
    is_healthy,
    missing_login,
    new_login,
    post_banner,
    preview_url,
    wait_until,
)
from tests.acceptance.image_proxy import ImageProxy
from tests.acceptance.processes import Running, environment, prepared_data_dir, run, running
from tests.integration.s3_fault_proxy import S3Fault, S3FaultProxy, always
from tests.integration.s3_server import S3Server
from tests.integration.store_backends import BucketBackend
from tests.long_form import IS_LONG

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(300)]

FAULT_SECONDS = 30 if IS_LONG else 0
# `tests/integration/test_s3_faults.py` has all of them at the level of the store.
FAULTS = [*S3Fault] if IS_LONG else [S3Fault.HANG, S3Fault.EXPIRED]
RECOVERY_SECONDS = 60.0
KNOWN = "mia-maintains"


@dataclass
class BucketHarness:
    """Two processes of `serve` that share a database and a bucket, and the bucket's faults."""

    served: Running
    bucket: BucketBackend
    proxy: ImageProxy
    rows: list[Row]

    def stored(self, login: str) -> StoredPicture | None:
        store = open_bucket(self.bucket.location, self.bucket.settings)
        return asyncio.run(store.get(f"{login}-default"))


@pytest.fixture(scope="module")
def harness(s3_proxy: S3FaultProxy, rows: list[Row], proxy: ImageProxy) -> Iterator[BucketHarness]:
    bucket = BucketBackend(s3_proxy)
    with ExitStack() as stack:
        github = stack.enter_context(running("sandbox", "--port", "0"))
        data_dir = stack.enter_context(prepared_data_dir())
        env = environment(
            PORT="0",
            DATA_DIR=str(data_dir),
            GITHUB_API_URL=github.url,
            GITHUB_TOKENS="ghp_sandbox",
            RATE_LIMIT_RPS="1000",
            LOG_FORMAT="json",
            **bucket.environment,
        )
        served = stack.enter_context(running("serve", "--workers", "2", env=env))
        yield BucketHarness(served, bucket, proxy, rows)


def test_new_banner_is_stored_in_the_bucket(harness: BucketHarness) -> None:
    assert post_banner(harness.served, KNOWN).status_code == 201
    wait_until(lambda: harness.stored(KNOWN) is not None, limit=60)
    stored = harness.stored(KNOWN)
    assert stored is not None
    assert b"<svg" in stored.body
    assert is_healthy(harness.served, harness.proxy, KNOWN)


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_breaks_no_picture_and_what_is_missing_is_stored_later(
    harness: BucketHarness, fault: S3Fault
) -> None:
    fault_check = FaultCheck(f"S3: {fault}", harness.proxy, seconds=FAULT_SECONDS)
    harness.bucket.proxy.choose_fault = always(fault)
    login = new_login()
    try:
        assert post_banner(harness.served, login).status_code == 201
        _check_pictures(harness, fault_check, login)
    finally:
        harness.bucket.come_back()
    _check_recovery(harness, fault_check, login)


def test_killed_server_breaks_no_picture(harness: BucketHarness, s3_server: S3Server) -> None:
    fault_check = FaultCheck("S3: killed", harness.proxy, seconds=FAULT_SECONDS)
    login = new_login()
    s3_server.kill()
    try:
        assert post_banner(harness.served, login).status_code == 201
        _check_pictures(harness, fault_check, login)
    finally:
        s3_server.restart()
    _check_recovery(harness, fault_check, login)


def _check_pictures(harness: BucketHarness, fault_check: FaultCheck, login: str) -> None:
    url = harness.served.url
    fault_check.expect_numbers(f"{url}/banners/{KNOWN}-default", f"{url}/banners/{login}-default")
    fault_check.expect_numbers(preview_url(harness.served, new_login()))
    fault_check.fetch_repeatedly(
        f"{url}/banners/{login}-default.svg",
        f"{url}/banners/{missing_login()}-default",
        preview_url(harness.served, KNOWN),
        preview_url(harness.served, missing_login()),
    )


def _check_recovery(harness: BucketHarness, fault_check: FaultCheck, login: str) -> None:
    recovered_after = wait_until(
        lambda: (
            is_healthy(harness.served, harness.proxy, KNOWN, new_login())
            and harness.stored(login) is not None
        ),
        limit=RECOVERY_SECONDS,
    )
    harness.rows.append(fault_check.row(recovered_after=recovered_after))


def test_services_log_no_errors_and_no_secret(harness: BucketHarness) -> None:
    """The faults above are not errors of ours."""
    text = "\n".join(harness.served.errors)
    assert '"level":"error"' not in text.replace('": "', '":"')
    assert harness.bucket.environment["AWS_SECRET_ACCESS_KEY"] not in text


def test_storage_service_starts_without_the_server_and_says_so(bucket: BucketBackend) -> None:
    bucket.go_down()
    with running("storage", env=environment(PORT="0", **bucket.environment)) as storage:
        ready = storage.get("/readyz")
        assert (ready.status_code, ready.json()["degraded"]) == (200, ["store"])
        (line,) = [line for line in storage.errors if "store.unavailable" in line]
        assert f"{bucket.location}" in line
        bucket.come_back()


def test_storage_service_refuses_to_start_without_keys(bucket: BucketBackend) -> None:
    env = {**bucket.environment, "AWS_SECRET_ACCESS_KEY": "", "PORT": "x"}
    result = run("storage", env=environment(**env))
    assert result.returncode == 2
    assert "AWS_SECRET_ACCESS_KEY is missing" in result.stderr
    assert "PORT must be" in result.stderr
    assert bucket.environment["AWS_ACCESS_KEY_ID"] not in result.stderr


def test_check_writes_to_the_bucket_and_leaves_nothing(
    bucket: BucketBackend, tmp_path: Path
) -> None:
    env = environment(PORT="0", DATA_DIR=str(tmp_path), **bucket.environment)
    result = run("check", env={**env, "GITHUB_API_URL": "http://127.0.0.1:1"})
    assert f"stored in {bucket.location}, which can be written" in result.stdout
    assert bucket.contents() == {}
    wrong = run("check", env={**env, "AWS_SECRET_ACCESS_KEY": "wrong-and-hidden"})
    assert wrong.returncode == 1
    assert "SignatureDoesNotMatch" in wrong.stdout
    assert "wrong-and-hidden" not in wrong.stdout + wrong.stderr


def test_check_with_the_variables_of_all_services_writes_to_the_bucket(
    bucket: BucketBackend,
) -> None:
    services = {
        "DB_HOST": "127.0.0.1",
        "PGPORT": "1",
        "KAFKA_BROKERS_ADDRS": "127.0.0.1:1",
        "RENDERER_BASE_URL": "http://127.0.0.1:1",
        "STORAGE_BASE_URL": "http://127.0.0.1:1",
        "GITHUB_API_URL": "http://127.0.0.1:1",
        "SERVICES_SECRET_KEY": "c0ffee" * 8,
    }
    result = run("check", env=environment(PORT="0", **services, **bucket.environment))
    assert f"stored in {bucket.location}, which can be written" in result.stdout
    keys = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    without_access = run("check", env=environment(**services, **{**bucket.environment, **keys}))
    assert str(bucket.location) not in without_access.stdout
