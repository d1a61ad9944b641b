"""Resolving a login to its owner after renames and takeovers; the time limits of a request."""

from datetime import UTC, datetime

import pytest

from github_banners.errors import GitHubUnavailable, UnknownUser
from github_banners.models import Owner, OwnerRepositories, Snapshot, Stats
from github_banners.stats.fetch import Deadline, picture_deadline, resolve_login
from tests.fake_clock import FakeClock

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


class RenamedLogins:
    """Fake GitHub that knows the holder of each login, and records requests."""

    def __init__(self, **ids_by_login: int) -> None:
        self._logins = {owner_id: login for login, owner_id in ids_by_login.items()}
        self.requested: list[str | int] = []
        self.fails_by_login = False
        self.unknown_logins: list[str] = []

    async def fetch(self, login: str, *, is_known: bool = False) -> OwnerRepositories:
        self.requested.append(login)
        if not is_known:
            self.unknown_logins.append(login)
        if self.fails_by_login:
            raise GitHubUnavailable
        for owner_id, held in self._logins.items():
            if held.lower() == login.lower():
                return self._repositories(owner_id)
        raise UnknownUser(login)

    async def fetch_by_id(
        self, owner: Owner, *, previous: Stats | None = None
    ) -> OwnerRepositories:
        self.requested.append(owner.id)
        if owner.id not in self._logins:
            raise UnknownUser(owner.login)
        return self._repositories(owner.id)

    def _repositories(self, owner_id: int) -> OwnerRepositories:
        return OwnerRepositories(Owner(owner_id, self._logins[owner_id]), (), NOW)


def last_seen(owner_id: int, login: str) -> Snapshot:
    return Snapshot(Owner(owner_id, login), Stats(0, 0, 0, 0, 0, {}), NOW)


async def resolve(
    github: RenamedLogins, login: str, known: Snapshot | None
) -> list[tuple[int, str]]:
    owners = await resolve_login(github, login, known)
    return [(owner.owner.id, owner.owner.login) for owner in owners]


async def test_resolve_login_of_unknown_owner_fetches_by_login() -> None:
    github = RenamedLogins(Alice=1)
    assert await resolve(github, "alice", None) == [(1, "Alice")]
    assert github.requested == ["alice"]


async def test_resolve_login_that_does_not_exist_raises() -> None:
    with pytest.raises(UnknownUser):
        await resolve_login(RenamedLogins(), "alice", None)


async def test_resolve_login_of_same_holder_sends_one_request() -> None:
    github = RenamedLogins(Alice=1)
    assert await resolve(github, "ALICE", last_seen(1, "alice")) == [(1, "Alice")]
    assert github.requested == [1]


async def test_resolve_login_of_renamed_owner_returns_it() -> None:
    github = RenamedLogins(alicia=1)
    assert await resolve(github, "alice", last_seen(1, "alice")) == [(1, "alicia")]
    assert github.requested == [1, "alice"]


async def test_resolve_login_taken_over_returns_both_owners() -> None:
    github = RenamedLogins(alicia=1, alice=2)
    owners = await resolve(github, "alice", last_seen(1, "alice"))
    assert owners == [(1, "alicia"), (2, "alice")]


async def test_resolve_login_former_login_returns_last_holder() -> None:
    github = RenamedLogins(alicia=1)
    assert await resolve(github, "alice", last_seen(1, "alicia")) == [(1, "alicia")]
    assert github.requested == ["alice", 1]


async def test_resolve_login_former_login_taken_returns_new_holder() -> None:
    github = RenamedLogins(alicia=1, alice=2)
    assert await resolve(github, "alice", last_seen(1, "alicia")) == [(2, "alice")]
    assert github.requested == ["alice"]


async def test_resolve_login_of_deleted_owner_returns_new_holder() -> None:
    github = RenamedLogins(alice=2)
    assert await resolve(github, "alice", last_seen(1, "alice")) == [(2, "alice")]
    assert github.requested == [1, "alice"]


@pytest.mark.parametrize("login", ["alice", "a-former-name"])
async def test_resolve_login_of_deleted_owner_raises(login: str) -> None:
    with pytest.raises(UnknownUser):
        await resolve_login(RenamedLogins(bob=3), login, last_seen(1, "alice"))


async def test_resolve_login_with_known_holder_fetches_as_known() -> None:
    for known in (last_seen(1, "alice"), last_seen(1, "alicia"), last_seen(9, "alice")):
        github = RenamedLogins(alicia=1, alice=2)
        await resolve(github, "alice", known)
        assert "alice" in github.requested
        assert github.unknown_logins == []
    github = RenamedLogins(alice=2)
    await resolve(github, "alice", None)
    assert github.unknown_logins == ["alice"]


async def test_resolve_login_during_outage_raises_unavailable() -> None:
    github = RenamedLogins(alicia=1)
    github.fails_by_login = True
    for known in (None, last_seen(1, "alice"), last_seen(1, "alicia")):
        with pytest.raises(GitHubUnavailable):
            await resolve_login(github, "alice", known)


def test_timeout_seconds_returns_limit_or_remaining_time() -> None:
    now = FakeClock()
    deadline = Deadline(3.0, 1.8, now)
    assert deadline.timeout_seconds(0.5) == 0.5
    assert deadline.timeout_seconds(100) == pytest.approx(2.8)
    now.seconds += 2.5
    assert deadline.timeout_seconds(0.5) == pytest.approx(0.3)
    now.seconds += 0.3
    assert deadline.timeout_seconds(0.5) == pytest.approx(0)
    now.seconds += 100
    assert deadline.timeout_seconds(0.5) == 0.0


def test_timeouts_of_github_and_database_are_capped() -> None:
    now = FakeClock()
    deadline = Deadline(3.0, 1.8, now)
    assert (deadline.database_timeout_seconds(), deadline.github_timeout_seconds()) == (0.3, 1.8)
    now.seconds += 2.7
    assert (
        deadline.database_timeout_seconds()
        == deadline.github_timeout_seconds()
        == pytest.approx(0.1)
    )


def test_picture_deadline_ends_before_image_proxies_give_up() -> None:
    deadline = picture_deadline()
    assert deadline.total_seconds == 3.0
    assert 2.7 < deadline.timeout_seconds(100) <= 2.8
    assert deadline.github_timeout_seconds() == 1.8
