"""Every query against GitHub's own schema."""

import pytest
from graphql import GraphQLSchema, build_schema, parse, validate

from github_banners.github.graphql import (
    Query,
    build_id_query,
    build_login_query,
    build_page_query,
    build_viewer_query,
)
from tests.resources import GRAPHQL_SCHEMA, needs_graphql_schema

pytestmark = needs_graphql_schema

QUESTIONS = {
    "one login": build_login_query(["ada"]),
    "twenty logins": build_login_query([f"user-{number}" for number in range(20)]),
    "a hundred logins": build_login_query([f"user-{number}" for number in range(100)]),
    "ids": build_id_query(["U_1", "O_2"]),
    "a further page": build_page_query("U_1", after="Y3Vyc29y"),
    "whose a token is": build_viewer_query(),
}


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    # What is published does not pass the checks of schemas themselves.
    text = GRAPHQL_SCHEMA.read_text(encoding="utf-8")
    return build_schema(text, assume_valid=True, assume_valid_sdl=True)


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_github_understands(schema: GraphQLSchema, question: Query) -> None:
    assert validate(schema, parse(question.text)) == []


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ("stargazerCount", "starCount"),
        ("privacy: PUBLIC", "privacy: EVERYONE"),
        ("totalCount", "total"),
        ("repositoryOwner(login:", "repositoryOwner(name:"),
    ],
)
def test_what_github_does_not_know_is_noticed(
    schema: GraphQLSchema, given: str, wrong: str
) -> None:
    text = QUESTIONS["one login"].text
    assert given in text
    assert validate(schema, parse(text.replace(given, wrong)))


def test_an_undeclared_variable_is_noticed(schema: GraphQLSchema) -> None:
    text = QUESTIONS["twenty logins"].text.replace("$l7: String!, ", "")
    assert [str(error.message) for error in validate(schema, parse(text))] == [
        "Variable '$l7' is not defined by operation 'Batch'."
    ]
