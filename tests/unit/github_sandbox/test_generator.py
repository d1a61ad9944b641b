"""Generated accounts, sample accounts and node ids."""

import json
import re

import pytest

from github_sandbox import SAMPLE_USERS
from github_sandbox.generator import AccountGenerator
from github_sandbox.models import (
    Account,
    build_node_id,
    parse_account_node_id,
    parse_repository_node_id,
)
from github_sandbox.sample_data import LANGUAGES, REPOSITORY_NAMES, SAMPLES

VALID_LOGIN = re.compile(r"[A-Za-z0-9](?:-?[A-Za-z0-9]){0,38}")


def generate(login: str, *, seed: int = 1) -> Account:
    generator = AccountGenerator(seed=seed)
    account_id = generator.find_id(login)
    assert account_id is not None
    account = generator.account(account_id)
    assert account is not None
    return account


@pytest.mark.parametrize("login", ["dev-1", "dev-99999", "big-3", "mia-maintains", "umbra-labs"])
def test_account_is_the_same_for_the_same_seed_only(login: str) -> None:
    assert generate(login) == generate(login.upper())
    assert generate(login) != generate(login, seed=2)


@pytest.mark.parametrize(
    ("login", "repositories"),
    [
        *(("dev-1", 30), ("dev-100000", 30), ("big-0", 0), ("big-1", 1), ("big-5000", 5_000)),
        *(("nell-newcomer", 0), ("mia-maintains", 30), ("pat-prolific", 1_000)),
        *(("hana-hoards", 2_345), ("finn-forks", 18)),
    ],
)
def test_account_has_the_expected_number_of_repositories(login: str, repositories: int) -> None:
    owned = generate(login).repositories
    assert len(owned) == repositories
    assert len({repository.name for repository in owned}) == repositories
    assert len({repository.id for repository in owned}) == repositories
    assert list(owned) == sorted(owned, key=lambda repository: repository.created_at)


@pytest.mark.parametrize(
    "login", ["dev-0", "dev-007", "dev-10000000", "dev-", "big-5001", "dev-١", "nobody", ""]
)
def test_find_id_of_an_unknown_login_is_none(login: str) -> None:
    assert AccountGenerator(seed=1).find_id(login) is None


def test_account_and_repository_ids_are_unique() -> None:
    generator = AccountGenerator(seed=1)
    logins = [*(login for login, _ in SAMPLE_USERS), "dev-2", "dev-9999999", "big-0", "big-5000"]
    account_ids = {login: generator.find_id(login) for login in logins}
    assert len(set(account_ids.values())) == len(logins)
    repository_ids = [
        repository.id
        for account_id in account_ids.values()
        if account_id is not None and (account := generator.account(account_id))
        for repository in account.repositories
    ]
    assert len(set(repository_ids)) == len(repository_ids)
    assert max(repository_ids) < 2**31


def test_account_of_an_unknown_id_is_none() -> None:
    generator = AccountGenerator(seed=1)
    assert [generator.account(account_id) for account_id in (0, 1, 199_999_999, 160_005_001)] == [
        None
    ] * 4


def test_sample_accounts_have_their_fixed_properties() -> None:
    assert all(repository.is_fork for repository in generate("finn-forks").repositories)
    assert generate("nameless-ned").name is None
    assert generate("umbra-labs").is_organization


@pytest.mark.parametrize("login", [login for login, _ in SAMPLE_USERS])
def test_sample_users_exist_and_have_valid_logins(login: str) -> None:
    assert generate(login).login == login
    assert VALID_LOGIN.fullmatch(login)


def test_longest_sample_login_has_the_maximum_length() -> None:
    assert max(len(persona.login) for persona in SAMPLES) == 39


def test_hostile_text_is_kept_in_json() -> None:
    mallory = generate("mallory-markup")
    languages = {repository.language for repository in mallory.repositories}
    assert "<script>" in (mallory.name or "")
    assert any("\u202e" in (language or "") for language in languages)
    assert json.loads(json.dumps(mallory.name)) == mallory.name


def test_languages_are_those_of_the_list() -> None:
    developers = [generate(f"dev-{number}") for number in range(1, 40)]
    languages = {
        repository.language for developer in developers for repository in developer.repositories
    }
    assert languages <= {*LANGUAGES, None}
    assert len(languages) > 15


def test_stars_have_a_long_tail() -> None:
    repositories = generate("pat-prolific").repositories
    stars = sorted(repository.stars for repository in repositories if not repository.is_fork)
    assert stars[0] == 0
    assert stars[-1] > 20 * stars[len(stars) // 2]


def test_repository_names_are_unique() -> None:
    assert len(set(REPOSITORY_NAMES)) == 41 * 43


@pytest.mark.parametrize("type_name", ["User", "Organization"])
@pytest.mark.parametrize("account_id", [1, 70_000, 200_000_001, 200_000_252])
def test_node_id_is_parsed_back(type_name: str, account_id: int) -> None:
    assert parse_account_node_id(build_node_id(type_name, account_id)) == account_id


@pytest.mark.parametrize("repository_id", [1, 130_430_005, 900_000_000])
def test_node_id_of_a_repository_is_parsed_back(repository_id: int) -> None:
    node_id = build_node_id("Repository", repository_id)
    assert parse_repository_node_id(node_id) == repository_id
    assert parse_account_node_id(node_id) is None


@pytest.mark.parametrize(
    ("node_id", "repository_id"),
    [
        ("MDEwOlJlcG9zaXRvcnkxMzA0MzAwMDU=", 130_430_005),
        *((node_id, None) for node_id in ("MDQ6VXNlcjE5NTg5NTM=", "U_kgDOC-vCAQ", "R_", "R_x", "")),
    ],
)
def test_legacy_and_invalid_node_ids_of_repositories(
    node_id: str, repository_id: int | None
) -> None:
    assert parse_repository_node_id(node_id) == repository_id


@pytest.mark.parametrize(
    ("node_id", "account_id"),
    [
        ("MDQ6VXNlcjE5NTg5NTM=", 1_958_953),
        ("MDEyOk9yZ2FuaXphdGlvbjQ3NjM4Nzgz", 47_638_783),
        ("MDEwOlJlcG9zaXRvcnkxMzA0MzAwMDU=", None),
        *((node_id, None) for node_id in ("", "é", "U_", "U_x", "U_kgDO", "R_kgDOCPDRgQ", "X_1")),
    ],
)
def test_legacy_and_invalid_node_ids(node_id: str, account_id: int | None) -> None:
    assert parse_account_node_id(node_id) == account_id
