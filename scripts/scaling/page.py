"""Write the plan as the Markdown of docs/scaling.md, between two comments that mark its place."""

import re
from collections.abc import Callable, Sequence
from dataclasses import Field, fields, replace
from math import ceil
from typing import Any

from scaling.github import TIERS, Kind
from scaling.parameters import Basis, Parameters
from scaling.plan import Plan, plan

Rows = Sequence[tuple[str, Callable[[Plan], str]]]

# What an operator may change, or what may turn out otherwise.
_VARIANTS: Sequence[tuple[str, dict[str, Any]]] = (
    ("as above", {}),
    ("`SOFT_TTL` 1 h", {"soft_ttl_hours": 1}),
    ("`REFRESH_INTERVAL` 6 h", {"refresh_interval_hours": 6}),
    ("both", {"soft_ttl_hours": 1, "refresh_interval_hours": 6}),
    ("no banner shows contributions", {"contributions_share": 0}),
    ("every owner's banners show contributions", {"contributions_share": 1}),
    ("GitHub takes 1 s for 20 owners", {"query_seconds": 0.25, "owner_seconds": 0.0375}),
    ("GitHub takes 6 s for 20 owners", {"query_seconds": 1, "owner_seconds": 0.25}),
)
_CONNECTIONS_OF_PROCESS = 9


def replace_section(page: str, name: str, content: str) -> str:
    """
    Replace what stands between the comments `<!-- NAME -->` and `<!-- end of NAME -->`.

    :raises ValueError: the page does not have both comments
    """
    start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    pattern = re.compile(f"{re.escape(start)}.*{re.escape(end)}", re.DOTALL)
    if not pattern.search(page):
        raise ValueError(f"the page has no section {name}")
    return pattern.sub(lambda _: f"{start}\n\n{content.strip()}\n\n{end}", page)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def to_markdown(p: Parameters, sizes: Sequence[float]) -> str:
    """Write the plan for some numbers of banners, the largest last, and its parameters."""
    plans = [plan(p, banners) for banners in sizes]
    largest = plans[-1]
    return "\n".join(
        [
            _summary(largest),
            "### For a number of banners\n",
            table(
                ["", *(f"{_number(size_plan.banners)} banners" for size_plan in plans)],
                [[label, *(cell(size_plan) for size_plan in plans)] for label, cell in _ROWS],
            ),
            f"### Refreshes and points an hour, {_number(largest.banners)} banners\n",
            _kinds_table(largest),
            f"### What changes the number of accounts, {_number(largest.banners)} banners\n",
            _variants_table(p, largest.banners),
            "### Parameters\n",
            _parameters_table(p),
        ]
    )


def _summary(largest: Plan) -> str:
    limits = largest.accounts.by_limit()
    others = ", ".join(
        f"{_number(accounts)} by {name}"
        for name, accounts in limits.items()
        if name != largest.accounts.bottleneck
    )
    processes = ", ".join(f"{count} {name}" for name, count in largest.processes.items())
    return (
        f"With {_number(largest.banners)} banners the first limit is GitHub's "
        f"{largest.accounts.bottleneck}: {largest.accounts.needed} accounts by it, {others}. "
        f"Machines are not: {processes} processes keep "
        f"{_number(sum(largest.cores.values()))} cores busy in the busiest hour, the api because "
        f"it waits for GitHub. The database has {_number(largest.database_gb)} GB and writes "
        f"{_number(largest.wal_gb_per_day)} GB of WAL a day.\n"
    )


def _kinds_table(largest: Plan) -> str:
    rows = []
    for kind in Kind:
        refreshes, points = largest.refreshes[kind], largest.points[kind]
        causes = [
            *(
                (f"background, tier {tier}", refreshed, spent)
                for tier, refreshed, spent in zip(
                    TIERS, refreshes.background, points.background, strict=True
                )
            ),
            ("a view of stale data", refreshes.requested, points.requested),
        ]
        is_rest = kind is Kind.REPOSITORY
        rows += [
            [
                kind.value,
                cause,
                _number(refreshed),
                _number(0 if is_rest else spent),
                _number(refreshed if is_rest else 0),
            ]
            for cause, refreshed, spent in causes
        ]
    return table(["data", "cause", "refreshes", "GraphQL points", "REST requests"], rows)


def _variants_table(p: Parameters, banners: float) -> str:
    rows = []
    for text, changes in _VARIANTS:
        variant = plan(replace(p, **changes), banners)
        limits = variant.accounts.by_limit()
        cells = [_number(limits[name]) for name in ("response time", "GraphQL points")]
        rows.append([text, str(variant.accounts.needed), *cells, str(variant.processes["api"])])
    columns = ["", "accounts", "by response time", "by GraphQL points", "api processes"]
    return table(columns, rows)


def _parameters_table(p: Parameters) -> str:
    rows = []
    for parameter in fields(Parameters):
        basis, source = parameter.metadata["basis"], parameter.metadata["source"]
        name = "**assumption**" if basis is Basis.ASSUMED else basis.value
        rows.append(
            [
                f"`{option(parameter)}`",
                format_value(getattr(p, parameter.name)),
                parameter.metadata["text"],
                f"{name}: {source}" if source else name,
            ]
        )
    return table(["option", "value", "meaning", "basis"], rows)


def option(parameter: "Field[object]") -> str:
    """Return the option of the command line for a parameter."""
    return "--" + parameter.name.replace("_", "-")


def format_value(value: float | tuple[tuple[float, float], ...]) -> str:
    """Write a parameter as the command line takes it."""
    if isinstance(value, tuple):
        return ",".join(f"{share:g}:{views:g}" for share, views in value)
    return f"{value:.4g}" if value < 1000 else f"{value:.0f}"


def _number(value: float) -> str:
    """Write a number with two digits or its whole integer part, and tiny ones as a bound."""
    if value == 0:
        return "0"
    if abs(value) < 0.001:
        return "< 0.001"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2g}"


def _dollars(name: str) -> Callable[[Plan], str]:
    return lambda size_plan: f"{_number(size_plan.dollars_per_month[name])} $"


def _cores(name: str) -> Callable[[Plan], str]:
    return lambda size_plan: _number(size_plan.cores[name])


def _processes(name: str) -> Callable[[Plan], str]:
    return lambda size_plan: str(size_plan.processes[name])


def _tiers(size_plan: Plan) -> str:
    return ", ".join(f"{share:.0%}" for share in size_plan.tier_shares)


def _millions(value: float) -> str:
    return f"{_number(value / 1e6)} million"


_ROWS: Rows = (
    ("owners", lambda size_plan: _number(size_plan.owners)),
    (f"owners in the tiers {', '.join(map(str, TIERS))}", _tiers),
    (
        "refreshes an hour",
        lambda size_plan: _number(sum(rates.total for rates in size_plan.refreshes.values())),
    ),
    (
        "GraphQL points an hour",
        lambda size_plan: _number(sum(points.total for points in size_plan.points.values())),
    ),
    (
        "REST requests an hour",
        lambda size_plan: _number(
            sum(points.rest_requests for points in size_plan.points.values())
        ),
    ),
    (
        "GitHub's response time in a minute",
        lambda size_plan: (
            f"{_number(sum(points.response_seconds for points in size_plan.points.values()) / 60)} s"
        ),
    ),
    ("**GitHub accounts**", lambda size_plan: f"**{size_plan.accounts.needed}**"),
    ("limit that requires them", lambda size_plan: size_plan.accounts.bottleneck),
    ("database", lambda size_plan: f"{_number(size_plan.database_gb)} GB"),
    ("WAL a day", lambda size_plan: f"{_number(size_plan.wal_gb_per_day)} GB"),
    ("statements a second", lambda size_plan: _number(size_plan.statements_per_second)),
    ("events a second", lambda size_plan: _number(size_plan.events_per_second)),
    ("Kafka, a second", lambda size_plan: f"{_number(size_plan.kafka_kb_per_second)} KB"),
    ("partitions", lambda size_plan: str(size_plan.partitions)),
    ("cores busy: api and PostgreSQL", _cores("api and PostgreSQL")),
    ("cores busy: renderer", _cores("renderer")),
    ("cores busy: storage", _cores("storage")),
    ("cores busy: broker", _cores("broker")),
    ("api processes", _processes("api")),
    ("renderer processes", _processes("renderer")),
    ("storage processes", _processes("storage")),
    (
        "connections of PostgreSQL",
        lambda size_plan: str(size_plan.processes["api"] * _CONNECTIONS_OF_PROCESS),
    ),
    ("redrawing all banners", lambda size_plan: f"{ceil(size_plan.redraw_minutes)} min"),
    ("views a second", lambda size_plan: _number(size_plan.traffic.views)),
    ("requests of camo a second", lambda size_plan: _number(size_plan.traffic.cdn_requests)),
    ("answered by a CDN", lambda size_plan: f"{size_plan.traffic.cdn_hits:.0%}"),
    (
        "requests to the gateway a second",
        lambda size_plan: _number(size_plan.traffic.origin_requests),
    ),
    ("egress to camo a month", lambda size_plan: f"{_number(size_plan.egress_gb_per_month)} GB"),
    ("stored files", lambda size_plan: f"{_number(size_plan.stored_gb)} GB"),
    ("PUT a month, and as many HEAD", lambda size_plan: _millions(size_plan.writes_per_month)),
    (
        "GET a month, if the bucket serves the files",
        lambda size_plan: _millions(size_plan.public_reads_per_month),
    ),
    ("files and updates a month, R2", _dollars("R2")),
    ("files and updates a month, S3 (prices assumed)", _dollars("S3")),
    ("CDN a month, bunny.net", _dollars("bunny.net")),
    ("CDN a month, CloudFront", _dollars("CloudFront")),
)
