"""How often a GitHub that is away is asked about twenty owners, and who suffers from a heavy one."""

import json
from collections.abc import Callable, Collection, Iterator
from itertools import combinations

import httpx2
import pytest
import stamina

from github_banners.errors import GitHubUnavailable
from github_banners.github.batch import BatchFetcher
from github_banners.models import Owner, OwnerRepositories
from tests.unit.github.samples import NOW, owner_node, repository_node
from tests.unit.github.wire import REPOSITORY, Wire, opened, said

TOKEN = "ghp_Token0123456789"
OWNERS = [Owner(number, f"dev-{number}", f"U_{number}") for number in range(20)]
UNNAMED = [Owner(number, f"dev-{number}") for number in range(20)]
# Five questions down to one owner, both of REST's for it three times each, and four halves.
MOST_CALLS_WITH_A_TOKEN = 5 + 6 + 4
# Three owners, both of REST's questions three times each.
MOST_CALLS_TO_REST = 3 * 6


@pytest.fixture(autouse=True)
def hurried() -> Iterator[None]:
    """Try again at once."""
    with stamina.set_testing(True, attempts=3):
        yield


def down(status: int) -> Callable[[httpx2.Request], httpx2.Response]:
    return lambda request: said({}, status=status)


def graphql_without(heavy: Collection[int]) -> Callable[[httpx2.Request], httpx2.Response]:
    """Answer about many, unless one of them is too heavy."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        ids = [
            int(owner_id.removeprefix("U_"))
            for owner_id in json.loads(request.content)["variables"]["ids"]
        ]
        if set(ids) & set(heavy):
            return said({}, status=502)
        nodes = [
            owner_node(repository_node(number)) | {"databaseId": number, "id": f"U_{number}"}
            for number in ids
        ]
        return said({"data": {"nodes": nodes}})

    return answer


def rest_without(broken: Collection[int]) -> Callable[[httpx2.Request], httpx2.Response]:
    def answer(request: httpx2.Request) -> httpx2.Response:
        number = int(request.url.path.split("/")[2])
        if number in broken:
            return said({}, status=502)
        owner = {"id": number, "login": "Ada", "node_id": f"U_{number}", "public_repos": 1}
        return said([REPOSITORY] if request.url.path.endswith("/repos") else owner)

    return answer


async def answered(wire: Wire, *tokens: str, owners: list[Owner] = OWNERS) -> set[int]:
    """Ask about all; returns who was answered for."""
    async with opened(wire, *tokens) as github:
        answers = await BatchFetcher(github, clock=lambda: NOW).fetch_many(owners)
    assert len(answers) == len(owners)
    for owner, one in zip(owners, answers, strict=True):
        if isinstance(one, OwnerRepositories):
            assert one.owner.id == owner.id
        else:
            assert isinstance(one, GitHubUnavailable)
    return {answer.owner.id for answer in answers if isinstance(answer, OwnerRepositories)}


@pytest.mark.parametrize("status", [502, 504])
async def test_an_outage_is_not_amplified(status: int) -> None:
    wire = Wire()
    wire.graphql = wire.rest = down(status)
    assert await answered(wire, TOKEN) == set()
    assert len(wire.asked) <= MOST_CALLS_WITH_A_TOKEN


@pytest.mark.parametrize("status", [404, 500, 503])
async def test_fetch_many_graphql_down_rest_is_tried_for_three_owners(status: int) -> None:
    wire = Wire()
    wire.graphql = down(status)
    wire.rest = down(503)
    assert await answered(wire, TOKEN) == set()
    assert wire.paths().count("/graphql") == 1
    assert len(wire.asked) <= 1 + MOST_CALLS_TO_REST


@pytest.mark.parametrize("status", [502, 503])
@pytest.mark.parametrize("tokens", [(), (TOKEN,)], ids=["anonymous", "token"])
async def test_over_rest_an_outage_is_noticed_after_three(
    status: int, tokens: tuple[str, ...]
) -> None:
    wire = Wire()
    wire.rest = down(status)
    assert await answered(wire, *tokens, owners=UNNAMED) == set()
    assert len(wire.asked) <= MOST_CALLS_TO_REST


@pytest.mark.parametrize("heavy", range(20))
async def test_one_who_is_too_heavy_is_asked_alone(heavy: int) -> None:
    wire = Wire()
    wire.graphql = graphql_without([heavy])
    wire.rest = rest_without([])
    assert await answered(wire, TOKEN) == set(range(20))
    assert wire.paths().count("/graphql") <= 1 + 2 * 5
    assert len(wire.paths()) - wire.paths().count("/graphql") == 2


@pytest.mark.parametrize("broken", range(20))
async def test_one_who_is_broken_everywhere_fails_alone(broken: int) -> None:
    wire = Wire()
    wire.graphql = graphql_without([broken])
    wire.rest = rest_without([broken])
    assert await answered(wire, TOKEN) == set(range(20)) - {broken}


async def test_two_who_are_broken_take_one_neighbour_along_at_most() -> None:
    for broken in combinations(range(20), 2):
        wire = Wire()
        wire.graphql = graphql_without(broken)
        wire.rest = rest_without(broken)
        lost = set(range(20)) - set(broken) - await answered(wire, TOKEN)
        assert len(lost) <= 1
        assert not lost or broken[1] - broken[0] <= 2


async def test_those_who_have_a_node_id_and_those_who_have_none_keep_their_order() -> None:
    wire = Wire()
    wire.graphql = graphql_without([])
    wire.rest = rest_without([4])
    owners = [owner for pair in zip(OWNERS[::2], UNNAMED[1::2], strict=True) for owner in pair]
    assert await answered(wire, TOKEN, owners=owners) == set(range(20))
    assert wire.paths().count("/graphql") == 1


async def test_broken_ones_in_a_row_do_not_pass_for_an_outage_while_others_answer() -> None:
    wire = Wire()
    wire.rest = rest_without([0, 1, 5, 8, 9])
    assert await answered(wire, TOKEN, owners=UNNAMED) == set(range(20)) - {0, 1, 5, 8, 9}


async def test_an_answer_about_fewer_is_no_answer() -> None:
    wire = Wire()
    wire.graphql = lambda request: said({"data": {"nodes": []}})
    assert await answered(wire, TOKEN) == set()


async def test_a_list_that_is_too_short_is_asked_for_alone() -> None:
    wire = Wire()
    wire.graphql = lambda request: said(
        {"data": {"nodes": [owner_node(total=1) | {"databaseId": 0, "id": "U_0"}]}}
    )
    wire.rest = rest_without([])
    assert await answered(wire, TOKEN, owners=OWNERS[:1]) == {0}
    assert sorted(set(wire.paths())) == ["/graphql", "/user/0", "/user/0/repos"]
