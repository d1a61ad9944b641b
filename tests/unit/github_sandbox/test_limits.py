"""Who pays, and what is left."""

import pytest

from github_sandbox.limits import BadCredentials, Budgets, Payer, Resource, Tokens

ADDRESS = "192.0.2.1"


def test_declared_tokens_belong_to_their_accounts() -> None:
    tokens = Tokens({"a": 1, "b": 1, "c": 2, "old": None})
    payers = [tokens.payer(f"Bearer {name}", address=ADDRESS).account_id for name in "abc"]
    assert payers == [1, 1, 2]
    for header in ("Bearer old", "token unknown", "Bearer ", "Basic YTpi", "a"):
        with pytest.raises(BadCredentials):
            tokens.payer(header, address=ADDRESS)


def test_without_a_declaration_every_token_is_good() -> None:
    tokens = Tokens({})
    one, same, other = (
        tokens.payer(header, address=ADDRESS) for header in ("token x", "bearer x", "Bearer y")
    )
    assert one == same != other
    assert tokens.payer(None, address=ADDRESS) == Payer(None, ADDRESS)
    with pytest.raises(BadCredentials):
        tokens.payer("Bearer ", address=ADDRESS)


@pytest.mark.parametrize(
    ("payer", "resource", "limit"),
    [
        (Payer(1), Resource.CORE, 5_000),
        (Payer(1), Resource.GRAPHQL, 5_000),
        (Payer(None, ADDRESS), Resource.CORE, 60),
        (Payer(None, ADDRESS), Resource.GRAPHQL, 0),
    ],
)
def test_limits_are_githubs(payer: Payer, resource: Resource, limit: int) -> None:
    allowance = Budgets().allowance(payer, resource, now=0)
    assert (allowance.limit, allowance.remaining, allowance.used) == (limit, limit, 0)


def test_resources_are_counted_apart_and_an_hour_resets_them() -> None:
    budgets = Budgets()
    assert budgets.spend(Payer(1, "here"), Resource.GRAPHQL, 4_990, now=100.5)
    assert not budgets.spend(Payer(1, "there"), Resource.GRAPHQL, 11, now=200)
    assert budgets.spend(Payer(1), Resource.GRAPHQL, 10, now=200)
    left = budgets.allowance(Payer(1), Resource.GRAPHQL, now=3_699)
    assert (left.remaining, left.used, left.reset) == (0, 5_000, 3_700)
    assert budgets.allowance(Payer(1), Resource.CORE, now=200).used == 0
    assert budgets.allowance(Payer(1), Resource.GRAPHQL, now=3_700).remaining == 5_000


def test_a_budget_at_the_start_is_for_the_first_hour() -> None:
    budgets = Budgets(at_start=2)
    assert budgets.spend(Payer(1), Resource.CORE, 2, now=0)
    assert not budgets.spend(Payer(1), Resource.CORE, 1, now=0)
    assert budgets.allowance(Payer(1), Resource.CORE, now=3_600).remaining == 5_000
    assert budgets.allowance(Payer(None, ADDRESS), Resource.CORE, now=0).remaining == 2


def test_headers_say_it_all() -> None:
    headers = Budgets().allowance(Payer(1), Resource.CORE, now=5).headers()
    assert headers == {
        "x-ratelimit-limit": "5000",
        "x-ratelimit-remaining": "5000",
        "x-ratelimit-used": "0",
        "x-ratelimit-reset": "3605",
        "x-ratelimit-resource": "core",
    }
