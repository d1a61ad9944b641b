"""The plan of docs/scaling.md: each formula on cases computed by hand, and the page itself."""

import argparse
import math
import re
from dataclasses import fields, replace
from pathlib import Path
from random import Random

import pytest
import simulate_scaling
from scaling.github import (
    Accounts,
    Kind,
    Points,
    Refreshes,
    count_accounts,
    count_points,
    count_refreshes,
    refresh_rates,
    stale_batch_size,
    tier_shares,
)
from scaling.page import replace_section, to_markdown
from scaling.parameters import Basis, Parameters
from scaling.plan import count_processes, count_traffic, database_bytes, dollars_per_month, plan

PAGE = Path(__file__).parents[2] / "docs/scaling.md"
PERFORMANCE = PAGE.with_name("performance.md")
NEVER_VIEWED = Parameters(visits=((1.0, 0.0),))
PERIODS = (1, 6, 24, 168)
NONE = Refreshes((0, 0, 0, 0), 0, 0)


def build_refreshes(**rates: Refreshes) -> dict[Kind, Refreshes]:
    return {kind: rates.get(kind.name.lower(), NONE) for kind in Kind}


def test_tier_shares_of_an_owner_without_views_are_the_last_tier() -> None:
    assert tier_shares(0) == (0, 0, 0, 1)


def test_tier_shares_follow_from_the_time_since_the_last_view() -> None:
    # Half of all days are without a view; a week is with probability 1/128, 30 days with 2 ** -30.
    shares = tier_shares(math.log(2))
    assert shares == pytest.approx((1 / 2, 1 / 2 - 1 / 128, 1 / 128 - 2**-30, 2**-30))


def test_refreshes_without_views_are_those_of_the_last_tier() -> None:
    rates = refresh_rates(0, period_hours=PERIODS, ttl_hours=1 / 6, changes_per_day=0)
    assert rates.background == pytest.approx((0, 0, 0, 1 / 168))
    assert rates.requested == rates.changed == 0


def test_refreshes_with_constant_views_happen_whenever_the_ttl_ends() -> None:
    rates = refresh_rates(1e9, period_hours=PERIODS, ttl_hours=1 / 6, changes_per_day=0)
    assert sum(rates.background) == pytest.approx(0)
    assert rates.requested == pytest.approx(6)


def test_refresh_by_a_view_delays_the_background() -> None:
    # One view an hour, 2 h between refreshes, TTL 1 h: a view comes first with 1 - 1/e, after a mean
    # of 1 + (1 - 1/e) hours.
    rates = refresh_rates(24, period_hours=(2, 6, 24, 168), ttl_hours=1, changes_per_day=0)
    first = 1 - math.exp(-1)
    assert rates.background[0] == pytest.approx((1 - first) / (1 + first))
    assert rates.requested == pytest.approx(first / (1 + first), rel=1e-6)


def test_rare_views_refresh_only_stale_numbers() -> None:
    # Once in 1,000 days: nearly always in the last tier, where 167 of 168 hours are older than 1 h.
    rates = refresh_rates(0.001, period_hours=PERIODS, ttl_hours=1, changes_per_day=0)
    assert rates.requested == pytest.approx(0.001 / 24 * 167 / 168, rel=0.01)


def simulate_owner(
    views_per_day: float, *, min_period_hours: float, ttl_hours: float, days: int
) -> tuple[float, float]:
    """Return the refreshes an hour by the background and by views, of an owner viewed at random."""
    random = Random(7)
    rate, end = views_per_day / 24, days * 24.0
    viewed = fetched = due = 0.0
    background = requested = 0
    next_view = random.expovariate(rate)
    while min(due, next_view) < end:
        now = min(due, next_view)
        if now == next_view:
            viewed, next_view = now, now + random.expovariate(rate)
            is_refreshed = now - fetched > ttl_hours
            requested += is_refreshed
        else:
            is_refreshed = True
            background += 1
        fetched = now if is_refreshed else fetched
        ago_days = (now - viewed) / 24
        tier = 1 if ago_days <= 1 else 6 if ago_days <= 7 else 24 if ago_days <= 30 else 168
        due = max(now, fetched + max(min_period_hours, tier))
    return background / end, requested / end


@pytest.mark.parametrize("views_per_day", [300, 20, 3, 0.2, 0.05])
@pytest.mark.parametrize(("min_period_hours", "ttl_hours"), [(1, 1 / 6), (24, 1)])
def test_rates_agree_with_a_simulated_owner(
    views_per_day: float, min_period_hours: float, ttl_hours: float
) -> None:
    days = 300 if views_per_day >= 20 else 10_000
    background, requested = simulate_owner(
        views_per_day, min_period_hours=min_period_hours, ttl_hours=ttl_hours, days=days
    )
    periods = [max(min_period_hours, tier) for tier in PERIODS]
    rates = refresh_rates(
        views_per_day, period_hours=periods, ttl_hours=ttl_hours, changes_per_day=0
    )
    # In the middle tiers a view that delays the background is neglected: hence up to 10 %.
    assert sum(rates.background) == pytest.approx(background, rel=0.1, abs=0.002)
    assert rates.requested == pytest.approx(requested, rel=0.1)


def test_changes_are_those_between_two_refreshes() -> None:
    # Once in 168 h with a change every 168 h on average: 1 - 1/e of the refreshes find one.
    rates = refresh_rates(0, period_hours=PERIODS, ttl_hours=1, changes_per_day=24 / 168)
    assert rates.changed == pytest.approx((1 - math.exp(-1)) / 168)


def test_refreshes_of_owners_without_views() -> None:
    p = replace(
        NEVER_VIEWED, repositories_share=0.5, contributions_share=0.25, language_sizes_share=0
    )
    refreshes = count_refreshes(p, 1680)
    # The owners without repositories are refreshed as well, for their names.
    assert sum(refreshes[Kind.REPOSITORIES].background) == pytest.approx(10)
    assert sum(refreshes[Kind.CONTRIBUTIONS].background) == pytest.approx(2.5)
    assert refreshes[Kind.LANGUAGE_SIZES].total == 0


def test_daily_data_is_not_refreshed_more_often_in_the_first_tier() -> None:
    p = Parameters(visits=((1.0, 24.0),), contributions_ttl_hours=24, contributions_share=1)
    refreshes = count_refreshes(p, 240)
    assert refreshes[Kind.CONTRIBUTIONS].total == pytest.approx(10)
    assert refreshes[Kind.REPOSITORIES].total > 240


@pytest.mark.parametrize(
    ("requested_per_hour", "processes", "size"), [(0, 2, 1), (36_000, 5, 2), (1e9, 1, 20)]
)
def test_stale_batch_grows_with_the_owners_that_arrive(
    requested_per_hour: float, processes: int, size: float
) -> None:
    p = Parameters()
    assert stale_batch_size(p, requested_per_hour=requested_per_hour, processes=processes) == size


def test_points_of_each_kind() -> None:
    p = Parameters(further_pages=0.1, query_seconds=1, owner_seconds=0.1, contributions_seconds=2)
    refreshes = build_refreshes(
        repositories=Refreshes((100, 40, 0, 0), 10, 0),
        contributions=Refreshes((3, 0, 0, 0), 4, 0),
        language_sizes=Refreshes((0, 10, 0, 0), 0, 0),
        repository=Refreshes((5, 0, 0, 0), 1, 0),
    )
    points = count_points(p, refreshes, processes=1)
    # 20 owners for a point and 0.1 further pages each; a query for stale numbers has one owner.
    owners = points[Kind.REPOSITORIES]
    assert owners.background == pytest.approx((15, 6, 0, 0))
    assert owners.requested == pytest.approx(10 / (1 + 10 / 7200) + 1)
    assert owners.response_seconds == pytest.approx(owners.total * 1 + 150 * 0.1)
    assert points[Kind.CONTRIBUTIONS].total == 7
    assert points[Kind.CONTRIBUTIONS].response_seconds == 7 * 3
    assert points[Kind.LANGUAGE_SIZES].total == pytest.approx(11)
    assert (points[Kind.REPOSITORY].total, points[Kind.REPOSITORY].rest_requests) == (0, 6)


def test_accounts_of_each_limit() -> None:
    points = [
        Points((7000, 0, 0, 0), 2000, 0, response_seconds=60 * 90),
        Points((0, 0, 0, 0), 0, 1750, response_seconds=0),
    ]
    accounts = count_accounts(Parameters(), points)
    assert accounts == Accounts(
        background_points=2, all_points=2, rest_requests=0.5, response_time=2
    )


def test_accounts_are_rounded_up_for_the_strictest_limit() -> None:
    accounts = Accounts(background_points=1, all_points=2.5, rest_requests=0, response_time=3.1)
    assert (accounts.needed, accounts.bottleneck) == (4, "response time")
    accounts = replace(accounts, rest_requests=5)
    assert (accounts.needed, accounts.bottleneck) == (5, "REST requests")


def test_traffic_of_rare_views_passes_all_caches() -> None:
    p = Parameters(visits=((1.0, 0.0864),), banners_per_owner=1, cache_seconds=600)
    traffic = count_traffic(p, 1_000_000)
    assert traffic.views == pytest.approx(1)
    assert traffic.origin_requests == pytest.approx(1, rel=0.001)


def test_traffic_of_a_popular_picture_is_one_request_for_each_max_age() -> None:
    p = Parameters(visits=((1.0, 864e9),), banners_per_owner=1, cache_seconds=100, camo_caches=5)
    traffic = count_traffic(p, 1)
    assert traffic.cdn_requests == pytest.approx(5 / 100, rel=1e-4)
    assert traffic.origin_requests == pytest.approx(1 / 100, rel=1e-4)
    assert traffic.cdn_hits == pytest.approx(0.8)


def test_processes_of_the_api_are_those_that_wait_for_github() -> None:
    p = Parameters(query_seconds=1, owner_seconds=0.1, target_load=0.5, min_processes=2)
    # A process has 3 x 20 owners in flight for 3 s: 20 a second, 10 at half the load.
    refreshes = build_refreshes(repositories=Refreshes((45 * 3600, 0, 0, 0), 0, 0))
    cores = {"api and PostgreSQL": 0.1, "renderer": 1.6, "storage": 0.0}
    assert count_processes(p, refreshes, cores) == {"api": 5, "renderer": 4, "storage": 2}


def test_size_of_the_database() -> None:
    p = Parameters(
        owner_bytes=100,
        repositories_bytes=1000,
        banner_bytes=50,
        contribution_year_bytes=10,
        other_data_bytes=200,
        repositories_share=0.5,
        banners_per_owner=2,
        contributions_share=0.1,
        contribution_years=5,
        language_sizes_share=0.1,
        repository_share=0.1,
        bloat=2,
    )
    assert database_bytes(p, 10) == pytest.approx(2 * 10 * (100 + 500 + 100 + 5 + 40))


def test_prices_count_a_head_and_a_put_for_each_update() -> None:
    p = Parameters(
        r2_gb_month=0.01,
        r2_million_writes=4,
        r2_million_reads=1,
        s3_gb_month=0.02,
        s3_million_writes=5,
        s3_million_reads=0.5,
        bunny_gb=0.01,
        cloudfront_gb=0.1,
    )
    dollars = dollars_per_month(p, stored_gb=100, writes=2e6, egress_gb=50)
    assert dollars == pytest.approx({"R2": 11, "S3": 13, "bunny.net": 0.5, "CloudFront": 5})


def test_plan_grows_in_proportion_to_banners() -> None:
    small, large = plan(Parameters(), 1_000_000), plan(Parameters(), 2_000_000)
    for name in ("owners", "database_gb", "wal_gb_per_day", "events_per_second", "stored_gb"):
        assert getattr(large, name) == pytest.approx(2 * getattr(small, name))
    assert large.accounts.background_points == pytest.approx(2 * small.accounts.background_points)
    assert sum(small.tier_shares) == pytest.approx(1)


def test_every_parameter_that_is_no_assumption_has_a_source() -> None:
    for field in fields(Parameters):
        assert field.metadata["basis"] is Basis.ASSUMED or field.metadata["source"], field.name


def test_command_line_sets_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--banners", "20000,1000", "--visits", "0.5:2,0.5:0", "--camo-caches", "3"]
    simulate_scaling.main(arguments)
    printed = capsys.readouterr().out
    assert "|  | 1,000 banners | 20,000 banners |" in printed
    assert "| `--visits` | 0.5:2,0.5:0 |" in printed
    assert "| `--camo-caches` | 3 |" in printed


def test_command_line_refuses_shares_that_are_not_all_owners() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="must be 1 together"):
        simulate_scaling.parse_visits("0.5:2,0.4:0")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--target-load 0", "is 0"),
        ("--banner-bytes -1", "--banner-bytes: must be 0 or more"),
        ("--banners 10,-5", "--banners: must be 0 or more"),
        ("--contributions-share -0.1", "--contributions-share: must be between 0 and 1"),
        ("--repositories-share 2", "--repositories-share: must be between 0 and 1"),
    ],
)
def test_command_line_refuses_impossible_values(
    capsys: pytest.CaptureFixture[str], arguments: str, message: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        simulate_scaling.main(arguments.split())
    assert message in capsys.readouterr().err


def test_measured_parameters_are_those_of_the_performance_page() -> None:
    """After `make bench`, change the parameters that differ and write the plan again."""
    page = PERFORMANCE.read_text(encoding="utf-8")
    parameters = Parameters()
    assert f"| {parameters.picture_bytes:,} bytes |" in page
    assert f"| outbox | {parameters.outbox_per_second:,}/s |" in page
    assert f"| CPU of the outbox for an event | {parameters.outbox_cpu_ms:g} ms |" in page
    (rate,) = re.findall(r"^\| owners, GitHub at 0 ms a call \| ([\d,]+)/s", page, re.MULTILINE)
    assert parameters.refresh_cpu_ms == round(2000 / int(rate.replace(",", "")), 2)


def test_section_is_replaced_and_the_rest_stays() -> None:
    page = "a\n<!-- plan -->\nold\n<!-- end of plan -->\nb"
    expected = "a\n<!-- plan -->\n\nnew \\1\n\n<!-- end of plan -->\nb"
    assert replace_section(page, "plan", "new \\1\n") == expected
    with pytest.raises(ValueError, match="no section other"):
        replace_section(page, "other", "new")


def test_page_is_the_plan_with_the_defaults() -> None:
    """If it is not: `python scripts/simulate_scaling.py --write docs/scaling.md`."""
    page = PAGE.read_text(encoding="utf-8")
    markdown = to_markdown(Parameters(), simulate_scaling.SIZES)
    assert replace_section(page, simulate_scaling.SECTION, markdown) == page
