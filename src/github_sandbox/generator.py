"""
Generates accounts from a seed: the same seed always gives the same accounts.

There are a few sample accounts and two families of numbered ones, `dev-<n>` and `big-<n>`. Accounts
are generated on demand and only cached; changes made to them are kept by the account store.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from random import Random

import msgspec

from github_sandbox.contribution_generator import ContributionGenerator
from github_sandbox.models import Account, Repository, build_node_id
from github_sandbox.repository_details import generate_language_sizes, generate_texts
from github_sandbox.sample_data import (
    FAMILY_NAMES,
    GIVEN_NAMES,
    LANGUAGES,
    REPOSITORY_NAMES,
    SAMPLES,
    Persona,
)

_EPOCH = datetime(2010, 1, 1, tzinfo=UTC)
_AGE_DAYS = 5_800
_SECONDS_PER_DAY = 86_400
_SMALL_CACHE_SIZE = 2_048
_LARGE_CACHE_SIZE = 32


class LoginPattern(msgspec.Struct, frozen=True):
    """
    Accounts named `prefix-<number>`; account and repository ids are offsets from a base.

    Ids stay below 2**31, the range of GraphQL's Int.
    """

    prefix: str
    first: int
    last: int
    account_base: int
    repository_base: int
    max_repositories: int

    def repository_count(self, number: int) -> int:
        """Return how many repositories account `number` has."""
        return number if self.prefix == "big" else self.max_repositories


DEVELOPERS = LoginPattern("dev", 1, 9_999_999, 200_000_000, 300_000_000, 30)
BIG = LoginPattern("big", 0, 5_000, 160_000_000, 700_000_000, 5_000)
_SAMPLE_ACCOUNT_BASE = 150_000_000
_SAMPLE_REPOSITORY_BASE = 800_000_000
_MAX_SAMPLE_REPOSITORIES = 10_000
_NEW_ACCOUNT_BASE = 170_000_000
_NEW_REPOSITORY_BASE = 900_000_000
_NEW_REPOSITORY_COUNT = 3
_MAX_NEW_ACCOUNTS = 10_000_000

_REPOSITORY_RANGES = (
    *(
        (pattern.account_base, pattern.repository_base, pattern.last + 1, pattern.max_repositories)
        for pattern in (DEVELOPERS, BIG)
    ),
    (_SAMPLE_ACCOUNT_BASE, _SAMPLE_REPOSITORY_BASE, len(SAMPLES), _MAX_SAMPLE_REPOSITORIES),
    (_NEW_ACCOUNT_BASE, _NEW_REPOSITORY_BASE, _MAX_NEW_ACCOUNTS, _NEW_REPOSITORY_COUNT),
)
"""First account id, first repository id, number of accounts and most repositories of each."""

_NUMBERED_LOGIN = re.compile(r"(dev|big)-(0|[1-9][0-9]{0,6})", re.ASCII)
_PATTERNS = {"dev": DEVELOPERS, "big": BIG}
_SAMPLE_INDEX = {persona.login.lower(): index for index, persona in enumerate(SAMPLES)}


class AccountGenerator:
    """Generates every account of one seed."""

    def __init__(self, *, seed: int) -> None:
        self.contributions = ContributionGenerator(seed=seed)
        self._seed = seed
        # Two caches, so that a few accounts of thousands of repositories do not fill the memory.
        self._generate_small = lru_cache(_SMALL_CACHE_SIZE)(self._generate)
        self._generate_large = lru_cache(_LARGE_CACHE_SIZE)(self._generate)

    def find_id(self, login: str) -> int | None:
        """Return the account id of a login in any case, or None if there is no such account."""
        lowered = login.lower()
        if (index := _SAMPLE_INDEX.get(lowered)) is not None:
            return _SAMPLE_ACCOUNT_BASE + index
        if (match := _NUMBERED_LOGIN.fullmatch(lowered)) is None:
            return None
        pattern, number = _PATTERNS[match[1]], int(match[2])
        is_in_range = pattern.first <= number <= pattern.last
        return pattern.account_base + number if is_in_range else None

    def account(self, account_id: int) -> Account | None:
        """Return the account of an id, or None if no account has it."""
        index = account_id - _SAMPLE_ACCOUNT_BASE
        if 0 <= index < len(SAMPLES):
            first_repository_id = _SAMPLE_REPOSITORY_BASE + index * _MAX_SAMPLE_REPOSITORIES
            return self._generate_large(SAMPLES[index], account_id, first_repository_id)
        for pattern in (DEVELOPERS, BIG):
            number = account_id - pattern.account_base
            if pattern.first <= number <= pattern.last:
                return self._numbered_account(pattern, number)
        return None

    def find_repository_owner(self, repository_id: int) -> int | None:
        """Return the id of the account that would have a repository, or None if there is none."""
        for account_base, repository_base, account_count, max_repositories in _REPOSITORY_RANGES:
            number = (repository_id - repository_base) // max_repositories
            if 0 <= number < account_count:
                return account_base + number
        return None

    def language_sizes(self, repository: Repository) -> dict[str, int]:
        """Return the bytes of each language of a generated repository, largest first."""
        random = Random(f"{self._seed}/{repository.id}/languages")  # noqa: S311 - not for security
        return generate_language_sizes(random, repository)

    def new_account(self, login: str, *, number: int) -> Account:
        """Generate the n-th account that takes a login which has become free."""
        persona = Persona(login, "", f"{login} II", _NEW_REPOSITORY_COUNT)
        first_repository_id = _NEW_REPOSITORY_BASE + number * _NEW_REPOSITORY_COUNT
        return self._generate(persona, _NEW_ACCOUNT_BASE + number, first_repository_id)

    def _numbered_account(self, pattern: LoginPattern, number: int) -> Account:
        random = Random(f"{self._seed}/{pattern.prefix}/{number}")  # noqa: S311 - not for security
        persona = Persona(
            login=f"{pattern.prefix}-{number}",
            description="",
            name=f"{random.choice(GIVEN_NAMES)} {random.choice(FAMILY_NAMES)}",
            repository_count=pattern.repository_count(number),
            star_scale=0.3 + 30 * random.random() ** 6,
        )
        generate = self._generate_small if pattern is DEVELOPERS else self._generate_large
        first_repository_id = pattern.repository_base + number * pattern.max_repositories
        return generate(persona, pattern.account_base + number, first_repository_id)

    def _generate(self, persona: Persona, account_id: int, first_repository_id: int) -> Account:
        random = Random(f"{self._seed}/{account_id}")  # noqa: S311 - not for security
        drawn_at = _EPOCH + timedelta(seconds=int(random.random() * 4_000 * _SECONDS_PER_DAY))
        created_at = persona.created_at or drawn_at
        followers = int(persona.star_scale * 40 * random.random())
        following = random.randrange(90)
        return Account(
            id=account_id,
            node_id=build_node_id(
                "Organization" if persona.is_organization else "User", account_id
            ),
            login=persona.login,
            name=persona.name,
            is_organization=persona.is_organization,
            followers=0 if persona.is_private else followers,
            following=0 if persona.is_private else following,
            created_at=created_at,
            updated_at=_EPOCH + timedelta(days=_AGE_DAYS, seconds=random.randrange(99_999)),
            repositories=tuple(
                _generate_repositories(
                    random,
                    Random(f"{self._seed}/{account_id}/texts"),  # noqa: S311 - not for security
                    persona,
                    first_repository_id,
                    created_at,
                )
            ),
            activity=persona.activity,
            is_steady=persona.is_steady,
            is_private=persona.is_private,
        )


def _generate_repositories(
    random: Random,
    random_texts: Random,
    persona: Persona,
    first_id: int,
    account_created_at: datetime,
) -> Iterator[Repository]:
    """
    Generate repositories, oldest first, with Pareto-distributed star counts.

    Their texts have a random generator of their own, which leaves all numbers as they are.
    """
    count = persona.repository_count
    favorites = persona.languages or random.sample(LANGUAGES[:20], 4) + random.sample(LANGUAGES, 3)
    names = _choose_names(random, count)
    languages = _choose_languages(random, favorites, count)
    account_age = (_EPOCH + timedelta(days=_AGE_DAYS) - account_created_at).total_seconds()
    created_offsets = sorted(random.random() * account_age for _ in range(count))
    for index, created in enumerate(created_offsets):
        # One random quantile decides stars, size, last push and archiving, because these are
        # correlated in real accounts.
        quantile, is_fork = random.random(), random.random() < persona.fork_share
        popularity = persona.star_scale * (0.7 / (quantile + 0.002) - 0.7)
        stars = int(quantile * 3) if is_fork else int(popularity)
        pushed = created + (account_age - created) * quantile
        texts = generate_texts(
            random_texts, names[index], languages[index], descriptions=persona.descriptions
        )
        yield Repository(
            id=first_id + index,
            name=names[index],
            language=languages[index],
            stars=stars,
            forks=int(stars * 0.3 * random.random()),
            is_fork=is_fork,
            is_archived=quantile < 0.05,
            size_kilobytes=int(9 / (quantile + 0.001)),
            created_at=account_created_at + timedelta(seconds=int(created)),
            updated_at=account_created_at + timedelta(seconds=int(pushed) + 60),
            pushed_at=account_created_at + timedelta(seconds=int(pushed)),
            description=texts.description,
            license=texts.license,
            homepage=texts.homepage,
            topics=texts.topics,
        )


def _choose_names(random: Random, count: int) -> list[str]:
    """Choose distinct repository names; once all words are used, a numeric suffix is added."""
    total = len(REPOSITORY_NAMES)
    start, step = random.randrange(total), random.randrange(1, 41)
    names = []
    for index in range(count):
        name = REPOSITORY_NAMES[(start + index * step) % total]
        round_number = index // total
        names.append(f"{name}-{round_number + 1}" if round_number else name)
    return names


def _choose_languages(random: Random, favorites: Sequence[str], count: int) -> list[str | None]:
    """Choose a language for each repository, earlier favorites more often; some have none."""
    weights = [1 / (rank + 1) for rank in range(len(favorites))]
    return random.choices([*favorites, None], [*weights, 0.15], k=count)
