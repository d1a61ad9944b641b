"""Pages of repositories, as REST cuts them."""

import pytest

from github_sandbox.bodies import repository_bodies, user_body
from github_sandbox.listing import Kind, Listing, link_header, page_of, read_listing, select
from github_sandbox.nouns import Account, Repository
from github_sandbox.world import World


@pytest.fixture(scope="module")
def account() -> Account:
    world = World(seed=1)
    found = world.account(world.id_of("big-250") or 0)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("query", "wish"),
    [
        ({}, Listing()),
        ({"per_page": "1000", "page": "3"}, Listing(per_page=100, page=3)),
        ({"per_page": "0", "page": "0"}, Listing()),
        ({"per_page": "-5", "page": "x", "sort": "stars", "type": "odd"}, Listing()),
        ({"sort": "full_name", "direction": "desc"}, Listing(descending=True)),
        ({"type": "forks"}, Listing(kind=Kind.FORKS)),
    ],
)
def test_wishes_are_read_leniently(query: dict[str, str], wish: Listing) -> None:
    assert read_listing(query) == wish


def test_times_come_newest_first_and_so_do_organisations() -> None:
    assert read_listing({"sort": "pushed"}).descending
    assert not read_listing({"sort": "created", "direction": "asc"}).descending
    assert read_listing({}, of_organization=True).sort == "created"


@pytest.mark.parametrize("sort", ["full_name", "created", "updated", "pushed"])
@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_pages_hold_everything_once_in_order(account: Account, sort: str, direction: str) -> None:
    merged: list[Repository] = []
    for page in ("1", "2", "3", "4"):
        wish = read_listing({"sort": sort, "direction": direction, "per_page": "100", "page": page})
        merged += page_of(select(account, wish), wish)
    bodies = repository_bodies(account, merged, base="http://x")
    keys = [body["full_name" if sort == "full_name" else f"{sort}_at"] for body in bodies]
    assert keys == sorted(keys, reverse=direction == "desc")
    assert {one.id for one in merged} == {one.id for one in account.repositories}
    assert len(merged) == 250


def test_kinds_divide_the_list(account: Account) -> None:
    counts = {kind: len(select(account, Listing(kind=kind))) for kind in Kind}
    assert counts[Kind.OWNER] == counts[Kind.ALL] == counts[Kind.PUBLIC] == 250
    assert counts[Kind.SOURCES] + counts[Kind.FORKS] == 250
    assert counts[Kind.MEMBER] == 0


@pytest.mark.parametrize(
    ("page", "relations"),
    [
        (1, {"next": 2, "last": 3}),
        (2, {"prev": 1, "next": 3, "last": 3, "first": 1}),
        (3, {"prev": 2, "first": 1}),
    ],
)
def test_links_lead_to_the_other_pages(page: int, relations: dict[str, int]) -> None:
    wish = Listing(page=page, per_page=100)
    query = {"per_page": "100", "page": str(page)}
    link = link_header("http://x/user/1/repos", query, total=250, wish=wish)
    assert set((link or "").split(", ")) == {
        f'<http://x/user/1/repos?per_page=100&page={number}>; rel="{name}"'
        for name, number in relations.items()
    }


def test_one_page_has_no_links() -> None:
    assert link_header("http://x", {}, total=30, wish=Listing()) is None
    assert link_header("http://x", {}, total=0, wish=Listing()) is None


def test_bodies_have_githubs_fields(account: Account) -> None:
    [body] = repository_bodies(account, account.repositories[:1], base="http://x")
    user = user_body(account, base="http://x")
    assert body["url"] == f"http://x/repos/{body['full_name']}"
    assert body["owner"]["id"] == user["id"] == account.id
    assert user["public_repos"] == 250
    assert len(body) > 75
