"""Lookups of accounts and changes to them."""

from datetime import UTC, datetime

import pytest

from github_sandbox.account_store import (
    AccountNotFound,
    AccountStore,
    LoginTaken,
    RepositoryNameTaken,
    RepositoryNotFound,
)
from github_sandbox.generator import AccountGenerator
from github_sandbox.models import Account, Repository, build_node_id

NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture
def store() -> AccountStore:
    return AccountStore(AccountGenerator(seed=1))


def get(store: AccountStore, login: str) -> Account:
    account = store.by_login(login)
    assert account is not None
    return account


def test_rename_keeps_the_id_and_frees_the_login(store: AccountStore) -> None:
    before = get(store, "dev-1")
    store.rename("DEV-1", to="Ada", now=NOW)
    assert store.by_login("dev-1") is None
    assert get(store, "ada").id == before.id
    assert get(store, "ada").updated_at == NOW
    assert store.by_node_id(before.node_id) == get(store, "ADA")


def test_rename_can_swap_two_logins(store: AccountStore) -> None:
    first, second = get(store, "dev-1").id, get(store, "dev-2").id
    store.rename("dev-1", to="between", now=NOW)
    store.rename("dev-2", to="dev-1", now=NOW)
    store.rename("between", to="dev-2", now=NOW)
    assert (get(store, "dev-1").id, get(store, "dev-2").id) == (second, first)


def test_rename_can_change_the_case(store: AccountStore) -> None:
    store.rename("dev-1", to="Dev-1", now=NOW)
    assert get(store, "dev-1").login == "Dev-1"


def test_login_in_use_cannot_be_taken(store: AccountStore) -> None:
    with pytest.raises(LoginTaken):
        store.rename("dev-1", to="DEV-2", now=NOW)
    with pytest.raises(LoginTaken):
        store.take_over("dev-1")


def test_deleted_account_is_not_found_by_any_key(store: AccountStore) -> None:
    before = get(store, "dev-1")
    store.delete("dev-1")
    assert store.by_login("dev-1") is None
    assert store.by_id(before.id) is None
    assert store.by_node_id(before.node_id) is None
    with pytest.raises(AccountNotFound):
        store.rename("dev-1", to="x", now=NOW)


def test_take_over_creates_new_accounts_for_free_logins(store: AccountStore) -> None:
    before = get(store, "dev-1")
    store.rename("dev-1", to="elsewhere", now=NOW)
    store.take_over("dev-1")
    store.take_over("brand-new")
    accounts = [get(store, login) for login in ("dev-1", "brand-new")]
    assert len({before.id, *(account.id for account in accounts)}) == 3
    assert all(account.repositories for account in accounts)


def test_change_of_stars_affects_the_oldest_non_fork(store: AccountStore) -> None:
    before, revision = get(store, "dev-1"), store.revision
    store.change("dev-1", now=NOW, stars=7_777)
    changed = [
        (old, new)
        for old, new in zip(before.repositories, get(store, "dev-1").repositories, strict=True)
        if old != new
    ]
    [(old, new)] = changed
    assert new.stars == 7_777
    oldest = next(repository for repository in before.repositories if not repository.is_fork)
    assert old.id == oldest.id
    assert store.revision > revision


def test_token_owner_without_an_account_is_a_placeholder(store: AccountStore) -> None:
    assert store.token_owner(5, now=NOW).login == "token-owner-5"
    assert store.token_owner(get(store, "dev-1").id, now=NOW).login == "dev-1"
    assert store.by_login("token-owner-5") is None


def first_repository(store: AccountStore, login: str) -> Repository:
    return get(store, login).repositories[0]


def test_repository_is_found_by_every_key(store: AccountStore) -> None:
    repository = first_repository(store, "dev-1")
    assert store.find_repository("DEV-1", repository.name.upper()) == repository
    assert store.repository_by_id(repository.id) == repository
    assert store.repository_by_node_id(build_node_id("Repository", repository.id)) == repository
    assert store.find_repository_owner(repository.id) == get(store, "dev-1")


@pytest.mark.parametrize(("owner", "name"), [("dev-1", "zz"), ("nobody", "zz")])
def test_unknown_repository_is_none(store: AccountStore, owner: str, name: str) -> None:
    assert store.find_repository(owner, name) is None
    assert store.repository_by_id(5) is None
    assert store.repository_by_id(get(store, "big-1").repositories[0].id + 1) is None
    assert store.repository_by_node_id("U_kgDOC-vCAQ") is None


def test_former_name_leads_to_a_repository_until_it_is_taken(store: AccountStore) -> None:
    first, second = get(store, "dev-1").repositories[:2]
    revision = store.revision
    store.rename_repository("DEV-1", first.name.upper(), to="Fresh", now=NOW)
    assert store.revision > revision
    renamed = store.find_repository("dev-1", first.name)
    assert renamed is not None
    assert (renamed.id, renamed.name, renamed.updated_at) == (first.id, "Fresh", NOW)
    assert store.find_repository("dev-1", first.name, follow_renames=False) is None
    assert store.find_repository("dev-1", "fresh", follow_renames=False) == renamed
    store.rename_repository("dev-1", second.name, to=first.name, now=NOW)
    holder = store.find_repository("dev-1", first.name)
    assert holder is not None
    assert holder.id == second.id


def test_former_login_leads_to_repositories_that_its_new_holder_does_not_have(
    store: AccountStore,
) -> None:
    moved = first_repository(store, "dev-1")
    store.rename("dev-1", to="ada", now=NOW)
    assert store.find_repository("dev-1", moved.name) == moved
    assert store.find_repository("dev-1", moved.name, follow_renames=False) is None
    store.take_over("dev-1")
    assert store.find_repository("dev-1", moved.name) == moved
    new = first_repository(store, "dev-1")
    assert store.find_repository("dev-1", new.name) == new
    assert store.repository_by_id(new.id) == new
    store.delete("ada")
    assert store.find_repository("dev-1", moved.name) is None
    assert store.repository_by_id(moved.id) is None


def test_repository_name_in_use_cannot_be_taken(store: AccountStore) -> None:
    first, second = get(store, "dev-1").repositories[:2]
    with pytest.raises(RepositoryNameTaken):
        store.rename_repository("dev-1", first.name, to=second.name.upper(), now=NOW)
    with pytest.raises(RepositoryNotFound):
        store.rename_repository("dev-1", "zz", to="free", now=NOW)
    with pytest.raises(AccountNotFound):
        store.rename_repository("nobody", "zz", to="free", now=NOW)
    store.rename_repository("dev-1", first.name, to=first.name.title(), now=NOW)
    assert first_repository(store, "dev-1").name == first.name.title()
