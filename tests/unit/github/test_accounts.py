"""Who may pay: rooms, resets, parking, strikes, and the choice."""

import hashlib
from contextlib import suppress
from datetime import datetime, timedelta

import pytest

from github_banners.github.accounts import Account, accounts_of, choose
from github_banners.github.protocol import Failure, FailureKind, Resource, Room
from github_banners.settings import Secret
from tests.unit.github.samples import NOW

CORE, GRAPHQL = Resource.CORE, Resource.GRAPHQL
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
BAD_TOKEN = Failure(FailureKind.BAD_TOKEN)


def payer(text: str = "token", **left: int) -> Account:
    """Make an account; `left` is what remains of a resource until the next hour."""
    account = Account(Secret(text))
    for name, remaining in left.items():
        account.note_room(room(remaining, resource=Resource(name)))
    return account


def room(remaining: int, *, resource: Resource = CORE, reset_at: datetime = NOW + HOUR) -> Room:
    return Room(resource, limit=5000, remaining=remaining, reset_at=reset_at)


def limit(kind: FailureKind, until: datetime | None) -> Failure:
    return Failure(kind, until=until)


def test_before_anything_is_known_there_is_a_whole_ration() -> None:
    assert [payer().room(one, now=NOW) for one in Resource] == [5000, 5000]
    assert [Account(None).room(one, now=NOW) for one in Resource] == [60, 0]


def test_what_an_answer_says_is_left() -> None:
    account = payer(core=17)
    assert account.room(CORE, now=NOW) == 17
    assert account.room(GRAPHQL, now=NOW) == 5000


def test_answers_overtake_each_other() -> None:
    account = payer(core=17)
    account.note_room(room(18))
    assert account.room(CORE, now=NOW) == 17
    account.note_room(room(16))
    assert account.room(CORE, now=NOW) == 16


def test_an_answer_of_the_next_hour_counts_and_one_of_the_last_does_not() -> None:
    account = payer(core=3)
    account.note_room(room(4999, reset_at=NOW + 2 * HOUR))
    account.note_room(room(2))
    assert account.room(CORE, now=NOW) == 4999


def test_a_reset_fills_up_to_the_limit_that_was_told() -> None:
    account = Account(Secret("token"))
    account.note_room(Room(CORE, limit=1000, remaining=0, reset_at=NOW))
    assert account.room(CORE, now=NOW - SECOND) == 0
    assert not account.may_pay(CORE, now=NOW - SECOND)
    assert account.room(CORE, now=NOW) == 1000
    assert account.may_pay(CORE, now=NOW)


def test_a_limit_of_zero_is_not_for_good() -> None:
    account = Account(Secret("token"))
    account.note_room(Room(GRAPHQL, limit=0, remaining=0, reset_at=NOW))
    assert not account.may_pay(GRAPHQL, now=NOW - SECOND)
    assert account.room(GRAPHQL, now=NOW) == 5000


def test_questions_under_way_are_counted_until_they_are_answered() -> None:
    account = payer(core=2)
    with account.paying(CORE), account.paying(CORE):
        assert not account.may_pay(CORE, now=NOW)
        assert account.may_pay(GRAPHQL, now=NOW)
    assert account.room(CORE, now=NOW) == 2


def test_a_question_that_never_arrived_costs_nothing() -> None:
    account = Account(None)
    with suppress(ConnectionError), account.paying(CORE):
        assert account.room(CORE, now=NOW) == 59
        raise ConnectionError
    assert account.room(CORE, now=NOW) == 60


def test_an_empty_budget_parks_one_resource() -> None:
    account = payer()
    account.note_failure(limit(FailureKind.PRIMARY_LIMIT, NOW + MINUTE), GRAPHQL, now=NOW)
    assert not account.may_pay(GRAPHQL, now=NOW)
    assert account.may_pay(CORE, now=NOW)
    assert account.may_pay(GRAPHQL, now=NOW + MINUTE)


def test_a_secondary_limit_parks_the_whole_account() -> None:
    account = payer()
    account.note_failure(limit(FailureKind.SECONDARY_LIMIT, NOW + MINUTE), CORE, now=NOW)
    assert not any(account.may_pay(one, now=NOW) for one in Resource)
    assert all(account.may_pay(one, now=NOW + MINUTE) for one in Resource)


def test_a_shorter_refusal_does_not_end_a_longer_one() -> None:
    account = payer()
    account.note_failure(limit(FailureKind.SECONDARY_LIMIT, NOW + 5 * MINUTE), CORE, now=NOW)
    account.note_failure(limit(FailureKind.SECONDARY_LIMIT, NOW + MINUTE), CORE, now=NOW)
    account.note_failure(BAD_TOKEN, CORE, now=NOW)
    assert not account.may_pay(CORE, now=NOW + 2 * MINUTE)
    assert account.may_pay(CORE, now=NOW + 5 * MINUTE)


@pytest.mark.parametrize(
    "kind",
    [FailureKind.NOT_FOUND, FailureKind.FORBIDDEN, FailureKind.SERVER, FailureKind.TOO_HEAVY],
)
def test_other_failures_do_not_concern_the_account(kind: FailureKind) -> None:
    account = payer()
    account.note_failure(Failure(kind), CORE, now=NOW)
    assert account == payer()


def test_a_refusal_without_a_time_parks_nothing() -> None:
    account = payer()
    account.note_failure(limit(FailureKind.PRIMARY_LIMIT, None), CORE, now=NOW)
    assert account.may_pay(CORE, now=NOW)


def strike(account: Account, *, at: datetime) -> None:
    account.note_failure(BAD_TOKEN, CORE, now=at)


def test_three_strikes_apart_in_time_rest_for_an_hour() -> None:
    account = payer()
    for number in range(2):
        strike(account, at=NOW + number * MINUTE)
        assert not any(account.may_pay(one, now=NOW + number * MINUTE) for one in Resource)
        assert account.may_pay(CORE, now=NOW + number * MINUTE + 30 * SECOND)
    strike(account, at=NOW + 2 * MINUTE)
    assert not account.may_pay(CORE, now=NOW + 61 * MINUTE)
    assert account.may_pay(CORE, now=NOW + 62 * MINUTE)


def test_after_the_rest_one_more_strike_is_enough() -> None:
    account = payer()
    for number in range(3):
        strike(account, at=NOW + number * MINUTE)
    strike(account, at=NOW + 2 * HOUR)
    assert not account.may_pay(CORE, now=NOW + 2 * HOUR + 59 * MINUTE)


def test_parallel_refusals_are_one_strike() -> None:
    account = payer()
    for _ in range(8):
        strike(account, at=NOW)
    assert account.strikes == 1
    assert account.may_pay(CORE, now=NOW + MINUTE)


def test_a_success_forgets_the_strikes() -> None:
    account = payer()
    for number in range(6):
        strike(account, at=NOW + number * MINUTE)
        account.note_success()
    assert account.may_pay(CORE, now=NOW + 6 * MINUTE)


def test_a_suspended_account_rests_for_an_hour() -> None:
    account = payer()
    account.note_failure(Failure(FailureKind.SUSPENDED), CORE, now=NOW)
    assert not any(account.may_pay(one, now=NOW + 59 * MINUTE) for one in Resource)
    assert account.may_pay(GRAPHQL, now=NOW + HOUR)


def test_the_name_tells_accounts_apart_and_gives_nothing_away() -> None:
    assert Account(None).name == "anonymous"
    assert payer("ghp_secret").name == hashlib.sha256(b"ghp_secret").hexdigest()[:8]
    assert "ghp_secret" not in repr(payer("ghp_secret"))


def test_one_account_for_each_token_and_the_anonymous_last() -> None:
    accounts = accounts_of([Secret("a"), Secret("b"), Secret("a")])
    assert [one.token and one.token.reveal() for one in accounts] == ["a", "b", None]
    assert [one.name for one in accounts_of([])] == ["anonymous"]


def test_most_room_is_chosen() -> None:
    accounts = [payer("a", core=5), payer("b", core=9), payer("c", core=7)]
    assert choose(accounts, CORE, now=NOW) is accounts[1]


def test_parallel_questions_are_spread() -> None:
    accounts = [payer("a"), payer("b")]
    with accounts[0].paying(CORE):
        assert choose(accounts, CORE, now=NOW) is accounts[1]


def test_the_anonymous_ration_is_the_last_resort() -> None:
    accounts = [Account(None), payer("a", core=1)]
    assert choose(accounts, CORE, now=NOW) is accounts[1]
    accounts[1].note_room(room(0))
    assert choose(accounts, CORE, now=NOW) is accounts[0]


def test_nobody_can_pay() -> None:
    assert choose([], CORE, now=NOW) is None
    assert choose([Account(None)], GRAPHQL, now=NOW) is None
    assert choose([payer("a", core=0)], CORE, now=NOW) is None
