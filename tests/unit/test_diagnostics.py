"""Diagnostics: results of the checks, and the text of the report; GitHub is a mock transport."""

import errno
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest

from github_banners.database.migrations import HEAD
from github_banners.database.refresh_costs import RefreshCosts
from github_banners.database.server_info import ServerInfo
from github_banners.diagnostics import (
    CheckResult,
    DiagnosticsReport,
    check_folder,
    describe_database,
    github_result,
)
from github_banners.diagnostics.costs import cost_warnings, describe_costs
from github_banners.diagnostics.tokens import TokenCheckResult, check_token
from github_banners.github.credentials import Account, Credential, assign_user, create_accounts
from github_banners.github.graphql import Viewer
from github_banners.github.protocol import Failure, FailureKind, RateLimit, Resource
from github_banners.github.rest import TokenInfo
from github_banners.github.sender import Sender
from github_banners.settings import Secret, Settings, Token

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECRET = "ghp_secret"
PASSED = CheckResult("settings", "fine")


def token_result(
    text: str | None = SECRET,
    *,
    login: str = "ada",
    status: TokenInfo | None = None,
    rate_limits: Mapping[Resource, RateLimit] | None = None,
    failure: Failure | None = None,
) -> TokenCheckResult:
    credential = Credential(Secret(text) if text else None)
    Account([credential], rate_limits=dict(rate_limits or {}))
    owner = Viewer(1, login) if text and failure is None else None
    return TokenCheckResult(
        credential, status if failure else status or TokenInfo(()), owner=owner, failure=failure
    )


def format_report(*tokens: TokenCheckResult, checks: tuple[CheckResult, ...] = (PASSED,)) -> str:
    return " ".join(DiagnosticsReport(checks, tokens, NOW).to_text().split())


def rate_limit(resource: Resource, remaining: int, limit: int = 5000) -> dict[Resource, RateLimit]:
    return {resource: RateLimit(resource, limit, remaining, NOW + timedelta(minutes=30))}


def test_report_does_not_contain_tokens() -> None:
    text = format_report(
        token_result(), token_result("ghp_other", failure=Failure(FailureKind.BAD_TOKEN))
    )
    assert "ghp_" not in text
    assert token_result().credential.name in text


def test_report_shows_remaining_rate_limits() -> None:
    rate_limits = rate_limit(Resource.CORE, 4321) | rate_limit(Resource.GRAPHQL, 0, 0)
    assert "ada 4,321 of 5,000 until 12:30 nothing" in format_report(
        token_result(rate_limits=rate_limits)
    )
    assert "ada no limit reported no limit reported" in format_report(token_result())
    assert "none none 7 of 60 until 12:30" in format_report(
        token_result(None, rate_limits=rate_limit(Resource.CORE, 7, 60))
    )


def test_report_token_with_scopes_is_warned() -> None:
    text = format_report(token_result(status=TokenInfo((), ("repo", "user"))))
    assert (
        f"Warning: {token_result().credential.name} has scopes that are not needed (repo, user)"
        in text
    )
    assert "Everything that is needed works." in text


@pytest.mark.parametrize(
    ("left", "text_part"),
    [
        (timedelta(days=13, hours=1), "expires in 13 days, on 2026-12-05"),
        (timedelta(hours=3), "expires in 0 days, on 2026-11-22"),
        (-timedelta(days=1), "expires in 0 days, on 2026-11-21"),
    ],
)
def test_report_token_expiring_soon_is_warned(left: timedelta, text_part: str) -> None:
    assert text_part in format_report(token_result(status=TokenInfo((), expires_at=NOW + left)))


def test_report_token_expiring_late_is_not_warned() -> None:
    far = TokenInfo((), expires_at=NOW + timedelta(days=14))
    assert "expires" not in format_report(token_result(status=far))


def test_report_exhausted_account_is_warned() -> None:
    text = format_report(token_result(rate_limits=rate_limit(Resource.GRAPHQL, 0)))
    assert "has nothing left (graphql) until 12:30" in text
    assert "Everything that is needed works." in text


def test_report_tokens_of_one_account_are_named() -> None:
    tokens = [token_result("a"), token_result("b"), token_result("c", login="bob")]
    text = format_report(*tokens)
    names = " and ".join(token.credential.name for token in tokens[:2])
    assert f"{names} belong to one account, ada, and share its rate limit" in text
    assert "bob, and" not in text


@pytest.mark.parametrize(
    ("failure", "text_part"),
    [
        (Failure(FailureKind.BAD_TOKEN, "Bad credentials"), "is rejected: revoked"),
        (Failure(FailureKind.SUSPENDED), "its account is suspended"),
        (Failure(FailureKind.SERVER, "status 503"), "could not be checked (status 503)"),
        (Failure(FailureKind.SERVER), "could not be checked (server)"),
    ],
)
def test_report_token_failure_is_explained(failure: Failure, text_part: str) -> None:
    text = format_report(token_result(), token_result("bad", failure=failure))
    assert "Failed:" in text
    assert text_part in text
    assert "Not everything works." in text


def test_report_unknown_token_owner_is_warned() -> None:
    limited = Failure(FailureKind.SECONDARY_LIMIT, "enough")
    text = format_report(token_result(status=TokenInfo(()), failure=limited))
    assert "unknown" in text
    assert "Warning:" in text
    assert "Everything that is needed works." in text


def test_report_aligns_columns_and_wraps_warnings() -> None:
    checks = (PASSED, CheckResult("database", "down", is_broken=True))
    many = TokenInfo((), tuple(f"scope-{number}" for number in range(30)))
    text = DiagnosticsReport(checks, [token_result(status=many)], NOW).to_text()
    lines = text.splitlines()
    assert lines[:2] == ["settings   fine", "database   down"]
    assert max(map(len, lines)) <= 80
    assert lines[-1] == "Not everything works. Times are UTC."


@pytest.mark.parametrize(
    ("server_info", "text_part", "is_broken"),
    [
        (ServerInfo("18.1", 18, revision=HEAD), "PostgreSQL 18.1 here: tables up to date", False),
        (ServerInfo("15.14", 15), "no tables yet", False),
        (ServerInfo("15.14", 15, revision="0000"), "older tables", False),
        (ServerInfo("14.9", 14, problem="it is too old"), "can't be used: it is too old", True),
    ],
)
def test_describe_database_gives_text_and_verdict(
    server_info: ServerInfo, text_part: str, is_broken: bool
) -> None:
    result = describe_database(server_info, "here")
    assert text_part in result.text
    assert result.is_broken is is_broken


def test_describe_database_counts_rows_ahead() -> None:
    result = describe_database(ServerInfo("18.1", 18, revision=HEAD), "here", rows_ahead=1200)
    assert "1,200 rows have times in the future" in result.text
    assert not result.is_broken


@pytest.mark.parametrize(
    ("failure", "text_part", "is_broken"),
    [
        (None, "responds", False),
        (Failure(FailureKind.BAD_TOKEN), "responds", False),
        (Failure(FailureKind.SERVER), "does not respond as GitHub does", True),
        (Failure(FailureKind.UNREACHABLE, "ConnectError"), "can't be reached: ConnectError", True),
    ],
)
def test_github_result_gives_text_and_verdict(
    failure: Failure | None, text_part: str, is_broken: bool
) -> None:
    settings = Settings(github_tokens=(Token(SECRET),))
    result = github_result(settings, [token_result(failure=failure)])
    assert result.text.endswith(text_part)
    assert result.is_broken is is_broken


def json_response(body: Any, *, status: int = 200, headers: Any = None) -> httpx2.Response:
    # As a stream, because only a response that is read from a stream has a duration.
    response = httpx2.Response(status, json=body)
    return httpx2.Response(status, headers=headers, stream=httpx2.ByteStream(response.content))


async def check_with(responses: Mapping[str, httpx2.Response], *tokens: str) -> TokenCheckResult:
    """Check a token, or no token, against responses by path; other paths give 404."""

    def respond(request: httpx2.Request) -> httpx2.Response:
        return responses.get(request.url.path) or json_response(
            {"message": "Not Found"}, status=404
        )

    accounts = create_accounts([Secret(token) for token in tokens])
    transport = httpx2.MockTransport(respond)
    async with httpx2.AsyncClient(transport=transport, trust_env=False) as http:
        sender = Sender(http, api_url="https://x.example", accounts=accounts, clock=lambda: NOW)
        return await check_token(sender, accounts[0].credentials[0], clock=lambda: NOW)


async def test_check_token_reads_status_and_owner() -> None:
    reset = int((NOW + timedelta(hours=1)).timestamp())
    budget = {"limit": 5000, "remaining": 4000, "used": 1000, "reset": reset}
    headers = {"x-oauth-scopes": "repo"}
    result = await check_with(
        {
            "/rate_limit": json_response({"resources": {"core": budget}}, headers=headers),
            "/graphql": json_response({"data": {"viewer": {"login": "ada", "databaseId": 1}}}),
        },
        SECRET,
    )
    assert result.owner == Viewer(1, "ada")
    assert result.status is not None
    assert result.status.scopes == ("repo",)
    assert result.credential.account.rate_limits[Resource.CORE].remaining == 4000
    assert not result.is_broken


async def test_check_token_enterprise_without_limits_is_accepted() -> None:
    result = await check_with({"/user": json_response({"id": 1, "login": "ada"})}, SECRET)
    assert (result.owner, result.failure) == (Viewer(1, "ada"), None)


@pytest.mark.parametrize("tokens", [(), (SECRET,)])
async def test_check_token_other_server_is_broken(tokens: tuple[str, ...]) -> None:
    result = await check_with({}, *tokens)
    assert result.is_broken


def test_check_folder_missing_folder_is_accepted(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "yet"
    result = check_folder("banners", folder)
    assert not result.is_broken
    assert result.text.startswith(f"stored in {folder}, ")
    assert list(tmp_path.iterdir()) == []


def test_check_folder_file_is_broken(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = check_folder("banners", tmp_path / "file" / "banners")
    assert result.is_broken
    assert "can't be used" in result.text


def test_check_folder_permission_denied_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raise_permission_error(_: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "exists", raise_permission_error)
    result = check_folder("banners", tmp_path, name="BANNERS_STORAGE_URL")
    assert result.is_broken
    assert result.text.startswith(f"{tmp_path} can't be used: Permission denied: set BANNERS_STORA")


def test_check_folder_full_disk_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 20))
    result = check_folder("banners", tmp_path)
    assert result == CheckResult(
        "banners", f"stored in {tmp_path}, 1 MiB free: that is too little", True
    )


def costs(
    *, banners: int = 1204, owners: int = 310, points: float = 41, requests: float = 3
) -> RefreshCosts:
    """Costs, without a token eight times as many requests; full batches cost half as many points."""
    return RefreshCosts(banners, owners, points, points / 2, requests, 8 * requests)


def usable_token(text: str = SECRET, *, limit: int = 5000) -> TokenCheckResult:
    limits = rate_limit(Resource.CORE, 1, limit) | rate_limit(Resource.GRAPHQL, 1, limit)
    return token_result(text, rate_limits=limits)


def without_token() -> TokenCheckResult:
    limits = rate_limit(Resource.CORE, 60, 60) | rate_limit(Resource.GRAPHQL, 0, 0)
    return token_result(None, rate_limits=limits)


def test_describe_costs_names_share_of_accounts() -> None:
    # 30 % of each account are left to clients; 20.5 points are a 341st of 7,000.
    assert describe_costs(costs(), [usable_token("a"), usable_token("b")]) == (
        "1,204 banners of 310 owners: 41 of 7,000 GraphQL points and 3 of 7,000 REST requests an hour"
        " (background share of 2 accounts); about 411,000 such banners fit"
    )


def test_describe_costs_limits_are_those_that_github_reports() -> None:
    text = describe_costs(costs(requests=0), [usable_token(limit=15_000)])
    assert text == (
        "1,204 banners of 310 owners: 41 of 10,500 GraphQL points an hour"
        " (background share of 1 account); about 616,000 such banners fit"
    )


def test_describe_costs_tokens_of_one_account_count_once() -> None:
    tokens = [usable_token("a"), usable_token("b")]
    accounts = [token.credential.account for token in tokens]
    for token in tokens:
        assign_user(accounts, token.credential, user_id=1)
    assert "of 3,500 GraphQL points" in describe_costs(costs(), tokens)
    assert "share of 1 account)" in describe_costs(costs(), tokens)


def test_describe_costs_rejected_token_carries_nothing() -> None:
    rejected = token_result("bad", failure=Failure(FailureKind.BAD_TOKEN))
    assert "of 3,500 GraphQL points" in describe_costs(costs(), [usable_token(), rejected])
    expected = "1,204 banners of 310 owners: 41 GraphQL points and 3 REST requests an hour"
    assert describe_costs(costs(), [rejected]) == expected
    assert cost_warnings(costs(points=18_000), [rejected]) == []


def test_describe_costs_server_without_limits_names_costs_only() -> None:
    cost = costs(banners=1, owners=1, points=1, requests=0)
    assert describe_costs(cost, [token_result()]) == "1 banner of 1 owner: 1 GraphQL point an hour"
    assert cost_warnings(costs(points=18_000), [token_result()]) == []


def test_describe_costs_without_token_counts_requests() -> None:
    # Of 60 requests the background may use 30.
    assert describe_costs(costs(banners=10, owners=9), [without_token()]) == (
        "10 banners of 9 owners: 24 of 30 REST requests an hour"
        " (background share without a token); about 12 such banners fit"
    )


def test_describe_costs_without_banners_says_so() -> None:
    empty = RefreshCosts(0, 0, 0, 0, 0, 0)
    assert describe_costs(empty, [usable_token()]) == "no banner yet"
    assert cost_warnings(empty, [usable_token()]) == []


@pytest.mark.parametrize(
    ("points", "text_part"),
    [
        (0.0, ": 0 of"),
        (0.004, ": less than 0.1 of"),
        (0.7, ": 0.7 of"),
        (1.41, ": 1.5 of"),
        (0.1 + 0.2, ": 0.3 of"),
        (10.2, ": 11 of"),
        (1234.5, ": 1,235 of"),
    ],
)
def test_describe_costs_rounds_up(points: float, text_part: str) -> None:
    assert text_part in describe_costs(costs(points=points), [usable_token()])


def test_cost_warnings_name_exceeded_limit_and_advice() -> None:
    tokens = [usable_token()]
    assert cost_warnings(costs(points=7000, requests=3500), tokens) == []
    [warning] = cost_warnings(costs(points=7001), tokens)
    assert warning == (
        "refreshing all banners needs 3,501 GraphQL points an hour, but the background may use only"
        " 3,500: banners are refreshed later than REFRESH_INTERVAL says. Add a token of another"
        " account to GITHUB_TOKENS, or raise REFRESH_INTERVAL"
    )
    [warning] = cost_warnings(costs(requests=4000), tokens)
    assert warning.startswith("refreshing all banners needs 4,000 REST requests an hour")


def test_cost_warnings_without_token_advise_one() -> None:
    assert cost_warnings(costs(requests=3), [without_token()]) == []
    [warning] = cost_warnings(costs(requests=4), [without_token()])
    assert "needs 32 REST requests an hour, but the background may use only 30:" in warning
    assert warning.endswith("says. Set GITHUB_TOKENS, or raise REFRESH_INTERVAL")
