"""Which users an instance serves, and when it reads the lists again."""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from github_banners.api.admission import RateLimiter, ServedUsers
from github_banners.api.banner_service import BannerService
from github_banners.api.pictures import CachedPicture, PictureCache, RenderRequest
from github_banners.api.png_converter import PngConverter
from github_banners.api.public_routes import BannerRoutes
from github_banners.api.response_cache import ResponseCache
from github_banners.errors import UserNotServed
from github_banners.models import Owner, Snapshot, Stats
from github_banners.options import BannerOptions
from github_banners.serving.framework import build_app
from github_banners.serving.worker_process import WorkerProcess
from github_banners.settings import Settings
from github_banners.stats.fetch import Deadline
from github_banners.stats.lookup import LookupResult
from github_banners.stats.snapshots import Freshness

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LOGINS = st.text("abAB-_1", min_size=1, max_size=3)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "logins"


def write(file: Path, text: str | None) -> None:
    """Replace a file in one step, which changes its inode; None removes it."""
    if text is None:
        return file.unlink()
    new = file.with_suffix(".new")
    new.write_text(text)
    new.replace(file)
    return None


def overwrite(file: Path, text: str) -> None:
    """Write into a file; then only its time differs, by a nanosecond."""
    status = file.stat()
    file.write_text(text)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


@pytest.mark.parametrize(
    ("allowed", "denied", "served", "others"),
    [
        ((), (), "ada grace x", ""),
        (("Ada", "umbra-labs"), (), "ada ADA Umbra-Labs", "grace umbra ad ada-"),
        ((), ("Ada",), "grace ad", "ada aDa"),
        (("ada", "grace"), ("GRACE", "x"), "ada", "grace x y"),
    ],
    ids=["no lists", "allowed", "denied", "both"],
)
def test_is_served_login_is_in_the_first_list_and_not_in_the_second(
    allowed: tuple[str, ...], denied: tuple[str, ...], served: str, others: str
) -> None:
    users = ServedUsers(allowed=allowed, denied=denied)
    assert [login for login in served.split() if not users.is_served(login)] == []
    assert [login for login in others.split() if users.is_served(login)] == []
    for login in others.split():
        with pytest.raises(UserNotServed) as error_info:
            users.require("ada" if "ada" in served else "grace", login)
        assert error_info.value.name == login


@given(
    allowed=st.lists(LOGINS),
    denied=st.lists(LOGINS),
    login=LOGINS,
    suffix=st.sampled_from(["dark", "auto-nord", "default-0123abcd"]),
)
def test_may_serve_name_of_an_owner_who_is_not_served_is_false(
    allowed: list[str], denied: list[str], login: str, suffix: str
) -> None:
    users = ServedUsers(allowed=[*allowed, "somebody"], denied=denied)
    if login.lower() in {name.lower() for name in denied}:
        assert not users.may_serve_name(f"{login}-{suffix}")
    if not allowed and not login.lower().startswith("somebody"):
        assert not users.may_serve_name(f"{login}-{suffix}")


def test_may_serve_name_of_a_served_owner_is_true_unless_a_denied_login_begins_it() -> None:
    assert ServedUsers().may_serve_name("anything")
    allowed = ServedUsers(allowed=["umbra-labs"])
    assert allowed.may_serve_name("Umbra-Labs-dark")
    assert not allowed.may_serve_name("umbra-dark")
    denied = ServedUsers(denied=["umbra"])
    assert denied.may_serve_name("umbrella-dark")
    # It may belong to either.
    assert not denied.may_serve_name("umbra-labs-dark")


def test_deny_replaces_further_denied_logins() -> None:
    changes: list[int] = []
    users = ServedUsers(denied=["x"])
    users.watch(lambda: changes.append(1))
    users.deny(["Ada", "grace"])
    assert [users.is_served(login) for login in ("ada", "grace", "x")] == [False] * 3
    users.deny({"GRACE", "ada"})
    assert len(changes) == 1
    users.deny(["grace"])
    assert [users.is_served(login) for login in ("ada", "grace", "x")] == [True, False, False]
    users.deny(())
    assert users.is_served("grace")
    assert len(changes) == 3


async def test_check_files_changed_file_replaces_the_list(file: Path) -> None:
    changes: list[bool] = []
    write(file, "ada\n")
    settings = Settings.from_environment({"ALLOWED_USERS_FILE": str(file), "DENIED_USERS": "bob"})
    users = ServedUsers.from_settings(settings)
    users.watch(lambda: changes.append(users.is_served("ada")))
    await users.check_files()
    assert changes == []
    write(file, "# nobody else\nGrace\n")
    with capture_logs() as logs:
        await users.check_files()
    assert changes == [False]
    assert [users.is_served(login) for login in ("ada", "grace", "bob")] == [False, True, False]
    [line] = logs
    assert (line["event"], line["allowed"], line["denied"]) == ("served_users.changed", 1, 1)


async def test_check_files_same_size_and_inode_is_read_by_its_time(file: Path) -> None:
    write(file, "ada")
    users = ServedUsers(denied=["ada"], denied_file=file)
    await users.check_files()
    overwrite(file, "bob")
    await users.check_files()
    assert [users.is_served("ada"), users.is_served("bob")] == [True, False]


async def test_check_files_unchanged_file_is_not_read(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(file, "ada")
    users = ServedUsers(denied_file=file)
    await users.check_files()
    monkeypatch.setattr("github_banners.api.admission.read_logins", None)
    await users.check_files()
    assert not users.is_served("ada")


@pytest.mark.parametrize("text", [None, "a/b c.d", "", "# nobody\n"])
async def test_check_files_unusable_file_keeps_the_list_and_is_logged_once(
    file: Path, text: str | None
) -> None:
    write(file, "ada")
    users = ServedUsers(allowed=["ada"], allowed_file=file)
    await users.check_files()
    write(file, text)
    with capture_logs() as logs:
        for _ in range(3):
            await users.check_files()
    assert [users.is_served("ada"), users.is_served("bob")] == [True, False]
    assert [(line["event"], line["setting"]) for line in logs] == [
        ("served_users.file_unusable", "ALLOWED_USERS_FILE")
    ]
    write(file, "bob")
    await users.check_files()
    assert [users.is_served("ada"), users.is_served("bob")] == [False, True]


async def test_check_files_emptied_file_of_denied_users_has_no_denied_users(file: Path) -> None:
    write(file, "ada")
    users = ServedUsers(denied=["ada"], denied_file=file)
    await users.check_files()
    write(file, "# nobody any more\n")
    await users.check_files()
    assert users.is_served("ada")


async def test_run_reads_again_until_cancelled(file: Path) -> None:
    slept: list[float] = []
    is_done = asyncio.Event()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        write(file, f"ada{len(slept)}")
        if len(slept) == 3:
            is_done.set()
            await asyncio.Event().wait()

    write(file, "ada0")
    users = ServedUsers(denied_file=file, sleep=sleep)
    task = asyncio.create_task(users.run())
    await is_done.wait()
    task.cancel()
    assert slept == [1.0] * 3
    assert not users.is_served("ada2")


async def test_run_without_files_only_waits() -> None:
    async def sleep(seconds: float) -> None:
        raise AssertionError

    task = asyncio.create_task(ServedUsers(allowed=["ada"], sleep=sleep).run())
    await asyncio.sleep(0)
    assert not task.done()
    task.cancel()


class DenyingPictures(PictureCache):
    """A picture cache in which a user is denied while the picture is being drawn."""

    def __init__(self, users: ServedUsers) -> None:
        super().__init__(clock=lambda: NOON, memory_bytes=1 << 20)
        self.users = users

    async def get_or_draw(self, request: RenderRequest, *, deadline: Deadline) -> CachedPicture:
        picture = await super().get_or_draw(request, deadline=deadline)
        self.users.deny(["ada"])
        return picture


class FakeFinder:
    """Finds the same numbers for every login."""

    async def find_preview(self, login: str, options: BannerOptions, **_: object) -> RenderRequest:
        snapshot = Snapshot(Owner(1, login.title()), Stats(1, 1, 0, 0, 0, {}), NOON, 1)
        later = NOON + timedelta(minutes=5)
        return RenderRequest(LookupResult(snapshot, Freshness.FRESH, later, later), options)


@pytest.mark.parametrize(("login", "status", "targets"), [("ada", 403, 0), ("grace", 200, 1)])
async def test_user_denied_while_a_picture_is_drawn_is_not_cached(
    login: str, status: int, targets: int
) -> None:
    users = ServedUsers()
    pictures = DenyingPictures(users)
    cache = ResponseCache(pictures, clock=lambda: NOON)
    users.watch(cache.clear)
    routes = BannerRoutes(
        banners=cast("BannerService", SimpleNamespace(finder=FakeFinder())),
        pictures=pictures,
        cache=cache,
        png_converter=PngConverter(
            worker=cast("WorkerProcess", None), memory_bytes=1, count=lambda _: None
        ),
        served_users=users,
        rate_limiter=RateLimiter(per_second=10),
        trusted_proxies=(),
        request_timeout_seconds=5,
    )
    app = build_app(routes.routes())
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://banners") as http:
        response = await http.get(f"/banners/preview?username={login}")
    assert (response.status_code, len(cache.targets)) == (status, targets)
