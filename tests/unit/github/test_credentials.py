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


def make_account(*texts: str, **remaining_by_resource: int) -> Account:
    """Return an account; `left` is the remaining number of requests by resource, until the next hour."""
    account = Account([Credential(Secret(text)) for text in texts or ("token",)])
    for name, remaining in remaining_by_resource.items():
        account.update_rate_limit(rate_limit(remaining, resource=Resource(name)))
    return account


def anonymous_account() -> Account:
    return Account([Credential(None)])


def rate_limit(
    remaining: int, *, resource: Resource = CORE, reset_at: datetime = NOW + HOUR
) -> RateLimit:
    return RateLimit(resource, limit=5000, remaining=remaining, reset_at=reset_at)


def limit_failure(kind: FailureKind, until: datetime | None) -> Failure:
    return Failure(kind, retry_at=until)


def fail(
    account: Account,
    failure: Failure = BAD_TOKEN,
    resource: Resource = CORE,
    *,
    now: datetime = NOW,
    others: tuple[Account, ...] = (),
) -> None:
    """Record a failure of the first credential of an account, one of several accounts."""
    record_failure([account, *others], account.credentials[0], failure, resource, now=now)


def token_text(credential: Credential | None) -> str | None:
    return credential.token.reveal() if credential and credential.token else None


def test_remaining_before_the_first_response_is_the_default_limit() -> None:
    assert [make_account().remaining(resource, now=NOW) for resource in Resource] == [5000, 5000]
    assert [anonymous_account().remaining(resource, now=NOW) for resource in Resource] == [60, 0]


def test_update_rate_limit_sets_remaining_of_one_resource() -> None:
    account = make_account(core=17)
    assert account.remaining(CORE, now=NOW) == 17
    assert account.remaining(GRAPHQL, now=NOW) == 5000


def test_update_rate_limit_within_a_window_keeps_the_lowest() -> None:
    account = make_account(core=17)
    account.update_rate_limit(rate_limit(18))
    assert account.remaining(CORE, now=NOW) == 17
    account.update_rate_limit(rate_limit(16))
    assert account.remaining(CORE, now=NOW) == 16


def test_update_rate_limit_of_an_earlier_window_is_ignored() -> None:
    account = make_account(core=3)
    account.update_rate_limit(rate_limit(4999, reset_at=NOW + 2 * HOUR))
    account.update_rate_limit(rate_limit(2))
    assert account.remaining(CORE, now=NOW) == 4999


def test_remaining_after_the_reset_is_the_reported_limit() -> None:
    account = make_account()
    account.update_rate_limit(RateLimit(CORE, limit=1000, remaining=0, reset_at=NOW))
    assert account.remaining(CORE, now=NOW - SECOND) == 0
    assert not account.is_usable(CORE, now=NOW - SECOND)
    assert account.remaining(CORE, now=NOW) == 1000
    assert account.is_usable(CORE, now=NOW)


def test_remaining_limit_of_zero_ends_with_the_reset() -> None:
    account = make_account()
    account.update_rate_limit(RateLimit(GRAPHQL, limit=0, remaining=0, reset_at=NOW))
    assert not account.is_usable(GRAPHQL, now=NOW - SECOND)
    assert account.remaining(GRAPHQL, now=NOW) == 5000


def test_track_in_flight_counts_until_the_response() -> None:
    account = make_account(core=2)
    with account.credentials[0].track_in_flight(CORE), account.credentials[0].track_in_flight(CORE):
        assert not account.is_usable(CORE, now=NOW)
        assert account.is_usable(GRAPHQL, now=NOW)
    assert account.remaining(CORE, now=NOW) == 2


def test_track_in_flight_failed_request_costs_nothing() -> None:
    account = anonymous_account()
    with suppress(ConnectionError), account.credentials[0].track_in_flight(CORE):
        assert account.remaining(CORE, now=NOW) == 59
        raise ConnectionError
    assert account.remaining(CORE, now=NOW) == 60


def test_record_failure_primary_limit_blocks_one_resource() -> None:
    account = make_account()
    fail(account, limit_failure(FailureKind.PRIMARY_LIMIT, NOW + MINUTE), GRAPHQL)
    assert not account.is_usable(GRAPHQL, now=NOW)
    assert account.is_usable(CORE, now=NOW)
    assert account.is_usable(GRAPHQL, now=NOW + MINUTE)


def test_record_failure_secondary_limit_blocks_the_account() -> None:
    account = make_account("a", "b")
    fail(account, limit_failure(FailureKind.SECONDARY_LIMIT, NOW + MINUTE))
    assert not any(account.is_usable(resource, now=NOW) for resource in Resource)
    assert all(account.is_usable(resource, now=NOW + MINUTE) for resource in Resource)


def test_record_failure_shorter_block_does_not_end_a_longer_one() -> None:
    account = make_account()
    fail(account, limit_failure(FailureKind.SECONDARY_LIMIT, NOW + 5 * MINUTE))
    fail(account, limit_failure(FailureKind.SECONDARY_LIMIT, NOW + MINUTE))
    fail(account)
    assert not account.is_usable(CORE, now=NOW + 2 * MINUTE)
    assert account.is_usable(CORE, now=NOW + 5 * MINUTE)


@pytest.mark.parametrize(
    "kind",
    [FailureKind.NOT_FOUND, FailureKind.FORBIDDEN, FailureKind.SERVER, FailureKind.TOO_HEAVY],
)
def test_record_failure_other_kinds_change_nothing(kind: FailureKind) -> None:
    account = make_account()
    fail(account, Failure(kind))
    assert repr(account) == repr(make_account())


def test_record_failure_primary_limit_without_time_blocks_nothing() -> None:
    account = make_account()
    fail(account, limit_failure(FailureKind.PRIMARY_LIMIT, None))
    assert account.is_usable(CORE, now=NOW)


def pauses_without_advice(account: Account, *, times: int) -> list[timedelta]:
    """Fail each request as soon as the account is usable again; return the length of each pause."""
    now, pauses = NOW, []
    for _ in range(times):
        fail(account, SLOW_DOWN, now=now)
        pauses.append(account.blocked_until[GRAPHQL] - now)
        now += pauses[-1]
    return pauses


def test_record_failure_secondary_limit_without_advice_doubles_the_pause() -> None:
    minutes = [pause // MINUTE for pause in pauses_without_advice(make_account(), times=7)]
    assert minutes == [1, 2, 4, 8, 15, 15, 15]


def test_record_failure_secondary_limit_pause_is_at_most_15_minutes() -> None:
    assert pauses_without_advice(make_account(), times=2000)[-1] == 15 * MINUTE


def test_record_success_resets_the_doubling() -> None:
    account = make_account()
    pauses_without_advice(account, times=3)
    record_success(account.credentials[0], CORE, now=NOW + HOUR)
    fail(account, SLOW_DOWN, now=NOW + HOUR)
    assert account.blocked_until[CORE] == NOW + HOUR + MINUTE


def test_record_success_within_the_pause_does_not_reset_the_doubling() -> None:
    account = make_account()
    fail(account, SLOW_DOWN)
    record_success(account.credentials[0], CORE, now=NOW + SECOND)
    fail(account, SLOW_DOWN, now=NOW + MINUTE)
    assert account.blocked_until[CORE] == NOW + 3 * MINUTE


def test_record_failure_parallel_secondary_limits_count_once() -> None:
    account = make_account()
    for resource in (CORE, CORE, GRAPHQL):
        fail(account, SLOW_DOWN, resource)
    assert account.blocked_until == {CORE: NOW + MINUTE, GRAPHQL: NOW + MINUTE}


def cooldown(account: Account, *, now: datetime) -> timedelta:
    return account.credentials[0].cooldown_until - now


def test_record_failure_third_rejected_token_cools_down_for_an_hour() -> None:
    account, good = make_account("bad"), make_account("good")
    for number in range(2):
        now = NOW + number * MINUTE
        fail(account, now=now, others=(good,))
        assert not any(account.is_usable(resource, now=now + 29 * SECOND) for resource in Resource)
        assert account.is_usable(CORE, now=now + MINUTE)
    fail(account, now=NOW + 2 * MINUTE, others=(good,))
    assert not account.is_usable(CORE, now=NOW + 61 * MINUTE)
    assert account.is_usable(CORE, now=NOW + 62 * MINUTE)


def test_record_failure_rejected_token_after_the_hour_cools_down_again() -> None:
    account, good = make_account("bad"), make_account("good")
    for number in range(3):
        fail(account, now=NOW + number * MINUTE, others=(good,))
    fail(account, now=NOW + 2 * HOUR, others=(good,))
    assert cooldown(account, now=NOW + 2 * HOUR) == HOUR


def test_record_failure_all_tokens_rejected_cooldowns_stay_short() -> None:
    """The cause is then GitHub or this service; success without a token proves nothing."""
    first, second = make_account("a"), make_account("b")
    now, waited = NOW, []
    for _ in range(7):
        fail(first, now=now, others=(second, anonymous_account()))
        fail(second, now=now, others=(first, anonymous_account()))
        waited.append(cooldown(second, now=now) // SECOND)
        now += cooldown(second, now=now)
    assert waited == [30, 60, 120, 240, 480, 900, 900]


def test_record_failure_one_token_valid_again_the_others_cool_down() -> None:
    first, second = make_account("a"), make_account("b")
    for number in range(4):
        fail(first, now=NOW + number * HOUR, others=(second,))
        fail(second, now=NOW + number * HOUR, others=(first,))
    assert cooldown(second, now=NOW + 3 * HOUR) == 4 * MINUTE
    record_success(first.credentials[0], CORE, now=NOW + 4 * HOUR)
    fail(second, now=NOW + 4 * HOUR, others=(first,))
    assert cooldown(second, now=NOW + 4 * HOUR) == HOUR


def test_record_failure_parallel_rejections_count_once() -> None:
    account = make_account()
    for _ in range(8):
        fail(account)
    assert account.credentials[0].consecutive_failures == 1
    assert account.is_usable(CORE, now=NOW + MINUTE)


def test_record_success_resets_consecutive_failures() -> None:
    account, good = make_account("a"), make_account("good")
    for number in range(6):
        fail(account, now=NOW + number * MINUTE, others=(good,))
        record_success(account.credentials[0], CORE, now=NOW + number * MINUTE)
    assert account.is_usable(CORE, now=NOW + 6 * MINUTE)


def test_record_failure_suspended_account_cools_down_for_an_hour() -> None:
    account = make_account("a", "b")
    fail(account, Failure(FailureKind.SUSPENDED))
    assert not any(account.is_usable(resource, now=NOW + 59 * MINUTE) for resource in Resource)
    assert account.is_usable(GRAPHQL, now=NOW + HOUR)


def test_credential_name_is_unique_and_hides_the_token() -> None:
    assert Credential(None).name == "anonymous"
    assert Credential(Secret("ghp_secret")).name == hashlib.sha256(b"ghp_secret").hexdigest()[:8]
    assert "ghp_secret" not in repr(make_account("ghp_secret"))


def test_create_accounts_one_for_each_token_and_the_anonymous_last() -> None:
    accounts = create_accounts([Secret("a"), Secret("b"), Secret("a")])
    assert [token_text(account.credentials[0]) for account in accounts] == ["a", "b", None]
    assert [
        [credential.name for credential in account.credentials] for account in create_accounts([])
    ] == [["anonymous"]]


def test_select_credential_takes_the_most_remaining() -> None:
    accounts = [make_account("a", core=5), make_account("b", core=9), make_account("c", core=7)]
    assert token_text(select_credential(accounts, CORE, now=NOW)) == "b"


def test_select_credential_parallel_requests_are_spread() -> None:
    accounts = [make_account("a"), make_account("b")]
    with accounts[0].credentials[0].track_in_flight(CORE):
        assert token_text(select_credential(accounts, CORE, now=NOW)) == "b"


def test_select_credential_excludes_those_tried() -> None:
    accounts = [make_account("a", "b", core=9), make_account("c", core=8), anonymous_account()]
    tried: list[Credential] = []
    while (credential := select_credential(accounts, CORE, now=NOW, without=tried)) is not None:
        tried.append(credential)
    assert [token_text(credential) for credential in tried] == ["a", "b", "c", None]


def test_select_credential_anonymous_is_the_last() -> None:
    accounts = [anonymous_account(), make_account("a", core=1)]
    assert token_text(select_credential(accounts, CORE, now=NOW)) == "a"
    accounts[1].update_rate_limit(rate_limit(0))
    assert select_credential(accounts, CORE, now=NOW) is accounts[0].credentials[0]


def test_select_credential_without_usable_account_returns_none() -> None:
    assert select_credential([], CORE, now=NOW) is None
    assert select_credential([anonymous_account()], GRAPHQL, now=NOW) is None
    assert select_credential([make_account("a", core=0)], CORE, now=NOW) is None


def test_select_credential_rejected_token_leaves_the_other_of_its_account() -> None:
    account = make_account("a", "b")
    fail(account)
    assert token_text(select_credential([account], CORE, now=NOW)) == "b"
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
    account = make_account("a", "b")
    assert [
        token_text(credential)
        for credential in affected_credentials(account.credentials[0], Failure(kind))
    ] == names


def assign_users(*accounts: Account, user_letters: str) -> list[Account]:
    """Assign each account's first credential to a user, named by one letter."""
    all_accounts = list(accounts)
    for account, user_letter in zip(accounts, user_letters, strict=True):
        assign_user(all_accounts, account.credentials[0], user_id=ord(user_letter))
    return all_accounts


def test_assign_user_tokens_of_one_user_share_a_budget() -> None:
    accounts = assign_users(
        make_account("a", core=9),
        make_account("b", core=4),
        make_account("c", core=7),
        user_letters="xyx",
    )
    assert [
        [token_text(credential) for credential in account.credentials] for account in accounts
    ] == [
        ["a", "c"],
        ["b"],
    ]
    assert [account.remaining(CORE, now=NOW) for account in accounts] == [7, 4]
    fail(accounts[0], limit_failure(FailureKind.PRIMARY_LIMIT, NOW + MINUTE))
    assert token_text(select_credential(accounts, CORE, now=NOW)) == "b"


def test_assign_user_merges_limits_of_both_accounts() -> None:
    first, second = make_account("a", core=9), make_account("b", graphql=3)
    fail(first, SLOW_DOWN)
    fail(second, limit_failure(FailureKind.PRIMARY_LIMIT, NOW + HOUR))
    (account,) = assign_users(first, second, user_letters="xx")
    assert account.blocked_until == {CORE: NOW + HOUR, GRAPHQL: NOW + MINUTE}
    assert (account.remaining(CORE, now=NOW), account.remaining(GRAPHQL, now=NOW)) == (9, 3)
    fail(account, SLOW_DOWN, GRAPHQL, now=NOW + MINUTE)
    assert account.blocked_until[GRAPHQL] == NOW + 3 * MINUTE


def test_assign_user_moves_requests_in_flight() -> None:
    first, second = make_account("a", core=9), make_account("b", core=9)
    with second.credentials[0].track_in_flight(CORE):
        (account,) = assign_users(first, second, user_letters="xx")
        assert account.remaining(CORE, now=NOW) == 8
    assert account.remaining(CORE, now=NOW) == 9
    assert [credential.account for credential in account.credentials] == [account, account]


def test_assign_user_twice_changes_nothing() -> None:
    (account,) = assign_users(make_account("a"), make_account("b"), user_letters="xx")
    accounts = [account, anonymous_account()]
    for credential in account.credentials:
        assign_user(accounts, credential, user_id=ord("x"))
    assert len(accounts) == 2
    assert [token_text(credential) for credential in account.credentials] == ["a", "b"]
