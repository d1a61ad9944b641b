"""`storage copy` as a process: progress, exit codes, interruption and resumption."""

import asyncio
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from github_banners.storage.folder_store import FolderStore
from github_banners.storage.open_store import open_bucket
from github_banners.storage.store import Store, StoredPicture
from tests.acceptance.processes import environment, run
from tests.integration.s3_fault_proxy import S3Fault
from tests.integration.store_backends import BucketBackend
from tests.unit.storage.requests import picture, store_request

COUNT = 60


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with pictures."""
    folder = tmp_path / "banners"
    store = FolderStore(folder)
    asyncio.run(fill(store))
    store.close()
    return folder


async def fill(store: Store) -> None:
    for number in range(COUNT):
        await store.put(store_request(f"b-{number}", picture(number), version=number + 1))


async def read(store: Store) -> list[StoredPicture | None]:
    return [await store.get(f"b-{number}") for number in range(COUNT)]


EXPECTED = [StoredPicture(picture(number), number + 1) for number in range(COUNT)]


def bucket_env(bucket: BucketBackend) -> Mapping[str, str]:
    """Return the variables for access to the bucket, with services that use another store."""
    return environment(**{**bucket.environment, "BANNERS_STORAGE_URL": ""})


def read_bucket(bucket: BucketBackend) -> list[StoredPicture | None]:
    return asyncio.run(read(open_bucket(bucket.location, bucket.settings)))


def test_copy_to_a_bucket_and_back(bucket: BucketBackend, folder: Path, tmp_path: Path) -> None:
    env, url = bucket_env(bucket), str(bucket.location)
    there = run("storage", "copy", str(folder), url, env=env)
    assert (there.returncode, there.stdout) == (0, f"Copied {COUNT}, up to date 0.\n")
    assert there.stderr == ""
    assert read_bucket(bucket) == EXPECTED
    again = run("storage", "copy", folder.as_uri(), url, env=env)
    assert (again.returncode, again.stdout) == (0, f"Copied 0, up to date {COUNT}.\n")
    back = run("storage", "copy", url, str(tmp_path / "back"), env=env)
    assert (back.returncode, back.stdout) == (0, f"Copied {COUNT}, up to date 0.\n")
    files = {path.name: path.read_bytes() for path in (tmp_path / "back").glob("*.svg")}
    assert files == {path.name: path.read_bytes() for path in folder.glob("*.svg")}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_copy_is_interrupted_and_resumed(
    bucket: BucketBackend, folder: Path, number: int, code: int
) -> None:
    env, arguments = bucket_env(bucket), ("storage", "copy", str(folder), str(bucket.location))
    copying = subprocess.Popen(
        [sys.executable, "-m", "github_banners", *arguments],
        env=dict(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for_objects(bucket, 21)  # one is that of the check
    copying.send_signal(number)
    _, errors = copying.communicate(timeout=30)
    assert copying.returncode == code
    if code > 0:
        assert "Stopped: start it again to continue." in errors
        assert "Traceback" not in errors
    stored = [picture for picture in read_bucket(bucket) if picture is not None]
    assert 20 <= len(stored) < COUNT
    assert all(picture in EXPECTED for picture in stored)
    resumed = run(*arguments, env=env)
    expected = f"Copied {COUNT - len(stored)}, up to date {len(stored)}.\n"
    assert (resumed.returncode, resumed.stdout) == (0, expected)
    assert read_bucket(bucket) == EXPECTED


def wait_for_objects(bucket: BucketBackend, count: int) -> None:
    deadline = time.monotonic() + 30
    while len([path for path in bucket.proxy.written if bucket.prefix in path]) < count:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_copy_shows_progress_in_one_line_of_a_terminal(bucket: BucketBackend, folder: Path) -> None:
    host, guest = pty.openpty()
    copying = subprocess.Popen(
        [sys.executable, "-m", "github_banners", "storage", "copy", folder, str(bucket.location)],
        env=dict(bucket_env(bucket)),
        stdout=subprocess.PIPE,
        stderr=guest,
        text=True,
    )
    os.close(guest)
    output, _ = copying.communicate(timeout=60)
    shown = os.read(host, 1 << 16).decode()
    os.close(host)
    assert (copying.returncode, output) == (0, f"Copied {COUNT}, up to date 0.\n")
    lines = shown.split("\r\x1b[K")
    assert "\n" not in shown
    assert lines[0] == lines[-1] == ""
    assert all(line.startswith("Copied ") for line in lines[1:-1])
    assert len(lines) > 2


def test_copy_failing_store_exits_with_1_and_the_reason(
    bucket: BucketBackend, folder: Path
) -> None:
    env = bucket_env(bucket)
    bucket.proxy.choose_fault = lambda call: S3Fault.DENIED
    denied = run("storage", "copy", str(bucket.location), str(folder), env=env)
    assert denied.returncode == 1
    assert denied.stderr.endswith("AccessDenied.\n")
    assert "Traceback" not in denied.stderr
    bucket.come_back()
    missing = run("storage", "copy", str(folder / "nowhere"), str(bucket.location), env=env)
    assert missing.returncode == 1
    assert "No such file or directory" in missing.stderr


def test_copy_missing_target_bucket_ends_at_once(bucket: BucketBackend, folder: Path) -> None:
    started_at = time.monotonic()
    result = run("storage", "copy", str(folder), "s3://not-there/banners", env=bucket_env(bucket))
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        "Copied 0, up to date 0. Stopped: the bucket can't be used: the server responds"
        " NoSuchBucket.\n"
    )
    assert time.monotonic() - started_at < 10


def test_copy_without_banners_exits_with_1(
    bucket: BucketBackend, folder: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for source in (f"{bucket.location}/nope", str(empty), str(folder.parent)):
        result = run("storage", "copy", source, str(tmp_path / "to"), env=bucket_env(bucket))
        assert (result.returncode, result.stdout) == (1, "")
        assert result.stderr == f"FROM has no banners: {source} has no files NAME.svg.\n"


def test_copy_picture_that_can_not_be_copied_exits_with_1(folder: Path, tmp_path: Path) -> None:
    (folder / "broken.svg").write_bytes(b"<svg")
    result = run("storage", "copy", str(folder), str(tmp_path / "to"), env=environment())
    assert (result.returncode, result.stdout) == (1, f"Copied {COUNT}, up to date 0, failed 1.\n")
    assert result.stderr == "Not copied: broken: it was not written completely\n"


def test_copy_invalid_arguments_and_settings_are_reported_at_once(folder: Path) -> None:
    result = run("storage", "copy", "s3://b/x", "s3://bucket/x", env=environment())
    assert result.returncode == 2
    assert "FROM must be a URL such as" in result.stderr
    assert "AWS_REGION is missing" in result.stderr
    assert "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are missing" in result.stderr
    env = environment(AWS_ENDPOINT_URL="minio:9000", AWS_ACCESS_KEY_ID="k")
    server = run("storage", "copy", str(folder), "s3://bucket/x", env=env)
    assert server.returncode == 2
    assert "AWS_ENDPOINT_URL must be a URL" in server.stderr
    assert "AWS_SECRET_ACCESS_KEY is missing" in server.stderr
    same = run("storage", "copy", str(folder), folder.as_uri(), env=environment())
    assert same.returncode == 2
    assert "must not be the same" in same.stderr
    assert run("storage", "copy", str(folder), env=environment()).returncode == 2
    assert run("storage", "move", env=environment()).returncode == 2
