"""The services that find banners' data, wired as in the api, with a fake GitHub."""

from dataclasses import dataclass, field
from datetime import timedelta

from github_banners.api.admission import ServedUsers
from github_banners.api.backends import Backends
from github_banners.api.banner_service import BannerService
from github_banners.api.pictures import BannerDataFinder
from github_banners.database.connect import Database
from github_banners.database.forgotten_users import RemovedPicture
from github_banners.messaging.schemas import RemoveResponse
from github_banners.models import Clock
from github_banners.stats.data_lookup import DataLookup
from github_banners.stats.identity import IdentityLookup
from github_banners.stats.lookup import Lookup
from github_banners.stats.snapshots import Invalidations, Ttls
from tests.integration.fake_github import FakeGitHub


async def remove_nothing(picture: RemovedPicture) -> RemoveResponse:
    """Act as a storage without pictures."""
    return RemoveResponse(url=picture.path)


@dataclass
class DataServices:
    """A `BannerService` and what it needs; all requests go to `github`."""

    database: Database
    github: FakeGitHub
    backends: Backends
    clock: Clock
    max_banners: int = 100
    interval: timedelta = timedelta(hours=1)
    lookup: Lookup | None = None
    served_users: ServedUsers = field(default_factory=ServedUsers)

    def __post_init__(self) -> None:
        invalidations = Invalidations(clock=self.clock)
        self.owners = self.lookup or Lookup(
            database=self.database,
            github=self.github,
            batch_fetcher=self.github,
            ttls=Ttls(),
            clock=self.clock,
            invalidations=invalidations,
            collect_seconds=0,
        )
        self.data = DataLookup(
            database=self.database,
            github=self.github,
            writer=self.owners.writer,
            ttls=Ttls(),
            clock=self.clock,
            invalidations=invalidations,
        )
        self.identities = IdentityLookup(
            lookup=self.owners,
            database=self.database,
            github=self.github,
            max_age=Ttls().hard,
            clock=self.clock,
        )
        self.finder = BannerDataFinder(
            lookup=self.owners,
            identities=self.identities,
            data_lookup=self.data,
            served_users=self.served_users,
            database=self.database,
            clock=self.clock,
        )
        self.banners = BannerService(
            finder=self.finder,
            lookup=self.owners,
            served_users=self.served_users,
            database=self.database,
            backends=self.backends,
            refresh_interval=self.interval,
            max_banners_per_user=self.max_banners,
            clock=self.clock,
        )

    async def drain(self) -> None:
        """Wait until nothing is being fetched or saved."""
        await self.owners.drain()
        await self.data.drain()

    async def close(self) -> None:
        """Close all services."""
        await self.data.close()
        await self.identities.close()
        await self.owners.close()
