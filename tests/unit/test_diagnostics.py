"""What a check-up finds, and how it is written down; GitHub is no more than a function here."""

import errno
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from github_banners.database.migrations import HEAD
from github_banners.database.server_info import ServerInfo
from github_banners.diagnostics import (
    CheckResult,
    DiagnosticsReport,
    TokenCheckResult,
    _check_folder,
    _check_token,
    _describe_database,
    _github_result,
)
from github_banners.github.credentials import Account, Credential, create_accounts
from github_banners.github.graphql import Viewer
from github_banners.github.protocol import Failure, FailureKind, RateLimit, Resource
from github_banners.github.rest import TokenInfo
from github_banners.github.sender import Sender
from github_banners.settings import Secret, Settings, Token

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECRET = "ghp_secret"
FINE = CheckResult("settings", "fine")


def found(
    text: str | None = SECRET,
    *,
    login: str = "ada",
    standing: TokenInfo | None = None,
    rooms: Mapping[Resource, RateLimit] | None = None,
    failure: Failure | None = None,
) -> TokenCheckResult:
    key = Credential(Secret(text) if text else None)
    Account([key], rate_limits=dict(rooms or {}))
    holder = Viewer(1, login) if text and failure is None else None
    return TokenCheckResult(
        key, standing if failure else standing or TokenInfo(()), owner=holder, failure=failure
    )


def written(*tokens: TokenCheckResult, parts: tuple[CheckResult, ...] = (FINE,)) -> str:
    return " ".join(DiagnosticsReport(parts, tokens, NOW).to_text().split())


def room(resource: Resource, remaining: int, limit: int = 5000) -> dict[Resource, RateLimit]:
    return {resource: RateLimit(resource, limit, remaining, NOW + timedelta(minutes=30))}


def test_a_token_is_never_shown() -> None:
    text = written(found(), found("ghp_other", failure=Failure(FailureKind.BAD_TOKEN)))
    assert "ghp_" not in text
    assert found().credential.name in text


def test_what_is_left() -> None:
    rooms = room(Resource.CORE, 4321) | room(Resource.GRAPHQL, 0, 0)
    assert "ada 4,321 of 5,000 until 12:30 nothing" in written(found(rooms=rooms))
    assert "ada no limit told no limit told" in written(found())
    assert "none nobody's 7 of 60 until 12:30" in written(
        found(None, rooms=room(Resource.CORE, 7, 60))
    )


def test_scopes_are_too_much() -> None:
    text = written(found(standing=TokenInfo((), ("repo", "user"))))
    assert f"Warning: {found().credential.name} may do more than it needs (repo, user)" in text
    assert "Everything that is needed works." in text


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (timedelta(days=13, hours=1), "expires in 13 days, on 2026-12-05"),
        (timedelta(hours=3), "expires in 0 days, on 2026-11-22"),
        (-timedelta(days=1), "expires in 0 days, on 2026-11-21"),
    ],
)
def test_the_end_is_near(left: timedelta, words: str) -> None:
    assert words in written(found(standing=TokenInfo((), expires_at=NOW + left)))


def test_the_end_is_far() -> None:
    far = TokenInfo((), expires_at=NOW + timedelta(days=14))
    assert "expires" not in written(found(standing=far))


def test_an_exhausted_account_is_a_warning() -> None:
    text = written(found(rooms=room(Resource.GRAPHQL, 0)))
    assert "has nothing left (graphql) until 12:30" in text
    assert "Everything that is needed works." in text


def test_two_of_one_account_are_named() -> None:
    pair = [found("a"), found("b"), found("c", login="bob")]
    text = written(*pair)
    names = " and ".join(one.credential.name for one in pair[:2])
    assert f"{names} belong to one account, ada, and share its budget" in text
    assert "bob, and" not in text


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (Failure(FailureKind.BAD_TOKEN, "Bad credentials"), "is refused: revoked"),
        (Failure(FailureKind.SUSPENDED), "its account is suspended"),
        (Failure(FailureKind.SERVER, "status 503"), "could not be asked about (status 503)"),
        (Failure(FailureKind.SERVER), "could not be asked about (server)"),
    ],
)
def test_what_fails_is_said(failure: Failure, words: str) -> None:
    text = written(found(), found("bad", failure=failure))
    assert "Failed:" in text
    assert words in text
    assert "Not everything works." in text


def test_a_holder_that_is_not_told_is_a_warning() -> None:
    limited = Failure(FailureKind.SECONDARY_LIMIT, "enough")
    text = written(found(standing=TokenInfo(()), failure=limited))
    assert "not known" in text
    assert "Warning:" in text
    assert "Everything that is needed works." in text


def test_columns_are_aligned_and_notes_wrapped() -> None:
    parts = (FINE, CheckResult("database", "away", is_broken=True))
    many = TokenInfo((), tuple(f"scope-{number}" for number in range(30)))
    text = DiagnosticsReport(parts, [found(standing=many)], NOW).to_text()
    lines = text.splitlines()
    assert lines[:2] == ["settings   fine", "database   away"]
    assert max(map(len, lines)) <= 80
    assert lines[-1] == "Not everything works. Times are UTC."


@pytest.mark.parametrize(
    ("condition", "words", "is_broken"),
    [
        (ServerInfo("18.1", 18, revision=HEAD), "PostgreSQL 18.1 here: tables up to date", False),
        (ServerInfo("15.14", 15), "no tables yet", False),
        (ServerInfo("15.14", 15, revision="0000"), "older tables", False),
        (ServerInfo("14.9", 14, problem="it is too old"), "can't be used: it is too old", True),
    ],
)
def test_how_a_database_is_judged(condition: ServerInfo, words: str, is_broken: bool) -> None:
    judged = _describe_database(condition, "here")
    assert words in judged.text
    assert judged.is_broken is is_broken


def test_judge_rows_of_a_wrong_clock_are_counted() -> None:
    judged = _describe_database(ServerInfo("18.1", 18, revision=HEAD), "here", rows_ahead=1200)
    assert "1,200 rows have times of a clock that was ahead" in judged.text
    assert not judged.is_broken


@pytest.mark.parametrize(
    ("failure", "words", "is_broken"),
    [
        (None, "answers", False),
        (Failure(FailureKind.BAD_TOKEN), "answers", False),
        (Failure(FailureKind.SERVER), "does not answer as GitHub does", True),
        (Failure(FailureKind.UNREACHABLE, "ConnectError"), "can't be reached: ConnectError", True),
    ],
)
def test_how_github_is_judged(failure: Failure | None, words: str, is_broken: bool) -> None:
    settings = Settings(github_tokens=(Token(SECRET),))
    judged = _github_result(settings, [found(failure=failure)])
    assert judged.text.endswith(words)
    assert judged.is_broken is is_broken


def said(body: Any, *, status: int = 200, headers: Any = None) -> httpx2.Response:
    # As a stream, because only what is read off a wire has a duration.
    whole = httpx2.Response(status, json=body)
    return httpx2.Response(status, headers=headers, stream=httpx2.ByteStream(whole.content))


async def asked(answers: Mapping[str, httpx2.Response], *tokens: str) -> TokenCheckResult:
    """Check a token, or none, against answers by path; what has none is not there."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        return answers.get(request.url.path) or said({"message": "Not Found"}, status=404)

    accounts = create_accounts([Secret(token) for token in tokens])
    transport = httpx2.MockTransport(answer)
    async with httpx2.AsyncClient(transport=transport, trust_env=False) as http:
        sender = Sender(http, api_url="https://x.example", accounts=accounts, clock=lambda: NOW)
        return await _check_token(sender, accounts[0].credentials[0], clock=lambda: NOW)


async def test_what_github_says_of_a_token() -> None:
    reset = int((NOW + timedelta(hours=1)).timestamp())
    budget = {"limit": 5000, "remaining": 4000, "used": 1000, "reset": reset}
    headers = {"x-oauth-scopes": "repo"}
    finding = await asked(
        {
            "/rate_limit": said({"resources": {"core": budget}}, headers=headers),
            "/graphql": said({"data": {"viewer": {"login": "ada", "databaseId": 1}}}),
        },
        SECRET,
    )
    assert finding.owner == Viewer(1, "ada")
    assert finding.status is not None
    assert finding.status.scopes == ("repo",)
    assert finding.credential.account.rate_limits[Resource.CORE].remaining == 4000
    assert not finding.is_broken


async def test_an_enterprise_server_that_limits_nobody() -> None:
    finding = await asked({"/user": said({"id": 1, "login": "ada"})}, SECRET)
    assert (finding.owner, finding.failure) == (Viewer(1, "ada"), None)


@pytest.mark.parametrize("tokens", [(), (SECRET,)])
async def test_an_address_that_is_no_github(tokens: tuple[str, ...]) -> None:
    finding = await asked({}, *tokens)
    assert finding.is_broken


def test_a_folder_need_not_be_there_yet(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "yet"
    found = _check_folder("banners", folder)
    assert not found.is_broken
    assert found.text.startswith(f"kept in {folder}, ")
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = _check_folder("banners", tmp_path / "file" / "banners")
    assert found.is_broken
    assert "can't be used" in found.text


def test_a_folder_behind_a_closed_door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "exists", refuse)
    found = _check_folder("banners", tmp_path, name="BANNERS_STORAGE_URL")
    assert found.is_broken
    assert found.text.startswith(f"{tmp_path} can't be used: Permission denied: set BANNERS_STORA")


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 1 << 20))
    found = _check_folder("banners", tmp_path)
    assert found == CheckResult(
        "banners", f"kept in {tmp_path}, 1 MiB free: that is too little", True
    )
