"""Classification of GitHub's responses, rule by rule."""

import json
import re
from datetime import UTC, datetime, timedelta

import msgspec
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
    build_decode,
    classify,
    classify_graphql,
    parse_rate_limit,
)
from tests.unit.github.samples import NOW, build_response, rate_limit_headers

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
TWO_HOURS = timedelta(hours=2)
SECONDARY = {"message": "You have exceeded a secondary rate limit. Please wait a few minutes."}
PRIMARY = {"message": "API rate limit exceeded for user ID 1."}
PRIMARY_MESSAGES = [
    PRIMARY["message"],
    "API rate limit already exceeded for user ID 1.",
    "api rate limit exceeded",
]


def classify_core(response: GitHubResponse, resource: Resource = Resource.CORE) -> Failure | None:
    return classify(response, resource=resource, now=NOW)


def classify_errors(*errors: GraphQLError, headers: dict[str, str] | None = None) -> Failure | None:
    return classify_graphql(errors, headers or {}, now=NOW)


@pytest.mark.parametrize("status", [200, 304])
def test_classify_success_is_no_failure(status: int) -> None:
    assert classify_core(build_response(b"anything", status=status)) is None


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
def test_classify_status_has_its_kind(status: int, kind: FailureKind) -> None:
    failure = classify_core(build_response({}, status=status))
    assert failure is not None
    assert failure.kind is kind


@pytest.mark.parametrize("status", [404, 410, 451])
def test_classify_graphql_not_found_is_a_server_failure(status: int) -> None:
    failure = classify_core(
        build_response({"message": "Not Found"}, status=status), Resource.GRAPHQL
    )
    assert failure == Failure(FailureKind.SERVER, "Not Found")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"message": "Not Found"}, "Not Found"),
        ({"message": "x" * 300}, "x" * 200),
        ({"message": None}, "status 404"),
        ([], "status 404"),
        (b"", "status 404"),
    ],
)
def test_classify_message_of_github_is_in_the_failure(body: object, message: str) -> None:
    assert classify_core(build_response(body, status=404)) == Failure(
        FailureKind.NOT_FOUND, message
    )


@pytest.mark.parametrize("status", [404, 410, 451])
@pytest.mark.parametrize(
    "body", [b"default backend - 404", b"<!DOCTYPE html><title>404</title>", b'{"message": "N']
)
def test_classify_not_found_of_another_server_says_nothing_of_the_owner(
    status: int, body: bytes
) -> None:
    failure = classify_core(build_response(body, status=status))
    assert failure is not None
    assert failure.kind is FailureKind.UNREADABLE
    assert failure.message.startswith(f"status {status}, not from GitHub")


def test_classify_page_of_a_proxy_names_its_status() -> None:
    failure = classify_core(build_response(b"<h1>Blocked</h1>", status=403))
    assert failure == Failure(FailureKind.FORBIDDEN, "status 403")


@pytest.mark.parametrize("status", [403, 429])
@pytest.mark.parametrize("body", [PRIMARY, {}])
def test_classify_no_remaining_requests_blocks_until_reset(status: int, body: object) -> None:
    response = build_response(
        body, status=status, headers=rate_limit_headers(remaining=0, reset_in=10 * MINUTE)
    )
    failure = classify_core(response)
    assert failure is not None
    assert failure.kind is FailureKind.PRIMARY_LIMIT
    assert failure.retry_at == NOW + 10 * MINUTE + SECOND


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({}, MINUTE),
        ({"x-ratelimit-reset": "soon"}, MINUTE),
        ({"x-ratelimit-reset": "9" * 30}, MINUTE),
        (rate_limit_headers(remaining=7, reset_in=5 * MINUTE), 5 * MINUTE + SECOND),
        (rate_limit_headers(remaining=0, reset_in=-MINUTE), MINUTE),
        (rate_limit_headers(remaining=0, reset_in=99 * TWO_HOURS), TWO_HOURS),
        (
            {**rate_limit_headers(remaining=0, reset_in=MINUTE), "x-ratelimit-resource": "search"},
            61 * SECOND,
        ),
    ],
)
def test_classify_primary_limit_message_is_enough(
    headers: dict[str, str], pause: timedelta
) -> None:
    failure = classify_core(build_response(PRIMARY, status=403, headers=headers))
    assert failure is not None
    assert (failure.kind, failure.retry_at) == (FailureKind.PRIMARY_LIMIT, NOW + pause)


@pytest.mark.parametrize("message", PRIMARY_MESSAGES)
def test_classify_primary_limit_message_in_all_wordings(message: str) -> None:
    failure = classify_core(build_response({"message": message}, status=403))
    assert failure == Failure(FailureKind.PRIMARY_LIMIT, message, NOW + MINUTE)


@pytest.mark.parametrize("status", [403, 429])
@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({"retry-after": "7"}, 7 * SECOND),
        ({"retry-after": "999999"}, TWO_HOURS),
        (rate_limit_headers(remaining=0, reset_in=9 * MINUTE), 9 * MINUTE + SECOND),
        ({**rate_limit_headers(remaining=0, reset_in=9 * MINUTE), "retry-after": "3"}, 3 * SECOND),
    ],
)
def test_classify_secondary_limit_blocks_as_advised(
    status: int, headers: dict[str, str], pause: timedelta
) -> None:
    failure = classify_core(build_response(SECONDARY, status=status, headers=headers))
    assert failure is not None
    assert (failure.kind, failure.retry_at) == (FailureKind.SECONDARY_LIMIT, NOW + pause)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"retry-after": "9" * 20},
        {"retry-after": "0"},
        {"retry-after": "-5"},
        {"retry-after": "Sun, 22 Nov 2026 13:00:00 GMT"},
        rate_limit_headers(remaining=21, reset_in=9 * MINUTE),
    ],
)
def test_classify_secondary_limit_without_advice_has_no_time(headers: dict[str, str]) -> None:
    failure = classify_core(build_response(SECONDARY, status=403, headers=headers))
    assert failure == Failure(FailureKind.SECONDARY_LIMIT, SECONDARY["message"])


def test_classify_older_message_of_secondary_limit() -> None:
    body = {"message": "You have triggered an abuse detection mechanism. Please wait."}
    failure = classify_core(build_response(body, status=403))
    assert failure is not None
    assert failure.kind is FailureKind.SECONDARY_LIMIT


def test_classify_retry_after_is_a_limit_with_any_message() -> None:
    failure = classify_core(
        build_response({"message": "Slow down"}, status=403, headers={"retry-after": "5"})
    )
    assert failure == Failure(FailureKind.SECONDARY_LIMIT, "Slow down", NOW + 5 * SECOND)


def test_classify_suspended_account() -> None:
    body = {"message": "Sorry. Your account was suspended."}
    headers = rate_limit_headers(remaining=4000, reset_in=MINUTE)
    failure = classify_core(build_response(body, status=403, headers=headers))
    assert failure == Failure(FailureKind.SUSPENDED, body["message"])


def test_classify_other_status_403_is_forbidden() -> None:
    body = {"message": "Resource protected by organization SAML enforcement."}
    headers = rate_limit_headers(remaining=4000, reset_in=MINUTE)
    failure = classify_core(build_response(body, status=403, headers=headers))
    assert failure == Failure(FailureKind.FORBIDDEN, body["message"])


@pytest.mark.parametrize("spelling", ["RATE_LIMITED", "RATE_LIMIT"])
def test_classify_graphql_primary_limit_in_both_spellings(spelling: str) -> None:
    error = GraphQLError("API rate limit exceeded", spelling)
    failure = classify_errors(error, headers=rate_limit_headers(remaining=12, reset_in=MINUTE))
    assert failure == Failure(FailureKind.PRIMARY_LIMIT, error.message or "", NOW + MINUTE + SECOND)


@pytest.mark.parametrize("kind", [None, "FORBIDDEN", "UNKNOWN"])
@pytest.mark.parametrize("message", PRIMARY_MESSAGES)
def test_classify_graphql_primary_limit_message_is_enough(message: str, kind: str | None) -> None:
    error = GraphQLError(message, kind, ("nodes", 0))
    assert classify_errors(error) == Failure(FailureKind.PRIMARY_LIMIT, message, NOW + MINUTE)


@pytest.mark.parametrize(
    "message", [SECONDARY["message"], "You have triggered an abuse detection mechanism."]
)
def test_classify_graphql_secondary_limit_message_counts_before_the_type(message: str) -> None:
    error = GraphQLError(message, "RATE_LIMITED")
    assert classify_errors(error) == Failure(FailureKind.SECONDARY_LIMIT, message)


@pytest.mark.parametrize("kind", [None, "RESOURCE_LIMITS_EXCEEDED", "NOT_FOUND"])
def test_classify_graphql_limit_after_another_error_counts(kind: str | None) -> None:
    failure = classify_errors(GraphQLError("what?", kind), GraphQLError("enough", "RATE_LIMITED"))
    assert failure == Failure(FailureKind.PRIMARY_LIMIT, "enough", NOW + MINUTE)


@pytest.mark.parametrize(
    ("entry", "error"),
    [
        ({"type": "Rate_Limited", "path": None}, GraphQLError(None, "RATE_LIMITED")),
        ({"message": None, "extensions": 5, "locations": "x"}, GraphQLError()),
        ({"message": ["x"], "type": {}, "path": "u0"}, GraphQLError()),
        ({"path": ["nodes", 1, None, "x"]}, GraphQLError(path=("nodes", 1))),
        ({}, GraphQLError()),
        ("x", GraphQLError()),
        (None, GraphQLError()),
    ],
)
def test_graphql_error_of_other_types_has_what_is_valid(entry: object, error: GraphQLError) -> None:
    assert GraphQLError.from_entry(entry) == error


def test_classify_graphql_secondary_limit() -> None:
    failure = classify_errors(GraphQLError(SECONDARY["message"]), headers={"retry-after": "9"})
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
def test_classify_graphql_heavy_query(error: GraphQLError) -> None:
    assert classify_errors(error) == Failure(FailureKind.TOO_HEAVY, error.message or "")


@pytest.mark.parametrize("kind", ["NOT_FOUND", "FORBIDDEN"])
def test_classify_graphql_errors_of_single_owners_are_no_failure(kind: str) -> None:
    assert classify_errors(GraphQLError("no", kind, ("u0",)), GraphQLError("no", kind)) is None


def test_classify_graphql_error_of_the_query_after_one_of_an_owner() -> None:
    failure = classify_errors(
        GraphQLError("no", "NOT_FOUND", ("u0",)),
        GraphQLError("enough", "RESOURCE_LIMITS_EXCEEDED", ("u1",)),
    )
    assert failure == Failure(FailureKind.TOO_HEAVY, "enough")


@pytest.mark.parametrize("kind", [None, "UNPROCESSABLE", "INTERNAL"])
def test_classify_graphql_unknown_error_is_unreadable(kind: str | None) -> None:
    assert classify_errors(GraphQLError("what?", kind)) == Failure(FailureKind.UNREADABLE, "what?")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("RATE_LIMITED", ""),
        (None, SECONDARY["message"]),
        ("RESOURCE_LIMITS_EXCEEDED", ""),
        ("INTERNAL", ""),
    ],
)
def test_classify_graphql_long_error_is_truncated(kind: str | None, message: str) -> None:
    failure = classify_errors(GraphQLError(message + "x" * 10_000, kind))
    assert failure is not None
    assert failure.message == (message + "x" * 200)[:200]


def test_classify_graphql_without_errors_is_no_failure() -> None:
    assert classify_errors() is None


def test_parse_rate_limit_has_the_headers_values() -> None:
    headers = rate_limit_headers(remaining=4321, reset_in=MINUTE) | {
        "x-ratelimit-resource": "graphql"
    }
    rate_limit = parse_rate_limit(build_response(headers=headers), resource=Resource.CORE, now=NOW)
    assert rate_limit == RateLimit(
        Resource.GRAPHQL, limit=5000, remaining=4321, reset_at=NOW + MINUTE
    )


@pytest.mark.parametrize("resource", Resource)
def test_parse_rate_limit_without_resource_is_that_of_the_request(resource: Resource) -> None:
    rate_limit = parse_rate_limit(
        build_response(headers=rate_limit_headers(remaining=1, reset_in=MINUTE)),
        resource=resource,
        now=NOW,
    )
    assert rate_limit is not None
    assert rate_limit.resource is resource
    assert rate_limit.reset_at.tzinfo is UTC


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
def test_parse_rate_limit_other_resource_or_malformed_is_none(change: dict[str, str]) -> None:
    headers = rate_limit_headers(remaining=1, reset_in=MINUTE) | change
    assert (
        parse_rate_limit(build_response(headers=headers), resource=Resource.CORE, now=NOW) is None
    )


def test_parse_rate_limit_without_headers_is_none() -> None:
    assert parse_rate_limit(build_response(), resource=Resource.CORE, now=NOW) is None


def test_parse_rate_limit_of_rejected_token_is_ignored() -> None:
    response = build_response(
        status=401, headers=rate_limit_headers(remaining=55, limit=60, reset_in=MINUTE)
    )
    assert parse_rate_limit(response, resource=Resource.CORE, now=NOW) is None


HEADERS = st.dictionaries(
    st.sampled_from(
        ["retry-after", *(f"x-ratelimit-{x}" for x in ("limit", "remaining", "reset", "resource"))]
    ),
    st.one_of(st.integers().map(str), st.text(max_size=20), st.sampled_from(["core", "graphql"])),
)


@given(st.integers(100, 599), HEADERS, st.one_of(st.binary(), st.text().map(str.encode)))
def test_classify_any_response_returns_a_result(
    status: int, headers: dict[str, str], body: bytes
) -> None:
    response = GitHubResponse(status, headers, body)
    failure = classify_core(response)
    assert (failure is None) == (status in {200, 304})
    retry_at = failure.retry_at if failure is not None else None
    assert retry_at is None or NOW <= retry_at <= NOW + TWO_HOURS
    rate_limit = parse_rate_limit(response, resource=Resource.CORE, now=NOW)
    assert rate_limit is None or isinstance(rate_limit.reset_at, datetime)


decode_text = build_decode(msgspec.json.Decoder(str))


@pytest.mark.parametrize(
    ("escapes", "text"),
    [
        (r"\ud83d", "\ufffd"),
        (r"a\uDE00b", "a\ufffdb"),
        (r"\ud83d\ude00", "\U0001f600"),
        (r"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (r"\ud83d\ude00\ude00", "\U0001f600\ufffd"),
        (r"\ud83d\\ude00", "\ufffd" + r"\ude00"),
        (r"\ud83d\\ud83d\\\ude00", "\ufffd" + r"\ud83d" + "\\\ufffd"),
        (r"\ud83d\u0041", "\ufffdA"),
    ],
)
def test_build_decode_replaces_half_a_surrogate_pair(escapes: str, text: str) -> None:
    body = f'"{escapes}"'.encode()
    assert decode_text(body) == text
    assert decode_text(msgspec.Raw(body)) == text


@given(st.text(st.sampled_from('\\\ud800\udbff\udc00\udfff\U0001f600u"d8')))
def test_build_decode_reads_any_text_like_the_standard_library(text: str) -> None:
    body = json.dumps(text)
    assert decode_text(body.encode()) == re.sub("[\ud800-\udfff]", "\ufffd", json.loads(body))


@pytest.mark.parametrize(
    "body", [rb'"\ud83d', rb'{"a": \ud83d}', rb'"\ud83g"', b'"\xed\xa0\xbd"', b""]
)
def test_build_decode_invalid_json_raises(body: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        decode_text(body)
