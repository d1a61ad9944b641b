"""Whom a name means, after renames and takeovers."""

from datetime import UTC, datetime

import pytest

from github_banners.errors import GitHubUnavailable, UnknownUser
from github_banners.models import Owner, OwnerRepositories, Snapshot, Stats
from github_banners.stats.fetch import resolve_login

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


class FakeGitHub:
    """Knows who holds which login, and notes what it is asked."""

    def __init__(self, **ids_by_login: int) -> None:
        self._logins = {owner_id: login for login, owner_id in ids_by_login.items()}
        self.asked: list[str | int] = []
        self.is_away_for_names = False
        self.asked_for_strangers: list[str] = []

    async def fetch(self, login: str, *, is_known: bool = False) -> OwnerRepositories:
        self.asked.append(login)
        if not is_known:
            self.asked_for_strangers.append(login)
        if self.is_away_for_names:
            raise GitHubUnavailable
        for owner_id, held in self._logins.items():
            if held.lower() == login.lower():
                return self._portfolio(owner_id)
        raise UnknownUser(login)

    async def fetch_by_id(
        self, owner: Owner, *, previous: Stats | None = None
    ) -> OwnerRepositories:
        self.asked.append(owner.id)
        if owner.id not in self._logins:
            raise UnknownUser(owner.login)
        return self._portfolio(owner.id)

    def _portfolio(self, owner_id: int) -> OwnerRepositories:
        return OwnerRepositories(Owner(owner_id, self._logins[owner_id]), (), NOW)


def last_seen(owner_id: int, login: str) -> Snapshot:
    return Snapshot(Owner(owner_id, login), Stats(0, 0, 0, 0, 0, {}), NOW)


async def who(github: FakeGitHub, login: str, known: Snapshot | None) -> list[tuple[int, str]]:
    learnt = await resolve_login(github, login, known)
    return [(portfolio.owner.id, portfolio.owner.login) for portfolio in learnt]


async def test_somebody_new_is_asked_for_by_name() -> None:
    github = FakeGitHub(Alice=1)
    assert await who(github, "alice", None) == [(1, "Alice")]
    assert github.asked == ["alice"]


async def test_nobody_is_nobody() -> None:
    with pytest.raises(UnknownUser):
        await resolve_login(FakeGitHub(), "alice", None)


async def test_the_same_holder_costs_one_question() -> None:
    github = FakeGitHub(Alice=1)
    assert await who(github, "ALICE", last_seen(1, "alice")) == [(1, "Alice")]
    assert github.asked == [1]


async def test_a_renamed_owner_is_followed() -> None:
    github = FakeGitHub(alicia=1)
    assert await who(github, "alice", last_seen(1, "alice")) == [(1, "alicia")]
    assert github.asked == [1, "alice"]


async def test_a_name_taken_over_means_its_new_holder() -> None:
    github = FakeGitHub(alicia=1, alice=2)
    learnt = await who(github, "alice", last_seen(1, "alice"))
    assert learnt == [(1, "alicia"), (2, "alice")]


async def test_a_former_name_leads_to_its_last_holder() -> None:
    github = FakeGitHub(alicia=1)
    assert await who(github, "alice", last_seen(1, "alicia")) == [(1, "alicia")]
    assert github.asked == ["alice", 1]


async def test_a_former_name_that_somebody_took_is_theirs() -> None:
    github = FakeGitHub(alicia=1, alice=2)
    assert await who(github, "alice", last_seen(1, "alicia")) == [(2, "alice")]
    assert github.asked == ["alice"]


async def test_the_name_of_somebody_gone_can_be_held_anew() -> None:
    github = FakeGitHub(alice=2)
    assert await who(github, "alice", last_seen(1, "alice")) == [(2, "alice")]
    assert github.asked == [1, "alice"]


@pytest.mark.parametrize("login", ["alice", "a-former-name"])
async def test_somebody_gone_is_gone(login: str) -> None:
    with pytest.raises(UnknownUser):
        await resolve_login(FakeGitHub(bob=3), login, last_seen(1, "alice"))


async def test_only_a_name_that_nobody_has_or_had_is_a_stranger_s() -> None:
    for known in (last_seen(1, "alice"), last_seen(1, "alicia"), last_seen(9, "alice")):
        github = FakeGitHub(alicia=1, alice=2)
        await who(github, "alice", known)
        assert "alice" in github.asked
        assert github.asked_for_strangers == []
    github = FakeGitHub(alice=2)
    await who(github, "alice", None)
    assert github.asked_for_strangers == ["alice"]


async def test_an_outage_is_not_taken_for_an_unknown_name() -> None:
    github = FakeGitHub(alicia=1)
    github.is_away_for_names = True
    for known in (None, last_seen(1, "alice"), last_seen(1, "alicia")):
        with pytest.raises(GitHubUnavailable):
            await resolve_login(github, "alice", known)
