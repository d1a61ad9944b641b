"""Who can be invented, and that it is always the same people."""

import json

import pytest

from github_banners.look import parse_login
from github_sandbox import SAMPLE_USERS
from github_sandbox.cast import CAST
from github_sandbox.nouns import Account, account_number, node_id_of
from github_sandbox.words import LANGUAGES, REPOSITORY_NAMES
from github_sandbox.world import World


def account(login: str, *, seed: int = 1) -> Account:
    world = World(seed=seed)
    number = world.id_of(login)
    assert number is not None
    found = world.account(number)
    assert found is not None
    return found


@pytest.mark.parametrize("login", ["dev-1", "dev-99999", "big-3", "mia-maintains", "umbra-labs"])
def test_a_seed_invents_the_same_person_every_time(login: str) -> None:
    assert account(login) == account(login.upper())
    assert account(login) != account(login, seed=2)


@pytest.mark.parametrize(
    ("login", "repositories"),
    [
        *(("dev-1", 30), ("dev-100000", 30), ("big-0", 0), ("big-1", 1), ("big-5000", 5_000)),
        *(("nell-newcomer", 0), ("mia-maintains", 30), ("pat-prolific", 1_000)),
        *(("hana-hoards", 2_345), ("finn-forks", 18)),
    ],
)
def test_everybody_has_as_many_repositories_as_they_should(login: str, repositories: int) -> None:
    owned = account(login).repositories
    assert len(owned) == repositories
    assert len({one.name for one in owned}) == repositories
    assert len({one.id for one in owned}) == repositories
    assert list(owned) == sorted(owned, key=lambda one: one.created_at)


@pytest.mark.parametrize(
    "login", ["dev-0", "dev-007", "dev-10000000", "dev-", "big-5001", "dev-١", "nobody", ""]
)
def test_others_do_not_exist(login: str) -> None:
    assert World(seed=1).id_of(login) is None


def test_numbers_are_everybodys_own() -> None:
    world = World(seed=1)
    logins = [*(login for login, _ in SAMPLE_USERS), "dev-2", "dev-9999999", "big-0", "big-5000"]
    numbers = {login: world.id_of(login) for login in logins}
    assert len(set(numbers.values())) == len(logins)
    repositories = [
        one.id
        for number in numbers.values()
        if number is not None and (found := world.account(number))
        for one in found.repositories
    ]
    assert len(set(repositories)) == len(repositories)
    assert max(repositories) < 2**31


def test_numbers_of_nobody() -> None:
    world = World(seed=1)
    assert [world.account(number) for number in (0, 1, 199_999_999, 160_005_001)] == [None] * 4


def test_only_forks_and_no_name() -> None:
    assert all(one.is_fork for one in account("finn-forks").repositories)
    assert account("nameless-ned").name is None
    assert account("umbra-labs").is_organization


@pytest.mark.parametrize("login", [login for login, _ in SAMPLE_USERS])
def test_samples_exist_and_are_spelled_as_github_allows(login: str) -> None:
    assert account(login).login == parse_login(login)


def test_one_login_is_as_long_as_they_get() -> None:
    assert max(len(role.login) for role in CAST) == 39


def test_hostile_words_survive_json() -> None:
    mallory = account("mallory-markup")
    languages = {one.language for one in mallory.repositories}
    assert "<script>" in (mallory.name or "")
    assert any("\u202e" in (language or "") for language in languages)
    assert json.loads(json.dumps(mallory.name)) == mallory.name


def test_languages_are_the_usual_ones() -> None:
    developers = [account(f"dev-{number}") for number in range(1, 40)]
    spoken = {one.language for developer in developers for one in developer.repositories}
    assert spoken <= {*LANGUAGES, None}
    assert len(spoken) > 15


def test_stars_are_as_uneven_as_in_life() -> None:
    stars = sorted(one.stars for one in account("pat-prolific").repositories if not one.is_fork)
    assert stars[0] == 0
    assert stars[-1] > 20 * stars[len(stars) // 2]


def test_repository_names_differ() -> None:
    assert len(set(REPOSITORY_NAMES)) == 41 * 43


@pytest.mark.parametrize("kind", ["User", "Organization"])
@pytest.mark.parametrize("number", [1, 70_000, 200_000_001, 200_000_252])
def test_global_ids_are_read_back(kind: str, number: int) -> None:
    assert account_number(node_id_of(kind, number)) == number


@pytest.mark.parametrize(
    ("node_id", "number"),
    [
        ("MDQ6VXNlcjE5NTg5NTM=", 1_958_953),
        ("MDEyOk9yZ2FuaXphdGlvbjQ3NjM4Nzgz", 47_638_783),
        ("MDEwOlJlcG9zaXRvcnkxMzA0MzAwMDU=", None),
        *((node_id, None) for node_id in ("", "é", "U_", "U_x", "U_kgDO", "R_kgDOCPDRgQ", "X_1")),
    ],
)
def test_old_and_impossible_global_ids(node_id: str, number: int | None) -> None:
    assert account_number(node_id) == number
