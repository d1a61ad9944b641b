"""The store on a real disk, from several processes at once."""

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

import pytest

from github_banners.errors import InvalidOption, InvalidSettings, StorageUnavailable, Unavailable
from github_banners.messaging.schemas import StoreRequest
from github_banners.storage.picture_format import (
    MAX_BYTES,
    check_picture,
    split_version,
    with_version,
)
from github_banners.storage.store import (
    PutResult,
    Store,
    StoredPicture,
    open_store,
)
from tests.unit.storage.requests import store_request

URL = "/banners/wycats-dark"

WRITER = """
import asyncio, sys
from github_banners.storage.store import open_store
from tests.integration.test_storage import picture
from tests.unit.storage.requests import store_request

async def write(url, versions):
    store = open_store(url)
    puts = [store.put(store_request("wycats-dark", picture(one), version=one)) for one in versions]
    stored = await asyncio.gather(*puts)
    print(sum(one.is_superseded for one in stored))

sys.stdin.readline()
asyncio.run(write(sys.argv[1], [int(one) for one in sys.argv[2:]]))
"""

FULL_DISK = """
import asyncio, resource, sys
from github_banners.errors import StorageUnavailable
from github_banners.storage.store import open_store
from tests.integration.test_storage import picture
from tests.unit.storage.requests import store_request

store = open_store(sys.argv[1])
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
try:
    asyncio.run(store.put(store_request("wycats-dark", picture(2), version=2)))
except StorageUnavailable as error:
    print(error)
finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
"""


def picture(version: int) -> bytes:
    """A picture that says its version from begin to end, in more than one page of the disk."""
    word = b"<text>%d</text>" % version
    return b'<svg xmlns="http://www.w3.org/2000/svg">%b</svg>' % (word * 1000)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store((tmp_path / "a folder" / "banners").as_uri())
    yield opened
    opened.close()


def folder(store: Store) -> Path:
    return store._folder


def names_in(path: Path, pattern: str = "*") -> list[str]:
    return [one.name for one in path.glob(pattern)]


async def test_what_was_put_is_got(store: Store) -> None:
    assert await store.get("wycats-dark") is None
    assert await store.put(store_request("WyCats-Dark", picture(1), version=5)) == PutResult(URL)
    expected = StoredPicture(picture(1), 5, "image/svg+xml")
    assert await store.get("wycats-dark") == await store.get("WYCATS-dark") == expected
    file = folder(store) / "wycats-dark.svg"
    check_picture(file.read_bytes())
    assert b"<!-- version 5 -->" in file.read_bytes()


async def test_only_we_can_hold_a_lock(store: Store) -> None:
    await store.put(store_request("wycats-dark", picture(1), version=5))
    locks = folder(store) / ".locks"
    assert stat.S_IMODE(locks.stat().st_mode) == 0o700
    assert {stat.S_IMODE(one.stat().st_mode) for one in locks.iterdir()} == {0o600}


async def test_a_lower_version_is_superseded_and_an_equal_one_overwrites(store: Store) -> None:
    await store.put(store_request("wycats-dark", picture(1), version=5))
    assert await store.put(store_request("wycats-dark", picture(2), version=4)) == PutResult(
        URL, is_superseded=True
    )
    assert await store.get("wycats-dark") == StoredPicture(picture(1), 5)
    assert await store.put(store_request("wycats-dark", picture(3), version=5)) == PutResult(URL)
    assert await store.get("wycats-dark") == StoredPicture(picture(3), 5)


async def test_versions_from_a_wrong_clock_are_unknown_and_replaced(store: Store) -> None:
    await store.put(store_request("wycats-dark", picture(1), version=5))
    assert await store.put(
        store_request("wycats-dark", picture(2), version=2**63 - 1)
    ) == PutResult(URL)
    assert await store.get("wycats-dark") == StoredPicture(picture(2), 5)
    file = folder(store) / "wycats-dark.svg"
    file.write_bytes(with_version(picture(3), 2**63 - 1))
    assert await store.get("wycats-dark") == StoredPicture(picture(3), 0)
    assert await store.put(store_request("wycats-dark", picture(4), version=4)) == PutResult(URL)
    assert await store.get("wycats-dark") == StoredPicture(picture(4), 4)


async def test_a_request_without_a_version_overwrites_and_keeps_the_version(store: Store) -> None:
    ask = StoreRequest(url_path="WyCats-dark", banner_info=picture(1), banner_format="svg")
    assert await store.put(ask) == PutResult(URL)
    assert await store.get("wycats-dark") == StoredPicture(picture(1), 0)
    await store.put(store_request("wycats-dark", picture(2), version=7))
    assert await store.put(ask) == PutResult(URL)
    assert await store.get("wycats-dark") == StoredPicture(picture(1), 7)


@pytest.mark.parametrize("path", ["../evil", "/evil", "a%2f..", ".locks", "a\0", "x" * 300, ""])
async def test_no_path_leads_out_of_the_folder(store: Store, path: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidOption):
        await store.put(store_request(path, picture(1), version=1))
    assert await store.get(path) is None
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("body", [b"", b"<svg/>", picture(1) + b" " * MAX_BYTES])
async def test_what_is_no_picture_is_not_stored(store: Store, body: bytes) -> None:
    await store.put(store_request("wycats-dark", picture(1), version=1))
    with pytest.raises(InvalidOption):
        await store.put(store_request("wycats-dark", body, version=2))
    assert await store.get("wycats-dark") == StoredPicture(picture(1), 1)


@pytest.mark.parametrize("left", [b"", picture(9)[:5000], picture(9)])
async def test_a_file_that_was_not_written_to_the_end_is_not_there(
    store: Store, left: bytes
) -> None:
    await store.put(store_request("wycats-dark", picture(1), version=9))
    (folder(store) / "wycats-dark.svg").write_bytes(left)
    assert await store.get("wycats-dark") is None
    assert await store.put(store_request("wycats-dark", picture(2), version=1)) == PutResult(URL)
    assert await store.get("wycats-dark") == StoredPicture(picture(2), 1)


async def test_a_folder_that_vanishes_is_made_again(store: Store) -> None:
    await store.put(store_request("wycats-dark", picture(1), version=1))
    folder(store).rename(folder(store).with_name("gone"))
    assert await store.get("wycats-dark") is None
    assert await store.put(store_request("wycats-dark", picture(1), version=1)) == PutResult(URL)


async def test_a_place_that_is_no_folder_is_unavailable_until_it_is(store: Store) -> None:
    folder(store).parent.write_text("a file")
    with pytest.raises(StorageUnavailable, match="Not a directory") as caught:
        await store.put(store_request("wycats-dark", picture(1), version=1))
    assert isinstance(caught.value, Unavailable)
    assert caught.value.status == 503
    with pytest.raises(StorageUnavailable):
        await store.get("wycats-dark")
    folder(store).parent.unlink()
    assert await store.put(store_request("wycats-dark", picture(1), version=1)) == PutResult(URL)


@contextmanager
def without_rights() -> Iterator[None]:
    """Be somebody whom permissions bind: for root that is nobody, for a while."""
    mine = os.geteuid()
    if mine == 0:
        os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        yield
    finally:
        os.seteuid(mine)


async def test_a_folder_of_others_is_unavailable(store: Store) -> None:
    await store.put(store_request("wycats-dark", picture(1), version=1))
    folder(store).chmod(0o500)
    with without_rights(), pytest.raises(StorageUnavailable, match="denied"):
        await store.put(store_request("wycats-dark", picture(2), version=2))
    assert await store.get("wycats-dark") == StoredPicture(picture(1), 1)
    folder(store).chmod(0o700)


async def test_a_full_disk_is_unavailable_and_leaves_the_old_picture(store: Store) -> None:
    await store.put(store_request("wycats-dark", picture(1), version=1))
    command = [sys.executable, "-c", FULL_DISK, folder(store).as_uri()]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: ASYNC221
    assert "File too large" in finished.stdout
    assert await store.get("wycats-dark") == StoredPicture(picture(1), 1)
    assert names_in(folder(store), "wycats*") == ["wycats-dark.svg"]


async def test_a_lock_that_another_holds_does_not_hold_up_the_loop(store: Store) -> None:
    await store.put(store_request("wycats-dark", picture(1), version=1))
    (lock,) = (folder(store) / ".locks").iterdir()
    with lock.open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        waiting = asyncio.create_task(
            store.put(store_request("wycats-dark", picture(2), version=2))
        )
        for _ in range(50):
            assert await store.get("wycats-dark") == StoredPicture(picture(1), 1)
        assert not waiting.done()
    assert await waiting == PutResult(URL)


async def test_a_put_that_is_cancelled_is_finished(store: Store) -> None:
    await store.put(store_request("wycats-dark", picture(1), version=1))
    (lock,) = (folder(store) / ".locks").iterdir()
    with lock.open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        waiting = asyncio.create_task(
            store.put(store_request("wycats-dark", picture(2), version=2))
        )
        await asyncio.wait({waiting}, timeout=0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    store.close()
    assert await store.get("wycats-dark") == StoredPicture(picture(2), 2)


async def test_the_newest_of_two_processes_wins_and_no_reader_sees_a_torn_file(
    store: Store,
) -> None:
    versions = list(range(1, 401))
    random.Random(7).shuffle(versions)
    await store.put(store_request("wycats-dark", picture(0), version=0))
    seen, is_over = [0], threading.Event()
    reader = threading.Thread(target=read_on, args=(folder(store), seen, is_over))
    reader.start()
    try:
        superseded = await write_from_processes(folder(store), versions[::2], versions[1::2])
    finally:
        is_over.set()
        reader.join()
    assert await store.get("wycats-dark") == StoredPicture(picture(400), 400)
    assert 0 < superseded < 399
    assert seen == sorted(seen), "a picture became older"
    assert names_in(folder(store), "*.svg*") == ["wycats-dark.svg"]


async def write_from_processes(folder: Path, *shares: list[int]) -> int:
    """Let one process per share put its versions at once; gives how many were superseded."""
    writers = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", WRITER, folder.as_uri(), *map(str, versions)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for versions in shares
    ]
    outputs = await asyncio.gather(*(writer.communicate(b"go\n") for writer in writers))
    assert [writer.returncode for writer in writers] == [0] * len(shares)
    return sum(int(output) for output, _ in outputs)


def read_on(folder: Path, seen: list[int], is_over: threading.Event) -> None:
    """Read until it is over; a torn file is noted as version -1."""
    while not is_over.is_set():
        found = split_version((folder / "wycats-dark.svg").read_bytes())
        is_whole = found is not None and found[0] == picture(found[1])
        seen.append(found[1] if found is not None and is_whole else -1)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "relative",
        "/absolute",
        "file:relative",
        "file://host/folder",
        "file:///folder?query",
        "file:///folder#part",
        "file:///fol%00der",
        "s3://bucket/banners",
        "https://example.com/",
    ],
)
def test_what_is_no_address_of_a_folder_is_refused(url: str) -> None:
    with pytest.raises(InvalidSettings, match="BANNERS_STORAGE_URL"):
        open_store(url)
