"""
Who lives in the sandbox: invents accounts from a seed, the same ones every time.

Nobody is kept: an account is made up again whenever it is asked for and forgotten. What happens
to people later is not its business.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from random import Random

import msgspec

from github_sandbox.cast import CAST, Role
from github_sandbox.nouns import Account, Repository, node_id_of
from github_sandbox.words import FAMILY_NAMES, GIVEN_NAMES, LANGUAGES, REPOSITORY_NAMES

_BEGINNING = datetime(2010, 1, 1, tzinfo=UTC)
_DAYS_KNOWN = 5_800
_SECONDS_A_DAY = 86_400
_REMEMBERED_SMALL = 2_048
_REMEMBERED_LARGE = 32


class Family(msgspec.Struct, frozen=True):
    """
    Accounts of one pattern `prefix-<number>`; account and repository ids are counted from a base.

    Ids stay below 2**31, which is what GraphQL's Int can hold.
    """

    prefix: str
    first: int
    last: int
    account_base: int
    repository_base: int
    most_repositories: int

    def repositories(self, number: int) -> int:
        """Say how many repositories a member has."""
        return number if self.prefix == "big" else self.most_repositories


DEVELOPERS = Family("dev", 1, 9_999_999, 200_000_000, 300_000_000, 30)
BIG = Family("big", 0, 5_000, 160_000_000, 700_000_000, 5_000)
_CAST_ACCOUNT_BASE = 150_000_000
_CAST_REPOSITORY_BASE = 800_000_000
_MOST = 10_000
_NEWCOMER_ACCOUNT_BASE = 170_000_000
_NEWCOMER_REPOSITORY_BASE = 900_000_000
_NEWCOMER_REPOSITORIES = 3

_MEMBER = re.compile(r"(dev|big)-(0|[1-9][0-9]{0,6})", re.ASCII)
_FAMILIES = {"dev": DEVELOPERS, "big": BIG}
_INDEX_OF_ROLE = {role.login.lower(): index for index, role in enumerate(CAST)}


class World:
    """Every account that can be invented from one seed."""

    def __init__(self, *, seed: int) -> None:
        self._seed = seed
        self._small = lru_cache(_REMEMBERED_SMALL)(self._invent)
        self._large = lru_cache(_REMEMBERED_LARGE)(self._invent)

    def id_of(self, login: str) -> int | None:
        """Find the number behind a login in any case; None when nobody has it."""
        lower = login.lower()
        if (index := _INDEX_OF_ROLE.get(lower)) is not None:
            return _CAST_ACCOUNT_BASE + index
        if (member := _MEMBER.fullmatch(lower)) is None:
            return None
        family, number = _FAMILIES[member[1]], int(member[2])
        return family.account_base + number if family.first <= number <= family.last else None

    def account(self, account_id: int) -> Account | None:
        """Invent the account of a number; None when that number is nobody's."""
        index = account_id - _CAST_ACCOUNT_BASE
        if 0 <= index < len(CAST):
            return self._large(CAST[index], account_id, _CAST_REPOSITORY_BASE + index * _MOST)
        for family in (DEVELOPERS, BIG):
            number = account_id - family.account_base
            if family.first <= number <= family.last:
                return self._member(family, number)
        return None

    def newcomer(self, login: str, *, number: int) -> Account:
        """Invent somebody new under a login of choice, the n-th of them."""
        role = Role(login, "", f"{login} II", _NEWCOMER_REPOSITORIES)
        first = _NEWCOMER_REPOSITORY_BASE + number * _NEWCOMER_REPOSITORIES
        return self._invent(role, _NEWCOMER_ACCOUNT_BASE + number, first)

    def _member(self, family: Family, number: int) -> Account:
        random = Random(f"{self._seed}/{family.prefix}/{number}")  # noqa: S311 - nothing secret
        name = f"{random.choice(GIVEN_NAMES)} {random.choice(FAMILY_NAMES)}"
        fame = 0.3 + 30 * random.random() ** 6
        role = Role(f"{family.prefix}-{number}", "", name, family.repositories(number), fame=fame)
        invent = self._small if family is DEVELOPERS else self._large
        first = family.repository_base + number * family.most_repositories
        return invent(role, family.account_base + number, first)

    def _invent(self, role: Role, account_id: int, first_repository_id: int) -> Account:
        random = Random(f"{self._seed}/{account_id}")  # noqa: S311 - nothing secret
        created_at = _BEGINNING + timedelta(seconds=int(random.random() * 4_000 * _SECONDS_A_DAY))
        known_as = "Organization" if role.is_organization else "User"
        return Account(
            id=account_id,
            node_id=node_id_of(known_as, account_id),
            login=role.login,
            name=role.name,
            is_organization=role.is_organization,
            followers=int(role.fame * 40 * random.random()),
            following=random.randrange(90),
            created_at=created_at,
            updated_at=_BEGINNING + timedelta(days=_DAYS_KNOWN, seconds=random.randrange(99_999)),
            repositories=tuple(_repositories(random, role, first_repository_id, created_at)),
        )


def _repositories(
    random: Random, role: Role, first_id: int, created_at: datetime
) -> Iterator[Repository]:
    """Make up repositories, oldest first, their stars Pareto-distributed."""
    count = role.repositories
    favourites = role.languages or random.sample(LANGUAGES[:20], 4) + random.sample(LANGUAGES, 3)
    names = _names(random, count)
    languages = _languages(random, favourites, count)
    seconds_known = (_BEGINNING + timedelta(days=_DAYS_KNOWN) - created_at).total_seconds()
    births = sorted(random.random() * seconds_known for _ in range(count))
    for index, born in enumerate(births):
        luck, is_fork = random.random(), random.random() < role.fork_share
        stars = int(luck * 3) if is_fork else int(role.fame * (0.7 / (luck + 0.002) - 0.7))
        pushed = born + (seconds_known - born) * luck
        yield Repository(
            id=first_id + index,
            name=names[index],
            language=languages[index],
            stars=stars,
            forks=int(stars * 0.3 * random.random()),
            is_fork=is_fork,
            is_archived=luck < 0.05,
            size_kilobytes=int(9 / (luck + 0.001)),
            created_at=created_at + timedelta(seconds=int(born)),
            updated_at=created_at + timedelta(seconds=int(pushed) + 60),
            pushed_at=created_at + timedelta(seconds=int(pushed)),
        )


def _names(random: Random, count: int) -> list[str]:
    many = len(REPOSITORY_NAMES)
    start, step = random.randrange(many), random.randrange(1, 41)
    numbers = (start + index * step for index in range(count))
    rounds = (index // many for index in range(count))
    return [
        REPOSITORY_NAMES[number % many] + (f"-{lap + 1}" if lap else "")
        for number, lap in zip(numbers, rounds, strict=True)
    ]


def _languages(random: Random, favourites: Sequence[str], count: int) -> list[str | None]:
    """Choose a language for each repository, the first favourites most; some have none."""
    weights = [1 / (rank + 1) for rank in range(len(favourites))]
    return random.choices([*favourites, None], [*weights, 0.15], k=count)
