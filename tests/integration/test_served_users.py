"""Users who are not served cost nothing: no request to GitHub, no row, no charge, no refresh."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NoReturn

import pytest
from msgspec.structs import replace

from github_banners.api.admission import NOT_SERVED_RETRY_AFTER, ServedUsers
from github_banners.api.backends import Backends
from github_banners.api.data_refresh import DataRefresh
from github_banners.api.pictures import draw_locally
from github_banners.api.refresh import Refresh
from github_banners.database.connect import Database
from github_banners.errors import UserNotServed
from github_banners.messaging.schemas import StoreRequest
from github_banners.models import Contributions, ContributionYear
from github_banners.options import BannerOptions, Layout
from github_banners.stats.fetch import Deadline, no_charge
from tests.integration.data_services import DataServices, remove_nothing
from tests.integration.fake_github import FakeGitHub

pytestmark = pytest.mark.postgres

HOUR = timedelta(hours=1)
CLASSIC, ACTIVITY = BannerOptions(), BannerOptions(layout=Layout.ACTIVITY)


@dataclass
class Scene:
    """The services of the api, with Ada and Grace at GitHub."""

    database: Database
    users: ServedUsers = field(default_factory=ServedUsers)
    now: datetime = datetime(2026, 11, 22, 12, tzinfo=UTC)
    read: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        clock = lambda: self.now  # noqa: E731
        self.github = FakeGitHub(clock=clock)
        self.github.gate.set()
        self.github.add("Ada", 7)
        self.github.add("Grace", 8)
        contributions = Contributions((ContributionYear(2026, (1, 2), commits=3),))
        self.github.contributions = {7: contributions, 8: contributions}
        backends = Backends(
            draw=draw_locally,
            store=self._store,
            read_stored=self._read,
            publish=_publish,
            remove=remove_nothing,
        )
        self.services = DataServices(
            self.database, self.github, backends, clock, served_users=self.users
        )
        self.refresh = Refresh(
            database=self.database,
            github=self.github,
            interval=HOUR,
            clock=clock,
            served_users=self.users,
        )
        self.data_refresh = DataRefresh(
            database=self.database,
            github=self.github,
            interval=HOUR,
            clock=clock,
            served_users=self.users,
        )

    async def _store(self, request: StoreRequest) -> object:
        return None

    async def _read(self, name: str) -> bytes | None:
        self.read.append(name)
        return b"<svg/>"

    async def create(self, login: str, options: BannerOptions = CLASSIC) -> str:
        created = await self.services.banners.create(
            login, options, deadline=Deadline(10, 10), charge=no_charge
        )
        await self.services.drain()
        return created.name

    async def count_rows(self) -> int:
        query = """
            select (select count(*) from users) + (select count(*) from logins)
                + (select count(*) from banners)
        """
        async with self.database.transaction() as connection:
            row = await (await connection.execute(query)).fetchone()
        assert row is not None
        return int(row[0])


async def _publish(*_: object) -> None:
    return None


def refuse_charge(*, debt: int = 0) -> NoReturn:
    raise AssertionError("charged")


@pytest.fixture
async def scene(database: Database) -> AsyncIterator[Scene]:
    scene = Scene(database)
    yield scene
    await scene.services.close()


@pytest.mark.parametrize("options", [CLASSIC, ACTIVITY], ids=["numbers", "identity"])
@pytest.mark.parametrize("route", ["preview", "create"])
async def test_user_who_is_not_served_costs_nothing(
    scene: Scene, options: BannerOptions, route: str
) -> None:
    scene.users.deny(["ada"])
    services = scene.services
    find = services.finder.find_preview if route == "preview" else services.banners.create
    with pytest.raises(UserNotServed):
        await find("ADA", options, deadline=Deadline(10, 10), charge=refuse_charge)
    await services.drain()
    assert scene.github.requests == []
    assert await scene.count_rows() == 0


@pytest.mark.parametrize("wants_numbers", [False, True])
async def test_permanent_banner_of_a_user_denied_later_is_not_found_or_fetched(
    scene: Scene, wants_numbers: bool
) -> None:
    name = await scene.create("ada")
    scene.users.deny(["ada"])
    scene.github.requests.clear()
    # Old enough for a request to wait for new numbers.
    scene.now += timedelta(days=2)
    with pytest.raises(UserNotServed) as error_info:
        await scene.services.banners.get_by_name(
            name, deadline=Deadline(10, 10), charge=refuse_charge, wants_numbers=wants_numbers
        )
    assert error_info.value.name == "Ada"
    assert scene.github.requests == []
    scene.users.deny(())
    request = await scene.services.banners.get_by_name(
        name, deadline=Deadline(10, 10), charge=no_charge
    )
    assert request.result.snapshot.fetched_at == scene.now


async def test_former_login_of_a_denied_user_is_not_served(scene: Scene) -> None:
    await scene.create("ada")
    del scene.github.owners["ada"]
    scene.github.owners["lovelace"] = replace(scene.github.owners["grace"], id=7, login="Lovelace")
    scene.users.deny(["lovelace"])
    scene.now += timedelta(days=2)
    with pytest.raises(UserNotServed) as error_info:
        await scene.services.finder.find_preview(
            "ada", CLASSIC, deadline=Deadline(10, 10), charge=no_charge
        )
    assert error_info.value.name == "Lovelace"


async def test_stored_drawing_of_a_denied_login_is_not_read(scene: Scene) -> None:
    banners = scene.services.banners
    assert await banners.read_stored_drawing("Ada-dark", deadline=Deadline(10, 10)) == b"<svg/>"
    scene.users.deny(["ada"])
    assert await banners.read_stored_drawing("Ada-dark", deadline=Deadline(10, 10)) is None
    assert scene.read == ["ada-dark"]


async def test_refresh_passes_over_a_denied_user_until_the_next_day(scene: Scene) -> None:
    for login in ("ada", "grace"):
        await scene.create(login)
    scene.users.deny(["ada"])
    scene.github.requests.clear()
    scene.now += 2 * HOUR
    assert await scene.refresh.refresh_batch() == 2
    assert scene.github.requests == ["#8"]
    scene.users.deny(["ada", "grace"])
    scene.now += 2 * HOUR
    assert await scene.refresh.refresh_batch() == 1
    assert await scene.refresh.refresh_batch() == 0
    scene.now += NOT_SERVED_RETRY_AFTER
    scene.users.deny(())
    scene.github.requests.clear()
    assert await scene.refresh.refresh_batch() == 2
    assert sorted(scene.github.requests) == ["#7", "#8"]


async def test_data_refresh_passes_over_a_denied_user_until_the_next_day(scene: Scene) -> None:
    for login in ("ada", "grace"):
        await scene.create(login, ACTIVITY)
    scene.users.deny(["ada"])
    scene.github.requests.clear()
    scene.now += timedelta(days=2)
    assert await scene.data_refresh.refresh_batch() == 2
    assert scene.github.requests == ["contributions of Grace"]
    assert await scene.data_refresh.refresh_batch() == 0
    scene.users.deny(())
    scene.now += NOT_SERVED_RETRY_AFTER
    await scene.data_refresh.refresh_batch()
    assert sorted(scene.github.requests[1:]) == ["contributions of Ada", "contributions of Grace"]
