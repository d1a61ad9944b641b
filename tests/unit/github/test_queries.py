"""Every query is valid in GitHub's own schema."""

from datetime import date
from typing import Any

import pytest
from graphql import GraphQLResolveInfo, GraphQLSchema, build_schema, execute_sync, parse, validate

from github_banners.github import contributions
from github_banners.github.contributions import Window
from github_banners.github.graphql import (
    Query,
    build_id_query,
    build_login_query,
    build_page_query,
    build_viewer_query,
)
from github_banners.github.language_sizes import build_languages_query
from github_banners.github.owner_query import build_identity_query
from github_banners.github.repository_details import build_repository_query
from github_banners.models import Owner
from tests.resources import GRAPHQL_SCHEMA, needs_graphql_schema
from tests.unit.github.data_samples import (
    ContributionGitHub,
    identity_data,
    languages_data,
    languages_node,
    repository_data,
)
from tests.unit.github.samples import NOW

pytestmark = needs_graphql_schema

BY_ID = Owner(1, "ada", node_id="U_1")
BY_LOGIN = Owner(1, "ada")
YEARS = [Window(year) for year in (2022, 2023, 2024, 2025)]

QUERIES = {
    "one login": build_login_query(["ada"]),
    "twenty logins": build_login_query([f"user-{number}" for number in range(20)]),
    "a hundred logins": build_login_query([f"user-{number}" for number in range(100)]),
    "ids": build_id_query(["U_1", "O_2"]),
    "a further page": build_page_query("U_1", after="Y3Vyc29y"),
    "account of a token": build_viewer_query(),
    "identity": build_identity_query("ada"),
    "contributions by id": contributions.build_query(BY_ID, YEARS[:1], now=NOW),
    "contributions of four years by login": contributions.build_query(BY_LOGIN, YEARS, now=NOW),
    "languages by id": build_languages_query(BY_ID, first=100, after=None),
    "languages by login": build_languages_query(BY_LOGIN, first=25, after="Y3Vyc29y"),
    "repository": build_repository_query(BY_ID, "engine"),
}


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    # The published schema does not pass the checks of schemas.
    text = GRAPHQL_SCHEMA.read_text(encoding="utf-8")
    return build_schema(text, assume_valid=True, assume_valid_sdl=True, no_location=True)


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_query_is_valid(schema: GraphQLSchema, query: Query) -> None:
    assert validate(schema, parse(query.text)) == []


@pytest.mark.parametrize(
    ("valid", "invalid"),
    [
        ("stargazerCount", "starCount"),
        ("privacy: PUBLIC", "privacy: EVERYONE"),
        ("totalCount", "total"),
        ("repositoryOwner(login:", "repositoryOwner(name:"),
    ],
)
def test_schema_invalid_query_is_rejected(schema: GraphQLSchema, valid: str, invalid: str) -> None:
    text = QUERIES["one login"].text
    assert valid in text
    assert validate(schema, parse(text.replace(valid, invalid)))


def test_schema_undeclared_variable_is_rejected(schema: GraphQLSchema) -> None:
    text = QUERIES["twenty logins"].text.replace("$l7: String!, ", "")
    assert [str(error.message) for error in validate(schema, parse(text))] == [
        "Variable '$l7' is not defined by operation 'Batch'."
    ]


def resolve_response_key(source: Any, info: GraphQLResolveInfo[Any], **_: Any) -> Any:
    """Resolve a field to what the sample has under its name or alias."""
    return source[info.path.key]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        (
            "contributions by id",
            ContributionGitHub({date(2022, 3, 1): 5}).data(
                [(date(2022, 1, 1), date(2022, 12, 31))]
            ),
        ),
        (
            "languages by id",
            languages_data(languages_node(7, {"Python": 5}), None, cursor="Y3Vyc29y"),
        ),
        ("repository", repository_data()),
        ("identity", identity_data()),
    ],
)
def test_sample_has_the_shape_of_the_schema(
    schema: GraphQLSchema, name: str, data: dict[str, Any]
) -> None:
    query = QUERIES[name]
    result = execute_sync(
        schema,
        parse(query.text),
        root_value=data | {"rateLimit": None},
        variable_values=dict(query.variables),
        field_resolver=resolve_response_key,
        type_resolver=lambda value, info, abstract_type: "User",
    )
    assert result.errors is None
    assert result.data == data | {"rateLimit": None}
