"""Descriptions, licences, topics and languages of generated repositories."""

import hashlib
import re
from collections import Counter

import msgspec
import pytest

from github_sandbox.generator import AccountGenerator
from github_sandbox.models import Account, Repository
from github_sandbox.repository_data import LANGUAGE_COLORS, LICENSES, PURPOSES
from github_sandbox.sample_data import LANGUAGES, REPOSITORY_NAMES

GENERATOR = AccountGenerator(seed=1)


def generate(login: str, *, generator: AccountGenerator = GENERATOR) -> Account:
    account = generator.account(generator.find_id(login) or 0)
    assert account is not None
    return account


@pytest.fixture(scope="module")
def repositories() -> tuple[Repository, ...]:
    return tuple(
        repository
        for number in range(1, 41)
        for repository in generate(f"dev-{number}").repositories
    )


@pytest.mark.parametrize(
    ("login", "digest"),
    [
        ("mia-maintains", "d9ea2b3c6be585d3"),
        ("dev-1", "66471ac8b839db3e"),
        ("big-150", "844dade3baec49e2"),
    ],
)
def test_numbers_and_names_of_a_seed_never_change(login: str, digest: str) -> None:
    # Pictures in the documentation and golden files depend on them.
    account = generate(login)
    numbers = [
        [repository.id, repository.name, repository.language, repository.stars, repository.forks]
        for repository in account.repositories
    ]
    body = msgspec.json.encode([account.login, account.followers, account.created_at, numbers])
    assert hashlib.sha256(body).hexdigest()[:16] == digest


def test_texts_are_the_same_for_the_same_seed_only() -> None:
    texts = [
        [
            (repository.description, repository.license, repository.topics)
            for repository in generate("dev-1", generator=AccountGenerator(seed=seed)).repositories
        ]
        for seed in (1, 1, 2)
    ]
    assert texts[0] == texts[1] != texts[2]


def test_descriptions_are_varied(repositories: tuple[Repository, ...]) -> None:
    descriptions = [repository.description for repository in repositories]
    written = [description for description in descriptions if description is not None]
    assert 0.08 < descriptions.count(None) / len(descriptions) < 0.2
    assert len(set(written)) > 200
    assert 250 < max(map(len, written)) <= 350
    assert any(re.search(r"[\u3040-\u30ff\u4e00-\u9fff]", text) for text in written)
    assert any(re.search("[\U0001f300-\U0001faff]", text) for text in written)


def test_every_name_has_purposes() -> None:
    assert {name.split("-")[1] for name in REPOSITORY_NAMES} == set(PURPOSES)


def test_licenses_include_unknown_and_missing_ones(repositories: tuple[Repository, ...]) -> None:
    counts = Counter(repository.license for repository in repositories)
    assert set(counts) == set(LICENSES)
    assert min(counts.values()) > len(repositories) / 30
    assert counts.most_common(1)[0][0] == LICENSES[0]


def test_topics_are_valid(repositories: tuple[Repository, ...]) -> None:
    topics = {topic for repository in repositories for topic in repository.topics}
    assert len(topics) > 20
    assert all(re.fullmatch("[a-z0-9-]+", topic) for topic in topics)
    assert not all(repository.topics for repository in repositories)


def test_main_language_is_the_largest(repositories: tuple[Repository, ...]) -> None:
    counts = set()
    for repository in repositories:
        sizes = GENERATOR.language_sizes(repository)
        counts.add(len(sizes))
        assert next(iter(sizes), None) == repository.language
        assert list(sizes.values()) == sorted(sizes.values(), reverse=True)
        assert all(sizes.values())
        assert sizes == {} or max(sizes.values()) > sum(sizes.values()) / 14
        assert sizes == GENERATOR.language_sizes(repository)
    assert counts == set(range(15))


def test_language_sizes_depend_on_the_seed(repositories: tuple[Repository, ...]) -> None:
    other = AccountGenerator(seed=2)
    assert any(
        GENERATOR.language_sizes(repository) != other.language_sizes(repository)
        for repository in repositories[:5]
    )


def test_every_language_has_a_color() -> None:
    assert set(LANGUAGES) <= set(LANGUAGE_COLORS)
    assert all(re.fullmatch("#[0-9A-Fa-f]{6}", color) for color in LANGUAGE_COLORS.values())


def test_sample_user_with_hostile_text_has_hostile_descriptions() -> None:
    descriptions = {
        repository.description for repository in generate("mallory-markup").repositories
    }
    assert any("<script>" in (text or "") for text in descriptions)
    assert "W" * 350 in descriptions


@pytest.mark.parametrize(
    "login", ["dev-1", "dev-9999999", "big-1", "big-5000", "mia-maintains", "hana-hoards"]
)
def test_owner_of_a_repository_is_found_by_its_id(login: str) -> None:
    account = generate(login)
    for repository in (account.repositories[0], account.repositories[-1]):
        assert GENERATOR.find_repository_owner(repository.id) == account.id


@pytest.mark.parametrize("repository_id", [0, 299_999_999, 650_000_000, 2**31 - 1])
def test_repository_id_that_is_unknown_has_no_owner(repository_id: int) -> None:
    assert GENERATOR.find_repository_owner(repository_id) is None
