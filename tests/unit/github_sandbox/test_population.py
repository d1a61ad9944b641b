"""What can happen to people."""

from datetime import UTC, datetime

import pytest

from github_sandbox.nouns import Account
from github_sandbox.population import LoginTaken, NobodyThere, Population
from github_sandbox.world import World

NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture
def population() -> Population:
    return Population(World(seed=1))


def known(population: Population, login: str) -> Account:
    account = population.by_login(login)
    assert account is not None
    return account


def test_a_rename_keeps_the_number_and_frees_the_login(population: Population) -> None:
    before = known(population, "dev-1")
    population.rename("DEV-1", to="Ada", now=NOW)
    assert population.by_login("dev-1") is None
    assert known(population, "ada").id == before.id
    assert known(population, "ada").updated_at == NOW
    assert population.by_node_id(before.node_id) == known(population, "ADA")


def test_two_people_swap_their_logins(population: Population) -> None:
    first, second = known(population, "dev-1").id, known(population, "dev-2").id
    population.rename("dev-1", to="between", now=NOW)
    population.rename("dev-2", to="dev-1", now=NOW)
    population.rename("between", to="dev-2", now=NOW)
    assert (known(population, "dev-1").id, known(population, "dev-2").id) == (second, first)


def test_a_change_of_case_is_a_rename(population: Population) -> None:
    population.rename("dev-1", to="Dev-1", now=NOW)
    assert known(population, "dev-1").login == "Dev-1"


def test_a_login_in_use_is_not_given_away(population: Population) -> None:
    with pytest.raises(LoginTaken):
        population.rename("dev-1", to="DEV-2", now=NOW)
    with pytest.raises(LoginTaken):
        population.take_over("dev-1")


def test_who_is_deleted_is_gone_by_every_name(population: Population) -> None:
    before = known(population, "dev-1")
    population.delete("dev-1")
    assert population.by_login("dev-1") is None
    assert population.by_id(before.id) is None
    assert population.by_node_id(before.node_id) is None
    with pytest.raises(NobodyThere):
        population.rename("dev-1", to="x", now=NOW)


def test_newcomers_take_free_logins(population: Population) -> None:
    before = known(population, "dev-1")
    population.rename("dev-1", to="elsewhere", now=NOW)
    population.take_over("dev-1")
    population.take_over("brand-new")
    newcomers = [known(population, login) for login in ("dev-1", "brand-new")]
    assert len({before.id, *(one.id for one in newcomers)}) == 3
    assert all(one.repositories for one in newcomers)


def test_stars_land_on_the_oldest_original(population: Population) -> None:
    before, generation = known(population, "dev-1"), population.generation
    population.change("dev-1", now=NOW, stars=7_777)
    changed = [
        (old, new)
        for old, new in zip(
            before.repositories, known(population, "dev-1").repositories, strict=True
        )
        if old != new
    ]
    [(old, new)] = changed
    assert new.stars == 7_777
    assert old.id == next(one.id for one in before.repositories if not one.is_fork)
    assert population.generation > generation


def test_a_token_owner_is_invented_where_there_is_none(population: Population) -> None:
    assert population.keeper(5, now=NOW).login == "keeper-5"
    assert population.keeper(known(population, "dev-1").id, now=NOW).login == "dev-1"
    assert population.by_login("keeper-5") is None
