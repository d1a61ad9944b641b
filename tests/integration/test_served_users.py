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
class ServedUsersHarness:
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
async def harness(database: Database) -> AsyncIterator[ServedUsersHarness]:
    harness = ServedUsersHarness(database)
    yield harness
    await harness.services.close()


@pytest.mark.parametrize("options", [CLASSIC, ACTIVITY], ids=["numbers", "identity"])
@pytest.mark.parametrize("route", ["preview", "create"])
async def test_user_who_is_not_served_costs_nothing(
    harness: ServedUsersHarness, options: BannerOptions, route: str
) -> None:
    harness.users.deny(["ada"])
    services = harness.services
    find = services.finder.find_preview if route == "preview" else services.banners.create
    with pytest.raises(UserNotServed):
        await find("ADA", options, deadline=Deadline(10, 10), charge=refuse_charge)
    await services.drain()
    assert harness.github.requests == []
    assert await harness.count_rows() == 0


@pytest.mark.parametrize("wants_numbers", [False, True])
async def test_permanent_banner_of_a_user_denied_later_is_not_found_or_fetched(
    harness: ServedUsersHarness, wants_numbers: bool
) -> None:
    name = await harness.create("ada")
    harness.users.deny(["ada"])
    harness.github.requests.clear()
    # Old enough for a request to wait for new numbers.
    harness.now += timedelta(days=2)
    with pytest.raises(UserNotServed) as error_info:
        await harness.services.banners.get_by_name(
            name, deadline=Deadline(10, 10), charge=refuse_charge, wants_numbers=wants_numbers
        )
    assert error_info.value.name == "Ada"
    assert harness.github.requests == []
    harness.users.deny(())
    request = await harness.services.banners.get_by_name(
        name, deadline=Deadline(10, 10), charge=no_charge
    )
    assert request.result.snapshot.fetched_at == harness.now


async def test_former_login_of_a_denied_user_is_not_served(harness: ServedUsersHarness) -> None:
    await harness.create("ada")
    del harness.github.owners["ada"]
    harness.github.owners["lovelace"] = replace(
        harness.github.owners["grace"], id=7, login="Lovelace"
    )
    harness.users.deny(["lovelace"])
    harness.now += timedelta(days=2)
    with pytest.raises(UserNotServed) as error_info:
        await harness.services.finder.find_preview(
            "ada", CLASSIC, deadline=Deadline(10, 10), charge=no_charge
        )
    assert error_info.value.name == "Lovelace"


async def test_stored_drawing_of_a_denied_login_is_not_read(harness: ServedUsersHarness) -> None:
    banners = harness.services.banners
    assert await banners.read_stored_drawing("Ada-dark", deadline=Deadline(10, 10)) == b"<svg/>"
    harness.users.deny(["ada"])
    assert await banners.read_stored_drawing("Ada-dark", deadline=Deadline(10, 10)) is None
    assert harness.read == ["ada-dark"]


async def test_refresh_passes_over_a_denied_user_until_the_next_day(
    harness: ServedUsersHarness,
) -> None:
    for login in ("ada", "grace"):
        await harness.create(login)
    harness.users.deny(["ada"])
    harness.github.requests.clear()
    harness.now += 2 * HOUR
    assert await harness.refresh.refresh_batch() == 2
    assert harness.github.requests == ["#8"]
    harness.users.deny(["ada", "grace"])
    harness.now += 2 * HOUR
    assert await harness.refresh.refresh_batch() == 1
    assert await harness.refresh.refresh_batch() == 0
    harness.now += NOT_SERVED_RETRY_AFTER
    harness.users.deny(())
    harness.github.requests.clear()
    assert await harness.refresh.refresh_batch() == 2
    assert sorted(harness.github.requests) == ["#7", "#8"]


async def test_data_refresh_passes_over_a_denied_user_until_the_next_day(
    harness: ServedUsersHarness,
) -> None:
    for login in ("ada", "grace"):
        await harness.create(login, ACTIVITY)
    harness.users.deny(["ada"])
    harness.github.requests.clear()
    harness.now += timedelta(days=2)
    assert await harness.data_refresh.refresh_batch() == 2
    assert harness.github.requests == ["contributions of Grace"]
    assert await harness.data_refresh.refresh_batch() == 0
    harness.users.deny(())
    harness.now += NOT_SERVED_RETRY_AFTER
    await harness.data_refresh.refresh_batch()
    assert sorted(harness.github.requests[1:]) == ["contributions of Ada", "contributions of Grace"]
