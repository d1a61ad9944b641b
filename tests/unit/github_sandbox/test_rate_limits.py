"""Authentication by token, and rate limits per account or address."""

import pytest

from github_sandbox.rate_limits import (
    BadCredentials,
    RateLimiter,
    RateLimitSubject,
    Resource,
    Tokens,
)

ADDRESS = "192.0.2.1"


def test_declared_tokens_are_charged_to_their_accounts() -> None:
    tokens = Tokens({"a": 1, "b": 1, "c": 2, "old": None})
    account_ids = [
        tokens.authenticate(f"Bearer {name}", address=ADDRESS).account_id for name in "abc"
    ]
    assert account_ids == [1, 1, 2]
    for header in ("Bearer old", "token unknown", "Bearer ", "Basic YTpi", "a"):
        with pytest.raises(BadCredentials):
            tokens.authenticate(header, address=ADDRESS)


def test_undeclared_tokens_have_an_account_each() -> None:
    tokens = Tokens({})
    first, same, other = (
        tokens.authenticate(header, address=ADDRESS)
        for header in ("token x", "bearer x", "Bearer y")
    )
    assert first == same != other
    assert tokens.authenticate(None, address=ADDRESS) == RateLimitSubject(None, ADDRESS)
    with pytest.raises(BadCredentials):
        tokens.authenticate("Bearer ", address=ADDRESS)


@pytest.mark.parametrize(
    ("subject", "resource", "limit"),
    [
        (RateLimitSubject(1), Resource.CORE, 5_000),
        (RateLimitSubject(1), Resource.GRAPHQL, 5_000),
        (RateLimitSubject(None, ADDRESS), Resource.CORE, 60),
        (RateLimitSubject(None, ADDRESS), Resource.GRAPHQL, 0),
    ],
)
def test_limit_is_that_of_github(subject: RateLimitSubject, resource: Resource, limit: int) -> None:
    status = RateLimiter().status(subject, resource, now=0)
    assert (status.limit, status.remaining, status.used) == (limit, limit, 0)


def test_resources_have_separate_windows_of_an_hour() -> None:
    limiter = RateLimiter()
    assert limiter.charge(RateLimitSubject(1, "here"), Resource.GRAPHQL, 4_990, now=100.5)
    assert not limiter.charge(RateLimitSubject(1, "there"), Resource.GRAPHQL, 11, now=200)
    assert limiter.charge(RateLimitSubject(1), Resource.GRAPHQL, 10, now=200)
    status = limiter.status(RateLimitSubject(1), Resource.GRAPHQL, now=3_699)
    assert (status.remaining, status.used, status.reset) == (0, 5_000, 3_700)
    assert limiter.status(RateLimitSubject(1), Resource.CORE, now=200).used == 0
    assert limiter.status(RateLimitSubject(1), Resource.GRAPHQL, now=3_700).remaining == 5_000


def test_initial_budget_applies_to_the_first_hour() -> None:
    limiter = RateLimiter(initial_budget=2)
    assert limiter.charge(RateLimitSubject(1), Resource.CORE, 2, now=0)
    assert not limiter.charge(RateLimitSubject(1), Resource.CORE, 1, now=0)
    assert limiter.status(RateLimitSubject(1), Resource.CORE, now=3_600).remaining == 5_000
    assert limiter.status(RateLimitSubject(None, ADDRESS), Resource.CORE, now=0).remaining == 2


def test_status_headers_contain_all_fields() -> None:
    headers = RateLimiter().status(RateLimitSubject(1), Resource.CORE, now=5).headers()
    assert headers == {
        "x-ratelimit-limit": "5000",
        "x-ratelimit-remaining": "5000",
        "x-ratelimit-used": "0",
        "x-ratelimit-reset": "3605",
        "x-ratelimit-resource": "core",
    }
