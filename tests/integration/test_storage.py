"""Properties of a folder only: locks, disk errors, leftovers, several processes at once."""

import asyncio
import fcntl
import os
import pwd
import random
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from github_banners.errors import StorageUnavailable, Unavailable
from github_banners.messaging.schemas import StoreResponse
from github_banners.storage.folder_store import FolderStore
from github_banners.storage.picture_format import (
    StoredVersion,
    check_picture,
    split_version,
    with_version,
)
from github_banners.storage.store import StoredPicture
from tests.unit.storage.requests import picture, store_request

URL = "/banners/wycats-dark"

WRITER = """
import asyncio, sys
from pathlib import Path
from typing import BinaryIO
from github_banners.storage.folder_store import FolderStore
from tests.unit.storage.requests import picture, store_request

async def write(folder, versions):
    store = FolderStore(Path(folder))
    puts = [store.put(store_request("wycats-dark", picture(version), version=version)) for version in versions]
    stored = await asyncio.gather(*puts)
    print(sum(result.superseded for result in stored))

sys.stdin.readline()
asyncio.run(write(sys.argv[1], [int(version) for version in sys.argv[2:]]))
"""

FULL_DISK = """
import asyncio, resource, sys
from github_banners.errors import StorageUnavailable
from pathlib import Path
from typing import BinaryIO
from github_banners.storage.folder_store import FolderStore
from tests.unit.storage.requests import picture, store_request

store = FolderStore(Path(sys.argv[1]))
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
try:
    asyncio.run(store.put(store_request("wycats-dark", picture(2), version=2)))
except StorageUnavailable as error:
    print(error)
finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FolderStore]:
    store = FolderStore(tmp_path / "a folder" / "banners")
    yield store
    store.close()


def file_names(path: Path, pattern: str = "*") -> list[str]:
    return [entry.name for entry in path.glob(pattern)]


async def test_lock_files_are_private(store: FolderStore) -> None:
    await store.put(store_request("wycats-dark", picture(1), version=5))
    locks = store.folder / ".locks"
    assert stat.S_IMODE(locks.stat().st_mode) == 0o700
    assert {stat.S_IMODE(lock.stat().st_mode) for lock in locks.iterdir()} == {0o600}


async def test_stored_implausible_version_loses_to_any(store: FolderStore) -> None:
    await store.put(store_request("wycats-dark", picture(1), version=5))
    file = store.folder / "wycats-dark.svg"
    check_picture(file.read_bytes())
    assert file.read_bytes() == picture(1) + b"\n<!-- version 5 -->\n"
    file.write_bytes(with_version(picture(3), 2**63 - 1))
    assert await store.get("wycats-dark") == StoredPicture(picture(3), 0)
    assert await store.get_version("wycats-dark") == StoredVersion(0)
    assert await store.put(store_request("wycats-dark", picture(4), version=4)) == StoreResponse(
        url=URL
    )
    assert await store.get("wycats-dark") == StoredPicture(picture(4), 4)


@pytest.mark.parametrize("truncated", [b"", picture(9)[:5000], picture(9)])
async def test_get_truncated_file_is_none(store: FolderStore, truncated: bytes) -> None:
    await store.put(store_request("wycats-dark", picture(1), version=9))
    (store.folder / "wycats-dark.svg").write_bytes(truncated)
    assert await store.get("wycats-dark") is None
    assert await store.put(store_request("wycats-dark", picture(2), version=1)) == StoreResponse(
        url=URL
    )
    assert await store.get("wycats-dark") == StoredPicture(picture(2), 1)


async def test_put_deleted_folder_is_created_again(store: FolderStore) -> None:
    await store.put(store_request("wycats-dark", picture(1), version=1))
    store.folder.rename(store.folder.with_name("gone"))
    assert await store.get("wycats-dark") is None
    assert await store.put(store_request("wycats-dark", picture(1), version=1)) == StoreResponse(
        url=URL
    )


async def test_put_path_not_a_folder_is_unavailable(store: FolderStore) -> None:
    store.folder.parent.write_text("a file")
    with pytest.raises(StorageUnavailable, match="Not a directory") as caught:
        await store.put(store_request("wycats-dark", picture(1), version=1))
    assert isinstance(caught.value, Unavailable)
    assert caught.value.status == 503
    with pytest.raises(StorageUnavailable):
        await store.get("wycats-dark")
    store.folder.parent.unlink()
    assert await store.put(store_request("wycats-dark", picture(1), version=1)) == StoreResponse(
        url=URL
    )


@contextmanager
def as_unprivileged_user() -> Iterator[None]:
    """Become a user whom permissions apply to: for root that is `nobody`."""
    own_uid = os.geteuid()
    if own_uid == 0:
        os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        yield
    finally:
        os.seteuid(own_uid)


async def test_put_folder_without_permission_is_unavailable(store: FolderStore) -> None:
    await store.put(store_request("wycats-dark", picture(1), version=1))
    store.folder.chmod(0o500)
    with as_unprivileged_user(), pytest.raises(StorageUnavailable, match="denied"):
        await store.put(store_request("wycats-dark", picture(2), version=2))
    assert await store.get("wycats-dark") == StoredPicture(picture(1), 1)
    store.folder.chmod(0o700)


async def test_put_full_disk_keeps_the_old_picture(store: FolderStore) -> None:
    await store.put(store_request("wycats-dark", picture(1), version=1))
    command = [sys.executable, "-c", FULL_DISK, str(store.folder)]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: ASYNC221
    assert "File too large" in finished.stdout
    assert await store.get("wycats-dark") == StoredPicture(picture(1), 1)
    assert file_names(store.folder, "wycats*") == ["wycats-dark.svg"]


async def test_put_waiting_for_a_lock_does_not_block_the_event_loop(store: FolderStore) -> None:
    await store.put(store_request("wycats-dark", picture(1), version=1))
    (lock,) = (store.folder / ".locks").iterdir()
    with lock.open("ab") as lock_file:
        fcntl.flock(lock_file, fcntl.LOCK_EX)
        put_task = asyncio.create_task(
            store.put(store_request("wycats-dark", picture(2), version=2))
        )
        for _ in range(50):
            assert await store.get("wycats-dark") == StoredPicture(picture(1), 1)
        assert not put_task.done()
    assert await put_task == StoreResponse(url=URL)


async def test_put_cancelled_is_finished(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.put(store_request("wycats-dark", picture(1), version=1))
    (lock,) = (store.folder / ".locks").iterdir()
    has_started, take_lock = threading.Event(), fcntl.flock

    def record(file: BinaryIO, operation: int) -> None:
        has_started.set()
        take_lock(file, operation)

    with lock.open("ab") as lock_file:
        fcntl.flock(lock_file, fcntl.LOCK_EX)
        monkeypatch.setattr(fcntl, "flock", record)
        put_task = asyncio.create_task(
            store.put(store_request("wycats-dark", picture(2), version=2))
        )
        assert await asyncio.to_thread(has_started.wait, 30)
        put_task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await put_task
    store.close()
    assert await store.get("wycats-dark") == StoredPicture(picture(2), 2)


async def test_put_from_two_processes_newest_wins_and_reads_are_atomic(
    store: FolderStore,
) -> None:
    versions = list(range(1, 401))
    random.Random(7).shuffle(versions)
    await store.put(store_request("wycats-dark", picture(0), version=0))
    versions_read, is_over = [0], threading.Event()
    reader = threading.Thread(target=read_until_over, args=(store.folder, versions_read, is_over))
    reader.start()
    try:
        superseded = await write_from_processes(store.folder, versions[::2], versions[1::2])
    finally:
        is_over.set()
        reader.join()
    assert await store.get("wycats-dark") == StoredPicture(picture(400), 400)
    assert 0 < superseded < 399
    assert versions_read == sorted(versions_read), "a picture became older"
    assert file_names(store.folder, "*.svg*") == ["wycats-dark.svg"]


async def write_from_processes(folder: Path, *shares: list[int]) -> int:
    """Put versions from one process per share at once; return how many were superseded."""
    writers = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", WRITER, str(folder), *map(str, versions)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for versions in shares
    ]
    outputs = await asyncio.gather(*(writer.communicate(b"go\n") for writer in writers))
    assert [writer.returncode for writer in writers] == [0] * len(shares)
    return sum(int(output) for output, _ in outputs)


def read_until_over(folder: Path, versions_read: list[int], is_over: threading.Event) -> None:
    """Read the picture until the event is set; a partly written file is recorded as version -1."""
    while not is_over.is_set():
        parts = split_version((folder / "wycats-dark.svg").read_bytes())
        is_complete = parts is not None and parts[0] == picture(parts[1])
        versions_read.append(parts[1] if parts is not None and is_complete else -1)
