"""Queries that hold no names, and their answers owner by owner."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from github_banners.github.graphql import (
    OwnerPage,
    RepositoryPage,
    Viewer,
    build_id_query,
    build_login_query,
    build_page_query,
    parse_owners_by_id,
    parse_owners_by_login,
    parse_repository_page,
    parse_viewer,
)
from github_banners.github.protocol import Failure, FailureKind, GitHubResponse
from github_banners.models import Owner, Repository
from tests.unit.github.samples import NOW, owner_node, reply, repository_node

ADA = Owner(1, "Ada", node_id="U_1", display_name="Ada L")
ENGINE = Repository(7, "repository-7", stars=3, forks=2, language="Python")
PAIR = build_login_query(["Ada", "Bob"])

UNREADABLE_BODIES = [
    b"",
    b'{"data": {"u0": {"id": "U_',
    b"<!DOCTYPE html><title>GitHub</title>",
    b'{"data": {"u0": null, "u1": \xff}}',
    b"[]",
    b"{}",
    b'{"data": null}',
    b'{"data": {"u0": null}}',
]


def read_pair(data: Any, *errors: Any) -> list[OwnerPage | Failure] | Failure:
    return parse_owners_by_login(reply({"data": data, "errors": list(errors)}), PAIR, now=NOW)


def kind_of(answer: object) -> FailureKind:
    assert isinstance(answer, Failure)
    return answer.kind


@pytest.mark.parametrize(
    "question",
    [
        build_login_query(["Ada", 'x") { evil }']),
        build_id_query(["U_1", 'x") { evil }']),
        build_page_query('x") { evil }', after='x") { evil }'),
    ],
)
def test_what_is_given_travels_in_variables_alone(question: Any) -> None:
    written = json.loads(question.to_json())
    assert written == {"query": question.text, "variables": question.variables}
    assert "evil" not in question.text
    assert "evil" in json.dumps(question.variables)
    assert question.text.count("ownerAffiliations: [OWNER], privacy: PUBLIC") == 1


def test_one_alias_for_each_login() -> None:
    question = build_login_query(["a", "b", "c"])
    assert question.aliases == ("u0", "u1", "u2")
    assert question.variables == {"l0": "a", "l1": "b", "l2": "c"}


def test_owners_in_the_order_of_their_question() -> None:
    bob = owner_node() | {"login": "Bob", "databaseId": 2, "id": "O_2", "name": None}
    answers = read_pair({"u1": bob, "u0": owner_node(repository_node(7)), "rateLimit": None})
    assert answers == [
        OwnerPage(ADA, (ENGINE,), total=1, next_cursor=None),
        OwnerPage(Owner(2, "Bob", node_id="O_2"), (), total=0, next_cursor=None),
    ]


def test_followers_of_users_only() -> None:
    organisation = owner_node()
    user = owner_node() | {"followers": {"totalCount": 7}}
    answers = read_pair({"u0": user, "u1": organisation})
    assert isinstance(answers, list)
    assert [page.followers for page in answers if isinstance(page, OwnerPage)] == [7, None]


def test_owners_by_id() -> None:
    nodes = [owner_node(repository_node(7), total=101, cursor="Y3"), None]
    error = {"type": "NOT_FOUND", "path": ["nodes", 1], "message": "Could not resolve to a node"}
    answers = parse_owners_by_id(reply({"data": {"nodes": nodes}, "errors": [error]}), now=NOW)
    assert isinstance(answers, list)
    assert answers[0] == OwnerPage(ADA, (ENGINE,), total=101, next_cursor="Y3")
    assert answers[1] == Failure(FailureKind.NOT_FOUND)


def test_an_unknown_login_is_null_without_an_error() -> None:
    answers = read_pair({"u0": None, "u1": owner_node()})
    assert isinstance(answers, list)
    assert kind_of(answers[0]) is FailureKind.NOT_FOUND
    assert isinstance(answers[1], OwnerPage)


@pytest.mark.parametrize("path", [["u0"], ["u0", "repositories"]])
def test_who_may_not_be_seen_is_not_gone(path: list[str]) -> None:
    error = {"type": "FORBIDDEN", "path": path, "message": "IP allow list enabled"}
    answers = read_pair({"u0": None, "u1": None}, error)
    assert answers == [
        Failure(FailureKind.FORBIDDEN, "IP allow list enabled"),
        Failure(FailureKind.NOT_FOUND),
    ]


def test_who_may_not_be_seen_by_id() -> None:
    error = {"type": "FORBIDDEN", "path": ["nodes", 1], "message": "SAML"}
    answers = parse_owners_by_id(
        reply({"data": {"nodes": [None, None]}, "errors": [error]}), now=NOW
    )
    assert answers == [Failure(FailureKind.NOT_FOUND), Failure(FailureKind.FORBIDDEN, "SAML")]


def test_repositories_that_cannot_be_told_are_left_out() -> None:
    nodes = [None, repository_node(7), repository_node(8, databaseId=None)]
    answers = read_pair({"u0": owner_node(*nodes), "u1": None})
    assert isinstance(answers, list)
    assert answers[0] == OwnerPage(ADA, (ENGINE,), total=3, next_cursor=None)


def test_a_list_may_be_null() -> None:
    node = owner_node()
    node["repositories"]["nodes"] = None
    answers = read_pair({"u0": node, "u1": None})
    assert isinstance(answers, list)
    assert answers[0] == OwnerPage(ADA, (), total=0, next_cursor=None)


@pytest.mark.parametrize("language", [None, {"name": "C"}])
def test_only_the_name_of_a_repository_is_required(language: dict[str, str] | None) -> None:
    node = {"databaseId": 7, "name": "a", "primaryLanguage": language}
    answers = read_pair({"u0": owner_node(node), "u1": None})
    assert isinstance(answers, list)
    assert isinstance(answers[0], OwnerPage)
    expected = language["name"] if language else None
    assert answers[0].repositories == (Repository(7, "a", language=expected),)


@pytest.mark.parametrize("missing", ["id", "login", "databaseId", "repositories"])
def test_a_missing_field_is_named_and_spoils_one_owner_only(missing: str) -> None:
    broken = owner_node()
    del broken[missing]
    answers = read_pair({"u0": broken, "u1": owner_node()})
    assert isinstance(answers, list)
    assert isinstance(answers[0], Failure)
    assert answers[0].kind is FailureKind.UNREADABLE
    assert answers[0].message.startswith("u0: ")
    assert f"`{missing}`" in answers[0].message
    assert isinstance(answers[1], OwnerPage)


def test_bytes_that_are_no_text_spoil_one_owner_only() -> None:
    body = json.dumps({"data": {"u0": owner_node(), "u1": owner_node()}}).encode()
    answers = parse_owners_by_login(reply(body.replace(b'"Ada"', b'"\xff"', 1)), PAIR, now=NOW)
    assert isinstance(answers, list)
    assert kind_of(answers[0]) is FailureKind.UNREADABLE
    assert isinstance(answers[1], OwnerPage)


@pytest.mark.parametrize("body", UNREADABLE_BODIES)
def test_what_cannot_be_read(body: bytes) -> None:
    for failure in (
        parse_owners_by_login(reply(body), PAIR, now=NOW),
        parse_owners_by_id(reply(body), now=NOW),
        parse_repository_page(reply(body), now=NOW),
    ):
        assert isinstance(failure, Failure)
        assert failure.kind is FailureKind.UNREADABLE
        assert failure.message


def test_an_answer_without_an_alias_names_it() -> None:
    assert read_pair({"u0": None}) == Failure(FailureKind.UNREADABLE, "a response without u1")


def test_a_secondary_limit_is_a_bare_message() -> None:
    body = {"message": "You have exceeded a secondary rate limit.", "documentation_url": "x"}
    assert kind_of(parse_owners_by_login(reply(body), PAIR, now=NOW)) is FailureKind.SECONDARY_LIMIT


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"type": "RATE_LIMITED", "message": "API rate limit exceeded"}, FailureKind.PRIMARY_LIMIT),
        ({"type": "RESOURCE_LIMITS_EXCEEDED", "path": ["u1"]}, FailureKind.TOO_HEAVY),
        ({"message": "Something went wrong while executing your query."}, FailureKind.TOO_HEAVY),
        ({"message": "Field 'stars' doesn't exist on type 'Repository'"}, FailureKind.UNREADABLE),
    ],
)
def test_an_error_of_the_whole_leaves_nobody(error: dict[str, Any], kind: FailureKind) -> None:
    body = {"data": {"u0": owner_node(), "u1": None, "nodes": [], "node": None}, "errors": [error]}
    assert kind_of(parse_owners_by_login(reply(body), PAIR, now=NOW)) is kind
    assert kind_of(parse_owners_by_id(reply(body), now=NOW)) is kind
    assert kind_of(parse_repository_page(reply(body), now=NOW)) is kind


def test_a_further_page() -> None:
    listed = owner_node(repository_node(7), cursor="Y3")["repositories"]
    del listed["totalCount"]
    body = {"data": {"node": {"repositories": listed}}}
    assert parse_repository_page(reply(body), now=NOW) == RepositoryPage((ENGINE,), "Y3")


def test_the_last_page_leads_nowhere() -> None:
    node = {"repositories": {"pageInfo": {"hasNextPage": False, "endCursor": "Y9"}, "nodes": []}}
    assert parse_repository_page(reply({"data": {"node": node}}), now=NOW) == RepositoryPage(
        (), None
    )


def test_a_page_of_somebody_gone() -> None:
    assert parse_repository_page(reply({"data": {"node": None}}), now=NOW) == Failure(
        FailureKind.NOT_FOUND
    )


def test_a_page_of_what_owns_nothing_names_the_field() -> None:
    failure = parse_repository_page(reply({"data": {"node": {}}}), now=NOW)
    assert isinstance(failure, Failure)
    assert "`repositories`" in failure.message


@given(st.one_of(st.binary(), st.text().map(str.encode)))
def test_nothing_is_too_strange_to_be_read(body: bytes) -> None:
    strange = GitHubResponse(200, {}, body)
    assert isinstance(parse_owners_by_login(strange, PAIR, now=NOW), Failure)
    assert isinstance(parse_owners_by_id(strange, now=NOW), Failure)
    assert isinstance(parse_repository_page(strange, now=NOW), Failure)


def test_whose_a_token_is() -> None:
    answer = reply({"data": {"viewer": {"login": "Ada", "databaseId": 1}, "rateLimit": None}})
    assert parse_viewer(answer, now=NOW) == Viewer(1, "Ada")


@pytest.mark.parametrize(
    "body", [*UNREADABLE_BODIES, {"data": {"viewer": None}}, {"data": {"viewer": {"login": "Ada"}}}]
)
def test_an_answer_that_does_not_say_whose(body: Any) -> None:
    assert kind_of(parse_viewer(reply(body), now=NOW)) is FailureKind.UNREADABLE


def test_a_limit_instead_of_a_viewer() -> None:
    body = {"errors": [{"type": "RATE_LIMITED", "message": "enough"}]}
    assert kind_of(parse_viewer(reply(body), now=NOW)) is FailureKind.PRIMARY_LIMIT


def test_a_long_refusal_of_one_owner_is_cut() -> None:
    error = {"type": "FORBIDDEN", "path": ["u0"], "message": "x" * 10_000}
    answers = read_pair({"u0": None, "u1": None}, error)
    assert answers == [
        Failure(FailureKind.FORBIDDEN, "x" * 200),
        Failure(FailureKind.NOT_FOUND),
    ]
