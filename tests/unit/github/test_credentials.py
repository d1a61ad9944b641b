"""Credentials and accounts: rate limits, cooldowns, selection, and tokens of one user."""

import hashlib
from contextlib import suppress
from datetime import datetime, timedelta

import pytest

from github_banners.github.credentials import (
    Account,
    Credential,
    affected_credentials,
    assign_user,
    create_accounts,
    record_failure,
    record_success,
    select_credential,
)
from github_banners.github.protocol import Failure, FailureKind, RateLimit, Resource
from github_banners.settings import Secret
from tests.unit.github.samples import NOW

CORE, GRAPHQL = Resource.CORE, Resource.GRAPHQL
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
BAD_TOKEN = Failure(FailureKind.BAD_TOKEN)
SLOW_DOWN = Failure(FailureKind.SECONDARY_LIMIT)


def payer(*texts: str, **left: int) -> Account:
    """Return an account; `left` is the remaining number of requests by resource, until the next hour."""
    account = Account([Credential(Secret(text)) for text in texts or ("token",)])
    for name, remaining in left.items():
        account.update_rate_limit(room(remaining, resource=Resource(name)))
    return account


def nobody() -> Account:
    return Account([Credential(None)])


def room(
    remaining: int, *, resource: Resource = CORE, reset_at: datetime = NOW + HOUR
) -> RateLimit:
    return RateLimit(resource, limit=5000, remaining=remaining, reset_at=reset_at)


def limit(kind: FailureKind, until: datetime | None) -> Failure:
    return Failure(kind, retry_at=until)


def refuse(
    account: Account,
    failure: Failure = BAD_TOKEN,
    resource: Resource = CORE,
    *,
    at: datetime = NOW,
    beside: tuple[Account, ...] = (),
) -> None:
    """Record a failure of the first credential of an account, one of several accounts."""
    record_failure([account, *beside], account.credentials[0], failure, resource, now=at)


def name_of(key: Credential | None) -> str | None:
    return key.token.reveal() if key and key.token else None


def test_remaining_before_the_first_response_is_the_default_limit() -> None:
    assert [payer().remaining(resource, now=NOW) for resource in Resource] == [5000, 5000]
    assert [nobody().remaining(resource, now=NOW) for resource in Resource] == [60, 0]


def test_update_rate_limit_sets_remaining_of_one_resource() -> None:
    account = payer(core=17)
    assert account.remaining(CORE, now=NOW) == 17
    assert account.remaining(GRAPHQL, now=NOW) == 5000


def test_update_rate_limit_within_a_window_keeps_the_lowest() -> None:
    account = payer(core=17)
    account.update_rate_limit(room(18))
    assert account.remaining(CORE, now=NOW) == 17
    account.update_rate_limit(room(16))
    assert account.remaining(CORE, now=NOW) == 16


def test_update_rate_limit_of_an_earlier_window_is_ignored() -> None:
    account = payer(core=3)
    account.update_rate_limit(room(4999, reset_at=NOW + 2 * HOUR))
    account.update_rate_limit(room(2))
    assert account.remaining(CORE, now=NOW) == 4999


def test_remaining_after_the_reset_is_the_reported_limit() -> None:
    account = payer()
    account.update_rate_limit(RateLimit(CORE, limit=1000, remaining=0, reset_at=NOW))
    assert account.remaining(CORE, now=NOW - SECOND) == 0
    assert not account.is_usable(CORE, now=NOW - SECOND)
    assert account.remaining(CORE, now=NOW) == 1000
    assert account.is_usable(CORE, now=NOW)


def test_remaining_limit_of_zero_ends_with_the_reset() -> None:
    account = payer()
    account.update_rate_limit(RateLimit(GRAPHQL, limit=0, remaining=0, reset_at=NOW))
    assert not account.is_usable(GRAPHQL, now=NOW - SECOND)
    assert account.remaining(GRAPHQL, now=NOW) == 5000


def test_track_in_flight_counts_until_the_response() -> None:
    account = payer(core=2)
    with account.credentials[0].track_in_flight(CORE), account.credentials[0].track_in_flight(CORE):
        assert not account.is_usable(CORE, now=NOW)
        assert account.is_usable(GRAPHQL, now=NOW)
    assert account.remaining(CORE, now=NOW) == 2


def test_track_in_flight_failed_request_costs_nothing() -> None:
    account = nobody()
    with suppress(ConnectionError), account.credentials[0].track_in_flight(CORE):
        assert account.remaining(CORE, now=NOW) == 59
        raise ConnectionError
    assert account.remaining(CORE, now=NOW) == 60


def test_record_failure_primary_limit_blocks_one_resource() -> None:
    account = payer()
    refuse(account, limit(FailureKind.PRIMARY_LIMIT, NOW + MINUTE), GRAPHQL)
    assert not account.is_usable(GRAPHQL, now=NOW)
    assert account.is_usable(CORE, now=NOW)
    assert account.is_usable(GRAPHQL, now=NOW + MINUTE)


def test_record_failure_secondary_limit_blocks_the_account() -> None:
    account = payer("a", "b")
    refuse(account, limit(FailureKind.SECONDARY_LIMIT, NOW + MINUTE))
    assert not any(account.is_usable(resource, now=NOW) for resource in Resource)
    assert all(account.is_usable(resource, now=NOW + MINUTE) for resource in Resource)


def test_record_failure_shorter_block_does_not_end_a_longer_one() -> None:
    account = payer()
    refuse(account, limit(FailureKind.SECONDARY_LIMIT, NOW + 5 * MINUTE))
    refuse(account, limit(FailureKind.SECONDARY_LIMIT, NOW + MINUTE))
    refuse(account)
    assert not account.is_usable(CORE, now=NOW + 2 * MINUTE)
    assert account.is_usable(CORE, now=NOW + 5 * MINUTE)


@pytest.mark.parametrize(
    "kind",
    [FailureKind.NOT_FOUND, FailureKind.FORBIDDEN, FailureKind.SERVER, FailureKind.TOO_HEAVY],
)
def test_record_failure_other_kinds_change_nothing(kind: FailureKind) -> None:
    account = payer()
    refuse(account, Failure(kind))
    assert repr(account) == repr(payer())


def test_record_failure_primary_limit_without_time_blocks_nothing() -> None:
    account = payer()
    refuse(account, limit(FailureKind.PRIMARY_LIMIT, None))
    assert account.is_usable(CORE, now=NOW)


def pauses_without_advice(account: Account, *, times: int) -> list[timedelta]:
    """Fail each request as soon as the account is usable again; return the length of each pause."""
    now, pauses = NOW, []
    for _ in range(times):
        refuse(account, SLOW_DOWN, at=now)
        pauses.append(account.blocked_until[GRAPHQL] - now)
        now += pauses[-1]
    return pauses


def test_record_failure_secondary_limit_without_advice_doubles_the_pause() -> None:
    minutes = [pause // MINUTE for pause in pauses_without_advice(payer(), times=7)]
    assert minutes == [1, 2, 4, 8, 15, 15, 15]


def test_record_failure_secondary_limit_pause_is_at_most_15_minutes() -> None:
    assert pauses_without_advice(payer(), times=2000)[-1] == 15 * MINUTE


def test_record_success_resets_the_doubling() -> None:
    account = payer()
    pauses_without_advice(account, times=3)
    record_success(account.credentials[0], CORE, now=NOW + HOUR)
    refuse(account, SLOW_DOWN, at=NOW + HOUR)
    assert account.blocked_until[CORE] == NOW + HOUR + MINUTE


def test_record_success_within_the_pause_does_not_reset_the_doubling() -> None:
    account = payer()
    refuse(account, SLOW_DOWN)
    record_success(account.credentials[0], CORE, now=NOW + SECOND)
    refuse(account, SLOW_DOWN, at=NOW + MINUTE)
    assert account.blocked_until[CORE] == NOW + 3 * MINUTE


def test_record_failure_parallel_secondary_limits_count_once() -> None:
    account = payer()
    for resource in (CORE, CORE, GRAPHQL):
        refuse(account, SLOW_DOWN, resource)
    assert account.blocked_until == {CORE: NOW + MINUTE, GRAPHQL: NOW + MINUTE}


def rest(account: Account, *, at: datetime) -> timedelta:
    return account.credentials[0].cooldown_until - at


def test_record_failure_third_rejected_token_cools_down_for_an_hour() -> None:
    account, good = payer("bad"), payer("good")
    for number in range(2):
        at = NOW + number * MINUTE
        refuse(account, at=at, beside=(good,))
        assert not any(account.is_usable(resource, now=at + 29 * SECOND) for resource in Resource)
        assert account.is_usable(CORE, now=at + MINUTE)
    refuse(account, at=NOW + 2 * MINUTE, beside=(good,))
    assert not account.is_usable(CORE, now=NOW + 61 * MINUTE)
    assert account.is_usable(CORE, now=NOW + 62 * MINUTE)


def test_record_failure_rejected_token_after_the_hour_cools_down_again() -> None:
    account, good = payer("bad"), payer("good")
    for number in range(3):
        refuse(account, at=NOW + number * MINUTE, beside=(good,))
    refuse(account, at=NOW + 2 * HOUR, beside=(good,))
    assert rest(account, at=NOW + 2 * HOUR) == HOUR


def test_record_failure_all_tokens_rejected_cooldowns_stay_short() -> None:
    """The cause is then GitHub or this service; success without a token proves nothing."""
    first, second = payer("a"), payer("b")
    at, waited = NOW, []
    for _ in range(7):
        refuse(first, at=at, beside=(second, nobody()))
        refuse(second, at=at, beside=(first, nobody()))
        waited.append(rest(second, at=at) // SECOND)
        at += rest(second, at=at)
    assert waited == [30, 60, 120, 240, 480, 900, 900]


def test_record_failure_one_token_valid_again_the_others_cool_down() -> None:
    first, second = payer("a"), payer("b")
    for number in range(4):
        refuse(first, at=NOW + number * HOUR, beside=(second,))
        refuse(second, at=NOW + number * HOUR, beside=(first,))
    assert rest(second, at=NOW + 3 * HOUR) == 4 * MINUTE
    record_success(first.credentials[0], CORE, now=NOW + 4 * HOUR)
    refuse(second, at=NOW + 4 * HOUR, beside=(first,))
    assert rest(second, at=NOW + 4 * HOUR) == HOUR


def test_record_failure_parallel_rejections_count_once() -> None:
    account = payer()
    for _ in range(8):
        refuse(account)
    assert account.credentials[0].consecutive_failures == 1
    assert account.is_usable(CORE, now=NOW + MINUTE)


def test_record_success_resets_consecutive_failures() -> None:
    account, good = payer("a"), payer("good")
    for number in range(6):
        refuse(account, at=NOW + number * MINUTE, beside=(good,))
        record_success(account.credentials[0], CORE, now=NOW + number * MINUTE)
    assert account.is_usable(CORE, now=NOW + 6 * MINUTE)


def test_record_failure_suspended_account_cools_down_for_an_hour() -> None:
    account = payer("a", "b")
    refuse(account, Failure(FailureKind.SUSPENDED))
    assert not any(account.is_usable(resource, now=NOW + 59 * MINUTE) for resource in Resource)
    assert account.is_usable(GRAPHQL, now=NOW + HOUR)


def test_credential_name_is_unique_and_hides_the_token() -> None:
    assert Credential(None).name == "anonymous"
    assert Credential(Secret("ghp_secret")).name == hashlib.sha256(b"ghp_secret").hexdigest()[:8]
    assert "ghp_secret" not in repr(payer("ghp_secret"))


def test_create_accounts_one_for_each_token_and_the_anonymous_last() -> None:
    accounts = create_accounts([Secret("a"), Secret("b"), Secret("a")])
    assert [name_of(account.credentials[0]) for account in accounts] == ["a", "b", None]
    assert [[key.name for key in account.credentials] for account in create_accounts([])] == [
        ["anonymous"]
    ]


def test_select_credential_takes_the_most_remaining() -> None:
    accounts = [payer("a", core=5), payer("b", core=9), payer("c", core=7)]
    assert name_of(select_credential(accounts, CORE, now=NOW)) == "b"


def test_select_credential_parallel_requests_are_spread() -> None:
    accounts = [payer("a"), payer("b")]
    with accounts[0].credentials[0].track_in_flight(CORE):
        assert name_of(select_credential(accounts, CORE, now=NOW)) == "b"


def test_select_credential_excludes_those_tried() -> None:
    accounts = [payer("a", "b", core=9), payer("c", core=8), nobody()]
    tried: list[Credential] = []
    while (key := select_credential(accounts, CORE, now=NOW, without=tried)) is not None:
        tried.append(key)
    assert [name_of(credential) for credential in tried] == ["a", "b", "c", None]


def test_select_credential_anonymous_is_the_last() -> None:
    accounts = [nobody(), payer("a", core=1)]
    assert name_of(select_credential(accounts, CORE, now=NOW)) == "a"
    accounts[1].update_rate_limit(room(0))
    assert select_credential(accounts, CORE, now=NOW) is accounts[0].credentials[0]


def test_select_credential_without_usable_account_returns_none() -> None:
    assert select_credential([], CORE, now=NOW) is None
    assert select_credential([nobody()], GRAPHQL, now=NOW) is None
    assert select_credential([payer("a", core=0)], CORE, now=NOW) is None


def test_select_credential_rejected_token_leaves_the_other_of_its_account() -> None:
    account = payer("a", "b")
    refuse(account)
    assert name_of(select_credential([account], CORE, now=NOW)) == "b"
    record_failure([account], account.credentials[1], BAD_TOKEN, CORE, now=NOW)
    assert select_credential([account], CORE, now=NOW) is None


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (FailureKind.BAD_TOKEN, ["a"]),
        (FailureKind.FORBIDDEN, ["a"]),
        (FailureKind.SECONDARY_LIMIT, ["a", "b"]),
        (FailureKind.PRIMARY_LIMIT, ["a", "b"]),
        (FailureKind.SUSPENDED, ["a", "b"]),
    ],
)
def test_affected_credentials_limits_affect_all_and_rejections_one(
    kind: FailureKind, names: list[str]
) -> None:
    account = payer("a", "b")
    assert [
        name_of(credential)
        for credential in affected_credentials(account.credentials[0], Failure(kind))
    ] == names


def joined(*accounts: Account, holders: str) -> list[Account]:
    """Assign each account's first credential to a user, named by one letter."""
    everybody = list(accounts)
    for account, holder in zip(accounts, holders, strict=True):
        assign_user(everybody, account.credentials[0], user_id=ord(holder))
    return everybody


def test_assign_user_tokens_of_one_user_share_a_budget() -> None:
    accounts = joined(payer("a", core=9), payer("b", core=4), payer("c", core=7), holders="xyx")
    assert [[name_of(key) for key in account.credentials] for account in accounts] == [
        ["a", "c"],
        ["b"],
    ]
    assert [account.remaining(CORE, now=NOW) for account in accounts] == [7, 4]
    refuse(accounts[0], limit(FailureKind.PRIMARY_LIMIT, NOW + MINUTE))
    assert name_of(select_credential(accounts, CORE, now=NOW)) == "b"


def test_assign_user_merges_limits_of_both_accounts() -> None:
    first, second = payer("a", core=9), payer("b", graphql=3)
    refuse(first, SLOW_DOWN)
    refuse(second, limit(FailureKind.PRIMARY_LIMIT, NOW + HOUR))
    (account,) = joined(first, second, holders="xx")
    assert account.blocked_until == {CORE: NOW + HOUR, GRAPHQL: NOW + MINUTE}
    assert (account.remaining(CORE, now=NOW), account.remaining(GRAPHQL, now=NOW)) == (9, 3)
    refuse(account, SLOW_DOWN, GRAPHQL, at=NOW + MINUTE)
    assert account.blocked_until[GRAPHQL] == NOW + 3 * MINUTE


def test_assign_user_moves_requests_in_flight() -> None:
    first, second = payer("a", core=9), payer("b", core=9)
    with second.credentials[0].track_in_flight(CORE):
        (account,) = joined(first, second, holders="xx")
        assert account.remaining(CORE, now=NOW) == 8
    assert account.remaining(CORE, now=NOW) == 9
    assert [key.account for key in account.credentials] == [account, account]


def test_assign_user_twice_changes_nothing() -> None:
    (account,) = joined(payer("a"), payer("b"), holders="xx")
    accounts = [account, nobody()]
    for key in account.credentials:
        assign_user(accounts, key, user_id=ord("x"))
    assert len(accounts) == 2
    assert [name_of(key) for key in account.credentials] == ["a", "b"]
