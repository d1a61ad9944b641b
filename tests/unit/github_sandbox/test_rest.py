"""Repository lists and JSON bodies of the REST API."""

import pytest

from github_sandbox.generator import AccountGenerator
from github_sandbox.models import Account, Repository
from github_sandbox.rest import (
    RepositoryQuery,
    RepositoryType,
    build_link_header,
    build_repository_bodies,
    build_user_body,
    parse_repository_query,
    select_repositories,
    slice_page,
)


@pytest.fixture(scope="module")
def account() -> Account:
    generator = AccountGenerator(seed=1)
    account = generator.account(generator.find_id("big-250") or 0)
    assert account is not None
    return account


@pytest.mark.parametrize(
    ("parameters", "query"),
    [
        ({}, RepositoryQuery()),
        ({"per_page": "1000", "page": "3"}, RepositoryQuery(per_page=100, page=3)),
        ({"per_page": "0", "page": "0"}, RepositoryQuery()),
        ({"per_page": "-5", "page": "x", "sort": "stars", "type": "odd"}, RepositoryQuery()),
        ({"sort": "full_name", "direction": "desc"}, RepositoryQuery(descending=True)),
        ({"type": "forks"}, RepositoryQuery(type=RepositoryType.FORKS)),
    ],
)
def test_query_parameters_are_parsed_leniently(
    parameters: dict[str, str], query: RepositoryQuery
) -> None:
    assert parse_repository_query(parameters) == query


def test_default_order_depends_on_sort_and_endpoint() -> None:
    assert parse_repository_query({"sort": "pushed"}).descending
    assert not parse_repository_query({"sort": "created", "direction": "asc"}).descending
    assert parse_repository_query({}, is_organization=True).sort == "created"


@pytest.mark.parametrize("sort", ["full_name", "created", "updated", "pushed"])
@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_pages_contain_each_repository_once_in_order(
    account: Account, sort: str, direction: str
) -> None:
    merged: list[Repository] = []
    for page in ("1", "2", "3", "4"):
        parameters = {"sort": sort, "direction": direction, "per_page": "100", "page": page}
        query = parse_repository_query(parameters)
        merged += slice_page(select_repositories(account, query), query)
    bodies = build_repository_bodies(account, merged, base_url="http://x")
    keys = [body["full_name" if sort == "full_name" else f"{sort}_at"] for body in bodies]
    assert keys == sorted(keys, reverse=direction == "desc")
    assert {repository.id for repository in merged} == {
        repository.id for repository in account.repositories
    }
    assert len(merged) == 250


def test_type_parameter_filters_the_list(account: Account) -> None:
    counts = {
        value: len(select_repositories(account, RepositoryQuery(type=value)))
        for value in RepositoryType
    }
    assert (
        counts[RepositoryType.OWNER]
        == counts[RepositoryType.ALL]
        == counts[RepositoryType.PUBLIC]
        == 250
    )
    assert counts[RepositoryType.SOURCES] + counts[RepositoryType.FORKS] == 250
    assert counts[RepositoryType.MEMBER] == 0


@pytest.mark.parametrize(
    ("page", "relations"),
    [
        (1, {"next": 2, "last": 3}),
        (2, {"prev": 1, "next": 3, "last": 3, "first": 1}),
        (3, {"prev": 2, "first": 1}),
    ],
)
def test_link_header_contains_the_other_pages(page: int, relations: dict[str, int]) -> None:
    query = RepositoryQuery(page=page, per_page=100)
    parameters = {"per_page": "100", "page": str(page)}
    link = build_link_header("http://x/user/1/repos", parameters, total=250, query=query)
    assert set((link or "").split(", ")) == {
        f'<http://x/user/1/repos?per_page=100&page={number}>; rel="{name}"'
        for name, number in relations.items()
    }


def test_link_header_of_a_single_page_is_none() -> None:
    assert build_link_header("http://x", {}, total=30, query=RepositoryQuery()) is None
    assert build_link_header("http://x", {}, total=0, query=RepositoryQuery()) is None


def test_bodies_have_the_fields_of_github(account: Account) -> None:
    [body] = build_repository_bodies(account, account.repositories[:1], base_url="http://x")
    user = build_user_body(account, base_url="http://x")
    assert body["url"] == f"http://x/repos/{body['full_name']}"
    assert body["owner"]["id"] == user["id"] == account.id
    assert user["public_repos"] == 250
    assert len(body) > 75
