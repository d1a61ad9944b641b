"""What an answer means, rule by rule."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from github_banners.github.protocol import (
    Failure,
    FailureKind,
    GitHubResponse,
    GraphQLError,
    RateLimit,
    Resource,
    classify,
    classify_graphql,
    parse_rate_limit,
)
from tests.unit.github.samples import NOW, rate, reply

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
TWO_HOURS = timedelta(hours=2)
SECONDARY = {"message": "You have exceeded a secondary rate limit. Please wait a few minutes."}
PRIMARY = {"message": "API rate limit exceeded for user ID 1."}


def judge(answer: GitHubResponse, resource: Resource = Resource.CORE) -> Failure | None:
    return classify(answer, resource=resource, now=NOW)


def judge_errors(*errors: GraphQLError, headers: dict[str, str] | None = None) -> Failure | None:
    return classify_graphql(errors, headers or {}, now=NOW)


@pytest.mark.parametrize("status", [200, 304])
def test_good_answers_are_no_failures(status: int) -> None:
    assert judge(reply(b"anything", status=status)) is None


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (204, FailureKind.UNREADABLE),
        (301, FailureKind.UNREADABLE),
        (400, FailureKind.UNREADABLE),
        (401, FailureKind.BAD_TOKEN),
        (403, FailureKind.FORBIDDEN),
        (404, FailureKind.NOT_FOUND),
        (410, FailureKind.NOT_FOUND),
        (422, FailureKind.UNREADABLE),
        (429, FailureKind.SECONDARY_LIMIT),
        (451, FailureKind.NOT_FOUND),
        (500, FailureKind.SERVER),
        (502, FailureKind.TOO_HEAVY),
        (503, FailureKind.SERVER),
        (504, FailureKind.TOO_HEAVY),
    ],
)
def test_every_status_has_its_kind(status: int, kind: FailureKind) -> None:
    failure = judge(reply(status=status))
    assert failure is not None
    assert failure.kind is kind


@pytest.mark.parametrize("status", [404, 410, 451])
def test_graphql_that_is_not_there_speaks_of_nobody(status: int) -> None:
    failure = judge(reply({"message": "Not Found"}, status=status), Resource.GRAPHQL)
    assert failure == Failure(FailureKind.SERVER, "Not Found")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"message": "Not Found"}, "Not Found"),
        ({"message": "x" * 300}, "x" * 200),
        ({"message": None}, "status 404"),
        ([], "status 404"),
        (b'{"message": "Not Fo', "status 404"),
        (b'{"message": "\xff"}', "status 404"),
        (b"<!DOCTYPE html><title>Unicorn!</title>", "status 404"),
        (b"", "status 404"),
    ],
)
def test_a_failure_says_what_github_said(body: object, message: str) -> None:
    assert judge(reply(body, status=404)) == Failure(FailureKind.NOT_FOUND, message)


@pytest.mark.parametrize("status", [403, 429])
@pytest.mark.parametrize("body", [PRIMARY, {}])
def test_an_empty_budget_waits_for_its_reset(status: int, body: object) -> None:
    answer = reply(body, status=status, headers=rate(remaining=0, reset_in=10 * MINUTE))
    failure = judge(answer)
    assert failure is not None
    assert failure.kind is FailureKind.PRIMARY_LIMIT
    assert failure.retry_at == NOW + 10 * MINUTE + SECOND


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({}, MINUTE),
        ({"x-ratelimit-reset": "soon"}, MINUTE),
        ({"x-ratelimit-reset": "9" * 30}, MINUTE),
        (rate(remaining=7, reset_in=5 * MINUTE), 5 * MINUTE + SECOND),
        (rate(remaining=0, reset_in=-MINUTE), SECOND),
        (rate(remaining=0, reset_in=99 * TWO_HOURS), TWO_HOURS),
        ({**rate(remaining=0, reset_in=MINUTE), "x-ratelimit-resource": "search"}, 61 * SECOND),
    ],
)
def test_the_words_alone_tell_an_empty_budget(headers: dict[str, str], pause: timedelta) -> None:
    failure = judge(reply(PRIMARY, status=403, headers=headers))
    assert failure is not None
    assert (failure.kind, failure.retry_at) == (FailureKind.PRIMARY_LIMIT, NOW + pause)


@pytest.mark.parametrize("status", [403, 429])
@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({"retry-after": "7"}, 7 * SECOND),
        ({"retry-after": "0"}, 0 * SECOND),
        ({"retry-after": "-5"}, 0 * SECOND),
        ({"retry-after": "999999"}, TWO_HOURS),
        (rate(remaining=0, reset_in=9 * MINUTE), 9 * MINUTE + SECOND),
        ({**rate(remaining=0, reset_in=9 * MINUTE), "retry-after": "3"}, 3 * SECOND),
    ],
)
def test_a_secondary_limit_waits_as_advised(
    status: int, headers: dict[str, str], pause: timedelta
) -> None:
    failure = judge(reply(SECONDARY, status=status, headers=headers))
    assert failure is not None
    assert (failure.kind, failure.retry_at) == (FailureKind.SECONDARY_LIMIT, NOW + pause)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"retry-after": "9" * 20},
        {"retry-after": "Sun, 22 Nov 2026 13:00:00 GMT"},
        rate(remaining=21, reset_in=9 * MINUTE),
    ],
)
def test_a_secondary_limit_without_advice_has_no_time(headers: dict[str, str]) -> None:
    failure = judge(reply(SECONDARY, status=403, headers=headers))
    assert failure == Failure(FailureKind.SECONDARY_LIMIT, SECONDARY["message"])


def test_the_older_words_of_a_secondary_limit() -> None:
    body = {"message": "You have triggered an abuse detection mechanism. Please wait."}
    failure = judge(reply(body, status=403))
    assert failure is not None
    assert failure.kind is FailureKind.SECONDARY_LIMIT


def test_advice_to_wait_is_a_limit_whatever_the_words() -> None:
    failure = judge(reply({"message": "Slow down"}, status=403, headers={"retry-after": "5"}))
    assert failure == Failure(FailureKind.SECONDARY_LIMIT, "Slow down", NOW + 5 * SECOND)


def test_a_suspended_account() -> None:
    body = {"message": "Sorry. Your account was suspended."}
    headers = rate(remaining=4000, reset_in=MINUTE)
    failure = judge(reply(body, status=403, headers=headers))
    assert failure == Failure(FailureKind.SUSPENDED, body["message"])


def test_a_plain_refusal_is_about_what_was_asked() -> None:
    body = {"message": "Resource protected by organization SAML enforcement."}
    headers = rate(remaining=4000, reset_in=MINUTE)
    failure = judge(reply(body, status=403, headers=headers))
    assert failure == Failure(FailureKind.FORBIDDEN, body["message"])


@pytest.mark.parametrize("spelling", ["RATE_LIMITED", "RATE_LIMIT"])
def test_an_empty_budget_in_both_spellings(spelling: str) -> None:
    error = GraphQLError("API rate limit exceeded", spelling)
    failure = judge_errors(error, headers=rate(remaining=12, reset_in=MINUTE))
    assert failure == Failure(FailureKind.PRIMARY_LIMIT, error.message or "", NOW + MINUTE + SECOND)


def test_a_secondary_limit_in_graphql() -> None:
    failure = judge_errors(GraphQLError(SECONDARY["message"]), headers={"retry-after": "9"})
    assert failure == Failure(
        FailureKind.SECONDARY_LIMIT, SECONDARY["message"], NOW + timedelta(seconds=9)
    )


@pytest.mark.parametrize(
    "error",
    [
        GraphQLError(
            "Resource limits for this query exceeded.", "RESOURCE_LIMITS_EXCEEDED", ("u0",)
        ),
        GraphQLError("Something went wrong while executing your query on 2026-11-22."),
        GraphQLError("We couldn't respond to your request in time. Sorry about that."),
    ],
)
def test_too_heavy_a_query(error: GraphQLError) -> None:
    assert judge_errors(error) == Failure(FailureKind.TOO_HEAVY, error.message or "")


@pytest.mark.parametrize("kind", ["NOT_FOUND", "FORBIDDEN"])
def test_errors_of_single_owners_leave_the_rest_good(kind: str) -> None:
    assert judge_errors(GraphQLError("no", kind, ("u0",)), GraphQLError("no", kind)) is None


def test_an_error_of_the_whole_query_is_found_behind_that_of_an_owner() -> None:
    failure = judge_errors(
        GraphQLError("no", "NOT_FOUND", ("u0",)),
        GraphQLError("enough", "RESOURCE_LIMITS_EXCEEDED", ("u1",)),
    )
    assert failure == Failure(FailureKind.TOO_HEAVY, "enough")


@pytest.mark.parametrize("kind", [None, "UNPROCESSABLE", "INTERNAL"])
def test_an_unknown_error_makes_the_answer_unreadable(kind: str | None) -> None:
    assert judge_errors(GraphQLError("what?", kind)) == Failure(FailureKind.UNREADABLE, "what?")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("RATE_LIMITED", ""),
        (None, SECONDARY["message"]),
        ("RESOURCE_LIMITS_EXCEEDED", ""),
        ("INTERNAL", ""),
    ],
)
def test_a_long_error_is_cut(kind: str | None, message: str) -> None:
    failure = judge_errors(GraphQLError(message + "x" * 10_000, kind))
    assert failure is not None
    assert failure.message == (message + "x" * 200)[:200]


def test_no_errors_are_no_failure() -> None:
    assert judge_errors() is None


def test_room_is_read_as_told() -> None:
    headers = rate(remaining=4321, reset_in=MINUTE) | {"x-ratelimit-resource": "graphql"}
    room = parse_rate_limit(reply(headers=headers), resource=Resource.CORE, now=NOW)
    assert room == RateLimit(Resource.GRAPHQL, limit=5000, remaining=4321, reset_at=NOW + MINUTE)


@pytest.mark.parametrize("resource", Resource)
def test_room_without_a_name_is_that_of_what_was_asked(resource: Resource) -> None:
    room = parse_rate_limit(
        reply(headers=rate(remaining=1, reset_in=MINUTE)), resource=resource, now=NOW
    )
    assert room is not None
    assert room.resource is resource
    assert room.reset_at.tzinfo is UTC


@pytest.mark.parametrize(
    "change",
    [
        {"x-ratelimit-resource": "search"},
        {"x-ratelimit-remaining": "many"},
        {"x-ratelimit-limit": ""},
        {"x-ratelimit-reset": "{{now offset='3 seconds' format='unix'}}"},
        {"x-ratelimit-reset": "9" * 18},
    ],
)
def test_room_that_is_not_ours_or_makes_no_sense(change: dict[str, str]) -> None:
    headers = rate(remaining=1, reset_in=MINUTE) | change
    assert parse_rate_limit(reply(headers=headers), resource=Resource.CORE, now=NOW) is None


def test_no_room_is_told() -> None:
    assert parse_rate_limit(reply(), resource=Resource.CORE, now=NOW) is None


def test_a_refused_token_is_told_the_ration_of_its_address() -> None:
    refused = reply(status=401, headers=rate(remaining=55, limit=60, reset_in=MINUTE))
    assert parse_rate_limit(refused, resource=Resource.CORE, now=NOW) is None


HEADERS = st.dictionaries(
    st.sampled_from(
        ["retry-after", *(f"x-ratelimit-{x}" for x in ("limit", "remaining", "reset", "resource"))]
    ),
    st.one_of(st.integers().map(str), st.text(max_size=20), st.sampled_from(["core", "graphql"])),
)


@given(st.integers(100, 599), HEADERS, st.one_of(st.binary(), st.text().map(str.encode)))
def test_nothing_is_too_strange_to_be_judged(
    status: int, headers: dict[str, str], body: bytes
) -> None:
    strange = GitHubResponse(status, headers, body)
    failure = judge(strange)
    assert (failure is None) == (status in {200, 304})
    until = failure.retry_at if failure is not None else None
    assert until is None or NOW <= until <= NOW + TWO_HOURS
    room = parse_rate_limit(strange, resource=Resource.CORE, now=NOW)
    assert room is None or isinstance(room.reset_at, datetime)
