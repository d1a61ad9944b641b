"""Metrics of GitHub's rate limits and tokens."""

from datetime import UTC, datetime, timedelta
from typing import cast

from github_banners.api.measurements import Measurements
from github_banners.database.backlogs import Backlogs
from github_banners.database.connect import Database
from github_banners.github.credentials import create_accounts
from github_banners.github.protocol import RateLimit, Resource
from github_banners.serving.metrics import Metrics
from github_banners.settings import Token
from tests.unit.serving.test_metrics import scrape

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


async def test_register_exports_points_tokens_and_backlogs() -> None:
    accounts = create_accounts([Token("one"), Token("two")])
    accounts[0].user_id = 4
    accounts[0].update_rate_limit(
        RateLimit(Resource.GRAPHQL, limit=6000, remaining=100, reset_at=NOW + timedelta(minutes=5))
    )
    accounts[1].credentials[0].consecutive_failures = 1
    measurements = Measurements(
        database=cast("Database", None), accounts=accounts, clock=lambda: NOW
    )
    measurements.backlogs = Backlogs(3, 12.5, 20, 3600)
    metrics = Metrics()
    measurements.register(metrics)
    samples = await scrape(metrics)
    second = accounts[1].name
    assert samples == {
        "github_points_remaining{user-4,core}": 5000,
        "github_points_remaining{user-4,graphql}": 100,
        f"github_points_remaining{{{second},core}}": 5000,
        f"github_points_remaining{{{second},graphql}}": 5000,
        "github_points_remaining{anonymous,core}": 60,
        "github_points_limit{user-4,core}": 5000,
        "github_points_limit{user-4,graphql}": 6000,
        f"github_points_limit{{{second},core}}": 5000,
        f"github_points_limit{{{second},graphql}}": 5000,
        "github_points_limit{anonymous,core}": 60,
        "github_tokens_refused{}": 1,
        "outbox_unpublished{}": 3,
        "outbox_delay_seconds{}": 12.5,
        "refresh_overdue{}": 20,
        "refresh_delay_seconds{}": 3600,
    }
    accounts.remove(accounts[1])
    assert "github_tokens_refused{}" in await scrape(metrics)
