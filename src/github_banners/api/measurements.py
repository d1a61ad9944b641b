"""
Metrics of what alerts need beside requests: overdue work, and rate limits and tokens of GitHub.

Overdue work is measured in the database every thirty seconds, by each process for all of them. Rate
limits are those of this process's last responses.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress

from github_banners.database.backlogs import Backlogs, select_backlogs
from github_banners.database.connect import Database
from github_banners.errors import DatabaseUnavailable
from github_banners.github.credentials import Account
from github_banners.github.protocol import Resource
from github_banners.models import Clock
from github_banners.serving.metrics import LabelledValue, Metrics

_INTERVAL_SECONDS = 30.0


class Measurements:
    """Measures backlogs and registers metrics; `accounts` may change while it runs."""

    def __init__(
        self,
        *,
        database: Database,
        accounts: Sequence[Account],
        clock: Clock,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._accounts = accounts
        self._clock = clock
        self._sleep = sleep
        self.backlogs = Backlogs()

    def register(self, metrics: Metrics) -> None:
        """Register the metrics."""
        clock = self._clock
        metrics.unlabelled_gauge(
            "outbox_unpublished",
            "New versions of banners that are not published, up to 1000.",
            callback=lambda: self.backlogs.unpublished_banners,
        )
        metrics.unlabelled_gauge(
            "outbox_delay_seconds",
            "Age of the oldest version that is not published.",
            callback=lambda: self.backlogs.publish_delay_seconds,
        )
        metrics.unlabelled_gauge(
            "refresh_overdue",
            "Users whose numbers are due for a refresh, up to 1000.",
            callback=lambda: self.backlogs.overdue_owners,
        )
        metrics.unlabelled_gauge(
            "refresh_delay_seconds",
            "How long the longest overdue user has been due.",
            callback=lambda: self.backlogs.refresh_delay_seconds,
        )
        metrics.unlabelled_gauge(
            "github_tokens_refused",
            "Tokens that GitHub refused when they were last used.",
            callback=self._count_refused_tokens,
        )
        metrics.external_gauge(
            "github_points_remaining",
            "Points or requests left in this hour, by account and API.",
            labels=("account", "resource"),
            read=lambda: self._read_accounts(
                lambda account, resource: account.remaining(resource, now=clock())
            ),
        )
        metrics.external_gauge(
            "github_points_limit",
            "Points or requests of an hour, by account and API.",
            labels=("account", "resource"),
            read=lambda: self._read_accounts(Account.limit),
        )

    async def run(self) -> None:
        """Measure for ever; while the database is down, the last values stay."""
        while True:
            with suppress(DatabaseUnavailable):
                async with self._database.transaction() as connection:
                    self.backlogs = await select_backlogs(connection, now=self._clock())
            await self._sleep(_INTERVAL_SECONDS)

    def _count_refused_tokens(self) -> int:
        return sum(
            credential.token is not None and credential.consecutive_failures > 0
            for account in self._accounts
            for credential in account.credentials
        )

    def _read_accounts(self, read: Callable[[Account, Resource], float]) -> Iterator[LabelledValue]:
        """Read a value of each account and API that it can use."""
        for account in self._accounts:
            for resource in Resource:
                if account.limit(resource):
                    yield (account.name, resource), read(account, resource)
